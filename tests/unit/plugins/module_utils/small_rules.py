# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small nft and a small iptables, for recorded hosts: they know the words of our own rules in tables that are ours, and no others.

That the real ones take and show these rules so is shown by tests/integration/test_management.py.
"""
import json
import re

TABLE = {"family": "inet", "table": "netfleet_conntrack"}
LINE = re.compile(r" *(?:chain (?P<chain>\S+) \{|type filter hook (?P<hook>\S+) priority (?P<prio>\S+); policy accept;|(?P<rule>[a-z].*[a-z0-9]))$")
TOKEN = re.compile(r'"[^"]*"|\{[^}]*\}|\S+')
KINDS = ("ct", "fib", "ip", "ip6", "meta", "tcp")


def loaded(program, before, text):
    """What is there after a program has read a text."""
    if program == "nft":
        return text.partition("delete table %(family)s %(table)s\n" % TABLE)[2]
    return _restored(before, text)


# iptables


def _restored(before, text):
    chains = {}
    for line in (before + text).replace("COMMIT\n", "").split("\n"):
        word, dummy, rest = line.partition(" ")
        name, dummy, rule = rest.partition(" ")
        if word.startswith(":"):
            chains[word[1:]] = []
        elif word == "-A":
            chains.setdefault(name, []).append(rule)
        elif word == "-I":
            chains.setdefault(name, []).insert(0, rule)
        elif word == "-D":
            chains.setdefault(name, []).remove(rule)
        elif word == "-X" and not chains[name]:
            del chains[name]
    hooks = [name for name in sorted(chains) if chains[name] or name.startswith("NETFLEET")]
    lines = [":%s - [0:0]" % name for name in hooks] + ["-A %s %s" % (name, rule) for name in hooks for rule in chains[name]]
    return "\n".join(["*raw"] + lines + ["COMMIT", ""])


# nft


def ruleset(text):
    """What `nft -j list ruleset` prints of our table."""
    objects, chain = [{"metainfo": {"json_schema_version": 1}}], None
    if text.strip():
        objects.append({"table": {"family": "inet", "name": TABLE["table"], "handle": 1}})
    for number, line in enumerate(text.split("\n"), 2):
        found = LINE.match(line)
        if found and found.group("chain"):
            chain = dict(TABLE, name=found.group("chain"), handle=number)
            objects.append({"chain": chain})
        elif found and found.group("hook"):
            chain.update(type="filter", hook=found.group("hook"), prio=int(found.group("prio")), policy="accept")
        elif found and chain and not line.startswith("table"):
            objects.append({"rule": dict(TABLE, chain=chain["name"], handle=number, expr=_statements(found.group("rule").strip()))})
    return json.dumps({"nftables": objects})


def _statements(text):
    words, found = TOKEN.findall(text), []
    while words and words[0] != "notrack":
        kind = words.pop(0) if words[0] in KINDS else "meta"
        key, found_op = words.pop(0), "in" if kind == "ct" else "=="
        op = words.pop(0) if words[0] == "!=" else found_op
        words = words[1:] if words[0] == "type" else words
        found.append({"match": {"op": op, "left": _left(kind, key), "right": _value(words.pop(0))}})
    return found + [{"notrack": None}] * len(words)


def _left(kind, key):
    if kind == "fib":
        return {"fib": {"result": "type", "flags": [key]}}
    return {kind: {"key": key}} if kind in ("ct", "meta") else {"payload": {"protocol": kind, "field": key}}


def _value(text):
    if text.startswith("{"):
        return {"set": [_value(part.strip()) for part in text[1:-1].split(",")]}
    if "/" in text:
        address, dummy, length = text.partition("/")
        return {"prefix": {"addr": address, "len": int(length)}}
    if re.match("[0-9]+-[0-9]+$", text):
        return {"range": [int(number) for number in text.split("-")]}
    return int(text) if text.isdigit() else text.strip('"')

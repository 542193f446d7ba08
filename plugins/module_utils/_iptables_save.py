# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What iptables-save prints and iptables-restore reads, as words. Pure.

Only double quotes group words, and only within them a backslash stands before a character that means
itself (add_param_to_argv in iptables/xshared.c); a shell reads quotes and backslashes otherwise.
"""
import ipaddress
import re

from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import EXEMPT, KEEP, MASQUERADE, RANDOM, RANDOM_FULLY, Nat

_WORD = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^ \t\r"])+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SPECIAL = re.compile(r"([\"'\\])")
_PORTS = re.compile(r"[0-9]+(-[0-9]+)?\Z")
_BRACKETS = re.compile(r"\[(.+)\](?::(.*))?\Z")
# A rule may have both; the first says all that the second does.
SELECTIONS = ((RANDOM_FULLY, "--random-fully"), (RANDOM, "--random"))
EVERYWHERE = {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}


def words(line):
    """The words of a line, less the counters that `-c` puts before a rule; comments of rules are one word."""
    found = [_QUOTED.sub(lambda part: re.sub(r"\\(.)", r"\1", part.group(1)), word) for word in _WORD.findall(line)]
    return found[1:] if line.startswith("[") else found


def quoted(text):
    """A text as iptables-save prints it (xtables_save_string)."""
    return text if _BARE.fullmatch(text) else '"%s"' % _SPECIAL.sub(r"\\\1", text)


def line(found):
    """A line of words; only those that need it are quoted, as iptables-save does it for all but comments."""
    return " ".join(quoted(word) if re.search(r'[\s"]', word) or not word else word for word in found)


def table(text, name):
    """The lines of one table, without those that begin and end it; a comment may have the same words within a line."""
    dummy, dummy, after = ("\n" + text).partition("\n*%s\n" % name)
    return after.partition("\nCOMMIT")[0]


def rules(command, text):
    """Yield (place, words) of each rule that ``command`` (ip6tables-save ...) printed."""
    family = "ip6" if command.startswith("ip6") else "ip"
    table = ""
    for line in text.split("\n"):  # not splitlines(), which ends lines at characters that a comment may have
        found = words(line)
        if line.startswith("*"):
            table = line[1:].strip()
        elif found[:1] == ["-A"] and len(found) > 1:
            yield (family, table, found[1]), found[2:]


def nat(words):
    """What a rule does, ours or another's, by its words; one that does no SNAT has nothing in C(to)."""
    target, options = _ended(words)
    to, ports = "", options.get("--to-ports", "")
    if target == "MASQUERADE":
        to = MASQUERADE
    elif target == "SNAT":
        to, ports = _source(options.get("--to-source", ""))
    elif target == "NETMAP":
        to = EXEMPT if options.get("--to") in EVERYWHERE.values() else options.get("--to", "")
    selection = next((name for name, word in SELECTIONS if word in options), KEEP)
    return Nat(to, span(ports, "-") if _PORTS.match(ports) else (), selection, "--persistent" in options)


def _ended(words):
    """The target of a rule and its options, which come last."""
    after = (words[len(words) - words[::-1].index("-j"):] if "-j" in words else []) or [""]
    return after[0], {option: value for option, value in zip(after[1:], after[2:] + [""]) if option.startswith("--")}


def _source(text):
    """The addresses and the ports of --to-source; those of IPv6 are in brackets where ports follow."""
    match = _BRACKETS.match(text)
    if match:
        addresses, ports = match.group(1).replace("]-[", "-"), match.group(2) or ""
    elif text.count(":") == 1:
        addresses, dummy, ports = text.partition(":")
    else:
        addresses, ports = text, ""
    found = [_address(address) for address in addresses.split("-")]
    return found[0] if found[0] == found[-1] else "-".join(found), ports


def _address(text):
    """An address in the one spelling that it has here; the tools have others for some of IPv6."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def span(text, sign):
    """The first and the last of a range of ports."""
    first, dummy, last = text.partition(sign)
    return int(first), int(last or first)

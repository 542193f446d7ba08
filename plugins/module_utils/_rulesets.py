# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The rules of a host as the programs print them, without changing anything by looking.

A backend is asked only when it is in the kernel already: asking nft or iptables-legacy for
something that is not there would load it, and register its tables for good.
"""
import json
from typing import Any, NamedTuple, Tuple

LEGACY = (("iptables-legacy-save", "/proc/net/ip_tables_names"), ("ip6tables-legacy-save", "/proc/net/ip6_tables_names"))
TRANSLATED = ("iptables-nft-save", "ip6tables-nft-save")
OUR_TABLE = "netfleet_conntrack"
MISSING = "is not installed"
# How a rule of SNAT says which ports it chooses from, and some rules that do not; in JSON, `port` may be of another statement.
PORTS_NAMED = ('"port"', "--to-ports", "--to-source")
# What `nft -j` shows of rules that today's iptables made: a match or target that it cannot name, or a chain of ours.
SIGNS = ('"xt"', '"NETFLEET_')


class Rulesets(NamedTuple):
    """What was read of a host's rules."""

    nft: Any = None  # text as of `nft -j list ruleset`; None where the kernel has no nf_tables, or it could not be read
    objects: Tuple[Any, ...] = ()  # the same decoded: a dict an object
    iptables: Any = ()  # dict: name of a save command -> text that it printed, with counters
    unread: Tuple[str, ...] = ()  # what should have been read and could not be, each in a few words


def read(host, release):
    """Read every rule of nft and of both flavours of iptables on a host whose kernel is of that release."""
    objects, unread = _nft(host, release)
    nft = None if objects is None else json.dumps({"nftables": objects})
    iptables, more = _iptables(host, nft, bool(unread))
    return Rulesets(nft, tuple(objects or ()), iptables, tuple(unread + more))


def hides_ours(text):
    """Tell whether rules of ours may be among what could not be read.

    None are where the program is missing that would have made them, nor in a table of others.
    """
    return (not text.startswith("table ") or OUR_TABLE in text) and MISSING not in text


def may_name_ports(rulesets):
    """Tell whether a rule of SNAT may say which ports it chooses from; where not, rules need not be understood to know."""
    texts = [rulesets.nft or ""] + list(dict(rulesets.iptables).values())
    return any(sign in text for sign in PORTS_NAMED for text in texts)


def in_kernel(host, release, module):
    """Tell whether asking for a module's service cannot load it: it is there, or nothing can be loaded."""
    modules = "/lib/modules/" + release
    if host.exists("/sys/module/" + module) or not host.exists(modules):
        return True
    return "/%s.ko" % module in (host.read(modules + "/modules.builtin") or "")


def _nft(host, release):
    """The objects of nftables, or None where there can be none, and what could not be read."""
    if not in_kernel(host, release, "nf_tables"):
        return None, []
    objects, reason = _listed(host, "ruleset")
    return (objects, []) if objects is not None else _by_table(host, reason)


def _listed(host, *what):
    status, output, errors = host.run(["nft", "-j", "list"] + list(what))
    try:
        return (json.loads(output)["nftables"], "") if status == 0 else (None, _first_line(errors))
    except (KeyError, TypeError, ValueError):
        return None, "it is no JSON"


def _by_table(host, reason):
    """The objects of each table by itself: nft before 1.0.7 stumbles over a table with an owner."""
    status, output, dummy = host.run(["nft", "list", "tables"])
    if status != 0:
        return None, ["the nftables ruleset (%s)" % reason]
    objects, unread = [], []
    for line in output.splitlines():
        found, why = _listed(host, *line.split())
        objects.extend(found or ())
        unread.extend(["%s (%s)" % (line, why)] if found is None else [])
    return objects, unread


def _first_line(text):
    return (text.strip().splitlines() or ["no reason given"])[0]


def _iptables(host, nft, unread_nft):
    commands = [command for command, names in LEGACY if (host.read(names) or "").strip()]
    if unread_nft or any(sign in (nft or "") for sign in SIGNS):
        commands.extend(TRANSLATED)
    rules, unread = {}, []
    for command in commands:
        status, output, errors = host.run([command, "-c"])
        if status == 0:
            rules[command] = output
        else:
            unread.append("the rules of %s (%s)" % (command, _first_line(errors)))
    return rules, unread

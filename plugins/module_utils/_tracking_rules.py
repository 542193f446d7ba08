# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Which rules of nft and iptables ask the kernel to track connections.

A rule or object asks from the moment it is made, in a chain that no packet reaches
as well, and for the families of its table (nf_ct_netns_get in
net/netfilter/nf_conntrack_proto.c). The tables below were tried rule by rule on
Linux 6.1, 6.12 and 6.18, but for CLUSTERIP, which stems from the source.
Pure: text in, uses out.
"""

import json
from typing import NamedTuple, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._iptables_save import rules as iptables_rules

FAMILIES = ("ipv4", "ipv6")

# Family of a table in nft's words: the families whose packets its rules have tracked.
REACH = {"ip": ("ipv4",), "ip6": ("ipv6",), "inet": FAMILIES, "bridge": FAMILIES}

# Statements and objects by their key in `nft -j`: net/netfilter/nft_{ct,connlimit,nat,masq,redir,synproxy,flow_offload}.c.
NFT_KEYS = (
    "ct", "ct count", "ct helper", "ct timeout", "ct expectation",
    "snat", "dnat", "masquerade", "redirect", "synproxy", "flow",
)
NAT_KEYS = ("snat", "dnat")             # these ask for their own family only, also in a table inet (nft_nat_init)
NOT_RUN = ("type", "map", "elem")       # parts of a set that describe it, or hold clones, which do not ask (nft_connlimit_clone)

# Matches and targets of iptables: the checkentry functions of net/netfilter/xt_*.c.
MATCHES = ("cluster", "connbytes", "connlabel", "connlimit", "connmark", "conntrack", "helper", "state")
TARGETS = ("CLUSTERIP", "CONNMARK", "CONNSECMARK", "CT", "DNAT", "MASQUERADE", "NETMAP", "REDIRECT", "SNAT", "SYNPROXY")
IPTABLES_WORDS = {"-m": MATCHES, "-j": TARGETS}


class Use(NamedTuple):
    """Something in the rules that asks for tracking."""

    families: Tuple[str, ...]
    what: str
    place: Tuple[str, str, str]         # family in nft's words, table, chain ("" for an object or a set)
    sure: bool = True                   # False where the rule as shown leaves open whether it asks

    def __str__(self):
        family, table, chain = self.place
        return "%s in table %s %s%s" % (self.what, family, table, chain and " chain " + chain)


def nft_uses(ruleset):
    """Yield a Use for all that asks, or may ask, for tracking in the text of `nft -j list ruleset`.

    Raises ValueError where the text is no such JSON.
    """
    document = json.loads(ruleset)
    items = document.get("nftables") if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise ValueError("no list of nftables objects")
    for kind, thing in (pair for item in items if isinstance(item, dict) for pair in item.items()):
        if isinstance(thing, dict) and thing.get("family") in tuple(REACH):
            yield from _of_object(kind, thing)


def _of_object(kind, thing):
    place = (thing["family"], str(thing.get("table", "")), str(thing.get("chain", "")))
    if kind in NFT_KEYS:
        yield Use(REACH[thing["family"]], "object %s %s" % (kind, thing.get("name")), place)
    elif kind == "rule":
        yield from _of_statements("rule", thing.get("expr"), place)
    else:
        running = {name: part for name, part in thing.items() if name not in NOT_RUN}
        yield from _of_statements("%s %s" % (kind, thing.get("name")), running, place)


def _of_statements(title, statements, place):
    for key, value in _walk(statements):
        if key == "xt":
            yield from _of_xt(value, place)
        elif key in NFT_KEYS:
            yield Use(_reach(key, value, place[0]), "%s with %s" % (title, _spoken(key, value)), place)


def _walk(part):
    """Yield every (key, value) of the dicts within a part of the ruleset."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield key, value
            yield from _walk(value)
    elif isinstance(part, list):
        for element in part:
            yield from _walk(element)


def _reach(key, value, family):
    own = value.get("family") if key in NAT_KEYS and isinstance(value, dict) else None
    return REACH[own if own in tuple(REACH) else family]


def _spoken(key, value):
    """A statement as a user would name it: "ct state", "masquerade"."""
    return "ct %s" % value.get("key") if key == "ct" and isinstance(value, dict) else key


def _of_xt(value, place):
    """A part of a rule of iptables-nft: nft shows its name, old nft not even that.

    Whether a target CT is `--notrack`, which does not ask, only iptables-save shows.
    """
    value = value if isinstance(value, dict) else {}
    name = value.get("name", "")
    spoken = "rule with -%s %s" % ("j" if value.get("type") == "target" else "m", name)
    if name == "CT" or not name:
        yield Use(REACH[place[0]], spoken if name else "rule of iptables", place, sure=False)
    elif name in MATCHES + TARGETS:
        yield Use(REACH[place[0]], spoken, place)


def iptables_uses(command, rules):
    """Yield a Use for each rule that asks for tracking in ``rules``, which ``command`` (ip6tables-save ...) printed."""
    for place, words in iptables_rules(command, rules):
        asking = [pair for pair in zip(words, words[1:]) if pair[1] in IPTABLES_WORDS.get(pair[0], ())]
        if asking and not (asking == [("-j", "CT")] and "--notrack" in words):
            yield Use(REACH[place[0]], "rule with %s %s" % asking[0], place)

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""A SNAT rule on a host, whoever made it: a row of the facts, and what is needed to change it. Pure."""
import re
from typing import NamedTuple, Optional

from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import EXEMPT, Nat

NFTABLES = "nftables"
# What a rule says that changes as packets pass, and how it reads without.
STATES = (
    (re.compile(r"\bcounter packets [0-9]+ bytes [0-9]+"), "counter"),
    (re.compile(r"\b(quota (?:over |until )?[0-9]+ [a-z]+) used [0-9]+ [a-z]+"), r"\1"),
    (re.compile(r"\blast used \S+"), "last"),
)


class Row(NamedTuple):
    """One rule that does SNAT."""

    backend: str  # nftables, iptables-nft, iptables-legacy
    family: str  # ipv4, ipv6, or inet: both
    table: str
    chain: str
    place: int  # of nft the handle, of iptables the number in its chain
    nat: Nat
    owner: str = ""  # a name of _nat_owners, or who reads the file that has it, or ""
    match: str = ""  # its conditions, in the words of its backend
    comment: str = ""
    packets: Optional[int] = None
    priority: Optional[int] = None  # of the base chain that leads to it, where that is one
    text: str = ""  # all of it as its program printed it; "" where the program could not read that again
    behind: str = ""  # of iptables: the rule before it
    epoch: int = 0  # of nft: the handle of its table, another one when the table is made anew
    held: str = ""  # the program that alone can change its table (flags owner)
    one_to_one: bool = False  # it maps networks, each address to one
    moves: bool = False  # of nft: it cannot keep its handle when it is changed


def facts(row):
    """A row as facts show it."""
    return {
        "backend": row.backend,
        "family": row.family,
        "table": row.table,
        "chain": row.chain,
        "handle" if row.backend == NFTABLES else "number": row.place,
        "owner": row.owner,
        "match": row.match,
        "to": row.nat.to,
        "ports": "-".join(map(str, row.nat.ports)),
        "port_selection": row.nat.port_selection,
        "persistent": row.nat.persistent,
        "comment": row.comment,
        "packets": row.packets,
        "priority": row.priority,
    }


def untouchable(row):
    """Tell whether a rule chooses no port at all."""
    return row.one_to_one or row.nat.to == EXEMPT


def chain_of(row):
    return row.backend, row.family, row.table, row.chain


def counted(text):
    """The counters with which iptables-save begins a rule, and its words."""
    return re.match(r"(\[[0-9]+:[0-9]+\] )?(.*)", text, re.DOTALL).groups("")


def stateless(text):
    """The text of a rule less what changes as packets pass."""
    return outside_quotes(STATES, counted(text)[1])


def outside_quotes(replaced, text):
    """``text`` with (pattern, new text) replaced wherever it is not between quotation marks."""
    parts = re.split('("[^"]*")', text)
    for pattern, new in replaced:
        parts = [part if number % 2 else pattern.sub(new, part) for number, part in enumerate(parts)]
    return "".join(parts)

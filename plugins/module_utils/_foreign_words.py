# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Another flag at the end of a SNAT rule, and what has a program put the rule into the place of the old one. Pure.

nft replaces a rule by its handle, which the rule keeps, but for some rules in some versions of nft. iptables knows a rule by its number alone, and by then that
may be another's: so a rule is deleted by its words, which fails where it is gone, and inserted at its number. It is
the way to keep its counters, too, which iptables -R does not take.
"""
import re

from ansible_collections.netfleet.conntrack.plugins.module_utils import _snat_backends
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import RUNNING, Change, Step
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_nft import FAMILIES
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_row import NFTABLES, chain_of, counted, stateless

PART = "snat"
NFT_FLAGS = ("random", "fully-random", "persistent")
SAVED_FLAGS = ("--random", "--random-fully", "--persistent")
NFT_WORDS = {family: word for word, family in FAMILIES.items()}


def flags(row, text):
    """The flags at the end of a rule's words."""
    return _parted(row, text)[1]


def _parted(row, text):
    """The words of a rule before its flags, its flags, and what comes after them."""
    tail = ' comment "%s"' % row.comment if row.backend == NFTABLES and row.comment else ""
    body = text[:len(text) - len(tail)]
    names = NFT_FLAGS if row.backend == NFTABLES else SAVED_FLAGS
    found = re.search("(?:[ ,](?:%s))*$" % "|".join(sorted(names, reverse=True)), body).group()
    return body[:len(body) - len(found)], re.split("[ ,]", found)[1:], tail


def with_flags(row, wanted):
    """The words of a rule with these flags."""
    body, dummy, tail = _parted(row, row.text)
    names, between = (NFT_FLAGS, ",") if row.backend == NFTABLES else (SAVED_FLAGS, " ")
    shown = between.join(name for name in names if name in wanted)
    return "%s%s%s" % (body, " " + shown if shown else "", tail)


def randomized(row):
    """The words of a rule with random ports: random alone is not enough for every kernel, and would decide where both are."""
    names = NFT_FLAGS if row.backend == NFTABLES else SAVED_FLAGS
    return with_flags(row, [names[1]] + [flag for flag in flags(row, row.text) if flag != names[0]])


def changes(pairs, why):
    """What is shown of a plan; ``pairs`` are of a row and its new text."""
    return tuple(
        Change(PART, "%s %s %s %s %d" % (chain_of(row) + (row.place,)), RUNNING, stateless(row.text), stateless(text), why)
        for row, text in pairs
    )


def steps(pairs, programs, why):
    """One step for each backend and family, which does all of it or nothing."""
    groups = {}
    for row, text in sorted(pairs, key=lambda pair: pair[0][:5]):
        groups.setdefault((row.backend, row.family), []).append((row, text))
    return tuple(_step(place, some, programs, why) for place, some in groups.items())


def _step(place, pairs, programs, why):
    make = _nft_input if place[0] == NFTABLES else _iptables_input
    return Step("feed", "%s SNAT rules of others (%s, %s)" % ((why,) + place), [_snat_backends.command(place[0], place[1], programs), make(pairs)])


def _nft_input(pairs):
    return "".join(_nft_lines("%s %s %s handle %d" % (NFT_WORDS[row.family], row.table, row.chain, row.place), row, text) for row, text in pairs)


def _nft_lines(place, row, text):
    if row.moves:
        return "add rule %s %s\ndelete rule %s\n" % (place, text, place)
    return "replace rule %s %s\n" % (place, text)


def _iptables_input(pairs):
    return "*nat\n%sCOMMIT\n" % "".join(_iptables_lines(row, counted(row.text)[1], *counted(text)) for row, text in pairs)


def _iptables_lines(row, old, counters, new):
    return "-D %s %s\n%s-I %s %d %s\n" % (row.chain, old, counters, row.chain, row.place, new)

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Protocols by the names that our rules have for them, and by what the kernel's tools print in their stead. Pure."""

NUMBERS = {
    "ah": 51, "dccp": 33, "esp": 50, "gre": 47, "icmp": 1, "icmpv6": 58, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136,
}
WITH_PORTS = frozenset(NUMBERS[name] for name in ("dccp", "sctp", "tcp", "udp", "udplite"))
NAMES = {number: name for name, number in NUMBERS.items()}
_BY_WORD = {str(number): name for name, number in NUMBERS.items()}
_BY_WORD.update({name: name for name in NUMBERS})
_BY_WORD["ipv6-icmp"] = "icmpv6"


def name(word):
    """The name of what a tool printed as a name or a number; it prints numbers where it has no /etc/protocols.

    Raises KeyError for a protocol that no rule of ours has.
    """
    return _BY_WORD[str(word)]

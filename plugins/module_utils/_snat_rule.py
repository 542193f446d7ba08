# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""A rule of source NAT, as both backends can hold it and give it back.

Every field has one spelling: networks and ports are sorted and merged as the kernel's tools
merge them, so that two rules are the same when they are equal. Pure.
"""
import ipaddress
from typing import Any, NamedTuple, Tuple

MASQUERADE = "masquerade"
EXEMPT = "exempt"
KEEP, RANDOM, RANDOM_FULLY = PORT_SELECTIONS = ("keep", "random", "random_fully")
VERSIONS = {"ipv4": 4, "ipv6": 6}
FAMILIES = tuple(sorted(VERSIONS))
# Protocols by the names that nft and iptables share; those with ports, whose numbers NAT may choose.
WITH_PORTS = ("dccp", "sctp", "tcp", "udp", "udplite")
PROTOCOLS = WITH_PORTS + ("ah", "esp", "gre", "icmp", "icmpv6")
# What iptables and nft match in one family only: in IPv6 the header of AH is an extension, and no protocol.
OF_ONE_FAMILY = {"ah": "ipv4", "icmp": "ipv4", "icmpv6": "ipv6"}
EVERY_BIT = 0xFFFFFFFF
PORTS_IN_A_LINE = 15  # XT_MULTI_PORTS of the kernel; a range takes two


class Nat(NamedTuple):
    """What is done to a connection: the end of a rule, ours or another's."""

    to: str  # masquerade, exempt, an address, or two with "-" between them
    ports: Tuple[int, ...] = ()  # first and last, or none
    port_selection: str = KEEP
    persistent: bool = False


class Rule(NamedTuple):
    """One rule of ours. An empty field matches everything."""

    name: str
    family: str  # ipv4 or ipv6
    nat: Nat
    out_interface: str = ""  # with "*" at its end, every interface whose name begins so
    in_interface: str = ""
    source: Tuple[str, ...] = ()  # networks, sorted and merged
    destination: Tuple[str, ...] = ()
    protocol: Tuple[str, ...] = ()  # sorted names
    destination_ports: Tuple[Tuple[int, int], ...] = ()  # (first, last), sorted and merged
    mark: Any = None  # (value, mask) of the packet's mark
    comment: str = ""


def label(rule):
    """The comment that a rule has in the kernel, by which we know it again."""
    return "%s: %s" % (rule.name, rule.comment) if rule.comment else rule.name


def unlabel(text):
    """The name and the comment in what C(label) made."""
    name, dummy, comment = text.partition(": ")
    return name, comment


def merged_ports(ranges):
    """(first, last) pairs, sorted, with those that overlap or touch made one."""
    found = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return tuple(found)


def in_lines(ports):
    """Lists of (first, last) pairs, each of which one rule of iptables can match; an empty one where there are no pairs."""
    found, room = [[]], PORTS_IN_A_LINE
    for first, last in ports:
        size = 1 if first == last else 2
        if size > room:
            found.append([])
            room = PORTS_IN_A_LINE
        found[-1].append((first, last))
        room -= size
    return tuple(map(tuple, found))


def merged_networks(networks):
    """Networks (of C(ipaddress), one family) as sorted texts; none where they are all addresses that there are."""
    found = list(ipaddress.collapse_addresses(networks))
    return () if any(network.prefixlen == 0 for network in found) else tuple(str(network) for network in found)


def between(first, last):
    """The networks that make up the addresses from ``first`` to ``last``, two texts."""
    return ipaddress.summarize_address_range(ipaddress.ip_address(first), ipaddress.ip_address(last))

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""How many ports SNAT has left: each flow from a NAT address to one address and port needs a source port of its own.

The kernel finds an answer by its protocol, addresses and ports, so no two flows may have the same reply tuple in one zone
(net/netfilter/nf_nat_core.c, nf_nat_used_tuple). What takes up a port is every flow with this NAT address, also one that was
not translated, of this host itself. Pure.
"""
import collections
import heapq
import ipaddress
import struct
from itertools import compress
from typing import NamedTuple, Optional

from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import STATUS
from ansible_collections.netfleet.conntrack.plugins.module_utils._flow_layout import ADDRESS4, ADDRESS6
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_row import untouchable
from ansible_collections.netfleet.conntrack.plugins.module_utils._protocols import NAMES, NUMBERS, WITH_PORTS
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import MASQUERADE, VERSIONS
from ansible_collections.netfleet.conntrack.plugins.module_utils._tally import LIMIT, Tally

PORT = struct.Struct(">H")
WITH_IDS = frozenset((NUMBERS["icmp"], NUMBERS["icmpv6"]))
FIRST, LAST = 1024, 65535  # ports that the kernel chooses among, of a rule that says none
IDS = 65536
# Protocol: the timeout, as the kernel names it, for which a flow that is over keeps its port.
KEPT_FOR = {
    "tcp": "tcp_timeout_time_wait", "udp": "udp_timeout", "udplite": "udp_timeout", "icmp": "icmp_timeout", "icmpv6": "icmpv6_timeout",
    "sctp": "sctp_timeout_closed", "dccp": "dccp_timeout_timewait",
}


class Use(NamedTuple):
    """What the flows from a NAT address to one destination take up. Addresses are as messages have them."""

    protocol: int
    zone: int
    nat_address: bytes
    destination: bytes
    destination_port: Optional[int]  # None: the protocol has none
    flows: int
    missed: int  # flows that may have been, beside these


class Headroom:
    """Counts flows by what they need a port of their own for: a counter as those of _flows."""

    fields = ("reply_destination", "reply_source", "reply_source_port", "status", "zone", "reply_zone")

    def __init__(self, limit=LIMIT):
        self._natted = set()  # NAT addresses that have been seen
        self._early = None  # those of them that were known when the others' flows were forgotten
        self._forgotten = 0  # most flows of one key that were forgotten then
        self._passed = 0  # flows that were not heeded since
        self._tallies = collections.defaultdict(Tally)
        self._limit = limit

    def add(self, batch, columns):
        """Count the flows of a batch, with those for which nobody knows yet whether their address is one of NAT."""
        protocol = batch.layout.protocol
        if protocol not in WITH_PORTS and protocol not in WITH_IDS:
            return
        if self._early is None and sum(len(tally.counts) for tally in self._tallies.values()) + len(batch) > self._limit:
            self._forget_others()
        addresses = columns["reply_destination"]
        self._natted.update(compress(addresses, map(STATUS["src_nat"].__and__, columns["status"])))
        parts = [columns[name] for name in ("reply_destination", "reply_source", "reply_source_port") if name in columns]
        keys, zones = map(b"".join, zip(*parts)), columns.get("zone", columns.get("reply_zone", ()))
        if self._early is not None:
            heeded = list(map(self._natted.__contains__, addresses))
            self._passed += heeded.count(False)
            keys, zones = compress(keys, heeded), tuple(compress(zones, heeded))
        self._count(protocol, keys, zones)
        if self._early is None and sum(len(tally.counts) for tally in self._tallies.values()) > self._limit:
            self._forget_others()

    def _count(self, protocol, keys, zones):
        if len(set(zones)) < 2:
            self._tallies[protocol, zones[0] if zones else 0].add(keys)
            return
        for zone, key in zip(zones, keys):
            self._tallies[protocol, zone].add((key,))

    def _forget_others(self):
        """Forget what goes to addresses that are none of NAT, and heed them no more: after so many flows, those that matter are known.

        Before any tally forgets something: as long as there are few keys of NAT, they are counted exactly.
        """
        self._early = frozenset(self._natted)
        for tally in self._tallies.values():
            others = [key for key in tally.counts if _address(key) not in self._early]
            self._forgotten = max([self._forgotten] + [tally.counts.pop(key) for key in others])

    def addresses(self):
        """Return the NAT addresses that flows have, each with the protocol, as a set of pairs."""
        return {(protocol, _address(key)) for (protocol, dummy), tally in self._tallies.items() for key in tally.counts}.intersection(
            (protocol, address) for protocol, dummy in self._tallies for address in self._natted)

    def worst(self, ports, top):
        """Return the uses with the least left, and how many there are; ``ports``: how many there are for a protocol and address."""
        found = [
            (count / float(ports[protocol, _address(key)]), protocol, zone, key)
            for (protocol, zone), tally in self._tallies.items()
            for key, count in tally.counts.items()
            if _address(key) in self._natted
        ]
        return [self._use(*each[1:]) for each in heapq.nlargest(top, found)], len(found)

    def _use(self, protocol, zone, key):
        tally, address = self._tallies[protocol, zone], _address(key)
        late = self._forgotten + self._passed if self._early is not None and address not in self._early else 0
        return Use(protocol, zone, address, *_destination(key[len(address):], len(address)), tally.counts[key], tally.missed(key) + late)

    @staticmethod
    def tallies():
        return {}


def _address(key):
    return key[:ADDRESS4 if len(key) < ADDRESS6 else ADDRESS6]


def _destination(rest, width):
    return rest[:width], PORT.unpack(rest[width:])[0] if len(rest) > width else None


def available(rules, protocol, address):
    """How many ports there are for one destination, of what all rules that give this address may choose."""
    if protocol in WITH_IDS:
        return IDS
    ranges = [row.nat.ports or (FIRST, LAST) for row in rules if gives(row, address)]
    ports = set().union(*(range(first, last + 1) for first, last in set(ranges)))
    return len(ports) or LAST - FIRST + 1


def gives(row, address):
    """Tell whether a rule may give an address."""
    if untouchable(row) or VERSIONS.get(row.family, address.version) != address.version:
        return False
    if row.nat.to == MASQUERADE:
        return True
    first, dummy, last = row.nat.to.partition("-")
    try:
        ends = ipaddress.ip_address(first), ipaddress.ip_address(last or first)
    except ValueError:  # another program's rule, which looks the address up in a map
        return False
    return ends[0].version == address.version and ends[0] <= address <= ends[1]


def rate(ports, protocol, timeouts):
    """New flows a second that so many ports allow for long, by the protocol's timeout; None where nothing is known of it."""
    seconds = timeouts.get(KEPT_FOR.get(NAMES.get(protocol)))
    return round(ports / float(seconds), 1) if seconds else None

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What fills the table: a stream of flows counted by what they have in common. Pure.

A counter of this file has ``fields``, what it reads of a flow; ``add(batch, columns)``; and ``tallies()``, its tallies by the
name of the breakdown, of values as the messages have them.
"""
import collections
import functools
import heapq
from bisect import bisect_right
from itertools import compress

from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import STATUS
from ansible_collections.netfleet.conntrack.plugins.module_utils._flow_layout import ADDRESS4, ADDRESS6
from ansible_collections.netfleet.conntrack.plugins.module_utils._protocols import WITH_PORTS
from ansible_collections.netfleet.conntrack.plugins.module_utils._tally import Joined, Tally

# Seconds at which the classes of the remaining time begin.
REMAINING = (0, 10, 30, 60, 120, 300, 600, 3600, 86400, 432000)
PORTS = 65536  # no tally of ports forgets any


class OfLayout:
    """Counts by what all flows of a batch share."""

    fields = ()

    def __init__(self, name):
        self._name = name
        self._tally = Tally()

    def add(self, batch, dummy):
        self._tally.counts[getattr(batch.layout, self._name)] += len(batch)

    def tallies(self):
        return {self._name: self._tally}


class OfField:
    """Counts by the value of a field. ``absent``: what a flow without it is counted as; None: not at all."""

    def __init__(self, field, absent=None):
        self.fields = (field,)
        self._absent = absent
        self._tally = Tally()

    def add(self, batch, columns):
        if self.fields[0] in columns:
            self._tally.add(columns[self.fields[0]])
        elif self._absent is not None:
            self._tally.counts[self._absent] += len(batch)

    def tallies(self):
        return {self.fields[0]: self._tally}


class States:
    """Counts TCP flows by their state."""

    fields = ()

    def __init__(self):
        self._tally = Tally()

    def add(self, batch, dummy):
        if batch.has("tcp_state"):
            self._tally.add(batch.octets("tcp_state"))

    def tallies(self):
        return {"tcp_state": self._tally}


class Sources:
    """Counts by source and by the network of a source. ``prefixes``: the lengths for IPv4 and IPv6."""

    fields = ("source",)

    def __init__(self, prefixes):
        self._tally = Tally(networks(*prefixes))

    def add(self, dummy, columns):
        self._tally.add(columns["source"])

    def tallies(self):
        return {"source": self._tally, "source_network": self._tally.coarse}


class Ports:
    """Counts by protocol and destination port, where a protocol has ports."""

    fields = ("destination_port",)

    def __init__(self):
        self._protocols = collections.defaultdict(functools.partial(Tally, limit=PORTS))

    def add(self, batch, columns):
        if batch.layout.protocol in WITH_PORTS and "destination_port" in columns:
            self._protocols[batch.layout.protocol].add(columns["destination_port"])

    def tallies(self):
        return {"destination_port": Joined(self._protocols)}


class NatAddresses:
    """Counts flows whose source is translated by the address that they get."""

    fields = ("reply_destination", "status")

    def __init__(self):
        self._tally = Tally()

    def add(self, dummy, columns):
        natted = list(map(STATUS["src_nat"].__and__, columns["status"]))
        if any(natted):
            self._tally.add(compress(columns["reply_destination"], natted))

    def tallies(self):
        return {"nat_address": self._tally}


class Remaining:
    """Counts by the class of the remaining time; None: offloaded flows, which have none."""

    fields = ("timeout",)

    def __init__(self):
        self._tally = Tally()

    def add(self, batch, columns):
        if "timeout" in columns:
            self._tally.add(map(functools.partial(bisect_right, REMAINING), columns["timeout"]))
        else:
            self._tally.counts[None] += len(batch)

    def tallies(self):
        return {"remaining": self._tally}


class Longest:
    """Keeps the messages of those flows that have the most time left."""

    fields = ("timeout",)

    def __init__(self, most):
        self._most = most
        self._kept = []

    def add(self, batch, columns):
        if "timeout" not in columns or not self._most:
            return
        least = self._kept[0][0] if len(self._kept) == self._most else -1
        if max(columns["timeout"]) <= least:
            return
        for each in zip(columns["timeout"], batch.messages):
            if len(self._kept) < self._most:
                heapq.heappush(self._kept, each)
            elif each[0] > self._kept[0][0]:
                heapq.heapreplace(self._kept, each)

    def messages(self):
        """The messages, longest first."""
        return [message for dummy, message in sorted(self._kept, reverse=True)]

    @staticmethod
    def tallies():
        return {}


# Name of a breakdown: what makes its counter. Source and source_network, which share one, are in counters().
COUNTERS = {
    "family": functools.partial(OfLayout, "family"),
    "protocol": functools.partial(OfLayout, "protocol"),
    "tcp_state": States,
    "status": functools.partial(OfField, "status"),
    "zone": functools.partial(OfField, "zone", 0),
    "mark": functools.partial(OfField, "mark", 0),
    "destination": functools.partial(OfField, "destination"),
    "destination_port": Ports,
    "nat_address": NatAddresses,
    "remaining": Remaining,
}
BREAKDOWNS = (
    "family", "protocol", "tcp_state", "status", "zone", "source", "source_network", "destination", "destination_port", "nat_address",
    "mark", "remaining",
)


def counters(by, prefixes):
    """The counters for the breakdowns that are asked for; ``prefixes``: the lengths of those of networks."""
    found = [make() for name, make in COUNTERS.items() if name in by]
    if "source_network" in by:
        found.append(Sources(prefixes))
    elif "source" in by:
        found.append(OfField("source"))
    return found


def networks(prefix4, prefix6):
    """Return a function that makes of an address the first one of its network; quick where prefixes are whole bytes."""
    if prefix4 % 8 or prefix6 % 8:
        return functools.partial(_first, prefix4, prefix6)
    kept4, kept6 = prefix4 // 8, prefix6 // 8
    zeros4, zeros6 = bytes(ADDRESS4 - kept4), bytes(ADDRESS6 - kept6)
    return lambda packed: packed[:kept4] + zeros4 if len(packed) == ADDRESS4 else packed[:kept6] + zeros6


def _first(prefix4, prefix6, packed):
    spare = len(packed) * 8 - (prefix4 if len(packed) == ADDRESS4 else prefix6)
    return (int.from_bytes(packed, "big") >> spare << spare).to_bytes(len(packed), "big")


class Survey:
    """All counters that one reading of the table feeds."""

    def __init__(self, parts):
        self._parts = parts
        self._fields = tuple(sorted({field for part in parts for field in part.fields}))
        self.flows = 0

    def add(self, batch):
        """Count the flows of a batch."""
        self.flows += len(batch)
        columns = batch.columns(self._fields)
        for part in self._parts:
            part.add(batch, columns)

    def tallies(self):
        """Every tally by the name of its breakdown."""
        return {name: tally for part in self._parts for name, tally in part.tallies().items()}

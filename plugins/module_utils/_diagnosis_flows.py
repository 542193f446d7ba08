# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What diagnosis counts while the table, or a sample of it, is read: which timeout flows are under, which are idle, which NAT touches. Pure."""
import collections

from ansible_collections.netfleet.conntrack.plugins.module_utils import _flow_report, _flows
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import STATUS, TCP_STATES
from ansible_collections.netfleet.conntrack.plugins.module_utils._findings_row import Flows, Idle
from ansible_collections.netfleet.conntrack.plugins.module_utils._flow_report import Sample
from ansible_collections.netfleet.conntrack.plugins.module_utils._flow_row import address
from ansible_collections.netfleet.conntrack.plugins.module_utils._protocols import NUMBERS

TCP, UDP = NUMBERS["tcp"], NUMBERS["udp"]
ESTABLISHED = TCP_STATES.index("ESTABLISHED")
SECONDS_IDLE = 3600  # silence after which a connection counts as idle: what is used, or has a keepalive of an application, speaks within an hour
SECONDS_LEFT = 600  # and that will stay for longer than this: those that were capped are on their way out
DNS = 53
SHOWN, TOP = ("source", "destination", "destination_port"), 5
PREFIXES = (32, 128)
# Protocol: the timeouts that its flows are under, before and after they are assured. Those of TCP go by the state.
UNDER = {
    UDP: ("udp_timeout", "udp_timeout_stream"), NUMBERS["icmp"]: ("icmp_timeout",) * 2, NUMBERS["icmpv6"]: ("icmpv6_timeout",) * 2,
    NUMBERS["gre"]: ("gre_timeout", "gre_timeout_stream"),
}
TRACKED_OTHERWISE = (NUMBERS["sctp"], NUMBERS["dccp"])  # by timeouts of their own states
NATTED = STATUS["src_nat"] | STATUS["dst_nat"]


class Kinds:
    """Counts flows by what diagnosis asks: a counter as those of _flows. ``established``: the timeout of established TCP flows, in seconds."""

    fields = ("source", "status", "timeout", "destination_port")

    def __init__(self, established):
        self.timeouts = collections.Counter()
        self.assured = self.natted = self.dns = 0
        self._idle = collections.defaultdict(list)  # source: seconds that its idle flows have left
        self._established = established

    def add(self, batch, columns):
        protocol, statuses = batch.layout.protocol, columns["status"]
        assured = [bool(status & STATUS["assured"]) for status in statuses]
        self.assured += sum(assured)
        self.natted += sum(1 for status in statuses if status & NATTED)
        if protocol == TCP and batch.has("tcp_state"):
            self._of_tcp(batch, columns, assured)
        elif protocol not in TRACKED_OTHERWISE and protocol != TCP:
            names = UNDER.get(protocol, ("generic_timeout",) * 2)
            self.timeouts.update(names[each] for each in assured)
        if protocol == UDP:
            self.dns += sum(1 for port, status in zip(columns["destination_port"], statuses) if port == DNS and status & STATUS["dst_nat"])

    def _of_tcp(self, batch, columns, assured):
        states = batch.octets("tcp_state")
        self.timeouts.update("tcp_timeout_" + TCP_STATES[state].lower() for state in states if state < len(TCP_STATES))
        for state, source, remaining, is_assured in zip(states, columns["source"], columns.get("timeout", ()), assured):
            if state == ESTABLISHED and is_assured and remaining >= SECONDS_LEFT and self._established - remaining >= SECONDS_IDLE:
                self._idle[source].append(remaining)

    def idle(self):
        """The idle flows, and those of the source that has the most of them."""
        if not self._idle:
            return Idle()
        source = max(self._idle, key=lambda each: (len(self._idle[each]), each))
        left = sorted(self._idle[source])
        flows = sum(len(each) for each in self._idle.values())
        return Idle(flows, address(source), len(left), (left[0], left[len(left) // 2], left[-1]))

    @staticmethod
    def tallies():
        return {}


class Watch:
    """All that one reading of the table feeds."""

    def __init__(self, established):
        self.kinds = Kinds(established)
        self._survey = _flows.Survey(_flows.counters(SHOWN, PREFIXES) + [self.kinds])

    def add(self, batch):
        self._survey.add(batch)

    def flows(self, reading):
        """What was read, as findings take it."""
        sample = Sample(reading.seen, reading.whole)
        lists = _flow_report.breakdowns(self._survey.tallies(), sample, TOP, PREFIXES)[0]
        kinds = self.kinds
        return Flows(
            reading.seen, reading.count, reading.complete, lists, dict(kinds.timeouts), kinds.assured, kinds.idle(), kinds.natted, kinds.dns)

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many ports NAT addresses use against a plain count, and how many there are by the rules of a host."""
import collections
import ipaddress
import random

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _ctnetlink, _flows, _headroom, _netlink
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_row import Row
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import EXEMPT, MASQUERADE, Nat
from ansible_collections.netfleet.conntrack.plugins.module_utils._tally import Tally
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import flow_entries as made

SRC_NAT = _ctnetlink.STATUS["src_nat"]
PORTED, ECHO = (6, 17, 33, 132, 136), (1, 58)
V4, V6 = "198.51.100.1", "2001:db8::1"
EVERY = collections.defaultdict(lambda: 64512)


def payloads(chance, number, shuffled=False):
    return [made.payload(chance, shuffled, 0.2) for _entry in range(number)]


def plainly(data):
    """Key -> flows: what takes up ports of addresses that some source is translated to."""
    entries = [_ctnetlink.entry(each) for each in data]
    natted = {entry["reply"].destination for entry in entries if entry["status"] & SRC_NAT and entry["orig"].protocol in PORTED + ECHO}
    return collections.Counter(map(key_of, (each for each in entries if each["reply"].destination in natted and each["orig"].protocol in PORTED + ECHO)))


def key_of(entry):
    reply = entry["reply"]
    port = reply.source_port if reply.protocol in PORTED else None
    # The zone in which the kernel looks for a reply.
    return reply.protocol, entry.get("zone", 0) or reply.zone, made.packed(reply.destination), made.packed(reply.source), port


def counted(data, limit=None):
    headroom = _headroom.Headroom(limit) if limit else _headroom.Headroom()
    if limit:
        headroom._tallies = collections.defaultdict(lambda: Tally(limit=limit, kept=limit // 3))
    survey = _flows.Survey([headroom])
    for batch in data if limit else made.batches(data):
        survey.add(batch)
    return headroom


def used(headroom):
    return {use[:5]: (use.flows, use.missed) for use in headroom.worst(EVERY, 10 ** 6)[0]}


@pytest.mark.parametrize("shuffled", [False, True])
def test_ports_in_use_agree_with_a_plain_count(shuffled):
    for seed in range(6):
        data = payloads(random.Random(seed), 300, shuffled)
        truth = plainly(data)
        assert used(counted(data)) == {key: (flows, 0) for key, flows in truth.items()} and truth
        assert counted(data).addresses() == {(key[0], key[2]) for key in truth}


def in_parts(data, size):
    """Batches as they come out of a long dump: not all of one layout at once."""
    return [batch for start in range(0, len(data), size) for batch in made.batches(data[start:start + size])]


@pytest.mark.parametrize("limit", [20, 60, 200])
def test_beyond_the_limit_no_use_is_more_than_is_told(limit):
    late = 0
    for seed in range(8):
        chance = random.Random(seed)
        data = payloads(chance, 400)
        if seed % 2:  # translation begins when others have been forgotten
            data.sort(key=lambda each: bool(_ctnetlink.entry(each)["status"] & SRC_NAT))
        truth, found = plainly(data), used(counted(in_parts(data, 15), limit))
        for key, (flows, missed) in found.items():
            assert flows <= truth[key] <= flows + missed
        late += sum(missed > 0 for dummy, missed in found.values())
    assert late


def test_what_nat_uses_is_exact_among_any_number_of_others():
    """Others are forgotten before anything of NAT is: here are many more of them than a tally holds."""
    chance = random.Random(1)
    sought = [each for each in payloads(chance, 2000) if _ctnetlink.entry(each)["status"] & SRC_NAT]
    natted = {_ctnetlink.entry(each)["reply"].destination for each in sought}
    others = [each for each in payloads(chance, 6000) if _ctnetlink.entry(each)["reply"].destination not in natted]
    data = sought + others
    headroom = counted(in_parts(data, 50), 900)
    truth = plainly(data)
    assert len(truth) < 900 and used(headroom) == {key: (flows, 0) for key, flows in truth.items()}


def udp(source, destination, status=0):
    """A flow from an address to port 53 of another; it is not translated, whatever its status says."""
    chance, here, there = random.Random(0), made.packed(source), made.packed(destination)
    told = [made.part(chance, 1, _ctnetlink.IPV4, 17, (here, there), (1024, 53), 0), made.part(chance, 2, _ctnetlink.IPV4, 17, (there, here), (53, 1024), 0)]
    return bytes([_ctnetlink.IPV4, 0, 0, 0]) + b"".join(told) + _netlink.attribute(3, made.number("I", status)) + _netlink.attribute(7, bytes(4))


@pytest.mark.parametrize("early, late", [(0, 0), (70, 0), (0, 90), (70, 90)])
def test_flows_of_an_address_that_turns_out_late_to_be_one_of_nat_are_allowed_for(early, late):
    ours = udp(V4, "192.0.2.1")
    others = [udp("10.0.0.%d" % number, "192.0.2.%d" % number) for number in range(30)]
    headroom = counted(in_parts([ours] * early + others + [ours] * late + [udp(V4, "192.0.2.1", SRC_NAT)], 1), 20)
    ((use,), candidates) = headroom.worst(EVERY, 10)
    assert (use.flows, candidates) == (1, 1)
    assert early + late <= use.missed <= early + late + len(others)


def test_the_worst_come_first():
    headroom = counted(payloads(random.Random(2), 500))
    ports = {pair: random.Random(str(pair)).choice((10, 1000, 64512)) for pair in sorted(headroom.addresses())}
    every, candidates = headroom.worst(ports, 10 ** 6)
    shares = [use.flows / float(ports[use.protocol, use.nat_address]) for use in every]
    assert shares == sorted(shares, reverse=True) and candidates == len(every) > 20
    assert headroom.worst(ports, 5) == (every[:5], candidates)


def test_no_nat_at_all():
    data = [each for each in payloads(random.Random(3), 200) if not _ctnetlink.entry(each)["status"] & SRC_NAT]
    headroom = counted(data)
    assert headroom.addresses() == set() and headroom.worst({}, 10) == ([], 0)


def rule(to, ports=(), family="ipv4", **more):
    return Row("nftables", family, "nat", "postrouting", 1, Nat(to, ports), **more)


# Rules, an address, and how many ports it has.
PORTS = {
    "no rule": ([], V4, 64512),
    "masquerade": ([rule(MASQUERADE)], V4, 64512),
    "masquerade with ports": ([rule(MASQUERADE, (20000, 29999))], V4, 10000),
    "one port": ([rule(V4, (5000, 5000))], V4, 1),
    "ports below 1024": ([rule(V4, (1, 65535))], V4, 65535),
    "an address": ([rule(V4, (1024, 2023))], V4, 1000),
    "another address": ([rule("198.51.100.2", (1024, 2023))], V4, 64512),
    "a range of addresses": ([rule("198.51.100.0-198.51.100.9", (1024, 2023))], V4, 1000),
    "beside a range of addresses": ([rule("198.51.100.2-198.51.100.9", (1024, 2023))], V4, 64512),
    "two rules, ports side by side": ([rule(V4, (1000, 1099)), rule(V4, (1100, 1199))], V4, 200),
    "two rules, ports that overlap": ([rule(V4, (1000, 1099)), rule(V4, (1050, 1149))], V4, 150),
    "two rules, one without ports": ([rule(V4, (60000, 65535)), rule(V4)], V4, 64512),
    "two rules, one without ports and one below those": ([rule(V4, (1, 1023)), rule(V4)], V4, 65535),
    "the same rule for many": ([rule(V4, (2000, 2999))] * 500, V4, 1000),
    "an exemption": ([rule(EXEMPT), rule(V4, (2000, 2999))], V4, 1000),
    "one to one": ([rule(V4, one_to_one=True), rule(V4, (2000, 2999))], V4, 1000),
    "a map": ([rule("ip saddr map { 10.0.0.1 : 198.51.100.1 }", (2000, 2999))], V4, 64512),
    "a map beside an address": ([rule("@addresses", (1, 9)), rule(V4, (2000, 2999))], V4, 1000),
    "IPv6": ([rule(V6, (2000, 2999), "ipv6")], V6, 1000),
    "IPv6 in a range": ([rule("2001:db8::-2001:db8::f", (2000, 2999), "ipv6")], V6, 1000),
    "the other family": ([rule(V6, (2000, 2999), "ipv6")], V4, 64512),
    "masquerade of the other family": ([rule(MASQUERADE, (), "ipv6"), rule(MASQUERADE, (2000, 2999))], V4, 1000),
    "masquerade of both families": ([rule(MASQUERADE, (2000, 2999), "inet")], V6, 1000),
}


@pytest.mark.parametrize("rules, address, ports", PORTS.values(), ids=PORTS)
@pytest.mark.parametrize("protocol", PORTED + ECHO)
def test_ports_there_are(rules, address, ports, protocol):
    assert _headroom.available(rules, protocol, ipaddress.ip_address(address)) == (ports if protocol in PORTED else 65536)


TIMEOUTS = {"tcp_timeout_time_wait": 120, "udp_timeout": 30, "icmp_timeout": 30, "icmpv6_timeout": 25, "sctp_timeout_closed": 0, "dccp_timeout_timewait": None}
# Ports, protocol, flows a second.
RATES = [(64512, 6, 537.6), (1, 6, 0.0), (64512, 17, 2150.4), (65536, 1, 2184.5), (65536, 58, 2621.4), (1000, 136, 33.3), (1000, 132, None), (1000, 33, None),
         (1000, 47, None), (1000, 253, None)]


@pytest.mark.parametrize("ports, protocol, flows", RATES)
def test_flows_a_second(ports, protocol, flows):
    assert _headroom.rate(ports, protocol, TIMEOUTS) == flows

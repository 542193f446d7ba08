# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What other tests measure by: tables that hold what was asked for, and an oracle that reads `conntrack` as it prints."""

import collections
import subprocess
from pathlib import Path

import pytest

from ansible_collections.netfleet.conntrack.tests.flowtables import oracle, tables
from ansible_collections.netfleet.conntrack.tests.flowtables.kinds import (
    ASSURED,
    FLAT,
    HEAVY,
    LONG,
    NAT,
    REPLIED,
    Kind,
    Pool,
    mixed,
)

HALF = oracle.Half
NOTHING = oracle.Flow("ipv4", "", 0, None, "", None, None, frozenset(), 0, 0, 0, 0, "", 0, 0)
A, B, TO, BACK = "10.0.0.2", "20.0.0.1", "src=10.0.0.2 dst=20.0.0.1", "src=20.0.0.1 dst=10.0.0.2"
PLAIN = {"orig": HALF(A, B, 0, 0), "reply": HALF(B, A, 0, 0)}

# Lines of conntrack 1.4.7 on Linux 6.18; [OFFLOAD] as Linux 5.10 had it.
LINES = {
    "tcp": (
        f"ipv4     2 tcp      6 251339 ESTABLISHED {TO} sport=22241 dport=21 {BACK} sport=21 dport=22241 [ASSURED] mark=0 helper=ftp use=1 id=829441743",
        {"protocol": "tcp", "number": 6, "timeout": 251339, "state": "ESTABLISHED", "orig": HALF(A, B, 22241, 21), "reply": HALF(B, A, 21, 22241),
         "flags": {"assured"}, "helper": "ftp", "id": 829441743},
    ),
    "translated, marked, in a zone": (
        f"ipv4     2 tcp      6 13019 ESTABLISHED {TO} sport=18858 dport=80 src=10.200.0.1 dst=198.51.100.3 sport=80 dport=14303 [ASSURED]"
        " mark=7 zone=3 use=1 id=452919997",
        {"protocol": "tcp", "number": 6, "timeout": 13019, "state": "ESTABLISHED", "orig": HALF(A, B, 18858, 80),
         "reply": HALF("10.200.0.1", "198.51.100.3", 80, 14303), "flags": {"assured"}, "mark": 7, "zone": 3, "id": 452919997},
    ),
    "zone of the original direction": (
        f"ipv4     2 tcp      6 226739 ESTABLISHED {TO} sport=9692 dport=443 zone-orig=9 {BACK} sport=443 dport=9692 [ASSURED] mark=0 use=1 id=1041424590",
        {"protocol": "tcp", "number": 6, "timeout": 226739, "state": "ESTABLISHED", "orig": HALF(A, B, 9692, 443), "reply": HALF(B, A, 443, 9692),
         "flags": {"assured"}, "zone_orig": 9, "id": 1041424590},
    ),
    "zone of the reply direction": (
        f"ipv4     2 tcp      6 226739 ESTABLISHED {TO} sport=9692 dport=443 {BACK} sport=443 dport=9692 zone-reply=9 [ASSURED] mark=0 use=1 id=3535146592",
        {"protocol": "tcp", "number": 6, "timeout": 226739, "state": "ESTABLISHED", "orig": HALF(A, B, 9692, 443), "reply": HALF(B, A, 443, 9692),
         "flags": {"assured"}, "zone_reply": 9, "id": 3535146592},
    ),
    "udp, with accounting and timestamps": (
        f"ipv4     2 udp      17 5697 {TO} sport=37273 dport=53 packets=0 bytes=0 [UNREPLIED] {BACK} sport=53 dport=37273 packets=0 bytes=0"
        " mark=0 delta-time=2 use=1 id=295072984",
        {"protocol": "udp", "number": 17, "timeout": 5697, "orig": HALF(A, B, 37273, 53), "reply": HALF(B, A, 53, 37273), "flags": {"unreplied"},
         "age": 2, "id": 295072984},
    ),
    "icmp, translated": (
        f"ipv4     2 icmp     1 229379 {TO} type=8 code=0 id=56592 src=20.0.0.1 dst=198.51.100.2 type=0 code=0 id=9530 mark=0 use=1 id=3340967139",
        {"protocol": "icmp", "number": 1, "timeout": 229379, "orig": HALF(A, B, 56592, 0), "reply": HALF(B, "198.51.100.2", 9530, 0), "id": 3340967139},
    ),
    "icmpv6": (
        "ipv6     10 icmpv6   58 276179 src=fd00::2 dst=2a00::2 type=128 code=0 id=45599 packets=0 bytes=0 [UNREPLIED] src=2a00::2 dst=fd00::2"
        " type=129 code=0 id=45599 packets=0 bytes=0 mark=0 delta-time=1 use=1 id=80739444",
        {"family": "ipv6", "protocol": "icmpv6", "number": 58, "timeout": 276179, "orig": HALF("fd00::2", "2a00::2", 45599, 0),
         "reply": HALF("2a00::2", "fd00::2", 45599, 0), "flags": {"unreplied"}, "age": 1, "id": 80739444},
    ),
    "sctp": (
        f"ipv4     2 sctp     132 336779 HEARTBEAT_SENT {TO} sport=12678 dport=443 [UNREPLIED] {BACK} sport=443 dport=12678 mark=0 use=1 id=3198655442",
        {"protocol": "sctp", "number": 132, "timeout": 336779, "state": "HEARTBEAT_SENT", "orig": HALF(A, B, 12678, 443),
         "reply": HALF(B, A, 443, 12678), "flags": {"unreplied"}, "id": 3198655442},
    ),
    "gre, with its keys": (
        f"ipv4     2 gre      47 340139 {TO} srckey=0x36ca dstkey=0x24b {BACK} srckey=0x24b dstkey=0x36ca [ASSURED] mark=0 use=1 id=2632824948",
        {"protocol": "gre", "number": 47, "timeout": 340139, "orig": HALF(A, B, 0x36ca, 0x24b), "reply": HALF(B, A, 0x24b, 0x36ca),
         "flags": {"assured"}, "id": 2632824948},
    ),
    "a protocol without a name": (
        f"ipv4     2 unknown  253 81899 {TO} [UNREPLIED] {BACK} mark=0 use=1 id=3764809267",
        {"protocol": "253", "number": 253, "timeout": 81899, **PLAIN, "flags": {"unreplied"}, "id": 3764809267},
    ),
    "offloaded": (
        f"ipv4     2 tcp      6 {TO} sport=40000 dport=443 {BACK} sport=443 dport=40000 [OFFLOAD] mark=0 use=2 id=1",
        {"protocol": "tcp", "number": 6, "orig": HALF(A, B, 40000, 443), "reply": HALF(B, A, 443, 40000), "flags": {"offload"}, "id": 1},
    ),
}

# conntrack's own filters, and what of our records they choose.
FILTERS = {
    "-f ipv6": lambda flow: flow.family == "ipv6",
    "-p tcp --state ESTABLISHED": lambda flow: oracle.tcp_state(flow) == "ESTABLISHED",
    "-p tcp --state SYN_SENT": lambda flow: oracle.tcp_state(flow) == "SYN_SENT",
    "-p udp --dport 53": lambda flow: oracle.destination_port(flow) == "53/udp",
    "-p sctp": lambda flow: flow.protocol == "sctp",
    "-p gre": lambda flow: flow.protocol == "gre",
    "-p 253": lambda flow: flow.protocol == "253",
    "-u ASSURED": lambda flow: "assured" in flow.flags,
    "-u SEEN_REPLY": lambda flow: "unreplied" not in flow.flags,
    "--src-nat": lambda flow: oracle.nat_address(flow) is not None,
    "-s 198.51.100.0/24": lambda flow: flow.orig.source.startswith("198.51.100."),
    "-w 2": lambda flow: flow.zone == 2,
    "-m 7": lambda flow: flow.mark == 7,
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_is_read_as_what_it_says(name):
    line, told = LINES[name]
    assert oracle.read(line) == NOTHING._replace(**{**told, "flags": frozenset(told.get("flags", ()))})


def test_breakdowns_count_what_has_a_key():
    flows = oracle.parse("\n".join(line for line, _told in LINES.values()))
    assert oracle.totals(flows) == {
        "total": 11, "protocol": {"tcp": 5, "udp": 1, "icmp": 1, "icmpv6": 1, "sctp": 1, "gre": 1, "253": 1},
        "tcp_state": {"ESTABLISHED": 4}, "family": {"ipv4": 10, "ipv6": 1}, "zone": {0: 10, 3: 1},
        "assured": 5, "unreplied": 4, "offload": 1,
    }
    assert oracle.top(flows, oracle.destination_port, 3) == [("443/tcp", 3), ("21/tcp", 1), ("443/sctp", 1)]
    assert oracle.counted(flows, oracle.source_network(8, 16)) == {"10.0.0.0/8": 10, "fd00::/16": 1}
    assert oracle.counted(flows, oracle.nat_address) == {"198.51.100.3": 1, "198.51.100.2": 1}
    assert oracle.headroom(flows) == {("tcp", "198.51.100.3", "10.200.0.1", 80): 1, ("icmp", "198.51.100.2", B, 0): 1}
    assert oracle.histogram(flows, [5697, 80000, 300000]) == [0, 2, 6, 2]
    assert [flow.timeout for flow in oracle.longest(flows, 2)] == [340139, 336779]


def test_ports_of_a_nat_address_are_taken_by_everybody():
    lines = (
        "ipv4 2 tcp 6 900 ESTABLISHED src=10.0.0.2 dst=20.0.0.1 sport=1 dport=80 src=20.0.0.1 dst=192.0.2.1 sport=80 dport=5000 [ASSURED] mark=0 use=1 id=1",
        "ipv4 2 tcp 6 900 ESTABLISHED src=192.0.2.1 dst=20.0.0.1 sport=6000 dport=80 src=20.0.0.1 dst=192.0.2.1 sport=80 dport=6000 mark=0 use=1 id=2",
        "ipv4 2 tcp 6 900 ESTABLISHED src=10.0.0.9 dst=20.0.0.1 sport=6000 dport=80 src=20.0.0.1 dst=10.0.0.9 sport=80 dport=6000 mark=0 use=1 id=3",
    )
    assert oracle.headroom(oracle.parse("\n".join(lines))) == {("tcp", "192.0.2.1", "20.0.0.1", 80): 2}


@pytest.mark.parametrize("seed", range(6))
def test_a_table_holds_what_was_written(seed):
    with tables.table(labels=True, acct=seed % 2, timestamp=seed % 2) as netns:
        written = tables.fill(netns, 3000, mixed(seed, labelled=True), seed)
        flows = oracle.listed(netns)
    assert sum(number for _kind, number in written) == len(flows) == 3000
    expected = collections.Counter()
    for kind, number in written:
        state = kind.state or ("ESTABLISHED" if kind.protocol == "tcp" else "")
        zone = 0 if kind.zone_of else kind.zone
        expected[kind.protocol, state, "assured" in kind.status, "seen_reply" in kind.status, zone, bool(kind.snat)] += number
    assert expected - collections.Counter() == collections.Counter(
        (flow.protocol, flow.state, "assured" in flow.flags, "unreplied" not in flow.flags, flow.zone, oracle.nat_address(flow) is not None)
        for flow in flows
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_oracle_chooses_what_conntrack_chooses(seed):
    with tables.table() as netns:
        tables.fill(netns, 3000, mixed(seed), seed)
        flows = oracle.listed(netns)
        for words, choose in FILTERS.items():
            assert {flow.id for flow in oracle.listed(netns, *words.split())} == {flow.id for flow in flows if choose(flow)}, words


def test_a_seed_tells_a_table():
    found = []
    with tables.table() as netns:
        for seed in (1, 1, 2):
            tables.fill(netns, 2000, mixed(5), seed)
            found.append({(flow.protocol, flow.orig, flow.reply, flow.mark) for flow in oracle.listed(netns)})
            tables.flush(netns)
        assert oracle.listed(netns) == []
    assert found[0] == found[1] != found[2]


def test_one_source_holds_most_or_every_flow_has_its_own_destination():
    with tables.table() as netns:
        tables.fill(netns, 10000, HEAVY)
        heavy = oracle.listed(netns)
        tables.flush(netns)
        tables.fill(netns, 10000, FLAT)
        flat = oracle.counted((flow for flow in oracle.listed(netns) if flow.family == "ipv4"), oracle.destination)
    assert oracle.top(heavy, oracle.source, 2) == [("10.9.9.9", 6000), ("10.1.2.3", 1000)]
    assert set(flat.values()) == {1}


def test_a_tuple_that_is_taken_is_drawn_again_until_there_is_none():
    few = Kind(1, "udp", Pool("10.0.0.2", 1), Pool("20.0.0.1", 1), source_ports=range(1, 41), ports=(53,), snat=NAT, nat_ports=range(1024, 1074))
    with tables.table() as netns:
        tables.fill(netns, 30, (few,))
        assert len(oracle.listed(netns)) == 30
        with pytest.raises(RuntimeError, match="no free tuple"):
            tables.fill(netns, 11, (few,))


def test_what_the_kernel_refuses_is_told():
    with tables.table() as netns, pytest.raises(OSError, match="refused an entry"):
        tables.fill(netns, 1, (Kind(1, "tcp", Pool("10.0.0.2", 1), Pool("20.0.0.1", 1), "ESTABLISHED", (*ASSURED, "dying")),))


def test_a_fixed_timeout_is_an_entrys_own():
    kind = Kind(1, "udp", Pool("10.0.0.2", 1), Pool("20.0.0.1", 1), status=(*REPLIED, "fixed_timeout"), timeouts=LONG[:1])
    with tables.table() as netns:
        tables.fill(netns, 1, (kind,))
        done = subprocess.run(["ip", "netns", "exec", netns, "conntrack", "-U", "-p", "udp", "-t", "30"], capture_output=True, text=True, check=False)
        assert done.returncode and oracle.listed(netns)[0].timeout > 30


@pytest.mark.parametrize("buckets", [False, True])
def test_sizes_and_namespaces_are_put_back(buckets):
    def sizes():
        return [int((tables.SYSCTLS / f"nf_conntrack_{name}").read_text()) for name in ("max", "buckets")]

    before = sizes()
    more = before[1] + 4096 if buckets else None
    with pytest.raises(ZeroDivisionError), tables.table(before[0] + 1, more) as netns:
        assert sizes()[0] > before[0] and sizes()[1] == (more or before[1])
        assert Path("/run/netns", netns).exists()
        raise ZeroDivisionError
    assert sizes() == before
    assert not Path("/run/netns", netns).exists()

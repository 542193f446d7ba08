# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import json
import pathlib
import random

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _ctnetlink, _expectations, _hooks, _netlink, _stat
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import FlowTuple
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import NetlinkError

DUMPS = pathlib.Path(__file__).parents[2] / "fixtures" / "netlink"
BUFFERS = 20000
V4, V6 = ("127.0.0.1", "127.0.0.1"), ("::1", "::1")

# What was asked to record each dump, and whether the answer is one.
REQUESTS = {
    "expect": (_expectations.dump(), True),
    "expect_nat": (_expectations.dump(), True),
    "expect_none": (_expectations.dump(), True),
    "hooks": (_hooks.get("ipv4"), True),
    "hooks_none": (_hooks.get("ipv4"), True),
    "icmp": (_ctnetlink.get(FlowTuple(1, *V4, icmp_id=77, icmp_type=8)), False),
    "icmp6": (_ctnetlink.get(FlowTuple(58, *V6, icmp_id=77, icmp_type=128)), False),
    "no_hook_subsystem": (_hooks.get("ipv4"), True),
    "not_found": (_ctnetlink.get(FlowTuple(17, *V4, source_port=40000, destination_port=53)), False),
    "stats": (_ctnetlink.stats(), False),
    "stats_cpu": (_ctnetlink.stats_cpu(), True),
    "tcp6": (_ctnetlink.get(FlowTuple(6, *V6, source_port=40010, destination_port=21)), False),
    "tcp6_closed": (_ctnetlink.get(FlowTuple(6, *V6, source_port=40010, destination_port=21)), False),
    "tcp_helper": (_ctnetlink.get(FlowTuple(6, *V4, source_port=40010, destination_port=21)), False),
    "tcp_helper_closed": (_ctnetlink.get(FlowTuple(6, *V4, source_port=40010, destination_port=21)), False),
    "udp6": (_ctnetlink.get(FlowTuple(17, *V6, source_port=40000, destination_port=5000)), False),
    "udp_label": (_ctnetlink.get(FlowTuple(17, *V4, source_port=40003, destination_port=5006)), False),
    "udp_marked": (_ctnetlink.get(FlowTuple(17, *V4, source_port=40000, destination_port=53)), False),
    "udp_other_zone": (_ctnetlink.get(FlowTuple(17, *V4, source_port=40001, destination_port=5005)), False),
    "udp_snat": (_ctnetlink.get(FlowTuple(17, *V4, source_port=40002, destination_port=5353)), False),
    "udp_snat_by_reply": (_ctnetlink.get(FlowTuple(17, "127.0.0.1", "192.0.2.1", 5353, 50000)), False),
    "udp_zone": (_ctnetlink.get(FlowTuple(17, *V4, source_port=40001, destination_port=5005, zone=7)), False),
}

# Of /proc/net/stat/nf_conntrack, Linux 6.18.
HEADER = """entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  \
expect_new expect_create expect_delete search_restart
"""


def decode_hook(payload):
    return _hooks.HOOK(_netlink.body(payload)[2])


DECODERS = {
    0x100: _ctnetlink.entry, 0x104: _ctnetlink.counters, 0x105: _ctnetlink.entries_and_max, 0x200: _expectations.expectation, 0xC00: decode_hook,
}


class Replay:
    """A kernel that gives the recorded answer to the recorded request, and to no other."""

    def __init__(self, sent, received):
        self.sent = sent
        self.received = list(received)

    def send(self, data):
        assert data == self.sent

    def recv(self, _size):
        return self.received.pop(0)


def read_dump(name):
    """Return (bytes sent, datagrams received, meaning) of a file: sections of paragraphs of hexadecimal, then JSON."""
    text = (DUMPS / (name + ".dump")).read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    head, meaning = "\n".join(lines).split("\nexpected\n")
    sent, received = head.split("\nreceived\n")
    datagrams = [bytes.fromhex(part.replace("\n", "")) for part in received.strip().split("\n\n")]
    return bytes.fromhex(sent.replace("sent", "").replace("\n", "")), datagrams, json.loads(meaning)


def plain(value):
    """A decoded value as JSON has it: keys are texts, a FlowTuple is a dict of what is not 0."""
    if isinstance(value, FlowTuple):
        return {name: part for name, part in value._asdict().items() if part}
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, tuple) else value


def exchange(name):
    sent, received, _meaning = read_dump(name)
    try:
        found = _netlink.exchange(Replay(sent, received), *REQUESTS[name])
    except OSError as error:
        return {"errno": error.errno}
    return [
        {"type": kind, "flags": flags, "sequence": sequence, "value": plain(DECODERS[kind](payload))}
        for kind, flags, sequence, payload in found
    ]


def test_every_dump_is_asked_for():
    assert sorted(path.stem for path in DUMPS.glob("*.dump")) == sorted(REQUESTS)


@pytest.mark.parametrize("name", REQUESTS)
def test_recorded_exchange(name):
    assert exchange(name) == read_dump(name)[2]


FLOWS = {
    "udp": FlowTuple(17, "192.0.2.1", "198.51.100.2", 40000, 53),
    "tcp": FlowTuple(6, "0.0.0.0", "255.255.255.255", 1, 65535),
    "tcp over IPv6": FlowTuple(6, "2001:db8::1", "fe80::2", 40000, 443),
    "sctp": FlowTuple(132, "192.0.2.1", "198.51.100.2", 1, 2),
    "gre keys": FlowTuple(47, "192.0.2.1", "198.51.100.2", 3, 4),
    "ping": FlowTuple(1, "192.0.2.1", "198.51.100.2", icmp_id=7, icmp_type=8, icmp_code=0),
    "ping over IPv6": FlowTuple(58, "2001:db8::1", "fe80::2", icmp_id=7, icmp_type=128),
    "esp, which has no ports": FlowTuple(50, "192.0.2.1", "198.51.100.2"),
}


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_a_tuple_reads_as_written(flow):
    ((kind, payload),) = _netlink.attributes(_ctnetlink.encode(2, flow))
    assert kind == 2
    assert _ctnetlink.flow_tuple(payload) == flow


@pytest.mark.parametrize("source, destination", [("eth0", "192.0.2.1"), ("192.0.2.1", ""), ("192.0.2.256", "192.0.2.1")])
def test_no_address_is_refused(source, destination):
    with pytest.raises(ValueError):
        _ctnetlink.get(FlowTuple(17, source, destination, 1, 2))


def test_a_tuple_without_addresses_is_refused():
    with pytest.raises(NetlinkError):
        _ctnetlink.flow_tuple(_netlink.nest(2, _netlink.attribute(1, b"\x11")))


@pytest.mark.parametrize("state, name", [(3, "ESTABLISHED"), (9, "SYN_SENT2"), (10, "10"), (255, "255")])
def test_a_state_without_a_name_is_its_number(state, name):
    assert _ctnetlink.named(_ctnetlink.TCP_STATES)(bytes([state])) == name


def test_counters_of_cpus_come_in_order_with_the_names_of_proc():
    _sent, (datagram, _done), _meaning = read_dump("stats_cpu")
    payloads = [payload for _kind, _flags, _sequence, payload in _netlink.messages(datagram)]
    found = _ctnetlink.cpus(reversed(payloads))
    assert [(row["invalid"], row["insert_failed"], row["drop"]) for row in found] == [(2, 3, 3), (0, 2, 2)]
    (proc,) = _stat.parse(HEADER + "0 " * len(HEADER.split()))
    assert set(found[0]) <= set(proc)
    assert _stat.total(found)["insert_failed"] == 5


def hook(name):
    data = b"" if name is None else _netlink.attribute(4, name.encode() + b"\0")
    return b"\2\0\0\0" + _netlink.attribute(1, bytes(4)) + data


HOOKS = {
    "tracked": (["ipv4_conntrack_defrag", "ipv4_conntrack_in", "nft_do_chain_ipv4"], True),
    "tracked over IPv6": (["ipv6_conntrack_in"], True),
    "defragmented only": (["ipv4_conntrack_defrag", "nft_do_chain_inet"], False),
    "no hook at all": ([], False),
    "a kernel without names": ([None, None], None),
    "a name found among none": ([None, "ipv4_conntrack_in"], True),
}


@pytest.mark.parametrize("names, tracks", HOOKS.values(), ids=HOOKS)
def test_hooks(names, tracks):
    found = _hooks.functions([hook(name) for name in names])
    assert found == tuple(name or "" for name in names)
    assert _hooks.tracks(found) is tracks


def test_request_for_hooks_of_ipv6():
    assert _hooks.get("ipv6").hex() == "1c000000000c010301000000000000000a000000" "0800010000000000"


def test_no_mutation_of_a_recorded_answer_raises_anything_but_netlink_error():
    chance = random.Random(2)
    answers = [datagram for name in sorted(REQUESTS) for datagram in read_dump(name)[1]]
    read = 0
    for _attempt in range(BUFFERS):
        data = bytearray(chance.choice(answers))
        for _change in range(chance.randrange(1, 5)):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 2, 4, 5, 8, 128, 255, chance.randrange(256)))
        del data[chance.choice((len(data), chance.randrange(len(data)))):]
        try:
            for kind, _flags, _sequence, payload in _netlink.messages(bytes(data)):
                DECODERS.get(kind, _ctnetlink.entry)(payload)
            read += 1
        except NetlinkError:
            pass
    assert 0 < read < BUFFERS

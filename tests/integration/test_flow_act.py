# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flows of every kind are deleted and capped in the kernel's own table: those that were chosen, and no others."""

import contextlib
import os
import random
import socket
import struct
from typing import NamedTuple

import pytest
from lab import enter

from ansible_collections.netfleet.conntrack.plugins.module_utils import _netlink_batch
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import IPV4, IPV6, STATUS, SUBSYSTEM, TUPLE_ORIG, ZONE, FlowTuple, encode, entry
from ansible_collections.netfleet.conntrack.plugins.module_utils._flow_act import Match, Reporter, Task, apply, complaints, counts, rehearse, sparing
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import NETLINK_NETFILTER, Host
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import ACK, DUMP, attribute, body, message, nest

NEW, DELETE, GET = 0, 2, 1
CREATE, EXCL = 0x400, 0x200
TUPLE_REPLY, CTA_STATUS, PROTOINFO, TIMEOUT, ID, TUPLE_ZONE = 2, 3, 4, 7, 12, 3
CONFIRMED, SEEN_REPLY = STATUS["confirmed"], STATUS["seen_reply"]
SECONDS = 1000
V4, V6 = ("192.0.2.1", "198.51.100.2"), ("2001:db8:1::1", "2001:db8:2::2")
PORTS = {"source_port": 1000, "destination_port": 80}


class Kind(NamedTuple):
    """An entry to make: its tuples, its zone and what else it has."""

    orig: FlowTuple
    nat: str = None  # the address and the port under which the source goes out
    nat_port: int = 0
    zone: int = 0
    direction: int = 0  # TUPLE_ORIG or TUPLE_REPLY where the zone is that of one direction
    proto: bytes = b""
    status: int = CONFIRMED | SEEN_REPLY


TCP_ESTABLISHED = nest(PROTOINFO, nest(1, attribute(1, b"\3")))
SCTP_ESTABLISHED = nest(PROTOINFO, nest(3, attribute(1, b"\4"), attribute(2, b"\0\0\0\1"), attribute(3, b"\0\0\0\2")))
KINDS = {
    "tcp": Kind(FlowTuple(6, *V4, **PORTS), proto=TCP_ESTABLISHED),
    "tcp6": Kind(FlowTuple(6, *V6, **PORTS), proto=TCP_ESTABLISHED),
    "udp": Kind(FlowTuple(17, *V4, **PORTS)),
    "udp6": Kind(FlowTuple(17, *V6, **PORTS)),
    "sctp": Kind(FlowTuple(132, *V4, **PORTS), proto=SCTP_ESTABLISHED),
    "icmp": Kind(FlowTuple(1, *V4, icmp_id=77, icmp_type=8)),
    "icmp6": Kind(FlowTuple(58, *V6, icmp_id=77, icmp_type=128)),
    "gre": Kind(FlowTuple(47, *V4, source_port=11, destination_port=12)),
    "esp": Kind(FlowTuple(50, *V4)),
    "esp6": Kind(FlowTuple(50, *V6)),
    "zone": Kind(FlowTuple(17, *V4, **PORTS), zone=7),
    "zone6": Kind(FlowTuple(17, *V6, **PORTS), zone=65535),
    "zone of the original": Kind(FlowTuple(132, V4[0], "198.51.100.66", **PORTS), zone=8, direction=TUPLE_ORIG, proto=SCTP_ESTABLISHED),
    "zone of the reply": Kind(FlowTuple(17, V4[0], "198.51.100.77", **PORTS), zone=9, direction=TUPLE_REPLY),
    "snat": Kind(FlowTuple(6, "192.0.2.9", V4[1], **PORTS), "203.0.113.1", 5555, proto=TCP_ESTABLISHED),
    "snat6": Kind(FlowTuple(17, "2001:db8:1::9", V6[1], **PORTS), "2001:db8:3::1", 5555),
    "snat in a zone": Kind(FlowTuple(6, "192.0.2.9", V4[1], **PORTS), "203.0.113.1", 5555, zone=7, proto=TCP_ESTABLISHED),
}
ANSWERS = {8: 0, 128: 129}  # types of ICMP


def reply_of(kind):
    flow = kind.orig
    return flow._replace(
        source=flow.destination, destination=kind.nat or flow.source, source_port=flow.destination_port,
        destination_port=kind.nat_port or flow.source_port, icmp_type=ANSWERS.get(flow.icmp_type, 0),
    )


def tuple_of(attribute_kind, flow, kind):
    """A tuple, with the zone in it if that is of its direction alone."""
    made = encode(attribute_kind, flow)
    if kind.direction != attribute_kind:
        return made
    return nest(attribute_kind, made[4:], attribute(TUPLE_ZONE, struct.pack(">H", kind.zone)))


def create(kind, seconds=SECONDS):
    zone = attribute(ZONE, struct.pack(">H", kind.zone)) if kind.zone and not kind.direction else b""
    attributes = (
        tuple_of(TUPLE_ORIG, kind.orig, kind), tuple_of(TUPLE_REPLY, reply_of(kind), kind), zone, kind.proto,
        attribute(CTA_STATUS, struct.pack(">I", kind.status)), attribute(TIMEOUT, struct.pack(">I", seconds)),
    )
    return message(SUBSYSTEM, NEW, CREATE | EXCL | ACK, IPV6 if ":" in kind.orig.source else IPV4, b"".join(attributes))


def delete(kind):
    return message(SUBSYSTEM, DELETE, ACK, IPV6 if ":" in kind.orig.source else IPV4, encode(TUPLE_ORIG, kind.orig))


def number(payload):
    return struct.unpack(">I", payload)[0]


class Table:
    """The table of a network namespace."""

    def __init__(self):
        self.host = Host()

    def make(self, *kinds, seconds=SECONDS):
        assert set(self.host.netlink_batch([create(kind, seconds) for kind in kinds])) == {0}
        return self.matches()

    def matches(self):
        return [match for match, dummy in self.listed()]

    def listed(self):
        """Each entry as a Match, and decoded."""
        for dummy, _flags, _sequence, payload in self.host.netlink(message(SUBSYSTEM, GET, DUMP), dump=True):
            family, dummy, data = body(payload)
            fields = {kind & 0x3FFF: value for kind, value in _attributes(data)}
            zone = struct.unpack(">H", fields[ZONE])[0] if ZONE in fields else 0
            numbers = number(fields[ID]), number(fields[TIMEOUT]), number(fields[CTA_STATUS])
            yield Match(family, fields[TUPLE_ORIG], fields[TUPLE_REPLY], zone, *numbers), entry(payload)

    def ids(self):
        return {match.id for match in self.matches()}

    def remaining(self):
        return {match.id: match.remaining for match in self.matches()}


def _attributes(data):
    while data:
        length, kind = struct.unpack_from("=HH", data)
        yield kind, data[4:length]
        data = data[length + 3 & ~3:]


@contextlib.contextmanager
def entered(name):
    with contextlib.ExitStack() as stack:
        handles = [os.open(path, os.O_RDONLY) for path in ("/proc/thread-self/ns/net", "/run/netns/" + name)]
        for handle in handles:
            stack.callback(os.close, handle)
        stack.callback(enter, handles[0])
        enter(handles[1])
        yield


@pytest.fixture
def table(netns):
    with entered(netns):
        yield Table()


def expected(**more):
    return dict(counts(), **more)


def many(how_many, kind="tcp"):
    return [KINDS[kind]._replace(orig=KINDS[kind].orig._replace(source_port=1 + port)) for port in range(how_many)]


def test_every_kind_is_there(table):
    table.make(*KINDS.values())
    found = {(each["orig"]._replace(zone=0), each["reply"]._replace(zone=0)) for dummy, each in table.listed()}
    assert found == {(kind.orig, reply_of(kind)) for kind in KINDS.values()} and len(table.ids()) == len(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_one_is_deleted_and_no_other(name, table):
    table.make(*(kind for each, kind in KINDS.items() if each != name))
    others = table.ids()
    (chosen,) = [match for match in table.make(KINDS[name]) if match.id not in others]
    assert apply(table.host, [chosen], Task("delete")) == expected(changed=1)
    assert table.ids() == others
    assert apply(table.host, [chosen], Task("delete")) == expected(gone=1)


@pytest.mark.parametrize("name", KINDS)
def test_one_is_capped_and_no_other(name, table):
    table.make(*(kind for each, kind in KINDS.items() if each != name))
    others = table.ids()
    (chosen,) = [match for match in table.make(KINDS[name]) if match.id not in others]
    assert apply(table.host, [chosen], Task("cap", 90)) == expected(changed=1)
    remaining = table.remaining()
    assert 60 < remaining.pop(chosen.id) <= 90
    assert set(remaining) == others and min(remaining.values()) > SECONDS - 60


@pytest.mark.parametrize("seed", range(10))
def test_of_a_mixed_table_those_that_are_chosen(seed, table):
    chance = random.Random(seed)
    every = table.make(*KINDS.values(), *many(300), *many(300, "udp6"))
    chosen, capped = (set(chance.sample(sorted(match.id for match in every), chance.randrange(400))) for dummy in range(2))
    task = Task("cap", 200)
    assert apply(table.host, (match for match in every if match.id in capped), task) == expected(changed=len(capped))
    assert {key for key, seconds in table.remaining().items() if seconds <= 200} == capped
    again = (match for match in table.matches() if match.id in capped)
    assert apply(table.host, again, task) == expected(already=len(capped))
    assert apply(table.host, (match for match in every if match.id in chosen), Task("delete")) == expected(changed=len(chosen))
    assert table.ids() == {match.id for match in every} - chosen


def test_what_is_shorter_is_not_made_longer(table):
    every = table.make(*KINDS.values(), seconds=50)
    assert apply(table.host, every, Task("cap", 90)) == expected(already=len(KINDS))
    assert max(table.remaining().values()) <= 50


@pytest.mark.parametrize("name", ["tcp", "udp6", "icmp"])
def test_what_took_its_place_stays(name, table):
    (seen,) = table.make(KINDS[name])
    decoy = KINDS[name]._replace(orig=KINDS[name].orig._replace(source="2001:db8::99" if name == "udp6" else "192.0.2.99"))
    assert table.host.netlink_batch([delete(KINDS[name]), create(decoy), create(KINDS[name])]) == [0, 0, 0]
    there = table.ids()
    if seen.id in there:
        pytest.skip("the kernel gave the new entry the old one's memory, and its id")
    assert apply(table.host, [seen], Task("delete")) == expected(gone=1)
    assert table.ids() == there and len(there) == 2


def test_a_fixed_time_is_refused_and_told(table):
    fixed = KINDS["tcp"]._replace(status=CONFIRMED | SEEN_REPLY | STATUS["fixed_timeout"])
    every = table.make(fixed, KINDS["udp"])
    task = Task("cap", 10)
    assert {bool(match.status & STATUS["fixed_timeout"]) for match in every} == {True, False}
    # whether that was seen, or came about since
    for matches in every, [match._replace(status=CONFIRMED, remaining=SECONDS) for match in every]:
        found = apply(table.host, matches, task)
        assert found["refused"] == 1 and max(table.remaining().values()) > 900
        assert complaints(task, found) == ["1 flows were not capped: their time is fixed, or a flowtable has them and sets it anew"]
    assert apply(table.host, every, Task("delete")) == expected(changed=2)


# What the host sends over its own connection; the entries that it has for a client and for a server, also translated.
OWN = FlowTuple(6, "192.0.2.1", "192.0.2.200", 22, 50000)
OWN6 = FlowTuple(6, "2001:db8:1::1", "2001:db8:1::200", 22, 50000)


def reversed_of(flow):
    return flow._replace(source=flow.destination, destination=flow.source, source_port=flow.destination_port, destination_port=flow.source_port)


@pytest.mark.parametrize("task", [Task("delete"), Task("cap", 10)], ids=["delete", "cap"])
def test_the_own_connection_is_spared_in_any_zone_and_nothing_like_it(task, table):
    own = [Kind(OWN), Kind(OWN6, zone=5), Kind(reversed_of(OWN), zone=8), Kind(reversed_of(OWN6), zone=9)]
    # from 192.0.2.200 to another address of this host's, redirected to the first one
    redirected = Kind(FlowTuple(6, OWN.destination, "192.0.2.77", 50000, 22), zone=6, proto=TCP_ESTABLISHED)
    others = [Kind(OWN._replace(**more), zone=3) for more in (
        {"source_port": 23}, {"destination_port": 50001}, {"source": "192.0.2.2"}, {"destination": "192.0.2.201"}, {"protocol": 17},
        {"source_port": 50000, "destination_port": 22},
    )]
    table.make(*(kind._replace(proto=TCP_ESTABLISHED if kind.orig.protocol == 6 else b"") for kind in own + others))
    made = create(redirected).replace(encode(TUPLE_REPLY, reply_of(redirected)), encode(TUPLE_REPLY, OWN))
    assert table.host.netlink_batch([made]) == [0]
    every = [match._replace(status=CONFIRMED) for match in table.matches()]
    task = task._replace(spared=sparing([OWN, OWN6]))
    assert rehearse(every, task) == apply(table.host, every, task) == expected(changed=len(others), spared=5)
    left = {match.id for match in every if task.spared(match)}
    assert len(left) == 5 and all(table.remaining()[each] > 900 for each in left)
    assert table.ids() == (left if task.action == "delete" else {match.id for match in every})


@pytest.mark.parametrize("limit", [0, 1, 63, 64, 65, 199, 200, 201])
@pytest.mark.parametrize("task", [Task("delete"), Task("cap", 10)], ids=["delete", "cap"])
def test_a_limit_is_kept_to_the_number_and_reached(task, limit, table):
    every = table.make(*many(300))
    gone = every[::3]
    apply(table.host, gone, Task("delete"))
    task = task._replace(limit=limit)
    found = apply(table.host, iter(every), task)
    assert found["changed"] == min(limit, 200) and found["gone"] <= len(gone)
    left = table.remaining()
    touched = 200 - len(left) if task.action == "delete" else sum(1 for seconds in left.values() if seconds <= 10)
    assert touched == found["changed"]


class Small(Host):
    """A host whose netlink sockets have so little room that hardly an answer fits."""

    size = 1

    def _channel(self, timeout):
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.size)
        made.settimeout(timeout)
        made.bind((0, 0))
        return made


@pytest.mark.parametrize("size", [1, 4000, 20000, 106496])
def test_no_answer_is_lost_however_little_room_there_is(size, table):
    every = table.make(*many(200))
    host = Small()
    host.size = size
    fixed = [match._replace(orig=match.orig[:4] + b"\xff" * 4 + match.orig[8:]) for match in every]  # no addresses: EINVAL for all
    with pytest.raises(ConntrackError, match="^cannot delete flows: .*; 0 were deleted before$"):
        apply(host, fixed, Task("delete"))
    assert apply(host, every, Task("delete")) == expected(changed=200)
    assert apply(host, every, Task("delete")) == expected(gone=200)


def test_as_many_answers_fit_as_are_asked_for(table):
    """The largest answers there are, as many as a datagram may have."""
    kinds = many(200, "udp6")
    table.make(*kinds)
    requests = [message(SUBSYSTEM, GET, 0, IPV6, encode(TUPLE_ORIG, kind.orig)) for kind in kinds]
    ((*answers,),) = table.host.netlink_many([requests])
    assert [entry(answer)["orig"] for answer in answers] == [kind.orig for kind in kinds]
    assert len(requests) > _netlink_batch.MOST


def test_without_rights_it_says_so(table):
    every = table.make(KINDS["tcp"])
    os.seteuid(65534)
    try:
        with pytest.raises(ConntrackError, match="^cannot delete flows: Operation not permitted; 0 were deleted before$"):
            apply(table.host, every, Task("delete"))
    finally:
        os.seteuid(0)
    assert len(table.ids()) == 1


def test_progress_is_told(table):
    said, times = [], iter(range(1000))
    task = Task("delete")
    report = Reporter(said.append, lambda: next(times), task, total=300)
    assert apply(table.host, table.make(*many(300)), task, report)["changed"] == 300
    assert said == ["deleted 300 of about 300 flows, 50 per second"]

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of the kernel, and what is made of its answers; that the kernel does it is shown by tests/integration/test_flow_act.py."""
import errno
import struct

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import STATUS, FlowTuple, encode, flow_tuple
from ansible_collections.netfleet.conntrack.plugins.module_utils._flow_act import (
    PART,
    Match,
    Reporter,
    Task,
    apply,
    complaints,
    counts,
    rehearse,
    sparing,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import ATTRIBUTE, NetlinkError, attribute, attributes, body, messages

CAP, DELETION = Task("cap", 90), Task("delete")
UDP = FlowTuple(17, "192.0.2.1", "198.51.100.2", 1000, 53)
UDP6 = FlowTuple(17, "2001:db8::1", "2001:db8::2", 1000, 53)
OWN = FlowTuple(6, "192.0.2.1", "192.0.2.200", 22, 50000)
OWN6 = FlowTuple(6, "2001:db8::1", "2001:db8::200", 22, 50000)


def reverse(flow):
    return flow._replace(source=flow.destination, destination=flow.source, source_port=flow.destination_port, destination_port=flow.source_port)


def match(orig=UDP, reply=None, **more):
    payloads = (encode(1, flow)[ATTRIBUTE.size:] for flow in (orig, reply or reverse(orig)))
    values = dict({"zone": 0, "id": 0xC0FFEE01, "remaining": 1000, "status": 0}, **more)
    return Match(10 if ":" in orig.source else 2, *payloads, **values)


class Kernel:
    """Gives these answers in turn, 0 after them."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.parts = []

    def netlink_many(self, parts):
        for part in parts:
            self.parts.append(part)
            answers, self.answers = self.answers[:len(part)], self.answers[len(part):]
            yield answers + [0] * (len(part) - len(answers))

    def requests(self):
        return [each for part in self.parts for each in part]


def asked(task, wanted):
    """The one message that is sent for a match: type, flags, family, attributes."""
    kernel = Kernel()
    apply(kernel, [wanted], task)
    ((request,),) = kernel.parts
    ((kind, flags, dummy, payload),) = messages(request)
    family, dummy, data = body(payload)
    return kind, flags, family, dict(attributes(data))


@pytest.mark.parametrize("zone", [0, 1, 65535])
@pytest.mark.parametrize("flow", [UDP, UDP6, FlowTuple(50, "192.0.2.1", "192.0.2.2"), FlowTuple(1, "192.0.2.1", "192.0.2.2", icmp_id=5, icmp_type=8)])
def test_requests(flow, zone):
    wanted = match(flow, zone=zone)
    where = {18: struct.pack(">H", zone)} if zone else {}
    family = 10 if flow is UDP6 else 2
    assert asked(DELETION, wanted) == (0x102, 1, family, {**where, 1: wanted.orig, 12: b"\xc0\xff\xee\x01"})
    assert asked(CAP, wanted) == (0x100, 1, family, {**where, 1: wanted.orig, 7: struct.pack(">I", 90)})


@pytest.mark.parametrize("length", range(12))
def test_a_tuple_is_sent_as_it_came_whatever_its_length(length):
    wanted = match()._replace(orig=b"x" * length)
    assert asked(DELETION, wanted)[3] == {1: wanted.orig, 12: b"\xc0\xff\xee\x01"}


def test_an_entry_without_an_id_is_named_by_its_tuple():
    assert asked(DELETION, match(id=None))[3] == {1: match().orig}


# Answers to three deletions, or caps; the counts.
@pytest.mark.parametrize("answers, expected", [
    ((), {"changed": 3}),
    ((0, errno.ENOENT, 0), {"changed": 2, "gone": 1}),
    ((errno.ETIME, errno.ENOENT, errno.ENOENT), {"gone": 3}),
    ((errno.EPERM, errno.EBUSY, 0), {"changed": 1, "refused": 2}),
])
@pytest.mark.parametrize("task", [CAP, DELETION], ids=["cap", "delete"])
def test_what_becomes_of_flows_is_counted(task, answers, expected):
    found = apply(Kernel(*answers), [match()] * 3, task)
    assert found == dict(counts(), **expected)
    assert len(complaints(task, found)) == (1 if found["refused"] else 0)


class Fails(Kernel):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def netlink_many(self, parts):
        for part in parts:
            yield [0] * len(part)
            raise self.error


@pytest.mark.parametrize("kernel, words", [
    (Kernel(0, 0, errno.ENOMEM), "cannot cap flows: Cannot allocate memory; 2 were capped before"),
    (Fails(OSError(errno.ENOBUFS, "No buffer space available")), "cannot cap flows: No buffer space available; 64 were capped before"),
    (Fails(OSError("timed out")), "cannot cap flows: timed out; 64 were capped before"),
    (Fails(NetlinkError("3 bytes where a message should begin")), "cannot cap flows: 3 bytes where a message should begin; 64 were capped before"),
])
def test_what_stops_it_is_told(kernel, words):
    number = 3 if kernel.answers else 2 * PART
    with pytest.raises(ConntrackError) as caught:
        apply(kernel, [match()] * number, CAP)
    assert str(caught.value) == words


# A match, and the count of a cap that is not asked of the kernel; of a deletion each is asked.
LEFT_OUT = {
    "as long": (match(remaining=90), "already"),
    "shorter": (match(remaining=0), "already"),
    "fixed": (match(status=STATUS["fixed_timeout"]), "refused"),
    "offloaded": (match(status=STATUS["offload"] | STATUS["assured"], remaining=None), "refused"),
    "in hardware": (match(status=STATUS["offload"] | STATUS["hw_offload"]), "refused"),
}


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_what_a_cap_leaves_out(name):
    wanted, count = LEFT_OUT[name]
    for found in apply(Kernel(), [wanted], CAP), rehearse([wanted], CAP):
        assert found == dict(counts(), **{count: 1})
    assert apply(Kernel(), [wanted], DELETION) == dict(counts(), changed=1)


def test_what_is_just_longer_is_capped():
    assert apply(Kernel(), [match(remaining=91), match(remaining=None)], CAP) == dict(counts(), changed=2)


@pytest.mark.parametrize("limit", [None, 0, 1, PART - 1, PART, PART + 1, 3 * PART, 1000])
def test_a_limit_counts_what_was_changed(limit):
    kernel = Kernel(*[0, errno.ENOENT, errno.EBUSY] * 100)
    found = apply(kernel, [match()] * 300, DELETION._replace(limit=limit))
    assert found["changed"] == (100 if limit is None else min(100, limit))
    assert max([len(part) for part in kernel.parts] or [0]) <= PART
    assert rehearse([match()] * 300, DELETION._replace(limit=limit))["changed"] == (300 if limit is None else min(300, limit))


def test_flows_are_taken_as_they_come():
    """No more is ahead of the kernel than one datagram holds."""
    kernel, taken = Kernel(), []

    def stream():
        for number in range(1000):
            assert number - len(kernel.requests()) < PART
            taken.append(number)
            yield match()

    assert apply(kernel, stream(), DELETION)["changed"] == len(taken) == 1000


def with_more(payload, zone=5):
    """The same tuple as a kernel sends it that has the zone in it, and something that nobody knows."""
    return attribute(99, b"new") + payload + attribute(3, struct.pack(">H", zone))


SPARED = {
    "it began there": match(reverse(OWN)),
    "it began here": match(OWN),
    "it began there, redirected": match(reverse(OWN)._replace(destination="203.0.113.1"), OWN),
    "it began here, redirected": match(OWN, FlowTuple(6, "203.0.113.1", "192.0.2.1", 2222, 22)),
    "of IPv6": match(reverse(OWN6)),
    "in a zone": match(OWN, zone=7),
    "otherwise written": match(OWN)._replace(orig=with_more(match(OWN).orig), reply=b""),
    "otherwise written, the reply": match(OWN)._replace(reply=with_more(match(OWN).orig), orig=b""),
}
LIKE_IT = {
    "another local port": match(OWN._replace(source_port=23)),
    "another remote port": match(OWN._replace(destination_port=50001)),
    "another local address": match(OWN._replace(source="192.0.2.2")),
    "another remote address": match(OWN._replace(destination="192.0.2.201")),
    "another protocol": match(OWN._replace(protocol=17)),
    "ports the other way round": match(OWN._replace(source_port=50000, destination_port=22)),
    "the remote port as an address": match(OWN._replace(source="195.80.0.1", destination_port=5)),
    "of IPv6": match(OWN6._replace(source_port=23)),
}


@pytest.mark.parametrize("task", [CAP, DELETION], ids=["cap", "delete"])
def test_the_own_connections_are_spared_and_nothing_like_them(task):
    task = task._replace(spared=sparing({OWN, OWN6}))
    assert [name for name, each in SPARED.items() if not task.spared(each)] == []
    assert [name for name, each in LIKE_IT.items() if task.spared(each)] == []
    kernel = Kernel()
    expected = dict(counts(), changed=len(LIKE_IT), spared=len(SPARED))
    every = list(SPARED.values()) + list(LIKE_IT.values())
    assert apply(kernel, every, task) == rehearse(every, task) == expected
    assert len(kernel.requests()) == len(LIKE_IT)


def test_without_a_connection_nothing_is_spared():
    assert not any(sparing([])(each) for each in SPARED.values())


def test_a_zone_of_the_tuple_is_read():
    assert flow_tuple(with_more(match(OWN).orig)) == OWN._replace(zone=5)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("total, of", [(None, ""), (4000, " of about 4000")])
def test_reports(total, of):
    clock, said = Clock(), []
    report = Reporter(said.append, clock, CAP, total)
    assert report.rate() == 0
    for clock.now, done in ((101, 64), (104.9, 900), (105, 1000), (109.9, 1900), (110, 2000), (130, 3000)):
        report(done)
    assert said == ["capped %d%s flows, %d per second" % (done, of, rate) for done, rate in ((1000, 200), (2000, 200), (3000, 100))]
    assert report.rate() == 100


def test_progress_is_the_number_changed():
    seen = []
    apply(Kernel(*[errno.ENOENT] * 10), [match()] * 100, DELETION, seen.append)
    assert seen == [PART - 10, 90]

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import errno
import struct

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import ACK, ERROR, HEADER, NOOP, NetlinkError, body, message, messages
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink_batch import ANSWER, MOST, answered, outcomes

ENTRY = 0x100
ROOM = 212992  # what Linux gives


class Kernel:
    """Does as a request's mark says: an errno, or 0 to do it silently, or a text to answer. So many answers come at a time."""

    def __init__(self, together=1, allowed=True, room=ROOM):
        self.together, self.allowed, self.room = together, allowed, room
        self.answers = []
        self.datagrams = []

    def send(self, data):
        assert not self.answers, "what was not read before takes room"
        every = list(messages(data))
        self.datagrams.append([payload for kind, dummy, _sequence, payload in every if kind != NOOP])
        for kind, flags, sequence, payload in every if self.allowed else every[:1]:
            self.answers += self.answer(kind, flags, sequence, payload)
        assert len(self.answers) * ANSWER <= max(self.room, 2 * ANSWER), "what has no room is lost"

    def answer(self, kind, flags, sequence, payload):
        if kind == NOOP or not self.allowed:
            assert flags & ACK
            yield self.error(0 if self.allowed else errno.EPERM, sequence)
            return
        asked = meaning(payload)
        if isinstance(asked, bytes):
            yield HEADER.pack(HEADER.size + len(asked), ENTRY, 2, sequence, 0) + asked
        elif asked or flags & ACK:
            yield self.error(asked, sequence)

    @staticmethod
    def error(code, sequence):
        return HEADER.pack(HEADER.size + 4, ERROR, 0, sequence, 0) + struct.pack("=i", -code)

    def recv(self, dummy_size):
        part, self.answers = self.answers[: self.together], self.answers[self.together:]
        return b"".join(part)


def meaning(payload):
    data = body(payload)[2]
    return data[4:] if data[:4] == b"text" else struct.unpack("=I", data)[0]


def request(wanted, flags=0):
    return message(1, 0, flags, attributes=b"text" + wanted if isinstance(wanted, bytes) else struct.pack("=I", wanted))


KINDS = {
    "all done": lambda place: 0,
    "all refused": lambda place: 1 + place % 100,
    "all answered": lambda place: b"entry %06d" % place,
    "mixed": lambda place: (0, errno.ENOENT, b"some", 0, errno.EBUSY)[place % 5],
}


@pytest.mark.parametrize("flags", [0, ACK], ids=["silent", "acknowledged"])
@pytest.mark.parametrize("together", [1, 3, 1000])
@pytest.mark.parametrize("room", [2304, 20000, ROOM, 10 * ROOM])
@pytest.mark.parametrize("number", [0, 1, MOST - 1, MOST, MOST + 1, 3 * MOST])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_became_of_each_is_told_in_order(kind, number, room, together, flags):
    wanted = [KINDS[kind](place) for place in range(number)]
    kernel = Kernel(together, room=room)
    requests = [request(each, flags) for each in wanted]
    assert list(answered(kernel, [requests], room)) == [wanted]
    assert [payload for datagram in kernel.datagrams for payload in datagram] == [each[HEADER.size:] for each in requests]
    assert max(map(len, kernel.datagrams)) <= MOST


def test_a_list_is_taken_when_what_became_of_the_one_before_is_known():
    events = []

    def parts():
        for number in range(3):
            events.append("taken %d" % number)
            yield [request(number)]

    for answers in answered(Kernel(), parts(), ROOM):
        events.append("known %d" % answers[0])
    assert events == ["taken 0", "known 0", "taken 1", "known 1", "taken 2", "known 2"]


def test_outcomes_are_numbers():
    assert outcomes([[0, b"entry", 2], [], [17]]) == [0, 0, 2, 17]


def test_without_the_rights_nothing_is_asked():
    taken = []
    with pytest.raises(OSError, match="not permitted"):
        list(answered(Kernel(allowed=False), (taken.append(part) or part for part in [[request(0)]]), ROOM))
    assert taken == []


class Broken(Kernel):
    """Answers the first mark, then this."""

    def __init__(self, answer):
        super().__init__()
        self.given = answer

    def recv(self, size):
        if len(self.datagrams) < 2:
            return super().recv(size)
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


@pytest.mark.parametrize("answer, error", [
    (OSError(errno.ENOBUFS, "No buffer space available"), OSError),
    (b"", NetlinkError),
    (b"odd", NetlinkError),
    (HEADER.pack(HEADER.size, ERROR, 0, 0, 0), NetlinkError),
    (Kernel.error(0, 1), NetlinkError),
    (Kernel.error(0, MOST + 1), NetlinkError),
    (Kernel.error(0, 0xFFFFFFFF), NetlinkError),
], ids=["lost", "closed", "odd", "empty error", "of no request", "after the mark", "of nobody"])
def test_what_is_no_answer_is_refused(answer, error):
    with pytest.raises(error):
        list(answered(Broken(answer), [[request(0)]], ROOM))

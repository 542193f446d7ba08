# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes that no kernel sends: whatever they are, reading them ends, and raises nothing but its own error.

C(NETFLEET_FUZZ) says how many buffers each reader is fed.
"""
import errno
import os
import random
import socket
import struct

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _ctnetlink,
    _expectations,
    _flow_dump,
    _flow_filter,
    _flow_layout,
    _flow_report,
    _flow_row,
    _flows,
    _headroom,
    _netlink,
    _netlink_batch,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import NetlinkError
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import test_ctnetlink as recorded

BUFFERS = int(os.environ.get("NETFLEET_FUZZ", "20000"))
LONGEST = 4096  # bytes of a buffer that is wholly chance
# Lengths and types that are at an edge, as 16 bits of an attribute's or message's header.
EDGES = (0, 1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 20, 0x100, 0x3FFF, 0x4001, 0x7FFF, 0x8000, 0x8001, 0xFFFE, 0xFFFF)

DATAGRAMS = [datagram for name in sorted(recorded.REQUESTS) for datagram in recorded.read_dump(name)[1]]
MESSAGES = [(each[0], each[3]) for datagram in DATAGRAMS for each in _netlink.messages(datagram)]
ATTRIBUTES = [payload[4:] for kind, payload in MESSAGES if kind >= 0x100]


def payloads(*kinds):
    """What recorded messages of these types hold."""
    return [payload for kind, payload in MESSAGES if kind in kinds]


def tuples():
    """The recorded tuples: the first two attributes of every entry."""
    return [value for payload in payloads(0x100) for kind, value in _netlink.attributes(payload[4:]) if kind in (1, 2)]


def framed(kind, payload=b"", sequence=1):
    return struct.pack("=IHHII", 16 + len(payload), kind, 2, sequence, 0) + payload


def code(number):
    """What an ERROR or DONE message says went wrong."""
    return struct.pack("=i", -number)


class Played:
    """A connection that answers with these datagrams, and then has been closed. An error among them is raised."""

    def __init__(self, *datagrams):
        self.left = list(datagrams)

    def send(self, data):
        pass

    def recv(self, dummy_size):
        found = self.left.pop(0) if self.left else b""
        if not isinstance(found, bytes):
            self.fail(found)
        return found

    @staticmethod
    def fail(error):
        raise error


REQUEST = _netlink.message(1, 1, _netlink.DUMP)


def read_messages(data):
    found = list(_netlink.messages(data))
    assert len(found) <= len(data) / 16 + 1
    return found


def read_attributes(data):
    found = list(_netlink.attributes(data))
    assert len(found) <= len(data) / 4 + 1
    return found


def read_answers(dump):
    def read(data):
        return _netlink.exchange(Played(data, DATAGRAMS[0], data), REQUEST, dump)
    return read


def read_batch(data):
    """What answers a batch of two requests, after the mark by which the batch learns that it may ask."""
    mark = framed(_netlink.ERROR, code(0), _netlink_batch.MARK_NUMBER)
    return list(_netlink_batch.answered(Played(mark, data, mark), [[REQUEST, REQUEST]], 212992))


FIELDS = tuple(sorted({field.name for field in _flow_layout.FIELDS.values()}))
FILTERS = [_flow_filter.read(options) for options in (
    {}, {"state": ["ESTABLISHED"]}, {"source": ["127.0.0.0/8", "::1"], "destination_port": ["1-1000"], "mark": "0/0xff", "zone": [0, 7]},
    {"status": ["not_offload"], "min_remaining": 1, "nat_address": ["0.0.0.0/0", "::/0"]},
)]


def read_batches(data):
    """A dump as batches, with all that is made of them."""
    parts = _flows.counters(_flows.BREAKDOWNS, (24, 64)) + [_flows.Longest(3), _headroom.Headroom()]
    survey, dump = _flows.Survey(parts), _flow_dump.Dump(1)
    for batch in dump.batches([data, data]):
        batch.columns(FIELDS)
        for choose in FILTERS:
            choose.chosen(batch)
        survey.add(batch)
        for message in batch.messages:
            _flow_row.flow(message)
    _flow_report.breakdowns(survey.tallies(), _flow_report.Sample(dump.seen, dump.seen), 5, (24, 64))
    ports = dict.fromkeys(parts[-1].addresses(), 64512)
    parts[-1].worst(ports, 5)


def read_in_batch(payload):
    """The same of one entry."""
    return read_batches(framed(0x100, payload))


# A row a reader: what reads bytes, recorded bytes of the kind that it reads, and what it may raise.
READERS = {
    "messages": (read_messages, DATAGRAMS, NetlinkError),
    "attributes": (read_attributes, ATTRIBUTES, NetlinkError),
    "answers of a dump": (read_answers(True), DATAGRAMS, (NetlinkError, OSError)),
    "one answer": (read_answers(False), DATAGRAMS, (NetlinkError, OSError)),
    "answers of a batch": (read_batch, [framed(0x100, b"1234", 0), framed(0x100, b"1234", 1)] + DATAGRAMS, (NetlinkError, OSError)),
    "answers in batches": (read_batches, DATAGRAMS, (NetlinkError, OSError)),
    "entry in a batch": (read_in_batch, payloads(0x100), NetlinkError),
    "body": (_netlink.body, payloads(0x100), NetlinkError),
    "tuple": (_ctnetlink.flow_tuple, tuples(), NetlinkError),
    "entry": (_ctnetlink.entry, payloads(0x100), NetlinkError),
    "counters": (_ctnetlink.counters, payloads(0x104), NetlinkError),
    "entries and max": (_ctnetlink.entries_and_max, payloads(0x105), NetlinkError),
    "expectation": (_expectations.expectation, payloads(0x200), NetlinkError),
    "hook": (recorded.decode_hook, payloads(0xC00), NetlinkError),
}


# What chance does to a buffer, a bytearray, with others of its kind at hand.

def set_byte(chance, data, dummy_seeds):
    data[chance.randrange(len(data))] = chance.randrange(256)


def flip_bit(chance, data, dummy_seeds):
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def set_edge(chance, data, dummy_seeds):
    """Give a length or type, which lie at even places, a value at an edge, or one near its own."""
    place = 2 * chance.randrange((len(data) + 1) // 2)
    number = int.from_bytes(data[place:place + 2], "little") + chance.randrange(-4, 5)
    data[place:place + 2] = struct.pack("<H", chance.choice(EDGES + (number % 65536,)))


def cut(chance, data, dummy_seeds):
    del data[chance.randrange(len(data)):]


def remove(chance, data, dummy_seeds):
    """Take a part out, often a whole attribute."""
    place = chance.randrange(len(data)) & ~3
    del data[place:place + 4 * chance.randrange(1, 8)]


def repeat(chance, data, dummy_seeds):
    place = chance.randrange(len(data)) & ~3
    data[place:place] = data[place:place + 4 * chance.randrange(1, 16)]


def splice(chance, data, seeds):
    """Go on with the rest of another one."""
    other = chance.choice(seeds)
    place = chance.randrange(len(other) + 1) & ~3
    data[chance.randrange(len(data)) & ~3:] = other[place:]


def append(chance, data, dummy_seeds):
    data.extend(chance.randrange(256) for _byte in range(chance.randrange(1, 9)))


CHANGES = (set_byte, flip_bit, set_edge, set_edge, cut, remove, repeat, splice, append)


def chance_bytes(chance):
    size = chance.choice((chance.randrange(64), chance.randrange(64), chance.randrange(64), chance.randrange(LONGEST)))
    return chance.getrandbits(8 * size + 1).to_bytes(size + 1, "little")[:size]


def chance_attributes(chance, deep=3):
    """Attributes that are framed as they should be, with any type and anything in them."""
    found = b""
    for _attribute in range(chance.randrange(1, 5)):
        inner = chance_attributes(chance, deep - 1) if deep and chance.random() < 0.5 else bytes(chance.randrange(256) for _byte in range(chance.randrange(9)))
        found += _netlink.attribute(chance.choice((1, 2, 3, 4, 7, 10, 0x8001, 0x8002, 0x4003, chance.randrange(65536))), inner)
    return found


def buffers(chance, seeds, number):
    """Mostly a recorded buffer with up to four changes; else chance alone, or what is framed well and means nothing."""
    for _buffer in range(number):
        kind = chance.random()
        if kind < 0.1:
            yield chance_bytes(chance)
        elif kind < 0.2:
            yield chance.choice((b"", b"\2\0\0\0")) + chance_attributes(chance)
        else:
            data = bytearray(chance.choice(seeds))
            for _change in range(chance.randrange(1, 5)):
                if data:
                    chance.choice(CHANGES)(chance, data, seeds)
            yield bytes(data)


@pytest.mark.parametrize("name", READERS)
def test_nothing_is_raised_but_its_own_error(name):
    reader, seeds, own = READERS[name]
    outcomes = {"read": 0, "refused": 0}
    for data in buffers(random.Random(name), seeds, BUFFERS):
        try:
            reader(data)
            outcomes["read"] += 1
        except own:
            outcomes["refused"] += 1
        except Exception as error:
            raise AssertionError("%s: %r of %s" % (name, error, data.hex())) from error
    assert min(outcomes.values()) > BUFFERS // 1000, outcomes


@pytest.mark.parametrize("name", READERS)
def test_what_was_recorded_is_read(name):
    reader, seeds, own = READERS[name]
    assert seeds
    for data in seeds:
        try:
            reader(data)
        except own as error:
            # What the kernel refused, and dumps of which this is a part.
            assert "answer" in name, error


@pytest.mark.parametrize("name", READERS)
def test_no_beginning_of_a_buffer_does_harm(name):
    reader, seeds, own = READERS[name]
    for seed in seeds:
        for end in range(len(seed)):
            try:
                reader(seed[:end])
            except own:
                pass


# Answers that go wrong in the middle: datagrams, how many messages are had before, and what is raised then.

ENTRY, DONE = framed(0x100, b"1234"), framed(_netlink.DONE, code(0))
NO_ROOM, SLOW = OSError(errno.ENOBUFS, "No buffer space available"), socket.timeout("timed out")
MIDDLES = {
    "an error": ([ENTRY, ENTRY + framed(_netlink.ERROR, code(errno.EINTR))], 2, errno.EINTR),
    "an error after a message in its datagram": ([ENTRY + framed(_netlink.ERROR, code(errno.EPERM)) + ENTRY], 1, errno.EPERM),
    "done with an errno": ([ENTRY, framed(_netlink.DONE, code(errno.ENOMEM))], 1, errno.ENOMEM),
    "answers that the socket had no room for": ([ENTRY, NO_ROOM, ENTRY, DONE], 1, errno.ENOBUFS),
    "no more answers": ([ENTRY, SLOW], 1, None),
    "overrun": ([ENTRY, framed(_netlink.OVERRUN), DONE], 1, NetlinkError),
    "end of the connection": ([ENTRY, ENTRY], 2, NetlinkError),
    "a datagram that is cut": ([ENTRY, (ENTRY + ENTRY)[:-1]], 2, NetlinkError),
    "a datagram cut in a header": ([ENTRY, (ENTRY + ENTRY)[:30]], 2, NetlinkError),
    "an error without a number": ([ENTRY, framed(_netlink.ERROR)], 1, NetlinkError),
    "an error with half a number": ([ENTRY, framed(_netlink.ERROR, b"\0\0")], 1, NetlinkError),
    "done with a number that is no error": ([ENTRY, framed(_netlink.DONE, code(-1))], 1, NetlinkError),
}


@pytest.mark.parametrize("datagrams, number, raised", MIDDLES.values(), ids=MIDDLES)
def test_a_dump_that_breaks_off_says_so(datagrams, number, raised):
    found = []
    with pytest.raises(raised if raised is NetlinkError else OSError) as caught:
        for each in _netlink.answers(Played(*datagrams), REQUEST, True):
            found.append(each)
    assert len(found) == number
    assert raised is NetlinkError or caught.value.errno == raised


STRANGERS = {
    "an error of another request": framed(_netlink.ERROR, code(errno.EPERM), sequence=2),
    "the end of another request": framed(_netlink.DONE, code(0), sequence=2),
    "an overrun of another request": framed(_netlink.OVERRUN, sequence=0),
    "an entry of another request": framed(0x100, b"9999", sequence=7),
    "nothing": framed(1),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
@pytest.mark.parametrize("dump", [True, False], ids=["dump", "single"])
def test_what_answers_another_request_is_passed_over(stranger, dump):
    for datagrams in ([stranger, ENTRY, stranger + DONE], [stranger + ENTRY + stranger, DONE]):
        assert _netlink.exchange(Played(*datagrams), REQUEST, dump) == [(0x100, 2, 1, b"1234")]


def test_nothing_is_read_after_the_end():
    left = Played(ENTRY + DONE + ENTRY, ENTRY)
    assert len(_netlink.exchange(left, REQUEST, True)) == 1 and left.left == [ENTRY]
    left = Played(ENTRY + ENTRY, ENTRY)
    assert len(_netlink.exchange(left, REQUEST, False)) == 1 and left.left == [ENTRY]


@pytest.mark.parametrize("dump", [True, False], ids=["dump", "single"])
def test_an_acknowledgement_is_an_empty_answer(dump):
    assert _netlink.exchange(Played(framed(_netlink.ERROR, code(0))), REQUEST, dump) == []

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import errno
import random
import struct

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _netlink
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import NetlinkError

BUFFERS = 20000


class Connection:
    """A kernel that answers each recv() with the next of its datagrams."""

    def __init__(self, *datagrams):
        self.datagrams = list(datagrams)
        self.sent = []

    def send(self, data):
        self.sent.append(data)

    def recv(self, size):
        assert size == 65536
        return self.datagrams.pop(0)


def header(length, kind, flags=0, sequence=1):
    return struct.pack("=IHHII", length, kind, flags, sequence, 0)


def framed(kind, payload=b"", flags=2, sequence=1):
    return header(16 + len(payload), kind, flags, sequence) + payload


def failure(number):
    return framed(_netlink.ERROR, struct.pack("=i", -number) + header(20, 0x101))


REQUEST = _netlink.message(1, 1)
DONE = framed(_netlink.DONE, bytes(4))

MESSAGES = {
    "plain request": ((1, 4), {}, "14000000 0401 0100 01000000 00000000 00 00 0000"),
    "dump of a family": ((1, 1, 0x300), {"family": 10}, "14000000 0101 0103 01000000 00000000 0a 00 0000"),
    "attributes and sequence": ((12, 0), {"attributes": b"\1\2\3\4", "sequence": 9}, "18000000 000c 0100 09000000 00000000 00 00 0000 01020304"),
}


@pytest.mark.parametrize("places, names, bytes_", MESSAGES.values(), ids=MESSAGES)
def test_request(places, names, bytes_):
    assert _netlink.message(*places, **names) == bytes.fromhex(bytes_.replace(" ", ""))


ATTRIBUTES = {
    "none": ("", []),
    "empty payload": ("04000100", [(1, "")]),
    "padded": ("05000100aa000000 0800020001020304", [(1, "aa"), (2, "01020304")]),
    "last one without its padding": ("05000100aa", [(1, "aa")]),
    "flag bits removed": ("04000180 04000240", [(1, ""), (2, "")]),
    "one type twice": ("05000100aa000000 05000100bb000000", [(1, "aa"), (1, "bb")]),
}

BROKEN_ATTRIBUTES = {
    "three bytes": "040001", "length zero": "00000100", "length three": "03000100", "longer than the rest": "09000100aabbccdd",
    "three bytes behind one": "04000100 040001", "only a number": "ffffffff",
}


@pytest.mark.parametrize("data, found", ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_attributes(data, found):
    read = _netlink.attributes(bytes.fromhex(data.replace(" ", "")))
    assert [(kind, payload.hex()) for kind, payload in read] == found


@pytest.mark.parametrize("data", BROKEN_ATTRIBUTES.values(), ids=BROKEN_ATTRIBUTES)
def test_broken_attributes_are_refused(data):
    with pytest.raises(NetlinkError):
        list(_netlink.attributes(bytes.fromhex(data.replace(" ", ""))))


@pytest.mark.parametrize("payload", [b"", b"1", b"12", b"123", b"1234", b"12345"])
def test_attributes_read_as_written(payload):
    written = _netlink.attribute(5, payload) + _netlink.nest(6, _netlink.attribute(7, payload))
    assert len(written) % 4 == 0
    (first, second) = _netlink.attributes(written)
    assert first == (5, payload)
    assert second[0] == 6 and list(_netlink.attributes(second[1])) == [(7, payload)]


def test_messages_of_one_datagram():
    data = framed(0x100, b"abcde") + bytes(3) + DONE
    assert list(_netlink.messages(data)) == [(0x100, 2, 1, b"abcde"), (3, 2, 1, bytes(4))]


BROKEN_MESSAGES = {
    "fifteen bytes": header(16, 3)[:15], "length zero": header(0, 3), "length fifteen": header(15, 3),
    "longer than the datagram": header(17, 3), "cut short": framed(0x100, b"abcdefgh")[:-1], "more behind it": DONE + b"x",
}


@pytest.mark.parametrize("data", BROKEN_MESSAGES.values(), ids=BROKEN_MESSAGES)
def test_broken_messages_are_refused(data):
    with pytest.raises(NetlinkError):
        list(_netlink.messages(data))


DECODE = _netlink.nested({1: ("one", _netlink.be32), 2: ("inner", _netlink.nested({1: ("name", _netlink.text)}))})

NESTED = {
    "named": ("0800010000000007", {"one": 7}),
    "unknown by number": ("0600 0900 beef 0000", {9: "beef"}),
    "nested": ("0c000280 08000100 66747000", {"inner": {"name": "ftp"}}),
    "last one holds": ("0800010000000007 0800010000000008", {"one": 8}),
}


@pytest.mark.parametrize("data, value", NESTED.values(), ids=NESTED)
def test_nested_names_what_it_knows(data, value):
    assert DECODE(bytes.fromhex(data.replace(" ", ""))) == value


@pytest.mark.parametrize("data", ["06000100aabb0000", "0c00010000000000 00000000", "0500020001000000"])
def test_nested_refuses_what_does_not_follow_the_table(data):
    with pytest.raises(NetlinkError):
        DECODE(bytes.fromhex(data.replace(" ", "")))


ENTRY, OTHER = framed(0x100, b"entry"), framed(0x100, b"event", sequence=0)
ENTRY_PADDED = ENTRY + bytes(3)
READ = (0x100, 2, 1, b"entry")

EXCHANGES = {
    "dump in one datagram": (True, [ENTRY_PADDED + DONE], [READ]),
    "dump in several": (True, [ENTRY_PADDED + ENTRY_PADDED, ENTRY_PADDED, DONE], [READ, READ, READ]),
    "empty dump": (True, [DONE], []),
    "done without payload": (True, [framed(_netlink.DONE)], []),
    "one answer with MULTI and no DONE": (False, [ENTRY], [READ]),
    "acknowledgement": (False, [failure(0)], []),
    "messages of others passed over": (True, [OTHER, OTHER + bytes(3) + ENTRY_PADDED + framed(1), DONE], [READ]),
}


@pytest.mark.parametrize("dump, datagrams, found", EXCHANGES.values(), ids=EXCHANGES)
def test_exchange(dump, datagrams, found):
    connection = Connection(*datagrams)
    assert _netlink.exchange(connection, REQUEST, dump) == found
    assert connection.sent == [REQUEST] and connection.datagrams == []


ERRORS = {
    "no such entry": (False, [failure(errno.ENOENT)], errno.ENOENT),
    "unknown subsystem": (True, [failure(errno.EINVAL)], errno.EINVAL),
    "dump that fails in the middle": (True, [ENTRY, framed(_netlink.DONE, struct.pack("=i", -errno.ENOMEM))], errno.ENOMEM),
}


@pytest.mark.parametrize("dump, datagrams, number", ERRORS.values(), ids=ERRORS)
def test_exchange_raises_the_errno(dump, datagrams, number):
    with pytest.raises(OSError) as caught:
        _netlink.exchange(Connection(*datagrams), REQUEST, dump)
    assert caught.value.errno == number


@pytest.mark.parametrize("datagrams", [
    [b""], [framed(_netlink.OVERRUN)], [framed(_netlink.ERROR)], [framed(_netlink.DONE, b"12")], [ENTRY[:-1]],
    [framed(_netlink.ERROR, struct.pack("=i", 5))], [framed(_netlink.ERROR, struct.pack("=i", -2**31))],
])
def test_exchange_refuses_broken_answers(datagrams):
    with pytest.raises(NetlinkError):
        _netlink.exchange(Connection(*datagrams), REQUEST, True)


def test_answers_come_one_by_one():
    answers = _netlink.answers(Connection(ENTRY, ENTRY, DONE), REQUEST, True)
    assert next(answers) == READ
    answers.close()


def test_no_buffer_raises_anything_but_netlink_error():
    chance = random.Random(1)
    seed = ENTRY_PADDED + framed(0x100, _netlink.nest(2, _netlink.attribute(1, b"ftp\0"))) + DONE
    read = 0
    for _attempt in range(BUFFERS):
        data = bytearray(seed[:chance.randrange(len(seed) + 1)])
        for _change in range(chance.randrange(4) if data else 0):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 3, 4, 5, 16, 127, 128, 255, chance.randrange(256)))
        try:
            for _kind, _flags, _sequence, payload in _netlink.messages(bytes(data)):
                DECODE(payload)
            read += 1
        except NetlinkError:
            pass
    assert 0 < read < BUFFERS

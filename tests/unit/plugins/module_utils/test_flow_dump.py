# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever its layout, a dump read in batches says what the reader of single attributes says."""
import collections
import errno
import random
import struct

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _ctnetlink, _flow_dump, _flow_layout, _netlink
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import NetlinkError
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import flow_entries as made
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import test_ctnetlink as recorded
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.flow_entries import DONE, SEQUENCE, entry, framed, payload

NAMES = tuple(sorted({field.name for field in _flow_layout.FIELDS.values()}))
DATAGRAMS = [datagram for name in sorted(recorded.REQUESTS) for datagram in recorded.read_dump(name)[1]]
RECORDED = [each[3] for datagram in DATAGRAMS for each in _netlink.messages(datagram) if each[0] == _flow_dump.ENTRY]

NOTHING = (None, 0, bytes(2))  # what the other reader says of a field that is not there


def dumped(datagrams):
    """A dump of the datagrams, and its batches."""
    dump = _flow_dump.Dump(SEQUENCE)
    return dump, list(dump.batches(datagrams))


def entries(batches):
    """All entries in batches, in some order, as texts; and see that each is what its batch says that it is."""
    found = []
    for batch in batches:
        columns = batch.columns(NAMES)
        assert len(batch) == len(batch.messages) > 0
        assert all(len(column) == len(batch) for column in columns.values())
        for number, message in enumerate(batch.messages):
            data = message[:-_flow_layout.TAIL]
            told = made.plain(data)
            assert (batch.layout.family, batch.layout.protocol) == (data[0], told["protocol"])
            for name in NAMES:
                assert batch.has(name) == (name in columns)
                assert told[name] == columns[name][number] if name in columns else told[name] in NOTHING, name
                if name in ("tcp_state", "sctp_state") and name in columns:
                    assert batch.octets(name)[number] == told[name]
            found.append(repr(_ctnetlink.entry(data)))
    return collections.Counter(found)


def wanted(payloads):
    return collections.Counter(repr(_ctnetlink.entry(data)) for data in payloads)


@pytest.mark.parametrize("data", RECORDED, ids=range(len(RECORDED)))
def test_what_was_recorded(data):
    dump, found = dumped([entry(data) + DONE])
    assert entries(found) == wanted([data]) and (dump.seen, dump.complete) == (1, True)


def test_what_was_recorded_all_at_once_and_again():
    for copies in (1, 3, 70, 200):
        payloads = RECORDED * copies
        dump, found = dumped([b"".join(map(entry, payloads)), DONE])
        assert entries(found) == wanted(payloads) and dump.complete


# Orders of attributes, and how much of what an entry may have.
ORDERS = [(shuffled, rich) for shuffled in (False, True) for rich in (0.0, 0.3, 1.0)]


@pytest.mark.parametrize("shuffled, rich", ORDERS)
def test_whatever_the_layout(shuffled, rich):
    chance = random.Random("%s %s" % (shuffled, rich))
    for _dump in range(8):
        payloads = [payload(chance, shuffled, rich) for _entry in range(chance.choice((1, 5, 60, 300)))]
        payloads *= chance.choice((1, 1, 2, 80 if len(payloads) < 10 else 1))
        chance.shuffle(payloads)
        messages = [entry(data) for data in payloads]
        datagrams = made.datagrams(chance, messages)
        if chance.random() < 0.5:
            datagrams[-1] += DONE
        else:
            datagrams.append(DONE)
        dump, found = dumped(datagrams)
        assert entries(found) == wanted(payloads)
        assert (dump.seen, dump.complete) == (len(payloads), True)


@pytest.mark.parametrize("shuffled, rich", ORDERS)
def test_what_holds_a_needle_is_found(shuffled, rich):
    chance = random.Random("needles %s %s" % (shuffled, rich))
    for _dump in range(30):
        payloads = [payload(chance, shuffled, rich) for _entry in range(chance.choice((1, 20, 100)))]
        needles = tuple(made.plain(data)["source"][:chance.choice((3, 4, 16))] for data in chance.choices(payloads, k=chance.choice((1, 1, 3))))
        dump = _flow_dump.Dump(SEQUENCE, needles)
        found = entries(dump.batches(made.datagrams(chance, [entry(data) for data in payloads]) + [DONE]))
        assert not wanted(data for data in payloads if any(needle in data for needle in needles)) - found
        assert not found - wanted(payloads)
        assert (dump.seen, dump.complete) == (len(payloads), True)


def test_messages_that_differ_in_their_family_alone():
    data = payload(random.Random(11), False, 0)
    payloads = [bytes([family]) + data[1:] for family in (2, 10, 7)] * 100
    for part in (payloads, sorted(payloads)):
        assert entries(dumped([b"".join(map(entry, part)) + DONE])[1]) == wanted(payloads)


STRANGERS = {
    "nothing": framed(_netlink.NOOP),
    "an entry of another dump": entry(payload(random.Random(1)), sequence=1),
    "the end of another dump": framed(_netlink.DONE, bytes(4), sequence=1),
    "an error of another dump": framed(_netlink.ERROR, struct.pack("=i", -1), sequence=1),
    "a deletion": framed(_flow_dump.ENTRY + 2, payload(random.Random(2))),
    "an expectation": framed(0x200, payload(random.Random(3))),
    "a message that is not padded": framed(0x200, b"12345"),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_what_is_no_entry_of_the_dump_is_passed_over_or_refused(stranger):
    """The kernel puts nothing between the entries of a datagram; if it did, that could not be taken for a part of one."""
    chance, refused = random.Random(4), 0
    for number in range(30):
        payloads = [payload(chance, number % 2) for _entry in range(30)] * 3
        messages = [entry(data) for data in payloads]
        messages.insert(chance.randrange(len(messages) + 1), stranger)
        try:
            dump, found = dumped(made.datagrams(chance, messages) + [DONE])
        except NetlinkError:
            refused += 1
            continue
        assert entries(found) == wanted(payloads)
        assert (dump.seen, dump.complete) == (90, True)
    assert 0 < refused < 30


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_what_is_no_entry_is_passed_over_at_either_end_of_a_datagram(stranger):
    payloads = [payload(random.Random(number)) for number in range(40)]
    messages = b"".join(map(entry, payloads))
    for datagrams in ([stranger + messages, DONE], [messages + stranger, DONE], [messages, stranger, DONE], [messages + stranger + DONE], [stranger + DONE]):
        dump, found = dumped(datagrams)
        assert entries(found) == (wanted(payloads) if messages in b"".join(datagrams) else {}) and dump.complete


def test_lengths_that_are_no_multiple_of_four():
    chance = random.Random(5)
    for _dump in range(20):
        payloads = [payload(chance) for _entry in range(40)]
        odd = [data + _netlink.ATTRIBUTE.pack(4 + more, 99) + b"x" * more for data, more in zip(payloads, map(chance.randrange, [9] * 40))]
        dump, found = dumped(made.datagrams(chance, [entry(data) for data in odd]) + [DONE])
        assert entries(found) == wanted(odd) and dump.complete


@pytest.mark.parametrize("kind", [_netlink.ERROR, _netlink.DONE], ids=["error", "done"])
@pytest.mark.parametrize("alone", [True, False])
def test_the_kernels_errno_is_raised(kind, alone):
    last, end = entry(payload(random.Random(6))), framed(kind, struct.pack("=i", -errno.EINTR))
    dump = _flow_dump.Dump(SEQUENCE)
    with pytest.raises(OSError, match="nterrupted") as caught:
        list(dump.batches([last, last, end] if alone else [last, last + end]))
    assert caught.value.errno == errno.EINTR and not dump.complete


def test_a_dump_that_is_cut_short_has_what_came():
    payloads = [payload(random.Random(number)) for number in range(20)]
    dump, found = dumped([entry(data) for data in payloads])
    assert entries(found) == wanted(payloads)
    assert (dump.seen, dump.complete) == (20, False)
    assert dumped([])[1] == [] and not dumped([])[0].complete
    assert dumped([DONE])[1] == [] and dumped([DONE])[0].complete


def test_nothing_is_read_after_the_end():
    left = iter([entry(payload(random.Random(7))) + DONE, b"broken"])
    dump, found = dumped(left)
    assert dump.complete and len(found) == 1 and list(left) == [b"broken"]


def test_batches_come_while_the_dump_goes_on():
    data, taken = payload(random.Random(8)), []

    def datagrams():
        for number in range(100):
            taken.append(number)
            yield entry(data) * 100
        yield DONE

    first = next(_flow_dump.Dump(SEQUENCE).batches(datagrams()))
    assert _flow_dump.GATHER <= len(first) < _flow_dump.GATHER + 100 and len(taken) < 20


def test_layouts_without_end_do_not_fill_the_memory():
    chance = random.Random(9)
    numbers = [(chance.randrange(100, 16000), chance.randrange(100, 16000)) for _entry in range(2000)]
    payloads = [payload(random.Random(10), False, 0) + b"".join(_netlink.attribute(kind, bytes(4)) for kind in pair) for pair in numbers]
    dump = _flow_dump.Dump(SEQUENCE)
    found = list(dump.batches([b"".join(map(entry, payloads[start:start + 20])) for start in range(0, 2000, 20)] + [DONE]))
    assert entries(found) == wanted(payloads)
    assert max(len(kin._layouts) for kin in dump._kin.values()) <= _flow_dump.MOST_LAYOUTS


PARTING = entry(b"")[4:16]  # what parts messages; only who knows the random number of the dump can have a payload hold it


@pytest.mark.parametrize("place", range(0, 24, 2))
def test_a_payload_that_holds_the_parting_bytes(place):
    chance = random.Random(place)
    for _attempt in range(20):
        payloads = [payload(chance) for _entry in range(20)]
        payloads.insert(chance.randrange(20), payload(chance) + _netlink.attribute(99, bytes(place) + PARTING + bytes(chance.randrange(24))))
        try:
            dump, found = dumped([b"".join(map(entry, payloads)), DONE])
        except NetlinkError:
            continue
        assert entries(found) == wanted(payloads) and dump.seen == 21


LACKING = {
    "nothing": b"\2\0\0\0",
    "no nfgenmsg": b"",
    "half an nfgenmsg": b"\2\0",
    "no reply": b"\2\0\0\0" + _netlink.attribute(1, made.tuple_payload(RECORDED[0], 1)) + _netlink.attribute(3, bytes(4)),
    "no original": b"\2\0\0\0" + _netlink.attribute(2, made.tuple_payload(RECORDED[0], 2)) + _netlink.attribute(3, bytes(4)),
    "no status": b"\2\0\0\0" + b"".join(_netlink.attribute(kind, made.tuple_payload(RECORDED[0], kind)) for kind in (1, 2)),
    "two marks": RECORDED[0] + 2 * _netlink.attribute(8, bytes(4)),
    "a short timeout": RECORDED[0] + _netlink.attribute(7, bytes(2)),
    "a long zone": RECORDED[0] + _netlink.attribute(18, bytes(4)),
}


@pytest.mark.parametrize("data", LACKING.values(), ids=LACKING)
def test_what_cannot_be_an_entry_is_refused(data):
    with pytest.raises(NetlinkError):
        dumped([entry(data), DONE])


def test_a_request_asks_for_everything():
    assert list(_netlink.messages(_flow_dump.request(SEQUENCE))) == [(0x101, 0x301, SEQUENCE, bytes(4))]

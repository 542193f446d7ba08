# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""A dump of the table as batches of entries that are built alike, for all of it would not have room in memory.

Pure: datagrams in, batches out.
"""
import collections
import struct
from itertools import compress
from operator import itemgetter

from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import GET, SUBSYSTEM
from ansible_collections.netfleet.conntrack.plugins.module_utils._flow_layout import TAIL, Batch, Layout
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import DUMP, HEADER, NOOP, ends, message, messages

ENTRY = SUBSYSTEM << 8  # the type of a message that holds an entry (IPCTNL_MSG_CT_NEW)
LENGTH = struct.Struct("=I")
GATHER = 1500  # entries that are looked at together: enough that a batch is long, and few enough to stay in the processor's cache
MOST_PLACES = 4  # octets that messages are parted by; what they do not tell apart is looked at one by one
MOST_LAYOUTS = 64  # of one length, which has one or two; beyond, what has been learnt is forgotten, so that it never fills the memory


def request(sequence):
    """The request for all entries of this network namespace, of both families. Nothing is left to the kernel to filter:
    while it looks for what fits, it keeps the processor from everything else, and a filter that fits little takes it long.
    """
    return message(SUBSYSTEM, GET, DUMP, sequence=sequence)


class Dump:
    """Reads a dump. ``seen`` is how many entries it has read, ``complete`` whether it came to the end."""

    def __init__(self, sequence, needles=()):
        """``needles``: pass over messages that hold none of these bytes."""
        self.seen = 0
        self.complete = False
        self.sequence = sequence
        self._needles = needles
        self._gathered = collections.defaultdict(list)
        self._kin = collections.defaultdict(Kin)

    def batches(self, datagrams):
        """Yield each batch of the entries in these datagrams, up to the end of the dump, or of the datagrams where it is cut short.

        Raises OSError with the errno that the kernel ends the dump with, and NetlinkError.
        """
        waiting = 0
        for datagram in datagrams:
            waiting += self._gather(datagram)
            if self.complete:
                break
            if waiting >= GATHER:
                waiting = 0
                yield from self._flush()
        yield from self._flush()

    def _gather(self, datagram):
        """Put the entries of a datagram to those of the same length; return how many."""
        mark = self._mark(datagram)
        if mark:
            self.seen += datagram.count(mark)
            pieces = _holding(datagram, mark, self._needles) if self._needles else (datagram + bytes(TAIL)).split(mark)[1:]
        else:
            pieces = [payload + bytes(TAIL) for payload in self._payloads(datagram)]
            self.seen += len(pieces)
        gathered = self._gathered
        for piece in pieces:
            gathered[len(piece)].append(piece)
        return len(pieces)

    def _mark(self, datagram):
        """What parts the messages of a datagram that holds nothing but entries; nothing for any other.

        All that is between a message's length and its payload is the same in all of a dump, and has its random number. Another
        message between two entries would stay with the first of them, and its Layout refuses that.
        """
        if len(datagram) < HEADER.size or HEADER.unpack_from(datagram)[1:4:2] != (ENTRY, self.sequence):
            return b""
        mark = datagram[LENGTH.size:HEADER.size]
        last = datagram.rfind(mark) - LENGTH.size
        return mark if LENGTH.unpack_from(datagram, last)[0] == len(datagram) - last else b""

    def _payloads(self, datagram):
        """Yield the entries of a datagram that may hold other messages, too."""
        for kind, dummy, sequence, payload in messages(datagram):
            if sequence == self.sequence and kind != NOOP:
                if ends(kind, payload):
                    self.complete = True
                    return
                if kind == ENTRY:
                    yield payload

    def _flush(self):
        for size in list(self._gathered):
            yield from self._kin[size].batches(self._gathered.pop(size))


def _holding(datagram, mark, needles):
    """The payloads of the messages that hold one of some bytes, each with the length of the next behind it, and perhaps a few others."""
    found, whole = {}, datagram + bytes(TAIL)
    for needle in needles:
        at = whole.find(needle, HEADER.size)
        while at >= 0:
            start = whole.rfind(mark, 0, at) + len(mark)
            end = whole.find(mark, start)
            found[start] = whole[start:end if end >= 0 else None]
            at = whole.find(needle, max(end, at + 1)) if end >= 0 else -1
    return found.values()


class Kin:
    """The layouts of messages of one length, and the places of octets by which they are told apart."""

    def __init__(self):
        self._layouts = []
        self._places = []

    def batches(self, waiting):
        """Part messages by how they are built; a layout that is not known yet is learnt."""
        parts = [waiting]
        for place in self._places:
            parts = [part for each in parts for part in _parted(each, place)]
        for part in parts:
            joined = b"".join(part)
            layout = next((each for each in self._layouts if each.fits_all(joined)), None)
            if layout:
                yield Batch(layout, part, joined)
            else:
                yield from self._one_by_one(part)

    def _one_by_one(self, waiting):
        number = 0
        while waiting:
            if number == len(self._layouts):
                number = self._learn(waiting[0])
            fits = list(map(self._layouts[number].fits, waiting))
            if any(fits):
                yield Batch(self._layouts[number], list(compress(waiting, fits)))
                waiting = [each for each, fit in zip(waiting, fits) if not fit]
            number += 1

    def _learn(self, message):
        """Learn a message's layout, and how to tell it from others; return its number."""
        learnt = Layout(message)
        if len(self._layouts) >= MOST_LAYOUTS:
            self._layouts, self._places = [], []
        places = (learnt.difference(other) for other in self._layouts)
        self._places = sorted(set(self._places).union(place for place in places if place is not None))[:MOST_PLACES]
        self._layouts.append(learnt)
        return len(self._layouts) - 1


def _parted(waiting, place):
    """Part messages by the octet at a place."""
    octets = bytes(map(itemgetter(place), waiting))
    values = set(octets)
    if len(values) == 1:
        return [waiting]
    return [list(compress(waiting, map(value.__eq__, octets))) for value in values]

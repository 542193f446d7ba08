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

from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import GET, SUBSYSTEM
from ansible_collections.netfleet.conntrack.plugins.module_utils._flow_layout import TAIL, Batch, Layout
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import DUMP, HEADER, NOOP, ends, message, messages

ENTRY = SUBSYSTEM << 8  # the type of a message that holds an entry (IPCTNL_MSG_CT_NEW)
LENGTH = struct.Struct("=I")
GATHER = 1500  # entries that are looked at together: enough that a batch is long, and few enough to stay in the processor's cache
MOST_LAYOUTS = 64  # of one length, which has one or two; beyond, what has been learnt is forgotten, so that it never fills the memory


def request(sequence):
    """The request for all entries of this network namespace, of both families. Nothing is left to the kernel to filter:
    while it looks for what fits, it keeps the processor from everything else, and a filter that fits little takes it long.
    """
    return message(SUBSYSTEM, GET, DUMP, sequence=sequence)


class Dump:
    """Reads a dump. ``seen`` is how many entries it has read, ``complete`` whether it came to the end."""

    def __init__(self, sequence):
        self.seen = 0
        self.complete = False
        self.sequence = sequence
        self._gathered = collections.defaultdict(list)
        self._sizes = set()  # of messages that have been read one by one
        self._layouts = collections.defaultdict(list)

    def batches(self, datagrams):
        """Yield each batch of the entries in these datagrams, up to the end of the dump, or of the datagrams where it is cut short.

        Raises OSError with the errno that the kernel ends the dump with, and NetlinkError.
        """
        flushed = 0
        for datagram in datagrams:
            self._gather(datagram)
            if self.complete:
                break
            if self.seen - flushed >= GATHER:
                flushed = self.seen
                yield from self._flush()
        yield from self._flush()

    def _gather(self, datagram):
        """Put the entries of a datagram to those of the same length."""
        pieces = self._pieces(datagram)
        if not pieces:
            pieces = [payload + bytes(TAIL) for payload in self._payloads(datagram)]
        self.seen += len(pieces)
        gathered = self._gathered
        for piece in pieces:
            gathered[len(piece)].append(piece)

    def _pieces(self, datagram):
        """The messages of a datagram that holds nothing but entries, each with the length of the next behind it; none of any other.

        All that is between a message's length and its payload is the same in all of a dump, and has its random number: it parts them.
        Another message between two entries would stay with the first of them, and its Layout refuses that.
        """
        if len(datagram) < HEADER.size or HEADER.unpack_from(datagram)[1:4:2] != (ENTRY, self.sequence):
            return ()
        pieces = (datagram + bytes(TAIL)).split(datagram[LENGTH.size:HEADER.size])
        last = pieces[-2][-LENGTH.size:]
        if len(last) < LENGTH.size or LENGTH.unpack(last)[0] != HEADER.size + len(pieces[-1]) - TAIL:
            return ()
        return pieces[1:]

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
            yield from self._alike(self._layouts[size], self._gathered.pop(size))

    @staticmethod
    def _alike(layouts, waiting):
        """Part messages of one length by how they are built; a layout that is not known yet is learnt."""
        if len(layouts) > MOST_LAYOUTS:
            layouts.clear()
        number = 0
        while waiting:
            if number == len(layouts):
                layouts.append(Layout(waiting[0]))
            layout = layouts[number]
            number += 1
            joined = b"".join(waiting)
            if layout.fits_all(joined):
                yield Batch(layout, waiting, joined)
                return
            fits = list(map(layout.fits, waiting))
            if any(fits):
                yield Batch(layout, list(compress(waiting, fits)))
            waiting = [each for each, fit in zip(waiting, fits) if not fit]

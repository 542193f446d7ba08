# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Where the fields of an entry are in its message, learnt once for all messages that are built alike.

The kernel builds the messages of most entries alike: the same attributes in the same order, with the same lengths. The first
of its kind is read attribute by attribute; of those that follow it is only proved that they are built like it, many at once,
and their fields are then where they were in the first. So no order of attributes is taken for granted, and what no table
here knows is passed over. Source: net/netfilter/nf_conntrack_netlink.c, ctnetlink_fill_info. Pure.
"""
import struct
from typing import NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import ATTRIBUTE, NFGENMSG, NetlinkError, attributes

# Attributes that hold attributes, by their numbers from the outside in: the tuples, protoinfo and the timestamp.
NESTS = frozenset([(1,), (1, 1), (1, 2), (2,), (2, 1), (2, 2), (4,), (4, 1), (4, 3), (20,)])


class Field(NamedTuple):
    """What one attribute holds. ``kind`` is struct's letter for a number, or s for bytes."""

    name: str
    width: int
    kind: str


ADDRESS4, ADDRESS6 = 4, 16
FIELDS = {
    (1,): Field("orig", 0, "s"),  # the whole tuple, as requests take it
    (2,): Field("reply", 0, "s"),
    (1, 1, 1): Field("source", ADDRESS4, "s"),
    (1, 1, 2): Field("destination", ADDRESS4, "s"),
    (1, 1, 3): Field("source", ADDRESS6, "s"),
    (1, 1, 4): Field("destination", ADDRESS6, "s"),
    (1, 2, 1): Field("protocol", 1, "B"),
    (1, 2, 2): Field("source_port", 2, "H"),
    (1, 2, 3): Field("destination_port", 2, "H"),
    (2, 1, 1): Field("reply_source", ADDRESS4, "s"),
    (2, 1, 2): Field("reply_destination", ADDRESS4, "s"),
    (2, 1, 3): Field("reply_source", ADDRESS6, "s"),
    (2, 1, 4): Field("reply_destination", ADDRESS6, "s"),
    (2, 3): Field("reply_zone", 2, "H"),  # where a zone is of the replies alone
    (2, 2, 2): Field("reply_source_port", 2, "s"),  # as they are spoken, for they are parts of keys
    (2, 2, 3): Field("reply_destination_port", 2, "s"),
    (3,): Field("status", 4, "I"),
    (4, 1, 1): Field("tcp_state", 1, "B"),
    (4, 3, 1): Field("sctp_state", 1, "B"),
    (7,): Field("timeout", 4, "I"),
    (8,): Field("mark", 4, "I"),
    (12,): Field("id", 4, "I"),
    (18,): Field("zone", 2, "H"),
    (20, 1): Field("start", 8, "Q"),
}
FIXED = (1, 2, 1)  # the protocol's number: the same for all messages of a layout
NEEDED = ("source", "destination", "protocol", "reply_source", "reply_destination", "status")
TUPLES = frozenset(["orig", "reply"])  # fields that hold others
TAIL = 4  # bytes behind each message, of no meaning here: _flow_dump leaves the length of the next one there


class Place(NamedTuple):
    """Where the payload of an attribute is in a message."""

    start: int
    width: int


class Layout:
    """How one kind of message is built.

    ``family`` and ``protocol`` are those of all its messages; ``places`` has where each field is that they have.
    """

    def __init__(self, message):
        self.size = len(message)
        self.family = message[0] if message else 0
        self.places = {}
        fixed = bytearray(self.size)
        fixed[:1] = b"\xff"
        self._walk(message, NFGENMSG.size, self.size - TAIL, (), fixed)
        missing = [name for name in NEEDED if name not in self.places]
        if missing:
            raise NetlinkError("an entry without %s" % " and ".join(missing))
        self.protocol = message[self.places["protocol"].start]
        form = bytes(a & b for a, b in zip(message, fixed))
        self._number = _number(fixed), _number(form)
        self._octets = {place: form[place:place + 1] for place, is_fixed in enumerate(fixed) if is_fixed}
        self._readers = {}

    def _walk(self, message, start, end, path, fixed):
        """Note the places of the attributes between two places, and which bytes have to be the same in all messages."""
        for kind, payload in attributes(message[start:end]):
            here = path + (kind,)
            if here == (0,):  # no attribute has this type; it is the length of a message that is no entry
                raise NetlinkError("something else than an entry among the entries")
            place = Place(start + ATTRIBUTE.size, len(payload))
            fixed[start:place.start] = b"\xff" * ATTRIBUTE.size
            self._note(here, place)
            if here in NESTS:
                self._walk(message, place.start, place.start + place.width, here, fixed)
            elif here == FIXED:
                fixed[place.start] = 0xff
            start = place.start + (place.width + 3 & ~3)

    def _note(self, path, place):
        field = FIELDS.get(path)
        if field is None:
            return
        if field.width not in (0, place.width):
            raise NetlinkError("%s of %d bytes" % (field.name, place.width))
        if field.name in self.places:
            raise NetlinkError("an entry with %s twice" % field.name)
        self.places[field.name] = place

    def fits(self, message):
        """Whether a message is built like this; by one large number, the fastest way for one message."""
        fixed, form = self._number
        return _number(message) & fixed == form

    def fits_all(self, joined):
        """Whether all messages that stand in a row are built like this; byte for byte of all at once, the fastest way for many."""
        count = len(joined) // self.size
        return all(joined[place::self.size] == octet * count for place, octet in self._octets.items())

    def difference(self, other):
        """The first place of an octet by which messages of this layout and of another one of the same length are told apart, or None."""
        return next((place for place, octet in self._octets.items() if other._octets.get(place, octet) != octet), None)

    def reader(self, names):
        """A struct that reads these fields, which all are in the layout, in the order of their places; and their names in this order."""
        if names not in self._readers:
            self._readers[names] = self._reader(names)
        return self._readers[names]

    def _reader(self, names):
        kinds = {field.name: field.kind for field in FIELDS.values()}
        ordered = sorted(names, key=lambda name: self.places[name])
        shape, at = ">", 0
        for name in ordered:
            start, width = self.places[name]
            shape += "%dx%s" % (start - at, "%ds" % width if kinds[name] == "s" else kinds[name])
            at = start + width
        return struct.Struct(shape + "%dx" % (self.size - at)), ordered


def _number(octets):
    return int.from_bytes(octets, "little")


class Batch:
    """Messages of one layout: payloads of netlink messages, each with TAIL bytes behind it."""

    def __init__(self, layout, messages, joined=None):
        self.layout = layout
        self.messages = messages
        self._joined = joined

    def __len__(self):
        return len(self.messages)

    @property
    def joined(self):
        if self._joined is None:
            self._joined = b"".join(self.messages)
        return self._joined

    def has(self, name):
        """Whether the messages have this field."""
        return name in self.layout.places

    def octets(self, name):
        """The values of a field that is one byte wide."""
        return self.joined[self.layout.places[name].start::self.layout.size]

    def columns(self, names):
        """The values of fields by their names, each a tuple with one for each message; a field that they lack is not there."""
        found = {}
        there = [name for name in names if self.has(name)]
        for part in (tuple(name for name in there if name not in TUPLES), tuple(name for name in there if name in TUPLES)):
            if part:
                shape, ordered = self.layout.reader(part)
                found.update(zip(ordered, zip(*shape.iter_unpack(self.joined))))
        return found

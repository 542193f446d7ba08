# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Netlink messages of netfilter: bytes to messages and attributes, and back.

A message is a header of 16 bytes (length, type, flags, sequence, port; host
order), for netfilter followed by 4 bytes of nfgenmsg (family, version, res_id;
res_id big-endian), then attributes. An attribute is 4 bytes (length, type; host
order) and a payload, padded to a multiple of 4; it may hold attributes again.
Sources: include/uapi/linux/netlink.h, include/uapi/linux/netfilter/nfnetlink.h.

Whatever the bytes, reading them ends, and raises nothing but NetlinkError.
Pure: the socket is handed in.
"""

import os
import struct

HEADER = struct.Struct("=IHHII")
NFGENMSG = struct.Struct(">BBH")
ATTRIBUTE = struct.Struct("=HH")
ERRNO = struct.Struct("=i")

NOOP, ERROR, DONE, OVERRUN = 1, 2, 3, 4         # message types below those of the subsystems
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300            # flags of a request
NESTED = 0x8000                                 # flag in the type of an attribute
TYPE_MASK = 0x3FFF                              # the type less the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER

MAX_ERRNO = 4095                                # include/linux/err.h

# The kernel fills at most 32 KiB at a time (net/netlink/af_netlink.c, netlink_dump); a smaller buffer would cut messages short.
BUFFER = 65536


class NetlinkError(Exception):
    """Bytes that are no netlink message, or one that does not follow its table."""


def _padded(length):
    return (length + 3) & ~3


def attribute(kind, payload):
    """Return the bytes of one attribute, padded."""
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(payload), kind) + payload + b"\0" * (_padded(len(payload)) - len(payload))


def nest(kind, *inner):
    """Return the bytes of an attribute that holds the attributes ``inner`` (each already bytes)."""
    return attribute(kind | NESTED, b"".join(inner))


def message(subsystem, msg, flags=0, family=0, attributes=b"", sequence=1):
    """Return the bytes of a request to a netfilter subsystem; REQUEST is added to the flags.

    ``family`` is the nfgenmsg's: 0 for any, 2 for IPv4, 10 for IPv6.
    """
    length = HEADER.size + NFGENMSG.size + len(attributes)
    header = HEADER.pack(length, subsystem << 8 | msg, flags | REQUEST, sequence, 0)
    return header + NFGENMSG.pack(family, 0, 0) + attributes


def messages(data):
    """Yield (type, flags, sequence, payload) of each message in a datagram.

    The payload is all that follows the header of 16 bytes, an nfgenmsg included.
    """
    offset = 0
    while offset < len(data):
        if len(data) - offset < HEADER.size:
            raise NetlinkError("%d bytes where a message should begin" % (len(data) - offset))
        length, kind, flags, sequence, _port = HEADER.unpack_from(data, offset)
        if not HEADER.size <= length <= len(data) - offset:
            raise NetlinkError("a message of %d bytes in %d" % (length, len(data) - offset))
        yield kind, flags, sequence, data[offset + HEADER.size:offset + length]
        offset += _padded(length)


def attributes(data):
    """Yield (type, payload) of each attribute, the type without its flag bits."""
    offset = 0
    while offset < len(data):
        if len(data) - offset < ATTRIBUTE.size:
            raise NetlinkError("%d bytes where an attribute should begin" % (len(data) - offset))
        length, kind = ATTRIBUTE.unpack_from(data, offset)
        if not ATTRIBUTE.size <= length <= len(data) - offset:
            raise NetlinkError("an attribute of %d bytes in %d" % (length, len(data) - offset))
        yield kind & TYPE_MASK, data[offset + ATTRIBUTE.size:offset + length]
        offset += _padded(length)


def body(payload):
    """Return (family, res_id, attributes as bytes) of a netfilter message's payload."""
    if len(payload) < NFGENMSG.size:
        raise NetlinkError("%d bytes where the nfgenmsg should be" % len(payload))
    family, _version, res_id = NFGENMSG.unpack_from(payload)
    return family, res_id, payload[NFGENMSG.size:]


def nested(table):
    """Return a decoder for attributes within an attribute: payload -> {name: value}.

    ``table`` maps a type to (name, decoder). A type it lacks comes through under
    its number, as hexadecimal text: a newer kernel's news are neither lost nor mistaken.
    """
    def decode(payload):
        known = ((table.get(kind, (kind, bytes.hex)), value) for kind, value in attributes(payload))
        return {name: read(value) for (name, read), value in known}
    return decode


def number(layout):
    """Return a decoder for one number, laid out as ``struct`` names it."""
    shape = struct.Struct(layout)

    def read(payload):
        if len(payload) != shape.size:
            raise NetlinkError("a number of %d bytes, not %d" % (len(payload), shape.size))
        return shape.unpack(payload)[0]
    return read


u8, be16, be32, be64 = (number(layout) for layout in (">B", ">H", ">I", ">Q"))


def text(payload):
    """Decode a string that a zero byte ends."""
    return payload.split(b"\0")[0].decode("utf-8", "replace")


def error_number(payload):
    """Return the errno that an ERROR or DONE message carries; 0 for none."""
    if len(payload) < ERRNO.size:
        raise NetlinkError("an error message of %d bytes" % len(payload))
    code = -ERRNO.unpack_from(payload)[0]
    if not 0 <= code <= MAX_ERRNO:
        raise NetlinkError("an error message with the number %d" % code)
    return code


def ends(kind, payload):
    """Whether this message ends the answer; raises OSError if it says why it failed."""
    if kind == OVERRUN:
        raise NetlinkError("the kernel lost data of the answer")
    if kind not in (ERROR, DONE):
        return False
    code = error_number(payload) if kind == ERROR or payload else 0
    if code:
        raise OSError(code, os.strerror(code))
    return True


def _received(connection, sequence):
    """Yield the messages that answer the request of this sequence, without end."""
    while True:
        data = connection.recv(BUFFER)
        if not data:
            raise NetlinkError("the connection closed before the answer was complete")
        yield from (each for each in messages(data) if each[2] == sequence and each[0] != NOOP)


def answers(connection, request, dump):
    """Send a request and yield (type, flags, sequence, payload) of each message of its answer.

    ``connection`` has send() and recv(). A dump ends with DONE. Anything else ends with its
    first message, for the single answer of ctnetlink bears the MULTI flag and no DONE
    follows (net/netfilter/nf_conntrack_netlink.c, ctnetlink_get_conntrack); a bare
    acknowledgement yields nothing. Raises OSError with the kernel's errno, and whatever
    the connection raises, time-outs included.
    """
    _length, _kind, _flags, sequence, _port = HEADER.unpack_from(request)
    connection.send(request)
    for each in _received(connection, sequence):
        if ends(each[0], each[3]):
            return
        yield each
        if not dump:
            return


def exchange(connection, request, dump):
    """Return the whole of ``answers`` as a list."""
    return list(answers(connection, request, dump))

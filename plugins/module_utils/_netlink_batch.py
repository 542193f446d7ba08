# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Many netlink requests over one socket, several a datagram. Pure: the socket is handed in.

The kernel works on the messages of a datagram one by one while it is sent. A request that does not ask to be acknowledged is
answered only by what it asked for, or by an error (net/netlink/af_netlink.c, netlink_rcv_skb). So a datagram ends with a mark:
an empty message that is acknowledged, and whatever is unanswered before that has been done.
"""
import os
import struct

from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import (
    ACK,
    BUFFER,
    ERROR,
    HEADER,
    NOOP,
    REQUEST,
    NetlinkError,
    error_number,
    messages,
)

# Room for one answer in the receive buffer: an entry of 1.7 KiB; most have a sixth of that. What has no room is lost. Measured on
# Linux 6.18: an error takes 832 bytes, an entry 832 to 1280.
ANSWER = 2304
MOST = 92  # a datagram: as many as have room in the receive buffer that Linux gives, 208 KiB, and one mark
NUMBERS = [struct.pack("=I", number) for number in range(MOST)]
MARK_NUMBER = MOST
MARK = HEADER.pack(HEADER.size, NOOP, REQUEST | ACK, MARK_NUMBER, 0)


def answered(connection, parts, room):
    """Send each list of requests; yield a list of what became of them, in their order.

    That is 0 for done, another errno for refused, or the bytes of the answer's payload. A list is sent when it is taken from
    ``parts``, and the next one is taken after what became of it has been yielded. ``room`` is the size of the connection's
    receive buffer in bytes. Requests need no sequence numbers. Raises OSError with the errno where nothing at all may be
    asked, whatever the connection raises, and NetlinkError.
    """
    _send(connection, [])  # without the rights, only the first message of a datagram is answered (nfnetlink.c, nfnetlink_rcv)
    most = max(1, min(MOST, room // ANSWER - 1))
    for part in parts:
        yield [answer for start in range(0, len(part), most) for answer in _send(connection, part[start:start + most])]


def outcomes(answers):
    """The errno of each request, 0 where it was done, as one list of what ``answered`` yields."""
    return [0 if isinstance(each, bytes) else each for part in answers for each in part]


def _send(connection, requests):
    numbered = [request[:8] + number + request[12:] for number, request in zip(NUMBERS, requests)]
    connection.send(b"".join(numbered) + MARK)
    found = [0] * len(requests)
    for kind, number, payload in _until_mark(connection):
        if number >= len(found):
            raise NetlinkError("an answer to the request %d of %d" % (number, len(found)))
        found[number] = error_number(payload) if kind == ERROR else payload
    return found


def _until_mark(connection):
    """Yield (type, sequence, payload) of each answer before that to the mark."""
    while True:
        data = connection.recv(BUFFER)
        if not data:
            raise NetlinkError("the connection closed before the answer was complete")
        for kind, _flags, number, payload in messages(data):
            if number == MARK_NUMBER:
                return _refused(error_number(payload))
            yield kind, number, payload


def _refused(code):
    if code:
        raise OSError(code, os.strerror(code))

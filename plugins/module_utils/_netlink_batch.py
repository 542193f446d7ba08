# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Many netlink requests over one socket, several a datagram. Pure: the socket is handed in."""

from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import BUFFER, ERROR, error_number, messages

# As many as have room in the receive buffer when each is refused, which takes 1.3 KiB of its 208 KiB: what has no room is lost.
MOST = 64


def outcomes(connection, requests):
    """Send requests that ask to be acknowledged; return the errno of each in their order, 0 where it was done.

    The kernel works on the messages of a datagram one by one and answers in that order (net/netlink/af_netlink.c,
    netlink_rcv_skb). Raises what the connection raises, and NetlinkError.
    """
    found = []
    for start in range(0, len(requests), MOST):
        part = requests[start:start + MOST]
        connection.send(b"".join(part))
        while len(found) < start + len(part):
            answers = messages(connection.recv(BUFFER))
            found.extend(error_number(payload) for kind, _flags, _sequence, payload in answers if kind == ERROR)
    return found

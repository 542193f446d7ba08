# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import errno
import struct

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import ACK, ERROR, HEADER, NetlinkError, message, messages
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink_batch import MOST, outcomes


class Kernel:
    """Answers each request with the errno that is its sequence number less one; so many answers fit a datagram."""

    def __init__(self, together):
        self.together = together
        self.answers = []
        self.datagrams = []

    def send(self, data):
        assert not self.answers, "what has no room is lost"
        self.datagrams.append(data)
        for dummy, flags, sequence, payload in messages(data):
            assert flags & ACK
            answer = struct.pack("=i", 1 - sequence) + payload[:16]
            self.answers.append(HEADER.pack(HEADER.size + len(answer), ERROR, 0, sequence, 0) + answer)

    def recv(self, dummy_size):
        part, self.answers = self.answers[: self.together], self.answers[self.together:]
        return b"".join(part)


def requests(number):
    return [message(1, 0, ACK, sequence=1 + place) for place in range(number)]


@pytest.mark.parametrize("together", [1, 3, 1000])
@pytest.mark.parametrize("number", [0, 1, MOST - 1, MOST, MOST + 1, 3 * MOST])
def test_outcomes_are_in_order(number, together):
    kernel = Kernel(together)
    assert outcomes(kernel, requests(number)) == list(range(number))
    assert b"".join(kernel.datagrams) == b"".join(requests(number))
    assert len(kernel.datagrams) == -(-number // MOST)


def test_what_the_socket_says_is_not_hidden():
    class Full(Kernel):
        def recv(self, dummy_size):
            raise OSError(errno.ENOBUFS, "No buffer space available")

    with pytest.raises(OSError, match="No buffer space"):
        outcomes(Full(1), requests(1))


def test_bytes_that_are_no_answer_are_refused():
    class Odd(Kernel):
        def recv(self, dummy_size):
            return b"odd"

    with pytest.raises(NetlinkError):
        outcomes(Odd(1), requests(1))

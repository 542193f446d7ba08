# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The TCP connections that end on this host, from the kernel's own list of sockets.

A line of /proc/net/tcp or tcp6 has, after its number, the local and the remote end and the state, in
hexadecimal: 0100007F:0016; the tenth field is the inode. The address is printed as numbers of 32 bits in the order of the
machine, the port as it is spoken (net/ipv4/tcp_ipv4.c, get_tcp4_sock; net/ipv6/tcp_ipv6.c, get_tcp6_sock). Pure: text in,
sockets and connections out.
"""
import functools
import ipaddress
import sys
from typing import NamedTuple, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import FlowTuple

FILES = ("/proc/net/tcp", "/proc/net/tcp6")
TCP = 6
ESTABLISHED, LISTEN = "01", "0A"
# State of the socket (include/net/tcp_states.h): the state in which conntrack is when it has seen the same packets
# (nf_conntrack_proto_tcp.c, tcp_conntracks). SYN_SENT is the exception: its answer may pass before there is an entry, and with
# an entry in SYN_SENT what follows would be invalid; in SYN_RECV both go on, with the answer and without. TIME_WAIT (06) has
# nothing to lose.
STATES = {
    ESTABLISHED: "ESTABLISHED",
    "02": "SYN_RECV",  # SYN_SENT
    "03": "SYN_RECV",
    "04": "FIN_WAIT",  # FIN_WAIT1: our FIN
    "05": "CLOSE_WAIT",  # FIN_WAIT2: our FIN, and the answer to it
    "08": "CLOSE_WAIT",  # CLOSE_WAIT: the peer's FIN, and our answer
    "09": "LAST_ACK",  # LAST_ACK: the peer's FIN, then ours
    "0B": "LAST_ACK",  # CLOSING: both, at the same time
}
ANY = ("0.0.0.0", "::")  # where those listen who listen everywhere
INODE = 9


class Socket(NamedTuple):
    """A line of the list. An end is (address, port)."""

    local: Tuple[str, int]
    remote: Tuple[str, int]
    state: str  # as the kernel prints it
    inode: str  # a text of digits; "0" where no process has the socket, or not yet

    @property
    def flow(self):
        """What this end sends."""
        return FlowTuple(TCP, self.local[0], self.remote[0], self.local[1], self.remote[1])


class Connection(NamedTuple):
    """A connection of which at least one end is on this host."""

    flow: FlowTuple  # in the direction of its first packet
    state: str  # that conntrack would give it


def connections(tcp, tcp6, order=sys.byteorder):
    """The connections in the texts of the two files; None stands for a file that is not there.

    One that has both its ends here comes once.
    """
    rows = sockets(tcp, tcp6, order)
    listening = listeners(rows)
    found = {}
    for row in rows:
        if row.state in STATES:
            flow = (row._replace(local=row.remote, remote=row.local) if accepted(row, listening) else row).flow
            found.setdefault(frozenset((row.local, row.remote)), Connection(flow, STATES[row.state]))
    return list(found.values())


def sockets(tcp, tcp6, order=sys.byteorder):
    """The sockets in the texts of the two files, as a list; None stands for a file that is not there."""
    # The first line has the titles.
    return [_socket(line.split(None, INODE + 1), order) for text in (tcp, tcp6) for line in (text or "").splitlines()[1:]]


def listeners(rows):
    """The ends at which somebody listens."""
    return {row.local for row in rows if row.state == LISTEN}


def accepted(row, listening):
    """Whether a socket's connection began at the other end, for somebody listens at this one."""
    return row.local in listening or any((address, row.local[1]) in listening for address in ANY)


def _socket(fields, order):
    return Socket(_end(fields[1], order), _end(fields[2], order), fields[3], fields[INODE] if len(fields) > INODE else "0")


def _end(text, order):
    address, dummy, port = text.partition(":")
    return _address(address, order), int(port, 16)


@functools.lru_cache(maxsize=None)
def _address(digits, order):
    """An address as text. An IPv4 connection of an IPv6 socket (::ffff:192.0.2.1) is one of IPv4 on the wire."""
    words = (int(digits[start:start + 8], 16) for start in range(0, len(digits), 8))
    address = ipaddress.ip_address(b"".join(word.to_bytes(4, order) for word in words))
    return str(getattr(address, "ipv4_mapped", None) or address)

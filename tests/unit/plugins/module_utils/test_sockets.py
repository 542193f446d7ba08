# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's list of sockets, recorded on Linux 6.18 (x86_64) with sockets in every state, and what is made of it."""
import pathlib
import re

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import TCP_STATES, FlowTuple
from ansible_collections.netfleet.conntrack.plugins.module_utils._sockets import STATES, connections

RECORDED = pathlib.Path(__file__).parents[2] / "fixtures" / "sockets"
HERE, PEER, HERE6, OTHER6, PEER6 = "198.51.100.1", "198.51.100.2", "2001:db8:2::1", "2001:db8:2::9", "2001:db8:2::2"

# What `ss -tan` showed: who began, source, port, destination, port, state.
FOUND = {
    # of /proc/net/tcp
    ("in", PEER, 51144, HERE, 2017, "SYN_RECV"),
    ("in", PEER, 51648, HERE, 2012, "FIN_WAIT"),
    ("in", PEER, 45208, HERE, 3000, "ESTABLISHED"),  # its listener is on 0.0.0.0
    ("out", HERE, 40678, PEER, 2019, "SYN_RECV"),
    ("out", "127.0.0.1", 49640, "127.0.0.1", 2002, "ESTABLISHED"),  # both ends are listed
    ("out", HERE, 37348, PEER, 2015, "ESTABLISHED"),
    ("in", PEER, 39060, HERE, 2013, "LAST_ACK"),
    ("in", PEER, 37548, HERE, 2000, "ESTABLISHED"),
    ("out", HERE, 44332, PEER, 2009, "CLOSE_WAIT"),
    ("out", HERE, 52886, PEER, 2001, "ESTABLISHED"),
    # of /proc/net/tcp6, IPv4 in it
    ("out", HERE, 56134, PEER, 2016, "ESTABLISHED"),
    ("out", HERE, 59390, PEER, 2020, "SYN_RECV"),
    ("in", PEER, 54476, HERE, 2014, "LAST_ACK"),
    ("out", HERE, 43084, PEER, 2007, "ESTABLISHED"),
    ("in", PEER, 40548, HERE, 2006, "ESTABLISHED"),  # its listener is on ::
    ("out", "127.0.0.1", 42776, "127.0.0.1", 2008, "ESTABLISHED"),
    ("in", PEER, 41370, HERE, 2018, "SYN_RECV"),
    # of /proc/net/tcp6
    ("in", PEER6, 54546, HERE6, 2003, "ESTABLISHED"),
    ("out", "::1", 38970, "::1", 2005, "ESTABLISHED"),
    ("in", PEER6, 36970, HERE6, 3001, "ESTABLISHED"),
    ("out", OTHER6, 56030, PEER6, 2004, "ESTABLISHED"),
    ("out", OTHER6, 38264, PEER6, 2010, "CLOSE_WAIT"),
}


def recorded(name):
    return (RECORDED / (name + ".txt")).read_text()


def plain(found):
    return [(flow.source, flow.source_port, flow.destination, flow.destination_port, state) for flow, state in found]


def other_endian(text):
    """The same list as a big-endian machine prints it: each number of 32 bits of an address the other way round."""
    return re.sub(r"[0-9A-F]{8}(?=[0-9A-F]*:[0-9A-F]{4} )", lambda word: bytes.fromhex(word.group())[::-1].hex().upper(), text)


def test_recorded():
    found = connections(recorded("tcp"), recorded("tcp6"), "little")
    assert sorted(plain(found)) == sorted(row[1:] for row in FOUND)
    assert {(flow.protocol, flow.zone) for flow, dummy in found} == {(6, 0)}


def test_every_state_is_recorded():
    lines = (recorded("tcp") + recorded("tcp6")).splitlines()
    assert {line.split()[3] for line in lines if ":" in line} == set(STATES) | {"06", "0A"}


def test_the_order_of_bytes_is_the_machines():
    swapped = [other_endian(recorded(name)) for name in ("tcp", "tcp6")]
    assert swapped[0].splitlines()[1].split()[1] == "C6336401:07D0"
    assert connections(*swapped, order="big") == connections(recorded("tcp"), recorded("tcp6"), "little")


def test_states_are_conntracks():
    assert set(STATES.values()) <= set(TCP_STATES)


def test_without_ipv6_there_is_one_file():
    assert plain(connections(recorded("tcp"), None, "little")) == plain(connections(recorded("tcp"), recorded("tcp6").splitlines()[0], "little"))
    assert connections(None, None) == []


TITLES = "  sl  local_address rem_address   st tx_queue\n"
LINE = "   0: %s %s %s 00000000:00000000 00:00000000 00000000\n"
LOCAL, REMOTE, BESIDE = "010200C0:0016", "020200C0:C350", "030200C0:0016"  # 192.0.2.1 port 22, 192.0.2.2 port 50000, 192.0.2.3 port 22
NOBODY, EVERY, EVERY6 = "00000000:0000", "00000000:0016", "0" * 32 + ":0016"
NOBODY6 = "0" * 32 + ":0000"
IN = FlowTuple(6, "192.0.2.2", "192.0.2.1", 50000, 22)
OUT = FlowTuple(6, "192.0.2.1", "192.0.2.2", 22, 50000)

# Lines of tcp, lines of tcp6, the flow of the one connection.
DIRECTIONS = {
    "nobody listens any more": ([(LOCAL, REMOTE, "01")], [], OUT),
    "listens there": ([(LOCAL, NOBODY, "0A"), (LOCAL, REMOTE, "01")], [], IN),
    "listens below": ([(LOCAL, REMOTE, "01"), (LOCAL, NOBODY, "0A")], [], IN),
    "listens everywhere": ([(EVERY, NOBODY, "0A"), (LOCAL, REMOTE, "01")], [], IN),
    "listens everywhere for both families": ([(LOCAL, REMOTE, "01")], [(EVERY6, NOBODY6, "0A")], IN),
    "listens at another address": ([(BESIDE, NOBODY, "0A"), (LOCAL, REMOTE, "01")], [], OUT),
    "listens at another port": ([("010200C0:0017", NOBODY, "0A"), (LOCAL, REMOTE, "01")], [], OUT),
    "both ends are here": ([(LOCAL, REMOTE, "01"), (REMOTE, LOCAL, "01")], [], OUT),
    "both ends are here, and one listens": ([(REMOTE, LOCAL, "01"), (EVERY, NOBODY, "0A"), (LOCAL, REMOTE, "01")], [], IN),
}


@pytest.mark.parametrize("name", sorted(DIRECTIONS))
def test_direction(name):
    tcp, tcp6, flow = DIRECTIONS[name]
    texts = (TITLES + "".join(LINE % row for row in rows) for rows in (tcp, tcp6))
    assert connections(*texts, order="little") == [(flow, "ESTABLISHED")]

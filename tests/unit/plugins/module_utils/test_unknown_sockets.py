# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded sockets against tables of connections; a kernel's own is asked in tests/integration/test_unknown_sockets.py."""
import errno
import pathlib
import sys

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import ENTRY
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import NetlinkError, body, messages
from ansible_collections.netfleet.conntrack.plugins.module_utils._unknown_sockets import PART, unknown_sockets

RECORDED = pathlib.Path(__file__).parents[2] / "fixtures" / "sockets"
HERE, PEER, HERE6, OTHER6, PEER6 = "198.51.100.1", "198.51.100.2", "2001:db8:2::1", "2001:db8:2::9", "2001:db8:2::2"
# What `ss -tan state established` showed: local end, remote end; those over loopback left out.
ESTABLISHED = [
    (HERE, 2000, PEER, 37548), (HERE, 2006, PEER, 40548), (HERE, 3000, PEER, 45208),
    (HERE, 37348, PEER, 2015), (HERE, 43084, PEER, 2007), (HERE, 52886, PEER, 2001), (HERE, 56134, PEER, 2016),
    (HERE6, 2003, PEER6, 54546), (HERE6, 3001, PEER6, 36970), (OTHER6, 56030, PEER6, 2004),
]

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the sockets were recorded on a little-endian machine")


class Machine(Host):
    """Knows the entries of (zone, local end, remote end), and has these lists of sockets."""

    def __init__(self, known=(), texts=None, error=None):
        super().__init__()
        self.known, self.error, self.asked = frozenset(known), error, []
        self.texts = texts or {name: (RECORDED / (name + ".txt")).read_text() for name in ("tcp", "tcp6")}

    def read(self, path):
        return self.texts.get(path.rpartition("/")[2])

    def netlink_many(self, parts, timeout=5.0):
        for part in parts:
            assert len(part) <= PART
            if isinstance(self.error, Exception):
                raise self.error
            yield [self.error or self.answer(*each) for request in part for each in messages(request)]

    def answer(self, dummy_kind, dummy_flags, dummy_sequence, payload):
        found = ENTRY(body(payload)[2])
        self.asked.append((found.get("zone", 0),) + plain(found["orig"]))
        return payload if self.asked[-1] in self.known else errno.ENOENT


def plain(flow):
    return flow.source, flow.source_port, flow.destination, flow.destination_port


def ends(found):
    return [tuple(row[name] for name in ("local", "local_port", "remote", "remote_port")) for row in found["sockets"]]


def in_zone(zone, some):
    return [(zone,) + each for each in some]


def test_what_is_established_and_has_no_entry_is_found():
    found = unknown_sockets(Machine(), 100)
    assert sorted(ends(found)) == sorted(ESTABLISHED)
    assert {(row["protocol"], row["state"]) for row in found["sockets"]} == {("tcp", "ESTABLISHED")}
    assert found["total"] == found["checked"] == len(ESTABLISHED)


@pytest.mark.parametrize("number", range(len(ESTABLISHED) + 1))
def test_what_has_an_entry_is_not(number):
    found = unknown_sockets(Machine(in_zone(0, ESTABLISHED[:number])), 100)
    assert sorted(ends(found)) == sorted(ESTABLISHED[number:])
    assert (found["total"], found["checked"]) == (len(ESTABLISHED) - number, len(ESTABLISHED))


@pytest.mark.parametrize("limit", [0, 1, 5, 100])
def test_a_limit_shortens_the_list_and_not_the_number(limit):
    found = unknown_sockets(Machine(), limit)
    assert ends(found) == ends(unknown_sockets(Machine(), 100))[:limit]
    assert found["total"] == len(ESTABLISHED)


def test_other_zones_are_searched_when_they_are_named():
    known = in_zone(0, ESTABLISHED[:3]) + in_zone(5, ESTABLISHED[3:6])
    assert unknown_sockets(Machine(known), 100)["total"] == len(ESTABLISHED) - 3
    host = Machine(known)
    assert unknown_sockets(host, 100, (0, 5, 6))["total"] == len(ESTABLISHED) - 6
    assert [sum(1 for each in host.asked if each[0] == zone) for zone in (0, 5, 6)] == [10, 7, 4]


LINE = "  0: %s %s 01 00000000:00000000 00:00000000 00000000     0        0 1 1\n"
PAIR = ("010200C0:0016", "010200C0:C350")  # both are this host's


def test_a_connection_with_both_ends_here_counts_once():
    texts = {"tcp": "titles\n" + LINE % PAIR + LINE % PAIR[::-1]}
    assert ends(unknown_sockets(Machine(texts=texts), 9)) == [("192.0.2.1", 22, "192.0.2.1", 50000)]


def test_loopback_does_not_count():
    texts = {"tcp": "titles\n" + LINE % ("0100007F:0016", "0100007F:C350") + LINE % ("0201007F:0016", "0100007F:C350"),
             "tcp6": "titles\n" + LINE % ("0" * 24 + "01000000:0016", "0" * 24 + "01000000:C350")
             + LINE % ("0000000000000000FFFF00000100007F:0016", "0000000000000000FFFF00000100007F:C350")}
    assert unknown_sockets(Machine(texts=texts), 9) == {"sockets": [], "total": 0, "checked": 0}


def test_many_are_asked_in_parts():
    texts = {"tcp": "titles\n" + "".join(LINE % (PAIR[0], "020200C0:%04X" % port) for port in range(1, 3 * PART))}
    assert unknown_sockets(Machine(texts=texts), 9)["total"] == 3 * PART - 1


def test_without_sockets_the_kernel_is_not_asked():
    assert unknown_sockets(Machine(texts={"tcp": "titles\n"}, error=errno.EINVAL), 9)["total"] == 0


@pytest.mark.parametrize("error, words", [
    (OSError(errno.EPERM, "Operation not permitted"), "Operation not permitted"),
    (NetlinkError("odd"), "odd"),
    (errno.EINVAL, "Invalid argument"),
])
def test_what_is_wrong_is_told(error, words):
    with pytest.raises(ConntrackError, match="^cannot look for entries of sockets: %s$" % words):
        unknown_sockets(Machine(error=error), 9)

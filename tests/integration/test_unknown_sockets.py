# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A router's own connections that began before tracking are found, and no others."""

import itertools

import pytest
from lab import ROUTER
from test_adopt import KINDS, OWN, WAYS, adopted, connect, flow_of, hears, listener, load, numbered_laboratory, open_all, says, switch_on

from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import FlowTuple
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.plugins.module_utils._unknown_sockets import unknown_sockets

ZONE = "table inet zones { chain %s { type filter hook %s priority -300; ct zone set 7; }; }"
NOTRACK = "table inet exempt { chain %s { type filter hook %s priority -300; tcp dport %d notrack; tcp sport %d notrack; }; }"


@pytest.fixture
def lab():
    with numbered_laboratory() as made:
        yield made


def unknown(lab, zones=(0,), limit=1000):
    """The flows that are found, as a set, and the numbers are right."""
    with lab.inside(ROUTER):
        found = unknown_sockets(Host(), limit, zones)
    rows = found["sockets"]
    assert len(rows) == min(limit, found["total"]) and {(row["protocol"], row["state"]) for row in rows} <= {("tcp", "ESTABLISHED")}
    flows = {FlowTuple(6, row["local"], row["remote"], row["local_port"], row["remote_port"]) for row in rows}
    assert len(flows) == len(rows)
    return flows


def flows(opened):
    """Those of connections that do not go over loopback."""
    return {flow_of(pair) for (dummy, way, _speaker), pair in opened.items() if way != OWN}


def speak(opened):
    for pair in opened.values():
        assert says(pair.router, b"word") and hears(pair.peer, b"word")


def test_what_began_before_tracking_is_found_until_it_speaks(lab):
    before = open_all(lab)
    expected = flows(before)
    assert len(expected) == 2 * len(KINDS) * (len(WAYS) - 1)
    assert unknown(lab) == expected
    load(lab, "nft", 0)
    after = open_all(lab)
    assert unknown(lab) == expected
    speaks = dict(itertools.islice(before.items(), 7))
    speak(speaks)
    assert unknown(lab) == expected - flows(speaks)
    speak(before)
    assert unknown(lab) == set()
    assert not flows(after) & expected


def test_what_was_adopted_is_not(lab):
    open_all(lab)
    load(lab, "nft", 0)
    assert unknown(lab)
    adopted(lab)
    assert unknown(lab) == set()


def test_what_is_translated_is_known(lab):
    load(lab, "nft", 0)
    load(lab, "nft", 1)
    speak(open_all(lab))
    assert unknown(lab) == set()


def test_what_was_adopted_stays_known_with_nat(lab):
    opened = open_all(lab)
    switch_on(lab)
    speak(opened)
    assert unknown(lab) == set()


def test_in_another_zone_it_is_known_where_that_is_searched(lab):
    for hook in ("prerouting", "output"):
        lab.command(ROUTER, "nft", "-f", "-", data=ZONE % (hook, hook))
    load(lab, "nft", 0)
    opened = open_all(lab)
    assert unknown(lab) == unknown(lab, (0, 6)) == flows(opened)
    assert unknown(lab, (7,)) == unknown(lab, (0, 7)) == set()


def test_what_is_exempt_is_unknown(lab):
    accepting = listener(lab, "out", "ipv4")
    port = accepting.getsockname()[1]
    for hook in ("prerouting", "output"):
        lab.command(ROUTER, "nft", "-f", "-", data=NOTRACK % (hook, hook, port, port))
    load(lab, "nft", 0)
    open_all(lab)
    exempt = flow_of(connect(lab, accepting, "out", "ipv4"))
    assert unknown(lab) == {exempt}


def test_what_is_half_closed_or_closed_is_left_out(lab):
    opened = open_all(lab)
    gone = dict(itertools.islice(opened.items(), 6))
    for number, pair in enumerate(gone.values()):
        end, other = (pair.peer, pair.router) if number % 2 else pair
        end.shutdown(1)
        assert other.recv(1) == b""
    assert unknown(lab) == flows(opened) - flows(gone)


@pytest.mark.parametrize("limit", [0, 1, 5])
def test_the_list_may_be_short(limit, lab):
    open_all(lab)
    assert len(unknown(lab, limit=limit)) == limit

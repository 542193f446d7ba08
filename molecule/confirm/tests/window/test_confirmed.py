# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is confirmed stays; what confirms nothing, and runs that come in between, are told so."""

import json
import re

import pytest

WAITING = re.compile(r"a policy on this host awaits its confirmation and is taken back in ([0-9]+) seconds")
VALUE = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established:"


def test_what_ansible_confirmed_holds_and_nothing_waits(seen):
    for each in seen["begun"]:
        assert "settings.json" in each and not re.search("undo|journal", each)


@pytest.fixture(params=[0, -1], ids=["first", "last"])
def confirmed(request, seen):
    return seen["confirmed"][request.param]


def test_nothing_for_the_next_boot_is_written_before_it_is_confirmed(confirmed):
    changed = [line for line in confirmed.unconfirmed if line not in confirmed.before]
    assert confirmed.applied["awaits_confirmation"]
    assert changed and not [line for line in changed if line.startswith("/etc")]


def test_connection_from_before_confirms_nothing(confirmed):
    assert "this connection is older than the policy" in confirmed.reused["failed"]


def test_another_run_is_refused_with_the_seconds_that_are_left(confirmed):
    assert 0 < int(WAITING.search(confirmed.another["failed"])[1]) <= 300


def test_check_run_warns(confirmed):
    assert [text for text in confirmed.check["warnings"] if WAITING.search(text)]


def test_another_policy_is_not_confirmed(confirmed):
    assert "what was applied is not this policy" in confirmed.different["failed"]


def test_refused_runs_change_nothing(confirmed):
    assert confirmed.still == confirmed.unconfirmed


def test_confirmed_policy_stays_without_a_trace_of_what_would_take_it_back(confirmed):
    assert confirmed.confirmed["changed"] and not confirmed.confirmed["awaits_confirmation"]
    assert not re.search("undo|journal", confirmed.traces)
    assert [line for line in confirmed.state if line.startswith("/etc") and line not in confirmed.before]


def test_two_runs_at_once_wait_for_one_another(seen):
    for each in seen["at_once"]:
        assert [json.loads(line).get("failed") for line in each.said] == [None, None]
        assert [line for line in each.state if line in (VALUE + "7441", VALUE + "7442")]

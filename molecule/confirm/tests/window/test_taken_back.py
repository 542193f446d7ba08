# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nobody confirms is taken back in time, by the router itself; seen from within and from without."""

import re

import pytest
from routers import MEMORY

GRACE = 5  # seconds
WAITED = "no new connection to this host could be opened within 30 seconds, so the host took it back"
BROKEN = "the host takes it back within 30 seconds by itself"


def test_full_table_lets_nobody_in_and_leaves_the_open_session_alone(seen):
    assert {(each.new_connection, each.open_session) for each in seen["full"]} == {(False, "lives")}


def test_invalid_session_is_dead_and_lives_again(seen):
    assert {(each.dead, each.afterwards) for each in seen["strict"]} == {(None, "lives")}


@pytest.mark.parametrize("case", ["full", "strict", "no_systemd"])
def test_taken_back_in_time(seen, case):
    assert seen[case] and all(each.lasted <= each.within + GRACE for each in seen[case])


@pytest.mark.parametrize("case", ["full", "strict", "no_systemd"])
def test_everything_is_as_it_was(seen, case):
    assert [each.after for each in seen[case]] == [each.before for each in seen[case]]


@pytest.mark.parametrize("case", ["full", "strict"])
def test_journal_of_the_host_tells(seen, case):
    for each in seen[case]:
        assert f"was not confirmed within {each.within} seconds and is taken back" in each.told
        assert "everything is as it was before the policy" in each.told


@pytest.mark.parametrize("case, words", [("full", WAITED), ("strict", BROKEN)])
def test_ansible_says_what_became_of_it(seen, case, words):
    assert [each.said for each in seen[case] if words not in each.said] == []


def test_power_cut_ends_in_the_old_state(seen):
    """But for what is remembered, from which the next run learns what there was."""
    for each in seen["reset"]:
        before, waiting, after = ([line for line in state if not line.startswith(MEMORY)] for state in (each.before, each.waiting, each.after))
        assert each.said["awaits_confirmation"] and waiting != before
        assert after == before


def test_next_run_recovers(seen):
    for each in seen["reset"]:
        assert each.again["recovered"] and each.again["changed"]
        assert not [line for line in each.other if re.search("undo-|journal", line)]
        assert each.clean["changed"] and not each.clean["recovered"]

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in the table in the end, by the conntrack program, and what the modules said of it."""

import json
import re

import pytest

CAP, LESS = 12000, 6000  # seconds, as converge asks, and as some flows had left from the start


@pytest.fixture(scope="module")
def said(host):
    """What the check run and the run itself said."""
    return [json.loads(host.check_output(f"cat /root/{name}.json")) for name in ("check", "run")]


@pytest.fixture(scope="module")
def remaining(host):
    """Source of datagrams -> the seconds that each of its flows has left."""

    def seconds(source):
        lines = host.check_output(f"/root/conntrack -L -p udp -s {source} 2>/dev/null").splitlines()
        return [int(re.match(r"udp +17 ([0-9]+) ", line)[1]) for line in lines]

    return seconds


def test_check_run_announced_what_the_run_did(said):
    check, run = said
    names = ("matched", "acted", "gone", "refused")
    assert [check["capped"][name] for name in names] == [run["capped"][name] for name in names]
    assert check["absent"]["acted"] == run["absent"]["acted"]


def test_only_flows_with_more_time_were_capped(said):
    assert said[1]["capped"]["acted"] == 9000


def test_flows_that_were_over_are_deleted_and_the_own_connection_is_spared(host, said):
    assert said[1]["absent"]["acted"] == 30
    assert said[1]["absent"]["spared"] >= 1
    assert "TIME_WAIT" not in host.check_output("/root/conntrack -L -p tcp 2>/dev/null")


def test_remaining_time_was_lowered_and_never_raised(remaining):
    capped, others = remaining("127.0.1.1"), remaining("127.0.1.2")
    assert (len(capped), len(others)) == (9000, 1000)
    assert max(others) <= LESS
    assert max(others) < min(capped) <= max(capped) <= CAP

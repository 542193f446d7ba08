# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of a fleet: a line a run, read whatever has become of the file; and the line through it."""
import random

import pytest

from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report_history
from ansible_collections.netfleet.conntrack.tests.unit.plugins.plugin_utils import results

NOW, DAY = results.NOW, results.DAY
LINE = '{"schema_version":1,"time":%d,"kind":"drift","hosts":{"r1":[%d,100,"clean",0]}}'


def points(counts, step=DAY, most=100):
    return [[NOW + place * step, count, most] for place, count in enumerate(counts)]


def test_what_is_written_is_read():
    report = results.report(40)
    line = _report_history.line(report)
    assert "\n" not in line and line.isascii()
    with_table = {host["name"]: host["history"][-1:] for host in report["hosts"] if host["table"]}
    assert _report_history.read([line]) == with_table and 0 < len(with_table) < 40


@pytest.mark.parametrize("broken", (
    "", LINE[:40], "null", "[]", "5", '{"schema_version":2,"time":5,"hosts":{"r1":[1,2,"clean",0]}}', '{"schema_version":1,"hosts":{"r1":[1,2]}}',
    '{"schema_version":1,"time":"5","hosts":{"r1":[1,2]}}', '{"schema_version":1,"time":5,"hosts":[]}', '{"schema_version":1,"time":5,"hosts":{"r1":5}}',
    '{"schema_version":1,"time":5,"hosts":{"r1":[]}}', '{"schema_version":1,"time":5,"hosts":{"r1":[null,null,"unknown",0]}}',
    '{"schema_version":1,"time":5,"hosts":{"r1":["1",2]}}', '{"schema_version":1,"time":5,"hosts":{"r1":[true,1e99]}}', "\udc80",
))
def test_a_line_that_is_not_whole_is_passed_over(broken):
    assert _report_history.read([LINE % (5, 10), broken, LINE % (6, 20), broken]) == {"r1": [[5, 10, 100], [6, 20, 100]]}


def test_the_last_ninety_runs_are_kept_in_their_order():
    moments = list(range(200))
    random.Random(1).shuffle(moments)
    found = _report_history.read([LINE % (moment, moment) for moment in moments])["r1"]
    assert [row[0] for row in found] == list(range(110, 200))


def test_this_run_and_later_ones_are_not_of_the_past():
    assert _report_history.read([LINE % (moment, 1) for moment in (5, 6, 7)], 6) == {"r1": [[5, 1, 100]]}


# counts of one run a day, days until a table of 100 is full
GROWTH = (
    ([], None), ([10], None), ([10, 20], None), ([10, 20, 30], 7.0), ([50, 60, 70, 80], 2.0), ([97, 98, 99, 100], 0.0), ([120, 130, 140], 0.0),
    ([30, 20, 10], None), ([10, 10, 10, 10], None), ([10, 30, 12, 28, 14], None), ([10, 90, 10], None), ([10, 12, 14, 15, 18], 43.4),
)


@pytest.mark.parametrize("counts, days", GROWTH)
def test_days_until_full_are_told_where_the_table_grows(counts, days):
    assert _report_history.days_until_full(points(counts)) == days


def test_growth_within_a_day_is_a_tide():
    assert _report_history.days_until_full(points([10, 20, 30, 40], DAY / 4)) is None
    assert _report_history.days_until_full(points([10, 20, 30, 40], DAY / 3)) == 2.0


def test_ten_years_are_no_forecast():
    assert _report_history.days_until_full(points([1000, 1001, 1002], most=10 ** 8)) is None


def test_runs_of_one_moment_say_nothing():
    assert _report_history.days_until_full(points([10, 20, 30], 0)) is None


def test_noise_is_hardly_ever_taken_for_growth_and_growth_always_is():
    rng = random.Random(4)
    flat = [[1000 + rng.gauss(0, 50) for dummy in range(rng.randrange(3, 60))] for dummy in range(2000)]
    assert sum(_report_history.days_until_full(points(each, most=5000)) is not None for each in flat) < 2000 * 0.015
    rising = [[1000 + 20 * day + rng.gauss(0, 50) for day in range(30)] for dummy in range(200)]
    told = [_report_history.days_until_full(points(each, most=5000)) for each in rising]
    assert all(100 < days < 300 for days in told)  # (5000 - 1580) / 20 = 171


def test_a_history_ends_in_this_run():
    host = results.report(1)["hosts"][0]
    assert len(host["history"]) == 31 and host["history"][-1] == [NOW, host["table"]["count"], host["table"]["max"]]

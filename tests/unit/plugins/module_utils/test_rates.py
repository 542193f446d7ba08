# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rates of two readings, and what it means which counters rise."""
import random

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _facts, _patterns, _rates
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded

MOST = 2 ** 32 - 1

# Counters by CPU before, after, and by how much they rose.
RISEN = {
    "each CPU for itself": ([{"drop": 1}, {"drop": 5}], [{"drop": 3}, {"drop": 5}], [{"drop": 2}, {"drop": 0}]),
    "one that wraps": ([{"found": MOST}, {"found": 7}], [{"found": 1}, {"found": 8}], [{"found": 2}, {"found": 1}]),
    "a counter that came": ([{"drop": 1}], [{"drop": 1, "new": 4}], [{"drop": 0}]),
    "a counter that went": ([{"drop": 1, "old": 4}], [{"drop": 1}], [{"drop": 0}]),
    "a CPU that came": ([{"drop": 1}], [{"drop": 1}, {"drop": 2}], []),
    "a CPU that went": ([{"drop": 1}, {"drop": 2}], [{"drop": 2}], []),
    "no CPU": ([], [], []),
}


@pytest.mark.parametrize("before, after, found", RISEN.values(), ids=RISEN)
def test_how_much_counters_rose(before, after, found):
    assert _rates.risen(before, after) == found


def test_whatever_is_counted_is_found_across_wraps():
    chance = random.Random(3)
    for _attempt in range(1000):
        before = [{"found": chance.randrange(MOST + 1)} for _cpu in range(chance.randrange(1, 5))]
        events = [chance.choice((0, 1, MOST, chance.randrange(MOST + 1))) for _cpu in before]
        after = [{"found": (row["found"] + more) % (MOST + 1)} for row, more in zip(before, events)]
        assert _rates.risen(before, after) == [{"found": more} for more in events]


def test_rates_are_by_the_second():
    found = _rates.rates([{"drop": 3, "found": 10}, {"drop": 1}], -7, 2.00004)
    assert found == {"seconds": 2.0, "total": {"drop": 2.0, "found": 5.0}, "cpus": [{"drop": 1.5, "found": 5.0}, {"drop": 0.5}], "count": -3.5}


@pytest.mark.parametrize("interval", [0, 0.0, 0.001, 1, 300, 300.0])
def test_interval_within_bounds(interval):
    assert _rates.problem(interval) == ""


@pytest.mark.parametrize("interval", [-0.001, -1, 300.001, float("inf"), float("-inf"), float("nan")])
def test_interval_out_of_bounds(interval):
    assert _rates.problem(interval) == "interval: %s is not between 0 and 300 seconds (0 for no rates)" % interval


# What rose within a second, and what that means.
MEANT = {
    "nothing": ({}, []),
    "counters without a meaning": ({"insert": 1000, "new": 1000, "expect_new": 9, "delete": 1000, "found": 1000, "future": 1}, []),
    "a full table": ({"drop": 80}, ["table_full"]),
    "a full table that still finds room": ({"drop": 80, "early_drop": 5}, ["table_full", "table_filling"]),
    "a table that always finds room": ({"early_drop": 3003}, ["table_filling"]),
    "long chains": ({"chain_toolong": 12, "insert_failed": 12}, ["hash_too_small"]),
    "clashes": ({"insert_failed": 200, "drop": 200}, ["snat_collisions"]),
    "clashes with hardly a search": ({"insert_failed": 200, "drop": 200, "found": 1600}, ["snat_collisions"]),
    "searches in vain": ({"insert_failed": 200, "drop": 200, "found": 14000}, ["snat_ports_exhausted"]),
    "clashes and a full table": ({"insert_failed": 20, "drop": 21}, ["table_full", "snat_collisions"]),
    "clashes and long chains": ({"insert_failed": 20, "chain_toolong": 15, "drop": 5}, ["hash_too_small", "snat_collisions"]),
    "long chains and a full table": ({"insert_failed": 15, "chain_toolong": 15, "drop": 5}, ["table_full", "hash_too_small"]),
    "searches that succeed": ({"found": 100000}, []),
    "entries that programs could not put in": ({"insert_failed": 7}, []),
    "few invalid packets": ({"invalid": 1}, []),
    "many invalid packets": ({"invalid": 2}, ["invalid_packets"]),
    "few restarts": ({"search_restart": 100}, []),
    "many restarts": ({"search_restart": 101}, ["lookups_restarted"]),
    "pairs of queries": ({"clash_resolve": 1}, ["clashes_resolved"]),
}


@pytest.mark.parametrize("changes, ids", MEANT.values(), ids=MEANT)
def test_what_it_means(changes, ids):
    assert [found["id"] for found in _patterns.patterns(dict(changes, count=5, max=10), 1.0)] == ids


def test_every_pattern_is_met_and_says_what_it_means():
    assert {row.id for row in _patterns.PATTERNS} == {name for _changes, ids in MEANT.values() for name in ids}
    for row in _patterns.PATTERNS:
        assert row.meaning.endswith(".") and {name for weights in row.sums[:1] for name in weights} & set(row.evidence)
        assert row.unless in [above.id for above in _patterns.PATTERNS[:_patterns.PATTERNS.index(row)]] + [""]


def test_what_is_everyday_goes_by_the_second():
    assert _patterns.patterns({"invalid": 10}, 10.0) == []
    assert [found["id"] for found in _patterns.patterns({"invalid": 11}, 10.0)] == ["invalid_packets"]


def test_evidence_is_what_the_kernel_has():
    (found,) = _patterns.patterns({"chain_toolong": 3, "insert_failed": 3, "count": 5, "max": 10, "buckets": None}, 2.00004)
    assert found["evidence"] == {"chain_toolong": 3, "insert_failed": 3, "count": 5, "max": 10, "seconds": 2.0}


# Facts of a recorded host whose clock goes by pauses alone. What happens in a pause is the test's.

class Paused(recorded.Machine):
    now = 1000.0
    late = 0.5  # seconds that a pause takes longer than asked

    def clock(self):
        return self.now

    def pause(self, seconds):
        self.now += seconds + self.late
        self.happens()

    def happens(self):
        raise AssertionError("nobody asked for a pause")


def statistics(*drops):
    return "entries drop\n" + "".join("00000001 %08x\n" % number for number in drops)


def counting(tmp_path, first, last, growth=0):
    host = recorded.machine("live-6.18", tmp_path, Paused)
    host.overwrite(_facts.STAT, first)
    host.overwrite(BY_NAME["count"].path, "100\n")

    def happens():
        host.overwrite(_facts.STAT, last)
        host.overwrite(BY_NAME["count"].path, "%d\n" % (100 + growth))

    host.happens = happens
    return host


def facts(host, **options):
    return _facts.facts(host, dict(options, probe=False))["ansible_facts"]["netfleet_conntrack"]


def test_facts_divide_by_the_time_that_passed(tmp_path):
    found = facts(counting(tmp_path, statistics(MOST, 0), statistics(4, 10), growth=-30), interval=2.0)
    assert found["error"] == ""
    counters = found["counters"]
    assert (counters["total"], counters["cpus"]) == ({"drop": 14}, [{"drop": 4}, {"drop": 10}])
    assert counters["rates"] == {"seconds": 2.5, "total": {"drop": 6.0}, "cpus": [{"drop": 2.0}, {"drop": 4.0}], "count": -12.0}
    (pattern,) = counters["patterns"]
    assert (pattern["id"], pattern["evidence"]) == ("table_full", {"drop": 15, "count": 70, "max": found["max"], "seconds": 2.5})


@pytest.mark.parametrize("options", [{}, {"interval": 0.0}, {"interval": -1.0}, {"interval": 301.0}, {"interval": float("nan")}])
def test_facts_without_an_interval_are_one_reading(options, tmp_path):
    host = recorded.machine("live-6.18", tmp_path, Paused)
    found = facts(host, **options)
    assert set(found["counters"]) == {"total", "cpus"}
    assert found["error"] == _rates.problem(options.get("interval", 0.0))
    assert found["available"] is True


def test_facts_tell_no_pattern_of_what_cannot_be_compared(tmp_path):
    counters = facts(counting(tmp_path, statistics(1, 2), statistics(3)), interval=1.0)["counters"]
    assert counters["rates"] == {"seconds": 1.5, "total": {}, "cpus": [], "count": 0.0}
    assert "patterns" not in counters


@pytest.mark.parametrize("name", ["bookworm-6.1-unloaded"])
def test_facts_of_a_host_without_a_table_do_not_wait(name, tmp_path):
    found = facts(recorded.machine(name, tmp_path, Paused), interval=5.0)
    assert (found["available"], found["counters"]) == (False, {"total": {}, "cpus": []})

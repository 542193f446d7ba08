# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often the intervals of a sample hold the truth: by exact sums, and for chosen values by drawing."""
import collections
import math
import random

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _interval
from ansible_collections.netfleet.conntrack.plugins.module_utils._flow_report import Sample

ONE = _interval.deviations(1, 1)
ROUNDING = 1e-9


def log_choose(number, chosen):
    return math.lgamma(number + 1) - math.lgamma(chosen + 1) - math.lgamma(number - chosen + 1)


def probability(seen, truth, sample, whole):
    """Of seeing so many of the ``truth`` in a sample drawn without replacement."""
    if not max(0, sample - whole + truth) <= seen <= min(sample, truth):
        return 0.0
    return math.exp(log_choose(truth, seen) + log_choose(whole - truth, sample - seen) - log_choose(whole, sample))


def coverage(truth, sample, whole, z=ONE):
    """How likely it is that the interval holds the truth."""
    middle, width = sample * truth / float(whole), 12 * math.sqrt(sample) + 40
    likely = range(max(0, int(middle - width)), min(sample, int(middle + width)) + 1)
    held = 0.0
    for seen in likely:
        chance = probability(seen, truth, sample, whole)
        if chance > 1e-12:
            low, high = _interval.share(seen, sample, whole, z)
            held += chance * (low - ROUNDING <= truth / float(whole) <= high + ROUNDING)
    return held


def shares(whole):
    return sorted({min(whole, max(0, each)) for part in (0.00001, 0.0001, 0.001, 0.01, 0.03, 0.1, 0.3, 0.5)
                   for each in (int(part * whole), int((1 - part) * whole), int(part * whole) + 1)} | {0, 1, 2, 3, 5, 10, whole})


WHOLES = [(100, 200), (100, 1000), (500, 600), (1000, 20000), (10000, 15001), (10000, 100000), (10000, 2000000), (100, 2000000), (999, 1000)]


@pytest.mark.parametrize("sample, whole", WHOLES)
def test_an_interval_holds_the_truth(sample, whole):
    found = {truth: coverage(truth, sample, whole) for truth in shares(whole) if truth <= whole}
    assert min(found.values()) >= 0.95, sorted(found.items(), key=lambda item: item[1])[:3]


@pytest.mark.parametrize("listed, candidates", [(10, 100), (10, 10000), (1, 10000)])
@pytest.mark.parametrize("sample, whole", [(1000, 20000), (10000, 1000000)])
def test_a_wider_interval_holds_it_more_often(sample, whole, listed, candidates):
    wrong = 0.05 * listed / candidates
    for truth in shares(whole):
        assert 1 - coverage(truth, sample, whole, _interval.deviations(listed, candidates)) <= 1.5 * wrong + 1e-9, truth


@pytest.mark.parametrize("z", [ONE, _interval.deviations(10, 10000)])
def test_what_was_seen_is_within_and_bounds_grow_with_it(z):
    for sample, whole in WHOLES + [(1, 2), (1, 10), (2, 3), (5, 1000)]:
        step = max(1, sample // 500)
        before = -1.0, -1.0
        for seen in sorted(set(range(0, sample + 1, step)) | {1, 2, 3, sample - 1, sample} & set(range(sample + 1))):
            low, high = _interval.share(seen, sample, whole, z)
            assert 0 <= low <= seen / float(sample) <= high <= 1, (seen, sample, whole)
            assert low >= before[0] and high >= before[1], (seen, sample, whole)
            before = low, high


@pytest.mark.parametrize("sample", [1, 2, 100, 10000])
def test_all_of_the_whole_leaves_no_doubt(sample):
    for seen in (0, 1, sample // 2, sample):
        assert _interval.share(seen, sample, sample, ONE) == (seen / float(sample),) * 2
        assert _interval.share(seen, sample + 1, sample, ONE) == (seen / float(sample + 1),) * 2


def test_nothing_seen_says_nothing():
    assert _interval.share(0, 0, 10, ONE) == (0.0, 1.0)


def test_an_empty_whole_that_was_seen_leaves_no_doubt():
    assert _interval.share(0, 0, 0, ONE) == (0.0, 0.0)


def test_more_of_the_whole_is_a_narrower_interval():
    for part in (0.01, 0.2, 0.5):
        widths = []
        for sample in (100, 1000, 10000, 90000, 99900, 100000):
            low, high = _interval.share(int(part * sample), sample, 100000, ONE)
            widths.append(high - low)
        assert widths == sorted(widths, reverse=True) and widths[-1] == 0


def test_deviations():
    assert abs(ONE - 1.959964) < 1e-6
    assert _interval.deviations(20, 10) == ONE == _interval.deviations(1, 0)
    assert abs(_interval.deviations(1, 5) - 2.575829) < 1e-6
    found = [_interval.deviations(10, many) for many in (10, 100, 1000, 10000, 10000000)]
    assert found == sorted(found) and found[-1] < 6.5


# Tables of a million or so, by how many values there are and how often each comes.
TABLES = {
    "a million values": [(1000000, 1)],
    "half a million values, twice each": [(500000, 2)],
    "a hundred thousand": [(100000, 10)],
    "ten thousand": [(10000, 100)],
    "a thousand": [(1000, 1000)],
    "a hundred": [(100, 10000)],
    "a few among many": [(5, 30000), (850000, 1)],
    "falling": [(1, 1000000 // rank) for rank in range(8, 2000)],
    "steps": [(3, 50000), (30, 5000), (300, 500), (5000, 100)],
}


@pytest.mark.parametrize("name", TABLES)
def test_the_rows_of_a_list_hold_the_truth(name):
    """The most frequent values of a sample are in part those that chance made look so."""
    chance = random.Random(name)
    times = [count for number, count in TABLES[name] for _value in range(number)]
    ends, whole = [], 0
    for count in times:
        whole += count
        ends.append(whole)
    held = rows = 0
    for _sample in range(15):
        seen = drawn(chance, ends, whole, 10000)
        for value, count in collections.Counter(seen).most_common(10):
            row = Sample(10000, whole).row(count, 0, 10, len(set(seen)))
            held += row["low"] - 1e-6 <= times[value] / float(whole) <= row["high"] + 1e-6
            rows += 1
    assert held >= 0.93 * rows, (held, rows)


def drawn(chance, ends, whole, sample):
    """The values of flows drawn at random; flow n is of the first value whose end is beyond n."""
    numbers = sorted(chance.sample(range(whole), sample))
    found, value = [], 0
    for number in numbers:
        while ends[value] <= number:
            value += 1
        found.append(value)
    return found

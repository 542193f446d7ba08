# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tally against a counter that forgets nothing."""
import collections
import random

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils._tally import KEPT, LIMIT, Tally

# The order in which values come, and how many different ones there are.


def flat(chance, number):
    return [chance.randrange(number // 4 + 1) for _value in range(number)]


def zipf(chance, number):
    return [int(chance.paretovariate(0.7)) % 100000 for _value in range(number)]


def all_different(dummy_chance, number):
    return list(range(number))


def one_among_many(chance, number):
    """A value that comes just when it may have been forgotten."""
    return [-1 if place % 97 == 0 else place for place in range(number)] + [-2] * (number // 50)


def frequent_first(chance, number):
    return [-place for place in range(20) for _time in range(number // 100)] + list(range(number))


def frequent_last(chance, number):
    return list(range(number)) + [-place for place in range(20) for _time in range(number // 100)]


def in_turns(dummy_chance, number):
    """Each value as often as the others, and never soon again."""
    return [place % (number // 3 + 1) for place in range(number)]


def growing(dummy_chance, number):
    """Each value more often than the one before."""
    return [value for value in range(int(number ** 0.5)) for _time in range(value)]


def some(chance, number):
    makers = (flat, zipf, all_different, one_among_many, growing)
    return [value for _part in range(4) for value in chance.choice(makers)(chance, number // 4)]


STREAMS = (flat, zipf, all_different, one_among_many, frequent_first, frequent_last, in_turns, growing, some)
# Limit, and how many are kept.
SIZES = [(10, 3), (100, 30), (100, 99), (100, 1), (1000, 300)]


def parts(chance, values, most):
    start = 0
    while start < len(values):
        end = start + chance.randrange(1, most)
        yield values[start:end]
        start = end


def agrees(tally, truth):
    assert tally.bound >= 0
    for value, count in tally.counts.items():
        assert 0 < count <= truth[value] <= count + tally.missed(value)
        assert tally.missed(value) <= tally.bound
    assert all(count <= tally.bound for value, count in truth.items() if value not in tally.counts)


@pytest.mark.parametrize("limit, kept", SIZES)
@pytest.mark.parametrize("stream", STREAMS)
def test_what_is_counted_is_within_the_bounds(stream, limit, kept):
    for seed in range(5):
        chance = random.Random(seed)
        tally, truth = Tally(limit=limit, kept=kept), collections.Counter()
        for part in parts(chance, stream(chance, 4000), chance.choice((2, 40, 200))):
            tally.add(part)
            truth.update(part)
            assert len(tally.counts) <= limit + len(part)
            if len(truth) <= limit:
                assert tally.counts == truth and not tally.bound
        agrees(tally, truth)
        assert tally.bound <= 2.0 * len(truth) * max(truth.values()) or not tally.bound


@pytest.mark.parametrize("stream", STREAMS)
def test_a_coarser_tally_is_exact_where_it_has_few_values(stream):
    for seed in range(5):
        chance = random.Random(seed)
        groups = chance.choice((1, 7, 100, 5000))
        values = stream(chance, 4000)
        tally = Tally(groups.__rmod__, limit=100, kept=30)
        for part in parts(chance, values, 60):
            tally.add(iter(part))
        truth = collections.Counter(value % groups for value in values)
        agrees(tally, collections.Counter(values))
        agrees(tally.coarse, truth)
        if len(truth) <= 100:
            assert tally.coarse.counts == truth and tally.coarse.bound == 0
        assert tally.coarse is tally.coarse


def test_a_tally_that_nothing_came_to():
    tally = Tally(str)
    tally.add(())
    assert not tally.counts and tally.bound == 0 and not tally.coarse.counts and Tally().coarse is None


def test_exact_up_to_the_limit():
    tally = Tally()
    tally.add(range(LIMIT))
    tally.add(range(LIMIT))
    assert tally.bound == 0 and len(tally.counts) == LIMIT and set(tally.counts.values()) == {2}
    tally.add([-1, -1, -1])
    assert tally.bound == 2 and dict(tally.counts) == {-1: 3}


def test_a_million_different_values_are_missed_by_a_few():
    tally = Tally()
    for start in range(0, 1000000, 5000):
        tally.add(range(start, start + 5000))
        tally.add([-1] * 10)
    assert tally.bound <= 1000000 // (LIMIT - KEPT) + 1
    assert tally.counts[-1] == 2000 and tally.missed(-1) == 0

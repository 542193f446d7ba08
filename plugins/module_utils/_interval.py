# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What a uniform sample says of the whole: the interval in which a share lies.

The interval is that of Clopper and Pearson (1934), which is never too narrow, by Paulson's approximation of the F distribution
(1942), which needs no tables; where much of the whole has been seen it is narrower (finite population correction).
Where the most frequent of many values are listed, chance has chosen those that it made look frequent. The intervals are
widened for that, so that of those listed the stated part holds the truth (Benjamini and Yekutieli, False Discovery
Rate-Adjusted Multiple Confidence Intervals, 2005). Pure.
"""
import functools
import math

CONFIDENCE = 0.95


@functools.lru_cache(maxsize=None)
def deviations(listed, candidates):
    """Standard deviations within which a value lies, when so many values are listed of so many that might have been."""
    wrong = (1 - CONFIDENCE) * min(1.0, listed / float(max(candidates, 1)))
    low, high = 0.0, 40.0
    for dummy in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erfc(middle / math.sqrt(2)) > wrong else (low, middle)
    return high


def share(seen, sample, whole, z):
    """Return (low, high) of the share of a value that was seen so often in a sample of a whole.

    ``z``: as deviations() gives it. Both are from 0 to 1. A sample that is all of the whole leaves no doubt.
    """
    if sample >= whole:
        return (seen / float(sample or 1),) * 2
    if not sample:
        return 0.0, 1.0
    more = (whole - 1.0) / (whole - sample)  # a sample drawn with replacement would have to be so many times larger to tell as much
    found, others = seen * more, (sample - seen) * more
    low = _least(found, others + 1, z) if seen else 0.0
    high = 1 - _least(others, found + 1, z) if seen < sample else 1.0
    # What has been seen is there, and what has been seen to be different is not. One more or less: flows are no fractions.
    one = 1.0 / whole
    return max(low - one, seen / float(whole)), min(high + one, 1 - (sample - seen) / float(whole))


def _least(first, second, z):
    """The lower quantile of a beta distribution."""
    a, b = 1 / (9.0 * second), 1 / (9.0 * first)
    root = z * math.sqrt(max(0.0, b * (1 - a) ** 2 + a * (1 - b) ** 2 - a * b * z * z))
    # Wilson and Hilferty: the cube root of a chi-square is nearly normal; F is the quotient of two of them.
    cube_root = ((1 - b) ** 2 - b * z * z) / ((1 - a) * (1 - b) + root)
    ratio = max(0.0, cube_root) ** 3
    return first * ratio / (first * ratio + second)

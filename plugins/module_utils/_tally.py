# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""How often each value comes, in bounded memory: exact up to a number of values, and beyond it with a stated bound.

Beyond it, the rarest values are forgotten, and of a value that is seen again it is known how often it may have been forgotten
(lossy counting: Manku and Motwani, Approximate Frequency Counts over Data Streams, 2002, with pruning by number instead of by
time). What is counted is never too much. Pure.
"""
import collections

LIMIT = 50000  # different values up to which counts are exact
KEPT = 15000  # of these, once they are more


class Tally:
    """Counts of values. A count may be too small by ``missed(value)``, and a value that is not in ``counts`` came at most ``bound`` times."""

    def __init__(self, coarser=None, limit=LIMIT, kept=KEPT):
        """``coarser``, a function of a value, makes ``coarse`` another tally, of what it returns: exact even where this one is not."""
        self.counts = collections.Counter()
        self.bound = 0
        self._missed = {}  # of values that have been kept; of all others it is the bound
        self._limit, self._kept = limit, kept
        self._coarser = coarser
        self._coarse = Tally(limit=limit, kept=kept) if coarser else None

    def add(self, values):
        """Count values."""
        self.counts.update(values)
        if len(self.counts) > self._limit:
            self._prune()

    def missed(self, value):
        """How often at most a value that is in ``counts`` came and was forgotten."""
        return self._missed.get(value, self.bound)

    @property
    def coarse(self):
        """The coarser tally; nothing may be counted afterwards."""
        self._pass_on(self.counts)
        self._coarser = None
        return self._coarse

    def _pass_on(self, counts):
        if self._coarser:
            once = [value for value, count in counts.items() if count == 1]  # most, where it matters
            self._coarse.add(map(self._coarser, once))
            for value, count in counts.items():
                if count > 1:
                    self._coarse.counts[self._coarser(value)] += count
            self._coarse.add(())

    def _prune(self):
        """Forget the rarest values, those that came as often as the last of them included."""
        counts, missed, bound = self.counts, self._missed, self.bound
        most = sorted(counts.values(), reverse=True)[self._kept]
        self.counts = collections.Counter({value: count for value, count in counts.items() if count > most})
        self._missed = {value: missed.get(value, bound) for value in self.counts}
        self.bound = bound + most
        if self._coarser:
            self._pass_on({value: count for value, count in counts.items() if count <= most})


class Joined:
    """Tallies by what they belong to, as one tally of pairs; without the memory that would take."""

    bound = 0

    def __init__(self, tallies):
        self._tallies = tallies
        self.counts = self

    def __len__(self):
        return sum(len(tally.counts) for tally in self._tallies.values())

    def items(self):
        """Yield (key of the tally, value), count."""
        return (((key, value), count) for key, tally in self._tallies.items() for value, count in tally.counts.items())

    @staticmethod
    def missed(dummy):
        return 0

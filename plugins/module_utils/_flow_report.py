# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Tallies as the lists that users read: value, flows, share, and the interval in which the share lies. Pure."""
import functools
import math
from typing import NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _flow_row, _interval
from ansible_collections.netfleet.conntrack.plugins.module_utils._flow_filter import STATUS_WORDS, is_status
from ansible_collections.netfleet.conntrack.plugins.module_utils._flows import REMAINING
from ansible_collections.netfleet.conntrack.plugins.module_utils._tally import Tally

SHOWN = {
    "family": _flow_row.family,
    "protocol": _flow_row.protocol,
    "tcp_state": _flow_row.tcp_state,
    "source": _flow_row.address,
    "destination": _flow_row.address,
    "destination_port": _flow_row.port,
    "nat_address": _flow_row.address,
    "remaining": _flow_row.remaining,
}
EPSILON = 1e-6  # of a flow: what a share is off by, for it is no whole number
ALL_LISTED = ("family", "protocol", "tcp_state", "status", "remaining")  # whatever ``top`` says


class Sample(NamedTuple):
    """What has been seen of a whole; both are numbers of flows."""

    seen: int
    whole: int  # estimated, where not all has been seen
    most: int = 0  # that the whole may be, where it is estimated from a sample of more than it

    def row(self, count, missed=0, listed=1, candidates=1):
        """Numbers for a value that was counted so often; ``missed``: how often it may have been seen and not counted."""
        low, high = self.interval(count, missed, listed, candidates)
        return {
            "flows": self.flows(count),
            "share": _rounded(count / float(self.seen or 1)),
            "low": _rounded(low),
            "high": _rounded(high),
        }

    def flows(self, count):
        """How many flows of the whole so many of the sample stand for."""
        return count if self.seen >= self.whole else int(round(count / float(self.seen or 1) * self.whole))

    def interval(self, count, missed=0, listed=1, candidates=1):
        """The (low, high) of a share, as row() has them before they are rounded."""
        z = _interval.deviations(listed, candidates)
        most = min(count + missed, self.seen)
        whole = max(self.whole, self.most)
        return _interval.share(count, self.seen, whole, z)[0], _interval.share(most, self.seen, whole, z)[1]

    def bounds(self, *numbers):
        """The least and the most flows; of what interval() takes."""
        low, high = self.interval(*numbers)
        return int(math.ceil(low * self.whole - EPSILON)), int(math.floor(high * self.whole + EPSILON))


def _rounded(share):
    return round(share, 6)


def breakdowns(tallies, sample, top, prefixes):
    """Return (by_NAME -> rows, what is to be known of each that is not exact) of every tally."""
    lists, notes = {}, {}
    shown = dict(SHOWN, source_network=functools.partial(_flow_row.network, prefixes))
    for name, tally in tallies.items():
        tally = _words(tally) if name == "status" else tally
        rows = _rows(tally, sample, _by_class(tally) if name == "remaining" else _most(tally, None if name in ALL_LISTED else top))
        lists["by_" + name] = [dict(row, value=shown[name](value) if name in shown else value) for value, row in rows]
        notes[name] = {"distinct": None if tally.bound else len(tally.counts), "bound": tally.bound}
    return lists, notes


def _rows(tally, sample, chosen):
    """Yield (value, numbers) of the values that have been chosen, with their counts, out of a tally."""
    for value, count in chosen:
        yield value, sample.row(count, tally.missed(value), len(chosen), len(tally.counts))


def _most(tally, top):
    """The most frequent values, all of them or so many; of equally frequent ones, the greatest."""
    least = sorted((count for dummy, count in tally.counts.items()), reverse=True)[:top][-1:]
    chosen = [item for item in tally.counts.items() if item[1] >= least[0]]
    return sorted(chosen, key=lambda item: (item[1], item[0]), reverse=True)[:top]


def _by_class(tally):
    classes = [(number, tally.counts[number]) for number in range(1, len(REMAINING) + 1)]
    return classes + ([(None, tally.counts[None])] if None in tally.counts else [])


def _words(tally):
    """The tally of status bits as one of words; a flow has several."""
    found = Tally()
    for word in STATUS_WORDS:
        found.counts[word] = sum(count for bits, count in tally.counts.items() if is_status(bits, word))
    return found

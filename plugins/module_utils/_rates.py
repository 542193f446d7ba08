# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""How fast the counters rise: two readings, and the seconds between them, to events per second.

A reading is a list of counters for each CPU, in the order of the CPUs, as _stat and
_ctnetlink give it. Both list the CPUs that the machine can have, and their number is
fixed at boot. Counters are 32 bits wide for each CPU and wrap. Pure: no clock.
"""
from ansible_collections.netfleet.conntrack.plugins.module_utils import _stat

WRAP = 2 ** 32  # struct ip_conntrack_stat, include/linux/netfilter/nf_conntrack_common.h
LONGEST = 300  # seconds; a counter may wrap once between two readings and not twice, and a task should not seem to hang


def problem(interval):
    """Return what is wrong with the option ``interval``, or an empty text."""
    if 0 <= interval <= LONGEST:
        return ""
    return "interval: %s is not between 0 and %d seconds (0 for no rates)" % (interval, LONGEST)


def risen(before, after):
    """Return by how much each counter rose on each CPU.

    A counter that one of the readings lacks is left out: nobody knows when it began. Of readings with different
    numbers of CPUs nothing is told, for a row does not say whose it is.
    """
    if len(before) != len(after):
        return []
    return [
        {name: (value - old[name]) % WRAP for name, value in new.items() if name in old}
        for old, new in zip(before, after)
    ]


def rates(changes, entries, seconds):
    """Return events per second: ``total`` and by CPU (``cpus``) of what rose, and ``count`` of the change in ``entries``."""
    return {
        "seconds": round(seconds, 3),
        "total": _each_second(_stat.total(changes), seconds),
        "cpus": [_each_second(row, seconds) for row in changes],
        "count": round(entries / float(seconds), 3),
    }


def _each_second(changes, seconds):
    return {name: round(value / float(seconds), 3) for name, value in changes.items()}

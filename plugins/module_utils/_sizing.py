# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The sizes that the kernel works out by itself when nf_conntrack loads.

Pure: no files, no Ansible. The source of the numbers is nf_conntrack_init_start() and
nf_ct_alloc_hashtable() in net/netfilter/nf_conntrack_core.c.
"""
from typing import NamedTuple, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BUCKETS_MAX, INT_MAX

GIB = 1024 ** 3
WORD = 8  # bytes of a list head; 4 on a 32-bit kernel
MAX_FOR_EACH_GIVEN_BUCKET = 8
LEAST_AUTO = 512  # connections that auto gives on the smallest machine
# What a new answer of `auto` may fill of the budget. A kernel whose entries are dearer by a sixth (slab objects of
# 320 bytes after 256), and a few percent less memory, then still leave the answer within the budget.
AUTO_FILLS = 0.8
# Connections to a step of the answer to a target: two pages of chains, and a divisor of 32768, so that what is asked
# for each CPU in round numbers is what comes out.
TARGET_STEP = 1024
# At its rate a target fills so much of the table. What is over is for bursts, and for entries that have run out and
# still count until the kernel's collector meets them (gc_worker, within a minute); at 95 % it begins to evict.
RATE_FILLS = (4, 5)


class Era(NamedTuple):
    """What kernels from ``since`` on choose."""

    since: Tuple[int, int]
    large: int  # buckets of a 64-bit machine with over 4 GiB
    middle: int  # buckets of a machine with over 1 GiB
    least: int  # buckets of the smallest machine
    max_for_each_bucket: int


ERAS = (
    Era((0, 0), 65536, 16384, 32, 4),
    Era((5, 15), 262144, 65536, 1024, 1),
)


def era(version):
    """The row of ERAS that holds for a kernel of this version, (major, minor)."""
    return [row for row in ERAS if row.since <= version][-1]


def round_buckets(number, page_size, word=WORD):
    """What the kernel makes of a hash size: whole pages of list heads."""
    heads = page_size // word
    return -(-number // heads) * heads


def default_buckets(mem_total, page_size, version, word=WORD):
    """The hash size of a machine with ``mem_total`` bytes to which none is given."""
    row = era(version)
    size = max(row.least, mem_total // 16384 // word)
    if mem_total > GIB:
        size = row.middle
    if mem_total > 4 * GIB and word == 8:
        size = row.large
    return round_buckets(size, page_size, word)


def default_max(buckets, hashsize_given, version):
    """The limit that a table of ``buckets`` starts with; ``hashsize_given`` to the module, or worked out by it."""
    return buckets * (MAX_FOR_EACH_GIVEN_BUCKET if hashsize_given else era(version).max_for_each_bucket)


def default_expectations(buckets, page_size, given=0, word=WORD):
    """The (expect_hashsize, expect_max) that the kernel starts with; ``given`` is the parameter expect_hashsize.

    The limit is taken before the size is rounded: nf_conntrack_expect_init(),
    net/netfilter/nf_conntrack_expect.c.
    """
    size = given or max(1, buckets // 256)
    return round_buckets(size, page_size, word), size * 4


# What a table costs


def table_bytes(most, buckets, entry_bytes, word=WORD):
    """Bytes that a full table takes, with the table of NAT, which has as many chains (nf_nat_init, nf_nat_core.c)."""
    return most * entry_bytes + 2 * buckets * word


def buckets_for(most, load_factor):
    """Chains for ``most`` connections at ``load_factor`` connections a chain."""
    return max(1, int(-(-most // load_factor)))


def auto_max(memory, share, entry_bytes, load_factor):
    """What C(auto) gives without a target: the largest power of two of connections whose table fits the budget.

    The budget is ``share`` of ``memory`` bytes, of which a new answer takes no more than AUTO_FILLS. A power of two
    stays the same when memory or the size of an entry change a little.
    """
    budget, most = AUTO_FILLS * share * memory, LEAST_AUTO
    while _fits(2 * most, buckets_for(2 * most, load_factor), entry_bytes, budget):
        most *= 2
    return most


def _fits(most, buckets, entry_bytes, budget):
    return table_bytes(most, buckets, entry_bytes) <= budget and buckets <= BUCKETS_MAX and most <= INT_MAX


# What a number of users takes


def target_max(connections):
    """What C(auto) gives for so many connections at the same time: as many or a few more, in steps of TARGET_STEP."""
    return max(1, -(-connections // TARGET_STEP)) * TARGET_STEP


def connections_at(rate, mean_life):
    """The size of a table for ``rate`` new connections a second, each in it for ``mean_life`` seconds on average.

    Little's law, L = lambda W, holds for any distribution of arrivals and lives; what it gives fills RATE_FILLS.
    """
    filled, whole = RATE_FILLS
    return int(-(-rate * mean_life * whole // filled))


def snat_rate(ports, held):
    """New connections a second that ``ports`` carry to one address and port, each for ``held`` seconds (Little's law)."""
    return ports / float(held)

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Fragments of documents: what table a host can afford. Pure."""
from ansible_collections.netfleet.conntrack.plugins.module_utils import _profiles, _sizing, _spec
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BUCKETS_MAX

DEFAULT_SHARE = _spec.SIZING["memory_share"][1]
# Shares of memory that a table may take: the one of any host, then those of the profiles of routers, which have other work than a table too.
SHARES = (DEFAULT_SHARE,) + tuple(sorted(
    row.value for name in ("nat_gateway", "home_router") for row in _profiles.BY_NAME[name].rows if row.name == "memory_share"))
MAX = "/proc/sys/net/netfilter/nf_conntrack_max"


def power_of_two(number):
    """The least power of two that is no less."""
    return 1 << max(0, number - 1).bit_length()


def affordable(evidence, wanted, least):
    """Return (connections, share of memory) of the largest table, of powers of two, up to ``wanted`` and from ``least`` on; (None, None) where none fits."""
    kernel, most = evidence.kernel, power_of_two(wanted)
    while most >= least and most:
        for share in SHARES:
            if most <= BUCKETS_MAX and _sizing.table_bytes(most, most, kernel.entry_bytes) <= share * kernel.mem_total:
                return most, share
        most //= 2
    return None, None


def fragment(evidence, most, share=DEFAULT_SHARE):
    """The fragment that gives so many connections as many chains; {} where this network namespace cannot set them."""
    if most is None or not settable(evidence):
        return {}
    found = {"max": most, "buckets": _spec.AUTO}
    if share != DEFAULT_SHARE:
        found["memory_share"] = share
    return {"table": found}


def settable(evidence):
    """Tell whether this network namespace can set the size of the table."""
    return not {"max", "buckets"} & set(evidence.kernel.read_only)


def command(name, value):
    """What sets a value by hand."""
    return "sysctl -w net.netfilter.nf_conntrack_%s=%d" % (name, value)


def where(evidence):
    """What is to be known of where the table's size is set, in the words of a cure."""
    return "" if settable(evidence) else " It is set in the initial network namespace, for all."

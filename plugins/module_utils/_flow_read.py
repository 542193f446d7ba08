# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Reading the table of a host: all of it, or so many entries that stand for it.

The kernel dumps entries in the order of its hash table, and where an entry is in that depends on a secret key of this boot and on
nothing that is of interest. So the first entries of a dump are a uniform sample (net/netfilter/nf_conntrack_core.c,
hash_conntrack_raw), always the same one, until the hash table is resized.
"""
import contextlib
import errno
import gc
import os
import struct
from typing import NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _ctnetlink, _flow_dump
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import NetlinkError

BUCKETS = "/proc/sys/net/netfilter/nf_conntrack_buckets"
COUNT = "/proc/sys/net/netfilter/nf_conntrack_count"
ATTEMPTS = 3
CAUSES = {
    errno.EPERM: "it needs root, or CAP_NET_ADMIN in this network namespace",
    errno.ENOBUFS: "the kernel had no memory for the answer; run it again",
    errno.EINVAL: "the kernel has no nf_conntrack_netlink: load that module",
    errno.EPROTONOSUPPORT: "the kernel has no netlink for netfilter",
}


class Limits(NamedTuple):
    """When to stop reading; None: at the end of the table."""

    entries: int = None
    until: float = None  # a moment of the host's clock


NO_LIMITS = Limits()


class Reading(NamedTuple):
    """How much has been read."""

    seen: int  # entries
    count: int  # entries in the table, by the kernel's own count when reading began; some may be in no listing
    complete: bool
    resized: bool  # the hash table was, all the time: some entries may have been read twice, or not at all

    @property
    def whole(self):
        """Of how many entries those that have been seen are a sample."""
        return self.seen if self.complete else max(self.seen, self.count)


def count(host):
    """How many entries this network namespace has. Raises ConntrackError where there is no table, or no right to read it."""
    if host.read(COUNT) is None:
        raise ConntrackError("connection tracking is not in the kernel, or not loaded: there are no flows; load nf_conntrack")
    with _said("count the flows"):
        return _ctnetlink.entries_and_max(host.netlink(_ctnetlink.stats(), False)[0][3])["entries"]


def survey(host, make, limits, total):
    """Read the table, of ``total`` entries by the kernel's count, into what ``make`` makes, by its method add(batch); return it and a Reading.

    A table that is resized meanwhile is read again, into something new.
    """
    for dummy in range(ATTEMPTS):
        buckets, into = host.read(BUCKETS), make()
        seen, complete = _read(host, into, limits)
        resized = host.read(BUCKETS) != buckets
        if not resized:
            break
    return into, Reading(seen, total, complete, resized)


def _read(host, into, limits):
    dump = _flow_dump.Dump(random_number())
    with contextlib.closing(batches(host, dump, limits)) as found, reading():
        for batch in found:
            into.add(batch)
    return dump.seen, dump.complete


def batches(host, dump, limits=NO_LIMITS):
    """Yield the batches of a dump, up to the limits."""
    with contextlib.closing(host.netlink_stream(_flow_dump.request(dump.sequence))) as datagrams:
        yield from dump.batches(_limited(host, dump, datagrams, limits))


def _limited(host, dump, datagrams, limits):
    for datagram in datagrams:
        yield datagram
        if limits.entries is not None and dump.seen >= limits.entries or limits.until is not None and host.clock() >= limits.until:
            return


def random_number():
    """A number for a dump that none of its data is likely to hold."""
    return struct.unpack("=I", os.urandom(4))[0]


@contextlib.contextmanager
def reading():
    """Have what goes wrong while flows are read said to the user.

    Python does not look for rings of objects meanwhile, every few hundred entries: reading makes none.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with _said("read the flows"):
            yield
    finally:
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def _said(what):
    try:
        yield
    except (OSError, NetlinkError) as error:
        reason = CAUSES.get(getattr(error, "errno", None)) or getattr(error, "strerror", None) or error
        raise ConntrackError("cannot %s: %s" % (what, reason)) from error

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What it means when some counters rise together and others do not.

One counter alone misleads: insert_failed rises for a clash and for a long chain, drop for a
clash and for a full table. What raises what, in net/netfilter/nf_conntrack_core.c:

    a clash of tuples that is not resolved      insert_failed, drop             nf_ct_resolve_clash
    a chain that is too long                    insert_failed, chain_toolong    __nf_conntrack_confirm
    no room in the table, or no memory          drop                            nf_conntrack_in
    an entry deleted to make room               early_drop                      early_drop_list
    a port that SNAT tries and that is taken    found                           nf_conntrack_tuple_taken

Counters that no row asks for say nothing of this kind; insert counts what programs put into the
table, never traffic. Pure: data, and one function that reads it.
"""
from typing import Any, NamedTuple, Tuple

# Ports found taken for each lost packet, from which on it is the search that failed, and not a race after a search that succeeded. Of a
# range over 128 ports 248 are tried, of a smaller one all (nf_nat_l4proto_unique_tuple, net/netfilter/nf_nat_core.c). Since Linux 6.5
# the last 32 tries of a round are not counted: a lost packet counts 128, one of a range of 100 ports 68, and of 32 ports none.
TRIES = 8
CLASHES = {"insert_failed": 1, "chain_toolong": -1}


class Pattern(NamedTuple):
    """One row: ``sums`` are weights by counter, and every sum of so weighted changes must be positive."""

    id: str  # that of a finding where it is one
    sums: Tuple[Any, ...]
    evidence: Tuple[str, ...]  # what is shown
    meaning: str  # what it is, and where to look next
    rate: float = 0.0  # what the first sum must exceed a second; less is everyday
    unless: str = ""  # the id of a row above that says it better where it fits


PATTERNS = (
    Pattern(
        "table_full", ({"drop": 1, "insert_failed": -1, "chain_toolong": 1},), ("drop", "insert_failed", "early_drop", "count", "max"),
        "Packets of new connections are dropped because the table is full, or, where count is far below max, because the kernel has no "
        "memory for an entry. See which flows hold the table, then raise max or shorten the timeouts that keep them."),
    Pattern(
        "table_filling", ({"early_drop": 1},), ("early_drop", "drop", "count", "max"),
        "The table is at its limit, and unanswered connections are deleted to make room for new ones. When none is left, packets are "
        "dropped. Look for a flood of connections that nobody answers; else raise max."),
    Pattern(
        "hash_too_small", ({"chain_toolong": 1},), ("chain_toolong", "insert_failed", "count", "max", "buckets"),
        "New connections are refused because their chain of the hash table is too long: there are too few buckets for the entries of all "
        "network namespaces together. Raise buckets to max."),
    Pattern(
        "snat_ports_exhausted", (CLASHES, {"drop": 1}, {"found": 1, "insert_failed": -TRIES, "chain_toolong": TRIES}),
        ("insert_failed", "drop", "found"),
        "Source NAT finds no free port, and packets of new connections are dropped: searches meet hardly anything but ports that are taken. "
        "See which NAT address and destination have none left, then add NAT addresses, widen the range of ports or shorten tcp_timeout_time_wait."),
    Pattern(
        "snat_collisions", (CLASHES, {"drop": 1}), ("insert_failed", "drop", "found"),
        "Two connections were given the same port and one lost its packet: a race between CPUs though ports are free, or a rule of source "
        "NAT with hardly a port to choose from, whose searches are not counted. Have it choose at random (random_fully), from more ports.",
        unless="snat_ports_exhausted"),
    Pattern(
        "invalid_packets", ({"invalid": 1},), ("invalid", "error"),
        "Packets do not fit the state of their connection, or have a bad checksum; a few a second are everyday. Look for traffic of which "
        "only one direction passes here, for timeouts that end connections too early, and, with tcp_loose off, for connections older than tracking.",
        rate=1.0),
    Pattern(
        "lookups_restarted", ({"search_restart": 1},), ("search_restart", "count", "buckets"),
        "Lookups began again because an entry changed its chain meanwhile. That costs time and loses nothing. The table was resized, "
        "entries come and go fast, or chains are long: compare count with buckets.",
        rate=100.0),
    Pattern(
        "clashes_resolved", ({"clash_resolve": 1},), ("clash_resolve",),
        "Two packets of one UDP flow came at the same time, as two queries of a resolver do, and the kernel kept both. Nothing is lost."),
)


def patterns(numbers, seconds):
    """Return what the changes of counters within ``seconds`` mean, as dicts with ``id``, ``meaning`` and ``evidence``.

    ``numbers`` holds the changes, summed over the CPUs, and how many entries (``count``) and chains (``buckets``) there are
    and how many entries there may be (``max``). A counter that a kernel lacks counts as 0, and is not shown.
    """
    fitting = {row.id for row in PATTERNS if _fits(row, numbers, seconds)}
    return [_shown(row, numbers, seconds) for row in PATTERNS if row.id in fitting and row.unless not in fitting]


def _fits(row, numbers, seconds):
    found = [sum(weight * numbers.get(name, 0) for name, weight in weights.items()) for weights in row.sums]
    return all(value > 0 for value in found) and found[0] > row.rate * seconds


def _shown(row, numbers, seconds):
    evidence = {name: numbers[name] for name in row.evidence if numbers.get(name) is not None}
    return {"id": row.id, "meaning": row.meaning, "evidence": dict(evidence, seconds=round(seconds, 3))}

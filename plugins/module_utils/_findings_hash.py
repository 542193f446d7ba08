# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Findings about the hash table and the timeouts: sizes that do not fit each other, or their purpose. Pure: as _findings_table."""
from ansible_collections.netfleet.conntrack.plugins.module_utils import _findings_size
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import CATALOGUE
from ansible_collections.netfleet.conntrack.plugins.module_utils._findings_row import CRITICAL, NOTICE, WARNING, finding
from ansible_collections.netfleet.conntrack.plugins.module_utils._wanted import FACTOR_HIGH, FACTOR_LOW, FACTOR_SHORT_CHAINS, SHORT_CHAINS

EVICTABLE = 0.5  # share of entries that are not assured from which on a full table would make room, if it found them


def _sizes(e):
    count, most, buckets = (e.facts.get(name) for name in ("count", "max", "buckets"))
    if not most or not buckets:
        return None
    return {"count": count, "max": most, "buckets": buckets, "load_factor": e.facts["load_factor"], "entries_per_chain": round(count / float(buckets), 4)}


def hash_too_small(e):
    sizes = _sizes(e)
    refused = e.lost("hash_too_small", "chain_toolong")
    if not sizes or not refused and not _too_small(e, sizes):
        return None
    most, share = _findings_size.affordable(e, sizes["max"], max(512, 2 * sizes["count"]))
    commands = [_findings_size.command("buckets", most)] if most else []
    if most and most < sizes["max"]:
        commands.append(_findings_size.command("max", most))
    evidence = dict(sizes, commands=commands, **{name: (refused or {}).get(name) for name in ("chain_toolong", "insert_failed", "seconds")})
    words = "Give it as many chains as connections (at once: %s)." % "; ".join(commands) if commands else (
        "max is more than the memory budget allows with as many chains: lower max, and set buckets to it.")
    return finding("hash_too_small", CRITICAL if refused else WARNING, evidence, words + _findings_size.where(e), _findings_size.fragment(e, most, share))


def _too_small(e, sizes):
    short = SHORT_CHAINS[0] <= e.kernel.version < SHORT_CHAINS[1]
    return sizes["load_factor"] > FACTOR_HIGH or short and sizes["load_factor"] > FACTOR_SHORT_CHAINS and sizes["count"] > sizes["buckets"]


def hash_too_large(e):
    sizes = _sizes(e)
    # A page of chains is the least that there can be.
    if not sizes or sizes["load_factor"] >= FACTOR_LOW or sizes["buckets"] <= e.kernel.page_size // 8:
        return None
    evictable = 1 - e.flows.assured / float(e.flows.seen) if e.flows and e.flows.seen else 0
    lost = e.pattern("table_full") or {}
    most, share = _findings_size.affordable(e, sizes["buckets"], 2 * sizes["max"])
    if most:
        commands, words = [_findings_size.command("max", most)], "Raise max to %d, which the memory budget allows"
        policy = _findings_size.fragment(e, most, share)
    else:
        most = _findings_size.power_of_two(sizes["max"])
        commands, words = [_findings_size.command("buckets", most)], "Lower buckets to %d"
        policy = _findings_size.fragment(e, sizes["max"])
    evidence = dict(sizes, commands=commands, dropped=lost.get("drop"), evictable_share=round(evictable, 4) if lost else None)
    cure = "%s (at once: %s).%s" % (words % most, commands[0], _findings_size.where(e))
    return finding("hash_too_large", CRITICAL if lost and evictable >= EVICTABLE else WARNING, evidence, cure, policy)


def timeouts_too_short(e):
    if "yes" not in (e.facts["tracking"]["ipv4"], e.facts["tracking"]["ipv6"]):
        return None
    rows = [s for s in CATALOGUE if s.group == "timeouts" and e.running(s.name) is not None and e.running(s.name) < s.floor]
    if not rows:
        return None
    evidence = {
        "timeouts": [
            {"name": s.name, "seconds": e.running(s.name), "least": s.floor, "reason": s.reason, "source": e.facts["settings"][s.name]["source"]}
            for s in rows],
        "invalid": (e.pattern("invalid_packets") or {}).get("invalid"),
        "sockets_forgotten": e.sockets.total - len(e.sockets.older) if e.sockets else None,
    }
    words = ", ".join("%s from %d to %d" % (s.name, e.running(s.name), s.floor) for s in rows)
    cure = "Raise %s seconds, or have the programs send a keepalive more often than that." % words
    severity = WARNING if e.translated() else NOTICE  # without NAT the kernel adopts a connection with its next packet (tcp_loose)
    return finding("timeouts_too_short", severity, evidence, cure, {"timeouts": {s.name: s.floor for s in rows}})

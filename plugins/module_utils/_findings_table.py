# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Findings about what is in the table: how full it is, who fills it, what holds it. Pure: each takes an Evidence and returns a Finding or None."""
from ansible_collections.netfleet.conntrack.plugins.module_utils import _findings_size
from ansible_collections.netfleet.conntrack.plugins.module_utils._findings_row import CRITICAL, NEARLY, SHOWN, WARNING, finding, together

# Share of assured entries from which on a full table makes no room: early_drop looks at eight chains, about 16 entries, and at 0.95 every
# second search finds nothing.
STUCK = 0.95
HOLDS = 0.5  # share of the table from which on one kind of flow is what fills it
LOG_SECONDS = 3600  # how long a line of the log counts: what was longer ago may have been cured, or of another namespace that had this number
LOG_USAGE = 0.6  # usage from which on a table that was full a while ago will be again: one that was made twice as large is below
ESTABLISHED, ESTABLISHED_SECONDS = "tcp_timeout_established", 7440  # RFC 5382 REQ-5
LEAVE_WITHIN = 60  # seconds to which idle flows are capped: a flow that lives has its time again with its next packet
# Fewer entries than so many, and than this share of the count, may be on their way: a packet that is being worked on holds one, and CPUs
# take up to 64 packets at a time (NAPI_POLL_WEIGHT, include/linux/netdevice.h).
HIDDEN_LEAST, HIDDEN_SHARE = 64, 0.1
# Timeout: seconds that do where NAT is done, and where not. Floors of RFCs for a NAT, else what profiles have; above them entries only wait.
ENOUGH = {
    "udp_timeout_stream": (120, 30), "udp_timeout": (30, 30), "icmp_timeout": (60, 30), "icmpv6_timeout": (60, 30),
    "tcp_timeout_syn_sent": (60, 60), "tcp_timeout_syn_recv": (60, 30), "tcp_timeout_fin_wait": (240, 60),
    "tcp_timeout_close_wait": (240, 60), "tcp_timeout_last_ack": (30, 30), "tcp_timeout_time_wait": (60, 60), "tcp_timeout_close": (10, 10),
    "generic_timeout": (600, 600), "gre_timeout": (30, 30), "gre_timeout_stream": (180, 180),
}


def _numbers(e):
    return {"count": e.facts.get("count"), "max": e.facts.get("max"), "usage": e.usage}


def _who(e):
    """Who fills the table, as far as flows were read."""
    if not e.flows or not e.flows.seen:
        return {}
    rows = e.flows.lists.get("by_source") or [{}]
    found = {name: [[row["value"], row["share"]] for row in e.flows.lists.get("by_" + name, ())[:3]] for name in ("destination", "destination_port")}
    return {
        "source": rows[0].get("value"), "share": rows[0].get("share"), "destinations": found["destination"], "ports": found["destination_port"],
        "assured_share": round(e.flows.assured / float(e.flows.seen), 4),
    }


def _log(e):
    return {"log_lines": e.log.lines, "log_seconds_ago": int(e.log.seconds_ago)} if e.log and e.log.lines and e.log.seconds_ago <= LOG_SECONDS else {}


def is_full(e):
    """Tell whether new connections find no room."""
    if e.usage >= NEARLY and e.pattern("table_full") or e.lost("table_full", "drop"):
        return True
    return e.usage >= 1 and e.flows is not None and e.flows.assured >= STUCK * e.flows.seen


def _larger(e):
    """(words, commands, fragment) of a table twice as large, or more."""
    most, share = _findings_size.affordable(e, 2 * e.facts["max"], 2 * e.facts["max"])
    if most is None:
        return "The memory budget allows no larger table, so fewer entries have to do.", [], {}
    command = _findings_size.command("max", most)
    words = "Raise max to %d, which the memory budget allows (at once: %s).%s" % (most, command, _findings_size.where(e))
    return words, [command], _findings_size.fragment(e, most, share)


def table_full(e):
    if not is_full(e):
        return None
    seen, rate = e.pattern("table_full") or {}, {}
    if seen:
        rate = {"dropped": seen["drop"], "early_drop": seen.get("early_drop"), "seconds": seen["seconds"]}
    words, commands, policy = _larger(e)
    if e.usage < NEARLY:  # drop rises far below max: the kernel had no memory for an entry
        words, commands, policy = "The table has room: the kernel has no memory for entries. Free memory, or lower max to what fits.", [], {}
    evidence = dict(_numbers(e), commands=commands, **rate)
    return finding("table_full", CRITICAL, dict(evidence, **dict(_who(e), **_log(e))), words + _see_who(e), policy)


def _see_who(e):
    source = _who(e).get("source")
    return " Most entries are of %s: see what it does." % source if source and _who(e)["share"] >= HOLDS else ""


def table_filling(e):
    if is_full(e):
        return None
    evicted = e.lost("table_filling", "early_drop") or {}
    recent = e.log is not None and e.log.lines > 0 and e.log.seconds_ago <= LOG_SECONDS and e.usage >= LOG_USAGE
    if not (e.usage >= NEARLY or evicted or recent):
        return None
    words, commands, policy = _larger(e)
    growth = e.facts["counters"].get("rates", {}).get("count", 0)
    evidence = dict(_numbers(e), early_drop=evicted.get("early_drop"), commands=commands, **_who(e))
    if growth > 0:
        evidence["seconds_to_full"] = int((e.facts["max"] - e.facts["count"]) / growth)
    return finding("table_filling", WARNING, dict(evidence, **_log(e)), words + _see_who(e), policy)


def idle_flows_hold_table(e):
    if e.usage < NEARLY or not e.flows or not e.flows.seen or e.flows.idle.flows < HOLDS * e.flows.seen:
        return None
    idle, seen = e.flows.idle, float(e.flows.seen)
    chosen = {"protocol": ["tcp"], "state": ["ESTABLISHED"], "status": ["assured"], "source": [idle.source], "min_remaining": LEAVE_WITHIN + 1}
    evidence = dict(
        _numbers(e), idle_share=round(idle.flows / seen, 4), source=idle.source, share=round(idle.source_flows / seen, 4),
        destinations=_who(e)["destinations"], assured_share=_who(e)["assured_share"], timeout=e.running(ESTABLISHED),
        remaining=dict(zip(("least", "median", "most"), idle.remaining)), filter=chosen,
    )
    words, dummy, policy = _larger(e)
    timeouts = {"timeouts": {ESTABLISHED: ESTABLISHED_SECONDS}} if e.running(ESTABLISHED) > ESTABLISHED_SECONDS else {}
    cure = (
        "Cap what the established flows of %s have left to %d seconds: netfleet.conntrack.flow with state: capped, remaining: %d and "
        "the filter in the evidence. A connection that lives has its time again with its next packet, one that is idle and alive is "
        "forgotten. Then let no connection stay for longer than %d seconds without a packet, as the profile home_router does: that breaks "
        "those that are idle for longer and have no keepalive. %s"
        % (idle.source, LEAVE_WITHIN, LEAVE_WITHIN, ESTABLISHED_SECONDS, words))
    return finding("idle_flows_hold_table", CRITICAL if is_full(e) else WARNING, evidence, cure, together(timeouts, policy))


def timeouts_too_long(e):
    if e.usage < NEARLY and not e.lost("table_filling", "early_drop") or not e.flows or not e.flows.seen:
        return None
    place = 0 if e.translated() else 1
    rows = [(flows, name) for name, flows in e.flows.timeouts.items() if name in ENOUGH and (e.running(name) or 0) > ENOUGH[name][place]]
    flows, name = max(rows, default=(0, ""))
    if flows < HOLDS * e.flows.seen:
        return None
    evidence = dict(
        _numbers(e), timeout=name, seconds=e.running(name), enough=ENOUGH[name][place], held_share=round(flows / float(e.flows.seen), 4), **_who(e))
    cure = (
        "Lower %s from %d to %d seconds. It holds for packets to come: what idle flows have left stays until it ends, or is capped by "
        "netfleet.conntrack.flow." % (name, e.running(name), ENOUGH[name][place]))
    return finding("timeouts_too_long", WARNING, evidence, cure, {"timeouts": {name: ENOUGH[name][place]}})


# Entries that are in no list

def are_many(e):
    """Tell whether more entries are in no list than may be on their way."""
    hidden = e.hidden
    return hidden.later is not None and min(hidden.entries, hidden.later) >= max(HIDDEN_LEAST, HIDDEN_SHARE * e.facts["count"])


def _cause(e):
    """(word, cure) by what speaks for itself first; what nothing explains has leaked."""
    if e.held:
        return "queue", "Repair or end the program that owns the queue and decides nothing; its packets, and their entries, go with it: %s."
    if any(dict(e.hidden.lists).values()):
        return "deleted", (
            "They are being deleted, and something still holds them: a listener that does not read its events, or a packet on its way. Restart conntrackd.")
    if e.pattern("clashes_resolved"):
        return "clash", "They are twins of clashes, which live for a second. Have resolvers ask through one server that caches, without NAT."
    return "leak", (
        "Nothing that can be listed holds them: the kernel has leaked them. Note the kernel's release, update it, and reboot; nothing else frees them.")


def count_mismatch(e):
    if e.hidden is None or not (e.held and e.hidden.entries > 0 or are_many(e)):
        return None
    word, cure = _cause(e)
    queues = [
        {"queue": held.queue.number, "waiting": held.queue.waiting, "dropped": held.queue.dropped, "process": held.process, "program": held.program}
        for held in e.held[:SHOWN]]
    commands = ["kill %d" % process for process in sorted({row["process"] for row in queues if row["process"]})]
    evidence = dict(
        _numbers(e), cause=word, listed=e.flows.seen, hidden=e.hidden.entries, hidden_later=e.hidden.later,
        seconds=round(e.hidden.seconds, 1) or None, lists=dict(e.hidden.lists), queues=queues, commands=commands, kernel=e.facts["kernel"])
    cure = cure % (", ".join(commands) or "its process is not known") if word == "queue" else cure
    return finding("count_mismatch", CRITICAL if e.held or is_full(e) else WARNING, evidence, cure)

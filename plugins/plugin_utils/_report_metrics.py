# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""A report as Prometheus reads it, in its text format 0.0.4: what node_exporter's own metrics of conntrack do not tell.

node_exporter's textfile collector takes a file of this kind: of the whole fleet (C(render)), where the label ``router`` names each
host, or of one host on itself (C(of_host)), where ``instance`` does. A host that could not be read is not as wanted, and has
no numbers. Every number of series has a bound, whatever hosts tell. Pure.
"""
from __future__ import annotations

import datetime
import heapq
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report_compare, _report_host
from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_clean import Cleaner

ROUTER = "router"
STATUSES = _report_host.STATUSES
READ = ("clean", "drift")  # statuses of hosts of which all was compared, so that what is not told is none
PARTS = ("settings", "early_load", "management", "snat", "policy")
LAYERS = ("running", "boot")
OTHER = "other"  # what is in no table: a name is a series
# Counters under their netlink names. node_exporter has most of them too, of kernels with CONFIG_NF_CONNTRACK_PROCFS.
EVENTS = ("found", "invalid", "insert", "insert_failed", "drop", "early_drop", "error", "search_restart", "clash_resolve", "chain_toolong")
FULLEST = 5  # destinations of each host with the fewest ports of SNAT left
FULLEST_OF_ALL = 200  # and of all hosts together
LONGEST = 300  # characters of a label's value
DAY = 86400
ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


class Family(NamedTuple):
    """A metric: ``rows`` tells of a host pairs of labels, by name, and a number, which is left out where it is none."""

    name: str  # less its prefix
    help: str
    rows: Any
    type: str = "gauge"
    most: int = 0  # series in one text, of which those of the highest numbers are kept; 0 for as many as there are hosts and names


def _as_wanted(host):
    yield {}, int(host["status"] == "clean")


def _status(host):
    return [({"status": status}, int(host["status"] == status)) for status in STATUSES]


def _drift(host):
    counts = {(part, layer): 0 for part in PARTS for layer in LAYERS} if host["status"] in READ else {}
    for row in host["differences"]:
        key = _known(row["part"], PARTS), _known(row["layer"], LAYERS)
        counts[key] = counts.get(key, 0) + 1
    return [({"part": part, "layer": layer}, count) for (part, layer), count in counts.items()]


def _problems(host):
    return [({}, len(host["problems"]))] if host["compared"] or host["problems"] else ()


def _tracked(host):
    words = {"yes": 1, "no": 0}
    return [({"family": family}, words.get(_of(host, "tracking").get(family))) for family in ("ipv4", "ipv6")]


def _of_table(name):
    return lambda host: [({}, _of(host, "table").get(name))]


def _until_full(host):
    days = host["days_until_full"]
    yield {}, None if days is None else days * DAY


def _findings(host):
    return [({"id": row["id"]}, 1) for row in host["findings"]]


def _shares(host):
    """The fullest uses of ports, each destination once: of zones, the fullest."""
    fullest = {}
    for row in host["snat"]["headroom"]:
        port = row.get("destination_port")
        labels = (row.get("nat_address"), row.get("protocol"), row.get("destination"), "" if port is None else port)
        if _is_number(row.get("share")):
            key = tuple(map(_text, labels))
            fullest[key] = max(fullest.get(key, 0), row["share"])
    return heapq.nsmallest(FULLEST, fullest.items(), key=lambda item: (-item[1], item[0]))


def _ports_used(host):
    names = ("nat_address", "protocol", "destination", "destination_port")
    return [(dict(zip(names, key, strict=True)), share) for key, share in _shares(host)]


def _ports_used_most(host):
    return [({}, share) for dummy, share in _shares(host)[:1]]


def _events(host):
    return [({"event": name}, _of(host, "counters").get(name)) for name in EVENTS]


FAMILIES = (
    Family("as_wanted", "Whether the router is as its policy says, now and at the next boot; 0 also where that could not be found out.", _as_wanted),
    Family("status", "1 for what the router is: clean, drift, unknown (not readable) or unreachable.", _status),
    Family("drift", "Things that are not as the policy says, by its part, and by whether they run or come with the next boot.", _drift),
    Family("problems", "Things that could not be found out, or that this router cannot have.", _problems),
    Family("tracked", "Whether packets are tracked; absent where that is unknown.", _tracked),
    Family("table_usage_ratio", "Connections by the most that the table may hold, when the report was made.", _of_table("usage")),
    Family("table_bytes", "Memory that the full table takes.", _of_table("table_bytes")),
    Family("table_memory_ratio", "Memory that the full table takes, by all memory.", _of_table("memory_share")),
    Family("table_buckets", "Chains of the hash table.", _of_table("buckets")),
    Family("table_load_factor", "Most connections by chains of the hash table.", _of_table("load_factor")),
    Family("table_full_in_seconds", "When the table is full if it fills as in the last reports; absent where it does not.", _until_full),
    Family("findings", "1 for each known failure that the rise of the counters since the last report, or the ports of SNAT, tell of.", _findings),
    Family(
        "snat_ports_used_ratio", "Ports of a NAT address in use toward one destination, by those available, of the destinations with the fewest left.",
        _ports_used, most=FULLEST_OF_ALL),
    Family("snat_ports_used_max_ratio", "The highest share of ports of a NAT address in use toward any destination.", _ports_used_most),
    Family("events_total", "Counters of conntrack, by their name in netlink, summed over the CPUs; each is 32 bits wide on a CPU.", _events, "counter"),
)
TIMESTAMP = Family("report_timestamp_seconds", "When this was found out, in seconds since 1970.", lambda when: [({}, when)])
INFO = Family("report_info", "What made this report.", lambda report: [({"kind": report["kind"], "version": report["collection_version"]}, 1)])
HOSTS = Family("report_hosts", "Routers of the report, by status.", lambda report: [({"status": s}, report["summary"].get(s)) for s in STATUSES])
PREFIX = "netfleet_conntrack_"
NAMES = tuple(PREFIX + family.name for family in (TIMESTAMP, INFO, HOSTS) + FAMILIES)


def render(report):
    """Return the text for a report of any number of hosts."""
    when = datetime.datetime.fromisoformat(report["written"].replace("Z", "+00:00")).timestamp()
    hosts = sorted(report["hosts"], key=lambda host: host["name"])
    lines = _lines(TIMESTAMP, [((), when)]) + _lines(INFO, [((), report)]) + _lines(HOSTS, [((), report)])
    named = [(((ROUTER, host["name"]),), host) for host in hosts]
    return _joined(lines + [line for family in FAMILIES for line in _lines(family, named)])


def of_host(looked, when):
    """Return the text for one host, without C(router): what drift_info has found, or its failure, at ``when`` (seconds since 1970)."""
    host = _report_host.host(Cleaner(), "", looked)
    _report_compare.compare(host, None, when)
    return _joined(_lines(TIMESTAMP, [((), when)]) + [line for family in FAMILIES for line in _lines(family, [((), host)])])


def _lines(family, subjects):
    """The lines of a metric; ``subjects`` are pairs of common labels and what its rows tell of."""
    found = {}
    for common, subject in subjects:
        for labels, value in family.rows(subject):
            if _is_number(value):
                found.setdefault(_labels((*common, *labels.items())), value)
    kept = heapq.nsmallest(family.most, found.items(), key=lambda item: (-item[1], item[0])) if family.most else found.items()
    name = PREFIX + family.name
    series = ["%s%s %s" % (name, labels, _number(value)) for labels, value in kept]
    return ["# HELP %s %s" % (name, family.help), "# TYPE %s %s" % (name, family.type), *series] if series else []


def _labels(pairs):
    inner = ",".join('%s="%s"' % (name, _text(value).translate(ESCAPES)) for name, value in pairs)
    return "{%s}" % inner if inner else ""


def _text(value):
    """A label's value; what hosts say is clean already."""
    return str(value)[:LONGEST]


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value):
    return str(int(value)) if value == int(value) else repr(float(value))


def _known(name, names):
    return name if name in names else OTHER


def _of(host, name):
    value = host.get(name)
    return value if isinstance(value, dict) else {}


def _joined(lines):
    return "".join(line + "\n" for line in lines)

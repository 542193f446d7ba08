# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What fills the table of a host: the options of the module flow_info, and its answer."""
import functools
import ipaddress

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _flow_filter,
    _flow_read,
    _flow_report,
    _flow_row,
    _flows,
    _headroom,
    _unknown_sockets,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._flow_report import Sample

SCHEMA_VERSION = 1
AUTO, EXACT = "auto", "exact"
SAMPLE = 5000  # entries; a share is then right within 1.4 hundredths
SMALL = 7500  # entries up to which reading all takes no longer
LEAST_SAMPLE = 100
PREFIXES = {"ipv4": (24, 32), "ipv6": (64, 128)}  # default and most
MOST_LISTED = 10000
MOST_ZONES = 16
TIMEOUT = "/proc/sys/net/netfilter/nf_conntrack_"
RESIZED = "the hash table was resized each time that it was read: some flows may have been counted twice, or not at all"

HEADROOM, SOCKETS, LONGEST = "snat_headroom", "unknown_sockets", "longest"
SHOWN = _flows.BREAKDOWNS + (LONGEST, HEADROOM, SOCKETS)

SPEC = {
    "show": {"type": "list", "elements": "str", "choices": list(SHOWN)},
    "top": {"type": "int", "default": 10},
    "source_network": {
        "type": "dict", "apply_defaults": True, "options": {name: {"type": "int", "default": row[0]} for name, row in PREFIXES.items()},
    },
    "filter": {"type": "dict", "options": _flow_filter.SPEC},
    "sample": {"type": "str", "default": AUTO},
    "time_limit": {"type": "float"},
}


class Watch:
    """All that one reading of the table feeds: of all flows the headroom, of those that are meant the rest."""

    def __init__(self, chooser, options):
        self.longest = _flows.Longest(options["top"])
        self.headroom = _headroom.Headroom()
        counters = _flows.counters(options["show"], _prefixes(options))
        self.survey = _flows.Survey(counters + ([self.longest] if LONGEST in options["show"] else []))
        self.zones = _flows.OfField("zone", 0)
        of_all = ((HEADROOM, self.headroom), (SOCKETS, self.zones))
        self._all = _flows.Survey([part for name, part in of_all if name in options["show"]])
        self._chooser = chooser

    def add(self, batch):
        self._all.add(batch)
        chosen = self._chooser.chosen(batch)
        if chosen:
            self.survey.add(chosen)


def problems(options):
    """Yield what is wrong with the options, less what their types tell."""
    if not 1 <= options["top"] <= MOST_LISTED:
        yield "top: %d; give 1 to %d" % (options["top"], MOST_LISTED)
    for family, (dummy, most) in PREFIXES.items():
        if not 0 <= options["source_network"][family] <= most:
            yield "source_network.%s: %d; give the length of a prefix, 0 to %d" % (family, options["source_network"][family], most)
    if options["sample"] not in (AUTO, EXACT) and not (options["sample"].isdecimal() and int(options["sample"]) >= LEAST_SAMPLE):
        yield "sample: %s; give auto, exact, or a number of entries from %d on" % (options["sample"], LEAST_SAMPLE)
    if options["time_limit"] is not None and not options["time_limit"] > 0:
        yield "time_limit: %s; give seconds, more than 0" % options["time_limit"]
    yield from _flow_filter.problems(options["filter"])


def flow_info(host, options):
    """Return the module's result. Raises ConntrackError where the table cannot be read."""
    options = dict(options, show=SHOWN if options["show"] is None else options["show"])
    chooser = _flow_filter.read(options["filter"])
    count = _flow_read.count(host)
    watch, reading = _flow_read.survey(host, functools.partial(Watch, chooser, options), _limits(host, options, count), count)
    flows = {"schema_version": SCHEMA_VERSION, **_numbers(watch.survey.flows, reading)}
    tallies = {name: tally for name, tally in watch.survey.tallies().items() if name in options["show"]}
    sample = Sample(watch.survey.flows, flows["total"], Sample(reading.seen, reading.whole).bounds(watch.survey.flows)[1])
    lists, flows["breakdowns"] = _flow_report.breakdowns(tallies, sample, options["top"], _prefixes(options))
    flows.update(lists)
    if LONGEST in options["show"]:
        flows[LONGEST] = [_flow_row.flow(message) for message in watch.longest.messages()]
    if HEADROOM in options["show"]:
        flows[HEADROOM] = _snat_headroom(host, watch.headroom, Sample(reading.seen, reading.whole), options["top"])
    if SOCKETS in options["show"]:
        flows[SOCKETS] = _unknown_sockets.unknown_sockets(host, options["top"], _zones(watch.zones.tallies()["zone"]))
    return {"flows": flows, "warnings": [RESIZED] if reading.resized else []}


def _zones(tally):
    """The zones in which to look for sockets: one after the other, so not in any number of them."""
    return sorted({0}.union(tally.counts))[:MOST_ZONES]


def _prefixes(options):
    return tuple(options["source_network"][name] for name in PREFIXES)


def _limits(host, options, count):
    entries = None if options["sample"] in (AUTO, EXACT) else int(options["sample"])
    if options["sample"] == AUTO and count > SMALL:
        entries = SAMPLE
    return _flow_read.Limits(entries, host.clock() + options["time_limit"] if options["time_limit"] else None)


def _numbers(matched, reading):
    """How many flows are meant, of how many."""
    row = Sample(reading.seen, reading.whole).row(matched)
    return {
        "total": row.pop("flows"), "count": reading.count, "exact": reading.complete and not reading.resized, "sample_size": reading.seen,
        **row
    }


def _snat_headroom(host, headroom, sample, top):
    pairs = headroom.addresses()
    rules = _snat_rules(host) if pairs else ()
    ports = {pair: _headroom.available(rules, pair[0], ipaddress.ip_address(pair[1])) for pair in pairs}
    timeouts = {name: host.number(TIMEOUT + name) for name in set(_headroom.KEPT_FOR.values())}
    worst, candidates = headroom.worst(ports, top)
    rows = [_use(use, ports[use.protocol, use.nat_address], timeouts, sample.flows(use.flows)) for use in worst]
    for row, use in zip(rows, worst):
        row["low"], row["high"] = sample.bounds(use.flows, use.missed, len(worst), candidates)
    return rows


def _snat_rules(host):
    """The rules of SNAT, where any of them may limit the ports."""
    # Imported here because many routers do without, and imports cost time.
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _rulesets

    rulesets = _rulesets.read(host, host.read("/proc/sys/kernel/osrelease").strip())
    if not _rulesets.may_name_ports(rulesets):
        return ()
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _nat_rules

    return _nat_rules.read(host, rulesets)[0]


def _use(use, available, timeouts, used):
    return {
        "nat_address": _flow_row.address(use.nat_address),
        "protocol": _flow_row.protocol(use.protocol),
        "destination": _flow_row.address(use.destination),
        "destination_port": use.destination_port,
        "zone": use.zone,
        "used": used,
        "available": available,
        "share": round(used / float(available), 6),
        "flows_per_second": _headroom.rate(available, use.protocol, timeouts),
    }

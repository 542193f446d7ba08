# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""A report beside the one before it: what is new, what went away, how fast the counters rose and what that means. Pure."""
from __future__ import annotations

import json
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _patterns
from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_clean import Cleaner, Misshapen, listed, mapped
from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_history import moment
from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_host import DIFFERENCE, UNKNOWN, UNREACHABLE

SCHEMA_VERSION = 1
KEY = ("part", "name", "layer", "kind")  # what makes two differences the same one
MUCH = 0.8  # of the ports that there are
SHOWN = 10  # uses of ports that are told of a host
UNUSED = ("compared", "snat", "history", "findings", "owners", "policy")  # what of an earlier report nobody asks for
PORTS_FILLING = {
    "id": "snat_ports_filling",
    "meaning": "Towards this destination most of the ports are taken that source NAT may choose among; when none is left, new connections there are "
               "dropped. Add NAT addresses, widen the range of ports or shorten tcp_timeout_time_wait.",
}
PORTS_SHOWN = ("nat_address", "protocol", "destination", "destination_port", "used", "available", "share")


class Earlier(NamedTuple):
    """What is used of an earlier report."""

    written: str
    moment: int  # unix seconds
    hosts: Any  # name to (differences by their key, counters or None)


def parsed(text):
    """An earlier report from its JSON, less what nobody asks for. Raises ValueError."""
    try:
        return mapped(json.loads(text, object_hook=_less), "the file")
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _less(row):
    for name in UNUSED:
        row.pop(name, None)
    return row


def earlier(report):
    """Return an Earlier; None for None. Raises Misshapen, whose text says what is wrong, for what is no report of ours."""
    if report is None:
        return None
    if mapped(report, "the file").get("schema_version") != SCHEMA_VERSION:
        raise Misshapen("its schema_version is %s, and not %d" % (Cleaner().text(report.get("schema_version")), SCHEMA_VERSION))
    try:
        when = moment(report["written"])
    except (KeyError, TypeError, ValueError) as error:
        raise Misshapen("it does not say when it was written") from error
    cleaner = Cleaner()
    hosts = [mapped(host, "hosts") for host in listed(report.get("hosts"), "hosts")]
    return Earlier(report["written"], when, dict(_of_host(cleaner, host) for host in hosts))


def _of_host(cleaner, host):
    """The name of a host, and what is used of it."""
    cleaner.begin()
    name, rows = cleaner.text(host.get("name")), cleaner.rows(host.get("differences"), DIFFERENCE, "differences")
    return name, ({key(row): row for row in rows}, cleaner.numbers(host.get("counters")))


def key(row):
    return tuple(row[name] for name in KEY)


def compare(host, before, now):
    """Complete a host of a report: ``before`` is the Earlier or None, ``now`` unix seconds."""
    old, counters = before.hosts.get(host["name"], ({}, None)) if before else ({}, None)
    host["differences"] = [dict(row, new=before is not None and key(row) not in old) for row in host["differences"]]
    if host["status"] not in (UNKNOWN, UNREACHABLE):
        present = {key(row) for row in host["differences"]}
        host["gone"] = [row for name, row in old.items() if name not in present]
    host["rates"] = _rates(counters, host["counters"], now - before.moment) if before else None
    host["findings"] = _patterns_of(host) + _ports_of(host)


def _rates(old, new, seconds):
    """How fast the counters rose; None where they are not known, or began again: they wrap, and a boot clears them."""
    changes = {name: value - old[name] for name, value in (new or {}).items() if name in (old or {})}
    if not changes or seconds <= 0 or min(changes.values()) < 0:
        return None
    return {"seconds": float(seconds), "changes": changes, "per_second": {name: round(value / seconds, 6) for name, value in changes.items()}}


def _patterns_of(host):
    if not host["rates"]:
        return []
    table = host["table"] or {}
    numbers = dict(host["rates"]["changes"], **{name: table[name] for name in ("count", "max", "buckets") if table.get(name) is not None})
    return _patterns.patterns(numbers, host["rates"]["seconds"])


def _ports_of(host):
    rows = [row for row in host["snat"]["headroom"] if _share(row) >= MUCH]
    worst = sorted(rows, key=_share, reverse=True)[:SHOWN]
    return [dict(PORTS_FILLING, evidence={name: row.get(name) for name in PORTS_SHOWN}) for row in worst]


def _share(row):
    share = row.get("share")
    return share if isinstance(share, (int, float)) and not isinstance(share, bool) else 0.0

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""The report on a fleet: what C(drift_info) gave on each host, in one dict from which every form is made.

The dict is docs/report.schema.json. Its texts are clean (_report_clean); a form escapes its own syntax. Pure.
"""
from __future__ import annotations

import re
from collections import Counter

from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report_compare, _report_history
from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_clean import Cleaner
from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_host import CLEAN, DRIFT, STATUSES, UNKNOWN, UNREACHABLE, host

SCHEMA_VERSION = 1
KINDS = ("drift", "plan", "tune")
ORDER = {status: place for place, status in enumerate((DRIFT, UNKNOWN, UNREACHABLE, CLEAN))}


def build(results, written, kind="drift", title="", version="", previous=None, history=None, applied=None):
    """Return the report.

    ``results``: what each host gave, by its name in the inventory; None where it gave nothing.
    ``written``: now, in unix seconds. ``version``: of the collection.
    ``previous``: the report before this one, or None. Raises ValueError where it is none of ours.
    ``history``: points by host, as _report_history.read() gives them.
    ``applied``: of a run that applies documents, what that gave on each host.
    """
    cleaner, before = Cleaner(), _report_compare.earlier(previous)
    hosts = [host(cleaner, name, looked, (applied or {}).get(name)) for name, looked in results.items()]
    for each in hosts:
        _report_compare.compare(each, before, written)
        _remember(each, (history or {}).get(each["name"], []), written)
    hosts.sort(key=_place)
    summary = _summary(hosts)
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "title": Cleaner().text(title),
        "written": _report_history.written(written),
        "collection_version": version,
        "previous": {"written": before.written} if before else None,
        "exit_status": exit_status(summary),
        "summary": summary,
        "hosts": hosts,
    }


def names(given):
    """Names of hosts as a report has them."""
    return [Cleaner().text(name) for name in given]


def _remember(each, points, now):
    table = each["table"]
    here = [[now, table["count"], table["max"]]] if table else []
    each["history"] = (points + here)[-_report_history.KEPT:]
    each["days_until_full"] = _report_history.days_until_full(each["history"]) if here else None


def _summary(hosts):
    statuses = Counter(each["status"] for each in hosts)
    return dict(
        {"hosts": len(hosts)},
        **{status: statuses[status] for status in STATUSES},
        new=sum(row["new"] for each in hosts for row in each["differences"]),
        gone=sum(len(each["gone"]) for each in hosts),
    )


def exit_status(summary):
    """What a run ends with: 4 where a host is unreachable, else 2 where one is not clean, else 0."""
    if summary[UNREACHABLE]:
        return 4
    return 0 if summary[CLEAN] == summary["hosts"] else 2


def _place(each):
    """Odd hosts first, those with most differences before the others; then as people count."""
    return ORDER[each["status"]], -len(each["differences"]), natural(each["name"])


def natural(name):
    """What to sort a name by so that r10 comes after r9."""
    parts = re.split("([0-9]+)", name)
    return [(len(part.lstrip("0")), part.lstrip("0")) if place % 2 else (0, part) for place, part in enumerate(parts)], name

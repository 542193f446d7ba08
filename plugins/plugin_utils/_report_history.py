# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""The history of a fleet, one JSON line a run; and how long it takes until a table is full.

A line that is not whole, of a run that was killed, is passed over, as is one of another schema_version. Pure.
"""
from __future__ import annotations

import calendar
import json
import time

SCHEMA_VERSION = 1
FORMAT = "%Y-%m-%dT%H:%M:%SZ"
KEPT = 90  # points of a host
RUNS = 400  # lines that are looked at, the last ones; with many runs of a part of the fleet, a host is not in each of them
DAY = 86400
SHORTEST = DAY  # seconds that points must span: what a table gains from morning to noon it loses again by night
LONGEST = 3650  # days; what takes longer is no forecast
# Student's t, one-sided 99.5 %, by degrees of freedom: a slope that exceeds so many of its standard errors rises by chance in one of 200 hosts.
STUDENT = ((1, 63.66), (2, 9.925), (3, 5.841), (4, 4.604), (5, 4.032), (6, 3.707), (8, 3.355), (10, 3.169), (15, 2.947), (30, 2.750), (60, 2.660))


def written(moment):
    """Unix seconds as reports have them."""
    return time.strftime(FORMAT, time.gmtime(moment))


def moment(text):
    """Unix seconds of what written() gave. Raises ValueError."""
    return calendar.timegm(time.strptime(text, FORMAT))


def line(report):
    """The line of a report, without its line feed."""
    hosts = {host["name"]: _shortly(host) for host in report["hosts"]}
    row = {"schema_version": SCHEMA_VERSION, "time": moment(report["written"]), "kind": report["kind"], "hosts": hosts}
    return json.dumps(row, separators=(",", ":"))


def _shortly(host):
    table = host["table"] or {}
    return [table.get("count"), table.get("max"), host["status"], len(host["differences"])]


def read(lines, before=None):
    """Return the points of each host, oldest first: lists of unix seconds, connections, and how many there may be.

    ``before``: unix seconds; points of that moment or later are left out.
    """
    found = {}
    for text in lines[-RUNS:]:
        when, hosts = _run(text)
        if before is None or when < before:
            for name, row in hosts.items():
                _add(found, name, when, row)
    return {name: sorted(points)[-KEPT:] for name, points in found.items()}


def _run(text):
    """The moment and the hosts of a line; no hosts where it is none of ours."""
    try:
        row = json.loads(text)
    except ValueError:
        return 0, {}
    right = isinstance(row, dict) and row.get("schema_version") == SCHEMA_VERSION and isinstance(row.get("hosts"), dict)
    return (row["time"], row["hosts"]) if right and _is_number(row.get("time")) else (0, {})


def _add(found, name, when, row):
    if isinstance(row, list) and len(row) >= 2 and _is_number(row[0]) and _is_number(row[1]):
        found.setdefault(name, []).append([when, row[0], row[1]])


def _is_number(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2 ** 53


def days_until_full(points):
    """Days until the straight line through the points reaches the present limit; 0.0 where it is there.

    None where that says nothing: fewer than three points, or a day; a line that does not rise, or no more than chance would
    have it; ten years and more.
    """
    if len(points) < 3 or points[-1][0] - points[0][0] < SHORTEST:
        return None
    now = points[-1][0]
    slope, level, error = fitted([(when - now) / DAY for when, dummy, dummy2 in points], [count for dummy, count, dummy2 in points])
    if slope <= 0 or slope <= _student(len(points) - 2) * error:
        return None
    days = max(0.0, (points[-1][2] - level) / slope)
    return round(days, 1) if days <= LONGEST else None


def fitted(places, values):
    """The straight line through points by least squares: its slope, its value at the place 0, and the standard error of the slope."""
    count, middle, mean = len(places), sum(places) / len(places), sum(values) / len(values)
    spread = sum((place - middle) ** 2 for place in places)
    if not spread:
        return 0.0, mean, 0.0
    slope = sum((place - middle) * (value - mean) for place, value in zip(places, values, strict=True)) / spread
    level = mean - slope * middle
    rest = sum((value - level - slope * place) ** 2 for place, value in zip(places, values, strict=True))
    return slope, level, (rest / (count - 2) / spread) ** 0.5 if count > 2 else 0.0


def _student(freedom):
    return [value for least, value in STUDENT if least <= freedom][-1]

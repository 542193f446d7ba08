# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""A report in a few words: values on one line, differences as sentences, and what a run says at its end. Pure."""
from __future__ import annotations

from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_host import CLEAN, DRIFT

WIDTH = 80  # characters of a value on a line
LINES = 20
SHOWN = 3  # differences of a host that its own line tells
NOTHING = "nothing"  # how None reads
SWITCHES = {True: "true", False: "false"}


def shown(value, width=WIDTH):
    """A value as people read it, on one line and no longer than ``width``."""
    text = " ".join(whole(value).split())
    return text if len(text) <= width else text[: width - 3] + "..."


def whole(value):
    """All of a value as people read it, lines and all."""
    if value is None:
        return NOTHING
    return SWITCHES[value] if isinstance(value, bool) else str(value)


def sentence(row):
    """A difference on one line: name, layer, found, wanted, and what decides or why."""
    because = row["source"] or row["why"]
    words = shown(row["part"]), shown(row["name"]), shown(row["layer"]), shown(row["found"]), shown(row["wanted"])
    return "%s %s, %s: found %s, wanted %s" % words + (" (%s)" % shown(because) if because else "")


def message(host):
    """What is odd with a host, on one line; an empty text where nothing is."""
    if host["status"] == CLEAN:
        return ""
    if host["status"] != DRIFT:
        return "%s: %s" % (host["status"], shown(host["message"], 400))
    more = len(host["differences"]) - SHOWN
    return "; ".join(map(sentence, host["differences"][:SHOWN])) + ("; and %d more" % more if more > 0 else "")


def lines(report):
    """What a run says at its end: odd hosts first, at most LINES lines and how many more there are."""
    odd = [host for host in report["hosts"] if host["status"] != CLEAN]
    told = [line for host in odd[:LINES] for line in _of_host(host, max(1, LINES // len(odd)))]
    more = len(odd) - LINES
    return told + (["... and %d more that are not as wanted" % more] if more > 0 else [])


def _of_host(host, most):
    """At most so many lines of a host; the last one tells how many differences it leaves out."""
    name = shown(host["name"])
    if host["status"] != DRIFT:
        return ["%s: %s" % (name, message(host))]
    told = ["%s: %s" % (name, sentence(row)) for row in host["differences"][:most]]
    more = len(host["differences"]) - len(told)
    return told[:-1] + [told[-1] + " ... and %d more" % more] if more else told


def headline(report):
    """The summary in one sentence."""
    summary = report["summary"]
    odd = summary["hosts"] - summary[CLEAN]
    counted = ", ".join("%d %s" % (summary[status], status) for status in (DRIFT, "unknown", "unreachable") if summary[status])
    hosts = "%d host%s" % (summary["hosts"], "" if summary["hosts"] == 1 else "s")
    told = "%d of %s %s not as wanted: %s" % (odd, hosts, "is" if odd == 1 else "are", counted) if odd else "%s, all as wanted" % hosts
    return told + compared(report)


def compared(report):
    """What is new and what went away, where there is an earlier report."""
    if report["previous"] is None:
        return ""
    return "; since %s %d difference%s new, %d gone" % (
        report["previous"]["written"], report["summary"]["new"], " is" if report["summary"]["new"] == 1 else "s are", report["summary"]["gone"])

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""The report as Markdown for a comment on a merge request: what is odd, what is new, what went away, within the length that forges take.

What hosts say stands in code spans, in which no forge looks for markup, links, mentions or references; the names in summaries, which are
HTML, in code elements. A line begins with nothing that a host says. Pure.
"""
from __future__ import annotations

import html
import re
from itertools import accumulate

from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_host import CLEAN, LAYERS, UNKNOWN, UNREACHABLE
from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_lines import headline, message, shown

LONGEST = 60000  # characters; GitHub takes 65536 for a comment, GitLab 1000000
OF_TABLES = 18000  # of these for each of the two tables
NARROW, WIDE = 60, 160  # characters of a cell
VALUES_SHOWN, PROBLEMS_SHOWN = 25, 10  # of a host
TITLES = {"drift": "Drift of connection tracking", "plan": "What would change in connection tracking", "tune": "Connection tracking after tuning"}
ODD = "| Host | Status | Differences | New | Gone | What |\n|---|---|--:|--:|--:|---|\n"
VALUES = "| Value | Wanted | Running | Boot | What decides, and why | New |\n|---|---|---|---|---|---|\n"
GONE = "| Host | Value | Layer | Was | Wanted |\n|---|---|---|---|---|\n"
DETAILS = "<details><summary>%s: %s</summary>\n\n%s\n</details>\n\n"
END = "Written %s by netfleet.conntrack %s."


def render(report):
    """The text of report.md."""
    odd = [host for host in report["hosts"] if host["status"] != CLEAN]
    head = "## %s\n\n**%s**\n\n" % (_plain(report["title"]) or TITLES[report["kind"]], headline(report))
    tables = _table("", ODD, [_odd(host) for host in odd], "not as wanted") + _table(
        "### Went away\n\n", GONE, [_gone(host, row) for host in report["hosts"] for row in host["gone"]], "that went away")
    end = END % (report["written"], report["collection_version"])
    details = _within(LONGEST - len(head + tables + end) - 100, map(_details, odd))
    more = len(odd) - len(details)
    return head + tables + "".join(details) + ("... and the details of %d more hosts.\n\n" % more if more else "") + end + "\n"


def _within(length, texts):
    """The first texts that fit into so many characters."""
    texts = list(texts)
    return [text for text, end in zip(texts, accumulate(map(len, texts)), strict=True) if end <= length]


def _table(title, head, rows, what):
    if not rows:
        return ""
    fitting = _within(OF_TABLES, rows)
    more = len(rows) - len(fitting)
    return title + head + "".join(fitting) + ("\n... and %d more %s.\n" % (more, what) if more else "") + "\n"


def _plain(text):
    """A title: what is markup is escaped, for nothing else is in it."""
    return re.sub("([!-/:-@\\[-`{-~])", r"\\\1", shown(text, WIDE))


def code(value, width=NARROW):
    """A code span, which no text of the value can end."""
    text = shown(value, width)
    if not text:
        return ""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    space = " " if "`" in (text[0], text[-1]) else ""
    return fence + space + text + space + fence


def cell(value, width=NARROW):
    """A code span in a table. Readers do not agree on a pipe behind a backslash, so that becomes a line that looks like it."""
    return code(value, width).replace("\\|", "\\\u2502").replace("|", "\\|")


def _cells(*cells):
    return "| %s |\n" % " | ".join(cells)


def _odd(host):
    new = sum(row["new"] for row in host["differences"])
    counts = (str(number) if number else "" for number in (len(host["differences"]), new, len(host["gone"])))
    return _cells(cell(host["name"]), host["status"], *counts, cell(host["message"] or message(host), WIDE))


def _gone(host, row):
    return _cells(cell(host["name"]), cell("%s.%s" % (row["part"], row["name"])), cell(row["layer"]), cell(row["found"]), cell(row["wanted"]))


def _details(host):
    name = "<code>%s</code>" % html.escape(shown(host["name"]))
    if host["status"] in (UNKNOWN, UNREACHABLE):
        return DETAILS % (name, host["status"], _listed([host["message"]] + host["problems"]))
    count, rows = len(host["differences"]), _grouped(host)
    more = "\n... and %d more values.\n" % (len(rows) - VALUES_SHOWN) if len(rows) > VALUES_SHOWN else ""
    problems = "\n" + _listed(host["problems"]) if host["problems"] else ""
    return DETAILS % (name, "%d difference%s" % (count, "" if count == 1 else "s"), VALUES + "".join(rows[:VALUES_SHOWN]) + more + problems)


def _listed(texts):
    """A list of what a host says; the same only once."""
    return "".join("- %s\n" % code(text, 2 * WIDE) for text in list(dict.fromkeys(filter(None, texts)))[:PROBLEMS_SHOWN])


def _grouped(host):
    """A row for each value that differs."""
    values = {(value["part"], value["name"]): value for value in host["compared"]}
    found = {}
    for row in host["differences"]:
        found.setdefault((row["part"], row["name"]), []).append(row)
    return [_value(place, values.get(place, {}), rows) for place, rows in found.items()]


def _value(place, value, rows):
    """What is found in a layer that differs is in bold."""
    odd = {row["layer"]: row["found"] for row in rows}
    layers = ["**%s**" % cell(odd[layer]) if layer in odd else cell(value.get(layer, "")) for layer in LAYERS]
    why = dict.fromkeys(text for row in rows for text in (row["source"], row["why"]) if text)
    told = ", ".join(cell(text, WIDE) for text in list(why)[:4])
    return _cells(cell("%s.%s" % place), cell(rows[0]["wanted"]), *layers, told, "new" if any(row["new"] for row in rows) else "")

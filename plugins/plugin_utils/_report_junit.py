# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""The report as JUnit XML, in the part of that format that GitLab, GitHub's actions and Jenkins all read.

A suite is a host, a case one of its values. A difference is a failure, a host that could not be read an error: C(read) is the
case for that, and every host has it. What such a host did not tell is skipped. Both common
schemas allow what is written: that of Ant (testsuites has no attributes, a case one outcome), and that of Jenkins' xUnit plugin. Pure.
"""
from __future__ import annotations

from collections import Counter
from xml.sax.saxutils import escape

from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_host import LAYERS, UNKNOWN, UNREACHABLE, unexplained
from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_lines import sentence, shown, whole

# In an attribute a reader makes spaces of these, if they are not written as numbers.
IN_ATTRIBUTES = {'"': "&quot;", "\n": "&#10;", "\t": "&#9;"}
SUITE = ('<testsuite name="%s" package="netfleet.conntrack" id="%d" timestamp="%s" hostname="%s" tests="%d" failures="%d" errors="%d" skipped="%d"'
         ' time="0">\n<properties>%s</properties>\n%s\n<system-out>%s</system-out>\n<system-err>%s</system-err>\n</testsuite>\n')
CASE = '<testcase classname="%s" name="%s" time="0"%s'
OUTCOME = '><%s type="%s" message="%s">%s</%s></testcase>'
SKIPPED = "><skipped/></testcase>"
READ = "read"


def render(report):
    """The text of report.xml."""
    suites = [_suite(report, place, host) for place, host in enumerate(report["hosts"])]
    return '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n%s</testsuites>\n' % "".join(suites)


def _attribute(text):
    return escape(text, IN_ATTRIBUTES)


def _suite(report, place, host):
    name = _attribute(host["name"].strip() or "-")
    cases = [_read_case(name, host)] + list(_value_cases(name, host))
    outcomes = Counter(kind for kind, dummy in cases)
    properties = {"kind": report["kind"], "status": host["status"], "kernel": host["kernel"]}
    return SUITE % (
        name, place, report["written"].rstrip("Z"), name, len(cases), outcomes["failure"], outcomes["error"], outcomes["skipped"],
        "".join('<property name="%s" value="%s"/>' % (key, _attribute(value)) for key, value in properties.items()),
        "\n".join(text for dummy, text in cases), escape("\n".join(host["warnings"])), escape("\n".join(host["problems"])),
    )


def _read_case(name, host):
    if host["status"] not in (UNKNOWN, UNREACHABLE):
        return _case(name, READ)
    text = "\n".join([host["message"]] + host["problems"])
    return _case(name, READ, "error", host["status"], shown(host["message"], 400), text)


def _case(name, title, outcome="", kind="", message="", text=""):
    """A pair of the outcome, empty for a case that passes, and the XML."""
    told = "/>"
    if outcome:
        told = OUTCOME % (outcome, _attribute(kind), _attribute(message), escape(text), outcome)
    return outcome, CASE % (name, _attribute(shown(title, 200)), told)


def _value_cases(name, host):
    """A case for each value, and for each difference that belongs to none: two outcomes of one case are one too many for some readers."""
    rows = {}
    for difference in host["differences"] + unexplained(host["compared"], host["differences"]):
        rows.setdefault((difference["part"], difference["name"]), []).append(difference)
    values = {(value["part"], value["name"]): value for value in host["compared"]}
    for place in list(values) + [place for place in rows if place not in values]:
        title, value = "%s.%s" % place, values.get(place)
        if place in rows:
            yield _failure(name, title, value, rows[place])
        elif host["status"] == UNKNOWN and None in (value["running"], value["boot"]):
            yield "skipped", CASE % (name, _attribute(shown(title, 200)), SKIPPED)
        else:
            yield _case(name, title)


def _failure(name, title, value, rows):
    told = [_told(row) for row in rows] + ([_beside(value)] if value else [])
    return _case(name, title, "failure", rows[0]["kind"], "; ".join(map(sentence, rows)), "\n\n".join(told))


def _told(row):
    """A difference in lines of their own."""
    fields = ("layer", "kind", "wanted", "found", "source", "why")
    return "\n".join("%s: %s" % (field, whole(row[field])) for field in fields if row[field] != "") + ("\nnew: yes" if row.get("new") else "")


def _beside(value):
    """What else is known of the value."""
    told = ["%s: %s" % (layer, whole(value[layer])) for layer in LAYERS]
    told += ["%s: %s" % (field, value[field]) for field in ("source", "reason") if value[field]]
    told += ["written by %s: %s (%s), %s" % (row["name"], shown(row["value"]), row["source"], row["when"]) for row in value["writers"]]
    return "\n".join(told)

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms of a report: what each of them tells, and that nothing that a host says becomes a part of their syntax."""
import json
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report, _report_json, _report_junit, _report_markdown
from ansible_collections.netfleet.conntrack.tests.unit.plugins.plugin_utils import results

REPORT = results.report(40)
HOSTS = {host["name"]: host for host in REPORT["hosts"]}


def test_json_is_the_report_one_host_a_line():
    text = _report_json.render(REPORT)
    assert json.loads(text) == REPORT and text.isascii()
    assert [json.loads(line.rstrip(","))["name"] for line in text.splitlines()[1:-1]] == list(HOSTS)


# JUnit

SUITES = {suite.get("name"): suite for suite in ET.fromstring(_report_junit.render(REPORT))}


def cases(name, outcome):
    return {case.get("name"): case.find(outcome) for case in SUITES[name] if case.find(outcome) is not None}


def test_junit_has_a_suite_for_each_host_and_counts_its_cases():
    assert list(SUITES) == list(HOSTS)
    for name, suite in SUITES.items():
        found = {outcome: len(cases(name, outcome)) for outcome in ("failure", "error", "skipped")}
        assert {key: int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped")} == {
            "tests": len(suite.findall("testcase")), "failures": found["failure"], "errors": found["error"], "skipped": found["skipped"]}
        assert all(case.get("classname") == name and len(case) <= 1 for case in suite.findall("testcase"))


def test_junit_has_a_failure_for_each_value_that_differs_and_an_error_for_each_host_that_could_not_be_read():
    for name, host in HOSTS.items():
        differing = {"%s.%s" % (row["part"], row["name"]) for row in host["differences"]}
        differing |= {"%s.%s" % (row["part"], row["name"]) for row in host["compared"] if row["differs"]}
        assert set(cases(name, "failure")) == differing
        assert list(cases(name, "error")) == (["read"] if host["status"] in ("unknown", "unreachable") else [])
        titles = [case.get("name") for case in SUITES[name].findall("testcase")]
        assert len(set(titles)) == len(titles) and {"read"} | {"%s.%s" % (row["part"], row["name"]) for row in host["compared"]} <= set(titles)


def test_a_failure_tells_wanted_found_source_and_why():
    name = "r2.example.net"
    failures = cases(name, "failure")
    for row in HOSTS[name]["differences"]:
        failure = failures["%s.%s" % (row["part"], row["name"])]
        assert "found %s" % row["found"] in failure.get("message") and failure.get("type") == row["kind"]
        for field in ("wanted", "found", "source", "why"):
            assert not row[field] or "%s: %s" % (field, row[field]) in failure.text


def test_a_rule_that_is_not_loaded_at_boot_fails_with_the_unit_that_loads_it():
    rule = {"part": "snat", "name": "lan", "wanted": "a", "running": "a", "boot": "disabled", "source": "x.service", "differs": ["boot"]}
    unit = {"part": "early_load", "name": "x.service", "layer": "boot", "kind": "unit_disabled", "wanted": "enabled", "found": "disabled"}
    looked = dict(results.results(1)["r1.example.net"], compared=[rule], differences=[unit])
    suite = ET.fromstring(_report_junit.render(_report.build({"r1": looked}, results.NOW)))[0]
    assert [(case.get("name"), len(case)) for case in suite.findall("testcase")] == [("read", 0), ("snat.lan", 1), ("early_load.x.service", 1)]


def test_what_an_unknown_host_did_not_tell_is_skipped_and_not_passed():
    unread = [row for row in HOSTS["r6.example.net"]["compared"] if row["running"] is None]
    assert len(cases("r6.example.net", "skipped")) == len(unread) > 0


# Markdown


def test_markdown_begins_with_the_summary_and_the_odd_hosts_in_their_order():
    text = _report_markdown.render(REPORT)
    lines = text.splitlines()
    assert lines[0] == "## Routers of the north"
    assert lines[2] == "**10 of 40 hosts are not as wanted: 3 drift, 6 unknown, 1 unreachable; since 2026-11-20T17:30:00Z 2 differences are new, 2 gone**"
    odd = [host["name"] for host in REPORT["hosts"] if host["status"] != "clean"]
    assert [line.split("|")[1].strip(" `") for line in lines[6:16]][1:] == odd[1:] and text.count("<details>") == text.count("</details>") - 3 == len(odd)


def test_markdown_tells_three_ways_and_what_is_new_and_gone():
    text = _report_markdown.render(results.report(2))
    assert "| `settings.buckets` | `524288` | `524288` | **`16384`** | `/etc/modprobe.d/nf.conf:1`, `options of the module` | new |" in text
    assert "### Went away" in text and "| `r2.example.net` | `settings.tcp_timeout_established` | `boot` | `432000` | `7440` |" in text


def test_markdown_of_a_fleet_as_wanted_is_short():
    rows = {"r%d" % number: results.results(1)["r1.example.net"] for number in range(3)}
    text = _report_markdown.render(_report.build(rows, results.NOW, "plan", version="1.2.3"))
    assert text == "## What would change in connection tracking\n\n**3 hosts, all as wanted**\n\nWritten 2026-11-21T17:30:00Z by netfleet.conntrack 1.2.3.\n"


@pytest.mark.parametrize("looked", (
    results.results(9)[results.EVIL_NAME], None, {"failed": True, "msg": "|`" * 3000}, {"unreachable": True, "msg": "x y" * 3000},
), ids=("hostile", "absent", "failed", "unreachable"))
def test_markdown_is_never_longer_than_forges_take_and_tells_what_it_leaves_out(looked):
    report = _report.build({"r%d" % number: looked for number in range(700)}, results.NOW, previous=results.report(2))
    text = _report_markdown.render(report)
    details = len(re.findall("^<details>", text, re.MULTILINE))
    assert 30000 < len(text) <= 60000 and 0 < details < 700
    assert "... and the details of %d more hosts." % (700 - details) in text and re.search("... and [0-9]+ more not as wanted.", text)


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("`|\\ ax<&*\n"), min_size=1, max_size=12))
def test_no_text_ends_its_code_span_or_its_cell(text):
    cell = _report_markdown.cell(text)
    shown = " ".join(text.split())
    if not shown:
        assert cell == ""
        return
    fence, dummy, inner, dummy2 = re.fullmatch("(`+)( ?)(.*?)( ?)(?<!`)\\1", cell).groups()
    assert fence not in re.findall("`+", inner) and "\n" not in cell
    assert not re.search(r"(?<!\\)\||\\\\\|", cell)  # each pipe has one backslash before it
    assert inner.replace("\\|", "|").replace("\u2502", "|") == shown


# All forms


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters()), min_size=5, max_size=5))
def test_every_form_can_be_written_and_read_whatever_hosts_say(texts):
    name, value, source, why, message = texts
    row = {"part": "settings", "name": value, "layer": "boot", "kind": why, "wanted": value, "found": message, "source": source, "why": why}
    looked = dict(results.results(1)["r1.example.net"], differences=[row], problems=texts, warnings=texts)
    looked["compared"] = [dict(row, running=source, boot=why, differs=["boot"])]
    report = _report.build({name: looked, "failed": {"failed": True, "msg": message}}, results.NOW, title=why)
    for form in (_report_json, _report_junit, _report_markdown):
        form.render(report).encode()
    suites = ET.fromstring(_report_junit.render(report).encode())
    assert [len(suite.findall("testcase")) for suite in suites] == [2, 1]


@pytest.mark.parametrize("name", [*HOSTS, "nobody"])
def test_one_host_of_the_json_is_read_alone_and_as_the_whole_has_it(name):
    report = json.loads(_report_json.render(results.report(len(HOSTS))))
    alone = _report_json.of_host(_report_json.render(report), name)
    assert alone == dict(report, hosts=[host for host in report["hosts"] if host["name"] == name])
    assert _report_json.of_host(json.dumps(report, indent=1), name) == report

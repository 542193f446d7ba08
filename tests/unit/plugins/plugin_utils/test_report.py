# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of a report: no host is lost, none is clean that is not, and what hosts say is harmless whatever it is."""
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report, _report_clean, _report_host, _report_json, _report_lines
from ansible_collections.netfleet.conntrack.tests.unit.plugins.plugin_utils import results

NOW, DAY = results.NOW, results.DAY
CLEAN = results.results(1)["r1.example.net"]
CLEAN = dict(CLEAN, compared=CLEAN["compared"][:3])
DIFFERENCE = {"part": "settings", "name": "max", "layer": "running", "kind": "running_value", "wanted": 2, "found": 1, "source": "", "why": "by hand"}
FAILED = {"failed": True, "msg": "no root"}
AWAY = {"unreachable": True, "msg": "no route"}


def build(rows, **more):
    return _report.build(rows, NOW, **more)


def only(looked, **more):
    """The host of a report on one."""
    return build({"r1": looked}, **more)["hosts"][0]


def differing(*names):
    return dict(CLEAN, status="drift", differences=[dict(DIFFERENCE, name=name) for name in names])


# what a host gave, its status, a part of its message
STATUSES = (
    (CLEAN, "clean", ""),
    (differing("max"), "drift", ""),
    (dict(CLEAN, differences=[DIFFERENCE]), "drift", ""),  # whatever it says of itself
    (dict(CLEAN, status="unknown", problems=["cannot read the rules"]), "unknown", "cannot read the rules"),
    (dict(CLEAN, status="unknown"), "unknown", "gives no reason"),
    (dict(CLEAN, status="drift"), "unknown", "does not say what"),
    (dict(CLEAN, status="fine"), "unknown", "gives no reason"),
    (dict(CLEAN, schema_version=2), "unknown", "schema_version 2"),
    ({}, "unknown", "schema_version"),
    (dict(CLEAN, compared="none"), "unknown", "compared is no list"),
    (dict(CLEAN, differences=["max"]), "unknown", "differences has what is no mapping"),
    (dict(CLEAN, compared=[dict(CLEAN["compared"][0], differs="running")]), "unknown", "differs is no list"),
    (dict(CLEAN, facts=[1]), "unknown", "facts has what is no mapping"),
    (dict(CLEAN, problems=["a"] * 10001), "unknown", "problems has over 10000 rows"),
    (dict(CLEAN, problems=["x" * 4000] * 1100), "unknown", "its texts have over 4194304 characters"),
    (FAILED, "unknown", "no root"),
    ({"failed": True}, "unknown", "no reason"),
    ({"skipped": True, "skip_reason": "Conditional result was False"}, "unknown", "was False"),
    (AWAY, "unreachable", "no route"),
    (None, "unknown", "no result"),
    ("text", "unknown", "no mapping"),
)


@pytest.mark.parametrize("looked, status, message", STATUSES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_host_is_clean_only_where_it_says_so_and_nothing_differs(looked, status, message):
    host = only(looked)
    assert host["status"] == status and message in host["message"] and bool(host["message"]) == (status in ("unknown", "unreachable"))


def test_a_value_that_differs_makes_a_difference_even_if_no_row_tells_of_it():
    values = [dict(CLEAN["compared"][0], running=1, differs=["running"])] + CLEAN["compared"][1:]
    row = only(dict(CLEAN, compared=values))["differences"][0]
    assert (row["name"], row["layer"], row["found"], row["kind"]) == (values[0]["name"], "running", 1, "unexplained")


@pytest.mark.parametrize("statuses, expected", (
    ((), 0), ((CLEAN,), 0), ((CLEAN, differing("max")), 2), ((CLEAN, None), 2), ((CLEAN, FAILED), 2), ((AWAY,), 4), ((differing("max"), AWAY, CLEAN), 4),
))
def test_the_exit_status_is_that_of_the_worst_host(statuses, expected):
    assert build({"r%d" % place: looked for place, looked in enumerate(statuses)})["exit_status"] == expected


# result of looking, result of applying, status, problems
APPLIED = (
    (CLEAN, {"changed": True}, "clean", []),
    (CLEAN, None, "clean", []),
    (CLEAN, FAILED, "unknown", ["no root"]),
    (CLEAN, AWAY, "unknown", ["no route"]),
    (differing("max"), FAILED, "drift", ["no root"]),
    (None, FAILED, "unknown", []),
    (None, AWAY, "unreachable", []),
    (AWAY, FAILED, "unreachable", ["no root"]),
)


@pytest.mark.parametrize("looked, applied, status, problems", APPLIED)
def test_a_host_on_which_the_document_could_not_be_applied_is_not_clean(looked, applied, status, problems):
    host = only(looked, kind="tune", applied={"r1": applied})
    assert (host["status"], host["problems"]) == (status, problems)
    assert applied not in (FAILED, AWAY) or applied["msg"] in [host["message"]] + host["problems"]


def test_odd_hosts_come_first_and_then_as_people_count():
    rows = {"r10": CLEAN, "r9": CLEAN, "r2": None, "r1": AWAY, "r11": differing("a"), "r3": differing("a", "b"), "r03": CLEAN, "x": CLEAN, "": CLEAN}
    names = list(rows)
    random.Random(1).shuffle(names)
    assert [host["name"] for host in build({name: rows[name] for name in names})["hosts"]] == ["r3", "r11", "r2", "r1", "", "r03", "r9", "r10", "x"]


def test_every_host_is_counted_once():
    report = results.report(200)
    assert sorted(host["name"] for host in report["hosts"]) == sorted(results.results(200))
    summary = report["summary"]
    assert summary["hosts"] == 200 == sum(summary[status] for status in _report_host.STATUSES) and min(summary.values()) > 0


def test_new_and_gone_are_told_by_part_name_layer_and_kind():
    before = build({"r1": differing("max", "acct"), "r2": differing("max"), "r3": differing("max"), "r4": CLEAN})
    now = build({"r1": differing("max", "helper"), "r2": CLEAN, "r3": AWAY, "r4": CLEAN, "r5": differing("max")}, previous=before)
    hosts = {host["name"]: host for host in now["hosts"]}
    assert {name: [row["name"] for row in host["differences"] if row["new"]] for name, host in hosts.items()} == {
        "r1": ["helper"], "r2": [], "r3": [], "r4": [], "r5": ["max"]}
    assert {name: [row["name"] for row in host["gone"]] for name, host in hosts.items()} == {"r1": ["acct"], "r2": ["max"], "r3": [], "r4": [], "r5": []}
    assert (now["summary"]["new"], now["summary"]["gone"], now["previous"]) == (2, 2, {"written": before["written"]})
    other = build({"r2": differing("max")}, previous=build({"r2": dict(CLEAN, differences=[dict(DIFFERENCE, layer="boot")])}))
    assert (other["summary"]["new"], other["summary"]["gone"]) == (1, 1)


def test_without_a_previous_report_nothing_is_new():
    report = build({"r1": differing("max")})
    assert (report["previous"], report["summary"]["new"], report["hosts"][0]["rates"]) == (None, 0, None)


def counted(**counters):
    return dict(CLEAN, facts=dict(CLEAN["facts"], counters={"total": counters, "cpus": []}))


# counters before, counters now, the changes, ids of findings
COUNTERS = (
    ({"drop": 5}, {"drop": 5}, {"drop": 0}, []),
    ({"drop": 5}, {"drop": 15}, {"drop": 10}, ["table_full"]),
    ({"early_drop": 0, "drop": 1}, {"early_drop": 9, "drop": 1}, {"early_drop": 9, "drop": 0}, ["table_filling"]),
    ({"drop": 5, "found": 9}, {"drop": 6, "found": 8}, None, []),  # the host was booted, or the counter wrapped
    ({"drop": 5}, {"drop": 6, "invalid": 4}, {"drop": 1}, ["table_full"]),  # one that only one of them has
    ({"drop": 5}, {"found": 6}, None, []),
    ({}, {"drop": 6}, None, []),
    ({"drop": 6}, {}, None, []),
)


@pytest.mark.parametrize("before, now, changes, findings", COUNTERS)
def test_counters_are_compared_only_where_they_went_on(before, now, changes, findings):
    previous = _report.build({"r1": counted(**before)}, NOW - 100)
    host = only(dict(counted(**now), headroom=[]), previous=previous)
    assert (host["rates"] or {}).get("changes") == changes
    assert changes is None or host["rates"]["per_second"] == {name: value / 100 for name, value in changes.items()}
    assert [row["id"] for row in host["findings"]] == findings


def test_nothing_is_told_of_rates_if_the_clock_went_back():
    assert only(counted(drop=9), previous=_report.build({"r1": counted(drop=1)}, NOW + 1))["rates"] is None


def test_snat_that_has_used_most_of_its_ports_is_a_finding_the_worst_first():
    rows = [{"nat_address": "198.51.100.1", "share": share} for share in (0.79, 0.8, None, "0.9", 0.99)]
    found = only(dict(CLEAN, headroom=rows))["findings"]
    assert [(row["id"], row["evidence"]["share"]) for row in found] == [("snat_ports_filling", 0.99), ("snat_ports_filling", 0.8)]


@pytest.mark.parametrize("wrong", (
    {}, [], {"schema_version": 2, "written": "2026-11-21T17:30:00Z"}, {"schema_version": 1}, {"schema_version": 1, "written": 5},
    {"schema_version": 1, "written": "2026-11-21T17:30:00Z", "hosts": 5}, {"schema_version": 1, "written": "2026-11-21T17:30:00Z", "hosts": [5]},
    {"schema_version": 1, "written": "2026-11-21T17:30:00Z", "hosts": [{"name": "r1", "differences": {"a": 1}}]},
))
def test_what_is_no_report_of_ours_is_not_compared_with(wrong):
    with pytest.raises(ValueError):
        build({"r1": CLEAN}, previous=wrong)


@pytest.mark.parametrize("text, clean", (
    ("eth0.5 \u00fc \u4e2d \U0001f600\n\t", "eth0.5 \u00fc \u4e2d \U0001f600\n\t"), ("\x1b[31m", "\\x1b[31m"), ("a\x00b\r", "a\\x00b\\x0d"),
    ("\udc80", "\\udc80"),
    ("\u202eabc", "\\u202eabc"), ("\ufffe", "\\ufffe"), ("\U000e0041", "\\U000e0041"), ("\x85", "\\x85"),
    ("x" * 4001, "x" * 4000 + "... (1 more characters)"), (None, ""), (b"\xff", "b'\\xff'"),
))
def test_texts_come_out_whole_or_as_escapes(text, clean):
    cleaner = _report_clean.Cleaner()
    assert cleaner.text(text) == clean == cleaner.text(text) and cleaner.text(clean[:4000]) == clean[:4000]


def test_what_python_will_not_show_does_not_stop_a_report():
    nested = []
    for dummy in range(100000):
        nested = [nested]
    host = only(dict(CLEAN, problems=[nested, 10 ** 5000], status="unknown"))
    assert host["problems"] == ["(too large to be shown)"] * 2 and host["message"]


@pytest.mark.parametrize("value, clean", (
    (5, 5), (True, True), (None, None), (0.5, 0.5), (float("nan"), None), (float("inf"), None), (2 ** 70, None), (-10 ** 400, None), ([1], "[1]"), ({}, "{}"),
))
def test_scalars_are_such_that_every_reader_of_json_can_have_them(value, clean):
    assert _report_clean.Cleaner().scalar(value) == clean


NAMES = st.sampled_from(["name", "part", "source", "share", "total", "max", "x"]) | st.text(max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()), lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(NAMES, inner, max_size=4), max_leaves=8)
SPOILT = st.dictionaries(st.sampled_from(sorted(CLEAN) + ["failed", "unreachable", "msg"]), JSON, max_size=4)


@settings(max_examples=80, deadline=None)
@given(SPOILT, st.dictionaries(st.sampled_from(sorted(CLEAN["facts"])), JSON, max_size=4), st.text(st.characters()))
def test_whatever_a_host_answers_becomes_a_host_of_the_report(spoilt, facts, name):
    looked = dict(dict(CLEAN, facts=dict(CLEAN["facts"], **facts)), **spoilt)
    report = build({name: looked}, previous=build({name: looked}), history={name: [[1, 2, 3]]})
    host = report["hosts"][0]
    assert json.loads(_report_json.render(report)) == report and _report_json.render(report).isascii()
    assert host["status"] != "clean" or (looked["status"] == "clean" and not looked["differences"])
    assert set(host) == set(only(None)) and not _report_clean.HARMFUL.search("".join(_report_lines.lines(report)))


# Lines


def test_lines_name_host_value_layer_found_wanted_and_source():
    row = dict(DIFFERENCE, layer="boot", source="/etc/sysctl.d/99-site.conf:3")
    lines = _report_lines.lines(build({"r2": CLEAN, "r1": dict(CLEAN, differences=[row])}))
    assert lines == ["r1: settings max, boot: found 1, wanted 2 (/etc/sysctl.d/99-site.conf:3)"]


@pytest.mark.parametrize("hosts, each, lines, last", (
    (1, 3, 3, ""), (1, 50, 20, "... and 30 more"), (7, 5, 14, "... and 3 more"), (30, 2, 21, "... and 10 more"),
))
def test_lines_are_few_and_tell_how_many_they_leave_out(hosts, each, lines, last):
    names = ["v%02d" % number for number in range(each)]
    found = _report_lines.lines(build({"r%d" % number: differing(*names) for number in range(hosts)}))
    assert len(found) == lines and last in found[-1] and len({line.split(":")[0] for line in found if ": " in line}) == min(hosts, 20)


def test_nothing_is_said_where_all_is_as_wanted():
    report = build({"r1": CLEAN})
    assert (_report_lines.lines(report), _report_lines.message(report["hosts"][0]), _report_lines.headline(report)) == ([], "", "1 host, all as wanted")


def test_messages_are_one_line_with_the_first_differences():
    told = {host["name"]: _report_lines.message(host) for host in results.report(9)["hosts"]}
    assert told["r1.example.net"] == "" and "and 8 more" in told[results.EVIL_NAME] and "No route to host" in told["r4.example.net"]
    assert all("\n" not in text and len(text) < 1500 for text in told.values())

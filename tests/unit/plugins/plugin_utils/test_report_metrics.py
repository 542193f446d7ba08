# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics: whatever hosts tell, the text is well formed, bounded, and says nothing that nobody has read."""
import copy
import inspect
import os
import random
import re

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.netfleet.conntrack.plugins.filter import metrics
from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report, _report_metrics
from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_clean import Cleaner
from ansible_collections.netfleet.conntrack.tests.unit.plugins.plugin_utils import results

PREFIX = _report_metrics.PREFIX
SERIES = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (-?\d+(?:\.\d+)?(?:e[-+]\d+)?)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"')
HELD_BACK = {"as_wanted", "status", "report_timestamp_seconds", "report_info", "report_hosts"}  # what of a router is told that nobody could read
HOSTS = results.results(9)
FAILED, UNREACHABLE, NONSENSE = {"failed": True, "msg": "x"}, {"unreachable": True, "msg": "x"}, {}
each = settings(max_examples=150, deadline=None, database=None)


def unescaped(text):
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)


def read(text):
    """{(metric, its labels): number}; every line must be one of the format, each metric in one piece below its HELP and TYPE."""
    found, told = {}, []
    for line in text.encode("utf-8").decode().split("\n")[:-1]:
        words = line.split(" ", 3)
        if words[0] == "#":
            told += [tuple(words[1:3])]
            assert words[1] in ("HELP", "TYPE") and (words[1] == "HELP" or words[3] in ("gauge", "counter"))
            continue
        name, labels, number = SERIES.fullmatch(line).groups()
        assert told[-2:] == [("HELP", name), ("TYPE", name)]
        key = name[len(PREFIX):], frozenset((label, unescaped(value)) for label, value in LABEL.findall(labels or ""))
        assert key not in found
        found[key] = float(number)
    assert text.endswith("\n") and len(told) == len(set(told)) and {name for dummy, name in told} == {PREFIX + name for name, dummy in found}
    return found


def of(looked):
    return read(_report_metrics.of_host(looked, 5))


def one(found, name, **labels):
    return found.get((name, frozenset(labels.items())))


@pytest.fixture(scope="module")
def report():
    return results.report(40)


def test_a_report_of_every_kind_of_host_is_well_formed(report):
    found = read(_report_metrics.render(report))
    routers = {dict(labels).get("router") for (name, labels) in found if name == "as_wanted"}
    assert routers == {host["name"] for host in report["hosts"]} and any("<script>" in name for name in routers)


def test_the_numbers_are_those_of_the_report(report):
    found = read(_report_metrics.render(report))
    assert one(found, "report_timestamp_seconds") == results.NOW
    assert one(found, "report_info", kind=report["kind"], version=report["collection_version"]) == 1
    for host in report["hosts"]:
        router, table = host["name"], host["table"] or {}
        assert one(found, "as_wanted", router=router) == (host["status"] == "clean")
        assert one(found, "status", router=router, status=host["status"]) == 1
        assert one(found, "table_usage_ratio", router=router) == table.get("usage")
        assert one(found, "table_bytes", router=router) == table.get("table_bytes")
        assert {dict(labels)["id"] for (name, labels) in found if name == "findings" and ("router", router) in labels} == {
            row["id"] for row in host["findings"]}
        drifted = sum(value for (name, labels), value in found.items() if name == "drift" and ("router", router) in labels)
        assert drifted == len(host["differences"])
        days = host["days_until_full"]
        assert one(found, "table_full_in_seconds", router=router) == (None if days is None else pytest.approx(days * 86400))
    for status in _report_metrics.STATUSES:
        assert one(found, "report_hosts", status=status) == report["summary"][status]


def test_one_host_tells_of_itself_what_the_report_tells_of_it(report):
    """But for what takes more than one result."""
    later = {"findings", "table_full_in_seconds", "report_info", "report_hosts"}
    fleet = read(_report_metrics.render(report))
    for name, looked in results.results(40).items():
        mine = {(metric, labels - {("router", name)}): value for (metric, labels), value in fleet.items() if ("router", name) in labels}
        single = of(looked)
        ports = {key for key in mine if key[0] == "snat_ports_used_ratio"}  # those of all hosts have a bound of their own
        assert {key: value for key, value in single.items() if key[0] not in ("report_timestamp_seconds", "snat_ports_used_ratio", "findings")} == {
            key: value for key, value in mine.items() if key[0] not in later and key not in ports}
        assert {key for key in single if key[0] == "findings"} <= set(mine)


@pytest.mark.parametrize("looked", [FAILED, UNREACHABLE, NONSENSE, {"status": "clean", "failed": True}, {"status": "fine"}])
def test_of_a_host_that_was_not_read_nothing_is_made_up(looked):
    found = of(looked)
    assert one(found, "as_wanted") == 0 and one(found, "status", status="clean") == 0
    assert one(found, "status", status="unreachable" if looked is UNREACHABLE else "unknown") == 1
    assert {name for name, dummy in found} <= HELD_BACK


def test_hosts_of_a_report_that_were_not_read_have_no_numbers(report):
    found = read(_report_metrics.render(report))
    unread = {name for name, looked in results.results(40).items() if looked is None or looked.get("failed") or looked.get("unreachable")}
    assert len(unread) >= 3
    assert {name for name, labels in found if dict(labels).get("router") in unread} == {"as_wanted", "status"}


def test_the_order_of_hosts_does_not_matter(report):
    shuffled = copy.deepcopy(report)
    random.Random(1).shuffle(shuffled["hosts"])
    assert _report_metrics.render(shuffled) == _report_metrics.render(report)


def clean():
    return copy.deepcopy(next(looked for looked in HOSTS.values() if looked and looked.get("status") == "clean"))


@each
@given(st.text(st.characters(), max_size=400), st.text(st.characters(), max_size=50))
def test_any_text_becomes_a_label(router, address):
    """In one line of valid UTF-8, from which what the report says comes back."""
    looked = dict(clean(), headroom=[{"nat_address": address, "protocol": "tcp", "destination": router, "share": 0.5}])
    report = _report.build({router: looked}, results.NOW)
    found = read(_report_metrics.render(report))
    cut = report["hosts"][0]["name"][:_report_metrics.LONGEST]
    assert one(found, "as_wanted", router=cut) == 1
    row = {"nat_address": Cleaner().text(address), "protocol": "tcp", "destination": cut, "destination_port": ""}
    assert one(found, "snat_ports_used_ratio", router=cut, **row) == 0.5


@pytest.mark.parametrize("value", [None, True, "5", float("nan"), float("inf"), -float("inf"), 10 ** 400, [], {}])
def test_what_is_no_number_is_left_out(value):
    looked = clean()
    looked["facts"].update(usage=value, buckets=value, load_factor=value, memory={"table_bytes": value, "share": value})
    looked["facts"]["counters"]["total"] = dict.fromkeys(_report_metrics.EVENTS, value)
    looked["headroom"] = [dict(row, share=value) for row in looked["headroom"]]
    names = {name for name, dummy in of(looked)} - {"findings"}
    assert names == HELD_BACK - {"report_info", "report_hosts"} | {"drift", "problems", "tracked"}


@pytest.mark.parametrize("name", ["facts", "headroom", "differences", "problems", "compared", "status"])
@pytest.mark.parametrize("value", [None, 5, "text", ["text", None], {"a": 1}, [{"a": []}]])
def test_a_result_of_any_shape_is_told(name, value):
    assert one(of(dict(clean(), **{name: value})), "report_timestamp_seconds") == 5


def test_the_number_of_series_has_a_bound():
    looked = clean()
    row = looked["headroom"][0]
    looked["headroom"] = [dict(row, destination=str(number), share=number / 1000) for number in range(1000)]
    looked["differences"] = [{"part": str(number), "layer": str(number)} for number in range(1000)]
    looked["facts"]["counters"]["total"] = {str(number): 1 for number in range(1000)}
    looked["status"] = "drift"
    found = of(looked)
    fullest = sorted((value for (name, dummy), value in found.items() if name == "snat_ports_used_ratio"), reverse=True)
    assert fullest == [0.999, 0.998, 0.997, 0.996, 0.995] and one(found, "snat_ports_used_max_ratio") == 0.999
    assert one(found, "drift", part="other", layer="other") == 1000 and len(found) < 45


def test_all_hosts_together_have_a_bound_too():
    text = _report_metrics.render(results.report(300))
    assert text.count("\n%ssnat_ports_used_ratio{" % PREFIX) == _report_metrics.FULLEST_OF_ALL and len(text) < 6 << 20


def test_destinations_that_differ_by_their_zone_alone_are_one():
    looked = clean()
    row = looked["headroom"][0]
    looked["headroom"] = [dict(row, zone=zone, share=share) for zone, share in ((0, 0.2), (1, 0.7), (2, 0.4))]
    assert [value for (name, dummy), value in of(looked).items() if name == "snat_ports_used_ratio"] == [0.7]


def test_the_filter_gives_the_text_of_a_host_now_or_then():
    assert metrics.conntrack_metrics(clean(), 5) == _report_metrics.of_host(clean(), 5)
    assert one(read(metrics.conntrack_metrics(clean())), "report_timestamp_seconds") > results.NOW - 10 * 365 * 86400


@pytest.mark.parametrize("value, named", [(([], None), "drift_info"), (("x", None), "drift_info"), (({}, "yesterday"), "when"), (({}, True), "when")])
def test_the_filter_refuses_what_it_cannot_use(value, named):
    with pytest.raises(AnsibleFilterError, match=named):
        metrics.conntrack_metrics(*value)


def test_the_filter_is_as_documented():
    with open(os.path.join(os.path.dirname(metrics.__file__), "conntrack_metrics.yml"), encoding="utf-8") as stream:
        documented = yaml.safe_load(stream)["DOCUMENTATION"]
    found = metrics.FilterModule.filters()[documented["name"]]
    assert list(inspect.signature(found).parameters)[1:] == [name for name in documented["options"] if name != "_input"]

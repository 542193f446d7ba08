# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What we write for Prometheus and Grafana, as promtool judges it: metrics, alert rules with their tests, and the dashboard."""
import json
import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report_metrics
from ansible_collections.netfleet.conntrack.tests.unit.plugins.plugin_utils import results

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "examples/monitoring"
# Of node_exporter, collector/conntrack_linux.go and textfile.go.
NODE = {"node_nf_conntrack_entries", "node_nf_conntrack_entries_limit", "node_textfile_scrape_error"} | {
    "node_nf_conntrack_stat_" + name for name in ("found", "invalid", "ignore", "insert", "insert_failed", "drop", "early_drop", "search_restart")}
KNOWN = NODE | set(_report_metrics.NAMES)
METRIC = re.compile(r"\b(?:node_(?:nf|textfile)|netfleet_conntrack)_\w+")
VARIABLES = {"$__rate_interval": "5m", "$router": ".*", "$instance": ".*"}
TESTS = sorted(PLACE.glob("*.test.yml"))


def load(path):
    return yaml.safe_load(path.read_text())


RULES = [rule for group in load(PLACE / "alerts.yml")["groups"] for rule in group["rules"]]
CASES = [case for path in TESTS for case in load(path)["tests"]]
DASHBOARD = json.loads((PLACE / "dashboard.json").read_text())
PANELS = DASHBOARD["panels"]
TARGETS = [target for panel in PANELS for target in panel.get("targets", ())]


def test_promtool_accepts_the_metrics_of_all(promtool):
    assert promtool("check", "metrics", data=_report_metrics.render(results.report(300)).encode()) == ""


@pytest.mark.parametrize("host", results.KINDS)
def test_promtool_accepts_the_metrics_of_one(promtool, host):
    assert promtool("check", "metrics", data=_report_metrics.of_host(host(0, 0, 0), results.NOW).encode()) == ""


def test_the_tests_of_the_rules_hold(promtool):
    promtool("check", "rules", PLACE / "alerts.yml")
    assert promtool("test", "rules", *TESTS).count("SUCCESS") == len(TESTS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_says_what_to_do(rule):
    notes = rule["annotations"]
    page, dummy, anchor = notes["runbook_url"].partition("#")
    documented = (ROOT / "docs" / page.rpartition("/docs/")[2]).read_text()
    assert rule["for"] and rule["labels"]["severity"] in ("critical", "warning", "info")
    assert len(notes["summary"]) > 20 and len(notes["description"]) > 60
    assert anchor == rule["alert"].lower() and "\n### %s\n" % rule["alert"] in documented
    assert set(METRIC.findall(rule["expr"] + notes["description"])) <= KNOWN


def fired(case):
    """The names of the alerts of which a case says that they fire."""
    labels = [sample["labels"] for test in case.get("promql_expr_test", ()) for sample in test["exp_samples"]]
    named = {test["alertname"] for test in case.get("alert_rule_test", ()) if test.get("exp_alerts")}
    return named | {re.search('alertname="([^"]+)"', text)[1] for text in labels}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_is_tested_both_ways(rule):
    """It fires in a case; and in one whose series it looks at, at a time when all that fires is named, it does not."""
    names = set(METRIC.findall(rule["expr"]))
    silent = [test for case in CASES if names & set(METRIC.findall(str(case["input_series"]))) for test in case.get("promql_expr_test", ())
              if rule["alert"] not in str(test["exp_samples"]) and test["expr"] == 'ALERTS{alertstate="firing"}']
    assert rule["alert"] in set().union(*map(fired, CASES)) and silent


def test_the_dashboard_is_whole():
    kinds = {variable["name"]: variable["type"] for variable in DASHBOARD["templating"]["list"]}
    assert kinds == {"datasource": "datasource", "router": "query", "instance": "query"}
    assert DASHBOARD["schemaVersion"] >= 36 and DASHBOARD["uid"] and DASHBOARD["title"]
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        assert panel["type"] == "row" or panel["targets"] and panel["title"] and panel["description"]
        assert panel["type"] == "row" or {panel["datasource"]["uid"], *(each["datasource"]["uid"] for each in panel["targets"])} == {"${datasource}"}


def squares(panel):
    place = panel["gridPos"]
    return {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}


def test_no_panel_lies_over_another():
    taken = [square for panel in PANELS for square in squares(panel)]
    assert len(taken) == len(set(taken)) and max(x for x, dummy in taken) < 24


def test_the_dashboard_shows_what_matters():
    shown = {name for target in TARGETS for name in METRIC.findall(target["expr"])}
    stats = {"node_nf_conntrack_stat_" + name for name in ("drop", "early_drop", "insert_failed")}
    ours = {_report_metrics.PREFIX + name for name in ("drift", "findings", "snat_ports_used_ratio", "table_full_in_seconds", "report_timestamp_seconds")}
    assert shown >= stats | ours | {"node_nf_conntrack_entries"}
    asked = set(METRIC.findall(str([variable.get("definition") for variable in DASHBOARD["templating"]["list"]])))
    assert shown | asked <= KNOWN


def test_every_expression_of_the_dashboard_is_one(promtool, tmp_path):
    found = []
    for number, target in enumerate(TARGETS):
        text = target["expr"]
        for name, value in VARIABLES.items():
            text = text.replace(name, value)
        assert not re.search(r"\$(?!1)", text), text
        found.append({"record": "expression:%d" % number, "expr": text})
    path = tmp_path / "dashboard.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": found}]}))
    assert "%d rules found" % len(TARGETS) in promtool("check", "rules", path)


def test_the_documents_tell_every_metric():
    rows = re.findall(r"^\| `(netfleet_\w+)` \|([^|]*)\| ([^|]*) \|$", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    families = (_report_metrics.TIMESTAMP, _report_metrics.INFO, _report_metrics.HOSTS, *_report_metrics.FAMILIES)
    assert [(name, text) for name, dummy, text in rows] == [(_report_metrics.PREFIX + each.name, each.help) for each in families]
    text = _report_metrics.render(results.report(300))
    told = {name: set(re.findall("`([^`]+)`", labels)) for name, labels, dummy in rows}
    for name, labels in re.findall(r"^(netfleet_\w+)\{(.*)\} \S+$", text, re.MULTILINE):
        assert set(re.findall(r'(?:^|",)(\w+)="', labels)) - {_report_metrics.ROUTER} == told[name]

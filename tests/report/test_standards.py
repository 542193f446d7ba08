# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The forms of a report in the eyes of other people's programs: JSON Schema, XML Schema, and a Markdown parser with the tables of GFM."""

import json
from pathlib import Path

import jsonschema
import pytest
from lxml import etree
from markdown_it import MarkdownIt

from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report, _report_json, _report_junit, _report_markdown
from ansible_collections.netfleet.conntrack.tests.unit.plugins.plugin_utils import results

HERE = Path(__file__).parent
SCHEMA = json.loads((HERE.parent.parent / "docs" / "report.schema.json").read_text())
JUNIT = etree.XMLSchema(etree.parse(HERE / "junit.xsd"))
CLEAN = results.results(1)["r1.example.net"]
REPORTS = {
    "one": results.report(1, previous=False),
    "first": results.report(9, previous=False),
    "every kind": results.report(60),
    "nothing": _report.build({"r1": None}, results.NOW, "plan"),
    "all failed": _report.build({"r1": {"failed": True, "msg": "\x00\ud800"}, "r2": {"unreachable": True}}, results.NOW, "tune", title="# <b>*@x*"),
    "misshapen": _report.build({"": dict(CLEAN, values=5), "\n \t": dict(CLEAN, facts={"count": float("nan"), "available": True})}, results.NOW),
}


@pytest.fixture(params=REPORTS)
def report(request):
    return REPORTS[request.param]


def faults(found):
    return [f"{error.json_path}: {error.message}" for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(found)]


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_json_fits_the_published_schema(report):
    assert faults(json.loads(_report_json.render(report))) == []


def nodes(schema):
    """Every schema in a schema."""
    if isinstance(schema, dict):
        yield schema
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from nodes(inner)


def test_the_schema_describes_every_name_and_allows_no_others():
    objects = [node for node in nodes(SCHEMA) if isinstance(node.get("properties"), dict)]
    assert len(objects) > 10
    for node in objects:
        assert node["additionalProperties"] is False and sorted(node["required"]) == sorted(node["properties"]), node["description"]
        for name, inner in node["properties"].items():
            described = inner if "description" in inner or "$ref" not in inner else SCHEMA["$defs"][inner["$ref"].rsplit("/", 1)[1]]
            assert described["description"].endswith("."), name


# What is done to a host of a good report, so that the schema refuses it.
SPOILT = (
    {"status": "fine"}, {"more": 1}, {"compared": {}}, {"counters": {"drop": "5"}}, {"history": [[1, 2]]}, {"history": [[1, 2, 3, 4]]}, {"days_until_full": -1},
    {"differences": [{"part": "settings"}]}, {"table": {"count": 1}}, {"rates": {"seconds": 0, "changes": {}, "per_second": {}}}, {"snat": None},
)


@pytest.mark.parametrize("spoilt", SPOILT, ids=str)
def test_the_schema_refuses_what_is_no_report(spoilt):
    good = json.loads(_report_json.render(REPORTS["every kind"]))
    good["hosts"] = [dict(good["hosts"][0], **spoilt)]
    assert faults(good)


def test_junit_fits_what_all_readers_take(report):
    document = etree.fromstring(_report_junit.render(report).encode())
    assert JUNIT.validate(document), JUNIT.error_log
    assert [suite.get("name") for suite in document] == [" ".join(host["name"].split()) or "-" for host in report["hosts"]]


# Markdown


def rendered(report):
    """What a forge makes of it, as HTML, after which no forge trusts the raw HTML that is ours."""
    return etree.fromstring(f"<body>{MarkdownIt('gfm-like').render(_report_markdown.render(report))}</body>", etree.HTMLParser())


def texts(node, path):
    return ["".join(each.itertext()) for each in node.iterfind(path)]


def test_markdown_has_the_tables_that_are_meant(report):
    page = rendered(report)
    odd = [host for host in report["hosts"] if host["status"] != "clean"]
    first = page.find(".//table")
    assert (first is not None) == bool(odd)
    if odd:
        assert texts(first, "thead/tr/th") == ["Host", "Status", "Differences", "New", "Gone", "What"]
        assert texts(first, "tbody/tr/td[2]") == [host["status"] for host in odd]
    widths = [{len(row) for row in table.iterfind(".//tr")} for table in page.iterfind(".//table")]
    assert all(len(width) == 1 for width in widths)
    details = page.findall(".//details")
    assert texts(page, ".//details/summary/code") == [" ".join(host["name"].split()) for host in odd]
    for host, each in zip(odd, details, strict=True):
        values = {(row["part"], row["name"]) for row in host["differences"]}
        assert len(each.findall(".//tbody/tr")) == len(values)


OURS = {"html", "body", "h2", "h3", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "code", "details", "summary", "ul", "li"}


def test_no_text_of_a_host_becomes_markup_a_link_or_a_mention(report):
    page = rendered(report)
    assert {node.tag for node in page.iter()} <= OURS
    for node in page.iter():
        assert set(node.attrib) <= {"style"}
        if node.tag not in ("code", "h2"):
            outside = (node.text or "") + "".join(child.tail or "" for child in node)
            assert not set("<>@`[") & set(outside), outside


def test_what_a_host_says_is_read_as_it_was_said():
    said = (
        "`a` | b", "<script>alert(1)</script>", "www.example.com http://x.example a@b.example", "a \\| b \\", "``` | ``",
        "**bold** _it_ &amp; &#64;", "/close", "| --- |",
    )
    rows = [{"part": "p", "name": text, "layer": "running", "kind": "k", "wanted": text, "found": "", "source": "", "why": text} for text in said]
    page = rendered(_report.build({"r1": dict(CLEAN, differences=rows)}, results.NOW))
    shown = [text.replace("\\|", "\\\u2502") for text in said]
    assert texts(page, ".//details//tbody/tr/td[2]") == shown == texts(page, ".//details//tbody/tr/td[5]")

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""The report as one HTML page that needs no network: template, style and script lie beside this file and become one text.

Everything odd stands in the page itself and is read without a script. What is as wanted is data, which the script shows
for the host that is asked for, so that a thousand routers make no big page. Nothing but the style and the script whose
hashes the page names is obeyed by a browser (Content Security Policy), and no text can become markup: the template
escapes each, and the script makes text nodes only (require-trusted-types-for).
"""
from __future__ import annotations

import base64
import hashlib
import os
from functools import cache

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report_page_fleet as fleet
from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report_page_host as page_host
from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report_page_text as text
from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_page_matrix import WORDS, Matrix

FOLDER = os.path.dirname(os.path.abspath(__file__))
POLICY = (
    "default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
# Status: its word, what it means, and what a host of it is called.
STATUSES = (
    ("drift", "not as wanted"), ("unknown", "could not be read"), ("unreachable", "unreachable"), ("clean", "as wanted"),
)
KINDS = {
    "drift": ("Drift", "is not as wanted", "are not as wanted", "as wanted"),
    "plan": ("Plan", "would be changed", "would be changed", "as wanted already"),
    "tune": ("After tuning", "is not as wanted", "are not as wanted", "as wanted"),
}


def render(report):
    """Return the page of a report as _report.build() gives it, a text that UTF-8 can have."""
    told = text.clean(report)
    hosts = told["hosts"]
    matrix, store = Matrix(hosts), page_host.Store()
    for host in hosts:
        store.add(host)
    style, script = _beside("_report_page.css"), _beside("_report_page.js")
    return _template().render(
        report=told, hosts=hosts, matrix=matrix, odd=[page_host.odd(index, host, matrix) for index, host in enumerate(hosts) if page_host.is_odd(host)],
        verdict=verdict(told), statuses=STATUSES, words=WORDS, level=fleet.level, page=text, tables=fleet.tables(hosts), findings=fleet.findings(hosts),
        rates=fleet.rates(hosts), ports=fleet.ports(hosts), rules=fleet.rules(hosts), policy=POLICY % (_hash(style), _hash(script)),
        style=Markup(style), script=Markup(script), data=Markup(store.text(**_index(hosts, matrix))),
    )


def _index(hosts, matrix):
    """What the filters need of each host and column."""
    return {
        "status": [host["status"] for host in hosts],
        "fresh": [index for index, host in enumerate(hosts) if any(row["new"] for row in host["differences"])],
        "differing": [row["differing"] for row in matrix.rows],
        "columns": [[column.part, column.hosts] for column in matrix.columns],
    }


def verdict(report):
    """The outcome in words: a title, a sentence, and whether all is well."""
    summary, (title, one, many, fine) = report["summary"], KINDS.get(report["kind"], KINDS["drift"])
    drift, lost = summary["drift"], summary["unknown"] + summary["unreachable"]
    if not summary["hosts"]:
        return {"title": title, "fine": False, "status": "unknown", "words": "No router was looked at"}
    said = ["%s %s" % (text.number(drift), one if drift == 1 else many)] if drift else []
    said += ["%s could not be looked at" % text.number(lost)] if lost else []
    if not said:
        whole = "The router is" if summary["hosts"] == 1 else "All %s routers are" % text.number(summary["hosts"])
        return {"title": title, "fine": True, "status": "clean", "words": "%s %s" % (whole, fine)}
    words = "Of %s, %s" % (text.count(summary["hosts"], "router"), ", and ".join(said))
    return {"title": title, "fine": False, "status": "drift" if drift else "unknown", "words": words}


@cache
def _beside(name):
    found = Host().read(os.path.join(FOLDER, name))
    if found is None:
        raise FileNotFoundError("%s is missing from the collection netfleet.conntrack: install it again" % os.path.join(FOLDER, name))
    return found


@cache
def _template():
    made = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    return made.from_string(_beside("_report_page.html.j2"))


def _hash(content):
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()

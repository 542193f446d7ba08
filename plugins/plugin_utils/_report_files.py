# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""The files of a report: the forms by their names, what was written before, and the history. Files are reached through a Host only."""
from __future__ import annotations

from importlib import import_module

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report_compare, _report_history

# Format: the file, and what makes its text; loaded when it is asked for.
FORMS = {
    "json": ("report.json", "_report_json"),
    "junit": ("report.xml", "_report_junit"),
    "markdown": ("report.md", "_report_markdown"),
    "html": ("report.html", "_report_page"),
    "prometheus": ("report.prom", "_report_metrics"),
}
PACKAGE = "ansible_collections.netfleet.conntrack.plugins.plugin_utils."
HISTORY = "history.jsonl"
IGNORED = "previous: nothing is compared with %s: %s; give the path of a report.json of this version of the collection"
MISSING = "previous: there is no %s, so nothing is compared with it"


def render(form, report):
    """The text of a report in a form."""
    return import_module(PACKAGE + FORMS[form][1]).render(report)


def write(host, directory, forms, report):
    """Write the report in these forms; return the paths. What can be written is written before ConntrackError tells what cannot."""
    written, problems = [], []
    for form in forms:
        path = "%s/%s" % (directory, FORMS[form][0])
        try:
            host.write_file(path, render(form, report))
            written.append(path)
        except ConntrackError as error:
            problems.append(str(error))
    if problems:
        raise ConntrackError("; ".join(problems))
    return written


def previous(host, path, asked_for):
    """Return the report at a path, or None, and a warning, or an empty text. One that is not there is missed only if it was asked for."""
    try:
        text = host.read(path)
        if text is None:
            return None, MISSING % path if asked_for else ""
        report = _report_compare.parsed(text)
        _report_compare.earlier(report)
    except (ConntrackError, ValueError) as error:
        return None, IGNORED % (path, error)
    return report, ""


def points(host, path, before):
    """The points of every host in a history; none where there is no file. Raises ConntrackError where it cannot be read."""
    return _report_history.read((host.read(path) or "").split("\n"), before)


def remember(host, path, line):
    """Add a line to a history, to which other runs may be adding theirs."""
    host.append(path, line)

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""The report as JSON: what docs/report.schema.json says, in ASCII, one host a line, so that a program can also read it host by host. Pure."""
from __future__ import annotations

import json

HOSTS = ', "hosts": [\n'


def render(report):
    """The text of report.json."""
    head = json.dumps({name: value for name, value in report.items() if name != "hosts"}, allow_nan=False)
    hosts = ",\n".join(json.dumps(host, allow_nan=False, separators=(",", ":")) for host in report["hosts"])
    return head[:-1] + HOSTS + hosts + "\n]}\n"


def of_host(text, name):
    """The report in a text with that host alone, or with none: a fleet's is read by a process for each host, and one line is quickly parsed.

    Raises ValueError for what is no JSON. A text that something else has laid out is parsed as a whole, and returned as it is.
    """
    head, mark, dummy_rows = text.partition(HOSTS)
    if not mark:
        return json.loads(text)
    place = text.find('\n{"name":%s,' % json.dumps(name)) + 1
    line = text[place:text.find("\n", place)].rstrip(",")
    return dict(json.loads(head + "}"), hosts=[json.loads(line)] if place else [])

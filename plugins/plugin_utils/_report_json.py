# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""The report as JSON: what docs/report.schema.json says, in ASCII, one host a line, so that a program can also read it host by host. Pure."""
from __future__ import annotations

import json


def render(report):
    """The text of report.json."""
    head = json.dumps({name: value for name, value in report.items() if name != "hosts"}, allow_nan=False)
    hosts = ",\n".join(json.dumps(host, allow_nan=False, separators=(",", ":")) for host in report["hosts"])
    return '%s, "hosts": [\n%s\n]}\n' % (head[:-1], hosts)

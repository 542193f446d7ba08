# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of modules-load.d and /etc/modules."""
import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils._modulesload import Entry, parse, problem, render

LINES = {
    "nf_conntrack": Entry(1, "nf_conntrack", "", "f"),
    "  nf-conntrack\t": Entry(1, "nf_conntrack", "", "f"),
    "nf_conntrack hashsize=5 acct=1": Entry(1, "nf_conntrack", "hashsize=5 acct=1", "f"),
    "# nf_conntrack": None,
    "; nf_conntrack": None,
    "": None,
}


@pytest.mark.parametrize("text", sorted(LINES))
def test_line(text):
    assert parse(text, "f") == ([LINES[text]] if LINES[text] else [])


@pytest.mark.parametrize("modules", [[], ["nf_conntrack"], ["a", "b", "c"]])
def test_what_is_rendered_is_parsed(modules):
    assert [entry.module for entry in parse(render(modules, "Ours.\nNeeded by: x"))] == modules


PROBLEMS = {
    "plain": ("nf_conntrack", (6, 1), True, ""),
    "options for systemd": ("nf_conntrack hashsize=5", (6, 1), True, "for the name of a module, nothing is loaded"),
    "options for the init script": ("nf_conntrack hashsize=5", (6, 1), False, ""),
    "S12: a module that is no more": ("nf_conntrack_ipv4", (6, 1), True, "is part of nf_conntrack since Linux 4.19"),
    "S12: right at the change": ("nf_conntrack_ipv6", (4, 19), True, "is part of nf_conntrack since Linux 4.19"),
    "a module that still is": ("nf_conntrack_ipv4", (4, 18), True, ""),
}


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_problem(name):
    text, version, systemd, piece = PROBLEMS[name]
    found = problem(parse(text, "/etc/modules-load.d/x.conf")[0], version, systemd)
    assert piece in found
    assert bool(found) == bool(piece)

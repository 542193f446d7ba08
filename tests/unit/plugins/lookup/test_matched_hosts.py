# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which patterns let a play run, and what stops it."""
import types

import pytest
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader

from ansible_collections.netfleet.conntrack.plugins.lookup import matched_hosts

GROUPS = {"all": ["r1", "r2", "c1"], "ungrouped": [], "edge": ["r1", "r2"], "core": ["c1"]}
EVERY = GROUPS["all"]


@pytest.fixture(name="look")
def _look(monkeypatch):
    told = []
    monkeypatch.setattr("ansible.constants.HOST_PATTERN_MISMATCH", "warning")  # Ansible's default; ansible-test's is another
    monkeypatch.setattr(matched_hosts, "display", types.SimpleNamespace(error=told.append, warning=told.append))

    def look(*terms, left=None, syntax=False, groups=None, **more):
        monkeypatch.setattr(matched_hosts.context, "CLIARGS", {"syntax": syntax})
        lookup = matched_hosts.LookupModule(loader=DataLoader())
        known = {"groups": GROUPS if groups is None else groups, "ansible_play_hosts_all": EVERY if left is None else left}
        return lookup.run(list(terms), dict(known, **more))

    look.told = told
    return look


MATCHING = {
    "all": (["all"], EVERY),
    "r1": (["r1"], EVERY),
    "edge:!r1": (["edge", "!r1"], EVERY),
    "edge,nowhere": (["edge", "nowhere"], EVERY),
    "edge[1]": (["edge[1]"], EVERY),
    "~r.": (["~r."], ["r2"]),
    "localhost": (["localhost"], EVERY),
}


@pytest.mark.parametrize("pattern", sorted(MATCHING))
def test_a_pattern_that_matches_is_the_pattern(look, pattern):
    expected, left = MATCHING[pattern]
    assert look(pattern, left=left) == expected


def test_several_patterns_are_one(look):
    assert look(["edge:!r1", "core"]) == ["edge", "!r1", "core"]
    assert look("edge", "core") == ["edge", "core"]


NONE = {
    "a name that is none": (("nowhere",), {}, "no host matches nowhere: nothing was done. The inventory has 3 hosts"),
    "--limit takes all": (("edge",), {"left": ["c1"], "ansible_limit": "core"}, "no host matches edge within --limit core:"),
    "nothing is left of it": (("edge:!edge",), {}, "no host matches edge,!edge:"),
    "an empty inventory": (("all",), {"groups": {"all": [], "ungrouped": []}, "left": []}, "no hosts at all"),
    "an empty pattern": (("",), {}, "no host matches an empty pattern"),
    "no pattern": ((), {}, "no host matches an empty pattern"),
    "beyond a group": (("edge[7]",), {}, "no host matches edge[7]:"),
    "no regular expression": (("~(",), {}, "no host matches ~(:"),
    "localhost beyond --limit": (("localhost",), {"left": ["r1"]}, "no host matches localhost:"),
}


@pytest.mark.parametrize("name", sorted(NONE))
def test_a_pattern_that_matches_nothing_ends_the_run(look, name):
    terms, more, expected = NONE[name]
    with pytest.raises(SystemExit) as ended:
        look(*terms, **more)
    assert ended.value.code not in (0, 2, 4)
    assert expected in look.told[-1]


def test_in_a_task_it_fails_as_lookups_do(look):
    with pytest.raises(AnsibleLookupError, match="no host matches nowhere"):
        look("nowhere", inventory_hostname="r1")


def test_a_check_of_the_syntax_needs_no_inventory(look):
    assert look("routers", syntax=True, groups={}, left=[]) == ["routers"]

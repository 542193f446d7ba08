# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole document: a profile below what the user says."""
import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.netfleet.conntrack.plugins.module_utils import _document, _early_load, _spec
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME
from ansible_collections.netfleet.conntrack.plugins.module_utils._profiles import PROFILES
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.requests import options

NAMES = [profile.name for profile in PROFILES]
SECTIONS = {group: sorted(_spec.group_spec(group)) for group in _spec.GROUPS}
SECTIONS["early_load"] = ["backend", "hooks", "initramfs", "module"]


def section(names):
    """What AnsibleModule makes of a section: every option is there, those that were not given are None."""
    return st.one_of(st.none(), st.fixed_dictionaries({name: st.one_of(st.none(), st.integers(0, 9), st.booleans(), st.just("auto")) for name in names}))


DOCUMENTS = st.fixed_dictionaries(dict(
    {name: section(names) for name, names in SECTIONS.items()},
    profile=st.sampled_from([*NAMES, None]),
    at_boot=st.booleans(),
    snat=st.sampled_from([None, {"rules": [], "backend": None, "foreign": "leave"}]),
))
each = settings(max_examples=150, deadline=None, database=None)


def set_in(document):
    """Every option that is set, by its path."""
    found = {}
    for name, value in document.items():
        found.update({(name, inner): v for inner, v in value.items() if v is not None} if isinstance(value, dict) else {(name,): value})
    return {path: value for path, value in found.items() if value is not None}


@each
@given(DOCUMENTS)
def test_what_the_user_says_wins_and_the_rest_is_the_profiles(document):
    before = copy.deepcopy(document)
    found, problems = _document.complete(document)
    rows = next((p.rows for p in PROFILES if p.name == document["profile"]), ())
    assert problems == () and document == before
    assert set_in(found) == {**{(row.section, row.name): row.value for row in rows}, **set_in(document)}


@each
@given(DOCUMENTS)
def test_completed_is_complete(document):
    found = _document.complete(document)[0]
    assert _document.complete(found) == (found, ())
    assert None not in found.values()
    assert not [inner for inner in found.values() if isinstance(inner, dict) and None in inner.values()]


@pytest.mark.parametrize("profile", PROFILES, ids=NAMES)
def test_every_value_of_a_profile_can_be_overridden(profile):
    for row in profile.rows:
        found = _document.complete({"profile": profile.name, row.section: {row.name: "mine"}})[0]
        assert found[row.section][row.name] == "mine"
        assert len(set_in(found)) == len(profile.rows) + 1


# document: what it is when completed
CASES = {
    "nothing": ({}, {}),
    "nothing of what the argument spec knows": (options(), {"at_boot": True, "state": "present"}),
    "no profile": ({"profile": None, "table": {"max": "auto", "buckets": None}}, {"table": {"max": "auto"}}),
    "a section that was given stays, be it empty": ({"early_load": {"module": None}, "snat": {}}, {"early_load": {}, "snat": {}}),
    "false and 0 are given": ({"tracking": {"tcp_loose": False, "events": 0}}, {"tracking": {"tcp_loose": False, "events": 0}}),
    "lists are left alone": ({"management": {"ports": [22, None]}}, {"management": {"ports": [22, None]}}),
    "what is no section is left to the argument spec": (
        {"profile": "server", "table": "auto"},
        {"profile": "server", "table": "auto", "timeouts": {"tcp_timeout_established": 86400, "tcp_timeout_time_wait": 60, "udp_timeout_stream": 120}}),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_case(name):
    document, expected = CASES[name]
    assert _document.complete(document) == (expected, ())


def test_a_profile_that_nobody_knows_is_named_with_those_that_are_known():
    found, problems = _document.complete({"profile": "nat", "timeouts": {"udp_timeout": 30}})
    assert found == {"profile": "nat", "timeouts": {"udp_timeout": 30}}
    assert problems == ("profile: nat is none of %s; use one of them, or leave it out" % ", ".join(NAMES),)


def test_the_argument_spec_knows_every_profile():
    assert _document.profile_spec() == {"type": "str", "choices": NAMES}


def test_sections_are_those_of_the_parts():
    assert set(SECTIONS["early_load"]) <= set(_early_load.spec())
    assert {row.section for profile in PROFILES for row in profile.rows} <= set(SECTIONS)
    assert {setting.group for setting in BY_NAME.values()} <= set(SECTIONS)

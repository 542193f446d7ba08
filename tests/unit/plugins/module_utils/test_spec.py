# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests: what of them is understood, and what no kernel would take."""
import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _spec
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BUCKETS_MAX, BY_NAME, INT_MAX, SECONDS_MAX, settable
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.requests import options

BOUNDED = [setting for group in _spec.GROUPS for setting in settable(group) if setting.type == "int"]


BY_DEFAULT = {
    "memory_share": 0.05, "load_factor": 1.0, "never_lower": False, "per_cpu": None, "connections_per_second": None, "mean_life": None,
}


def asked(name, value):
    """A request for one setting, as AnsibleModule hands it over."""
    group = BY_NAME[name].group
    return options(**{group: {name: str(value) if group == "table" else value}})


def problems(name, value):
    return list(_spec.problems(asked(name, value)))


def test_the_spec_has_every_setting_once():
    spec = _spec.settings_spec()
    names = [name for group in _spec.GROUPS for name in spec[group]["options"]]
    assert sorted(names) == sorted([s.name for g in _spec.GROUPS for s in settable(g)] + list(_spec.SIZING))
    assert set(spec) == set(_spec.GROUPS) | {"at_boot", "state"}


def test_what_the_kernel_only_tells_cannot_be_asked_for():
    assert "count" not in _spec.group_spec("table")


def test_each_bound_is_accepted_and_the_next_number_refused():
    for setting in BOUNDED:
        low, high = setting.bounds
        assert problems(setting.name, low) == problems(setting.name, high) == []
        for value in (low - 1, high + 1):
            text, = problems(setting.name, value)
            assert text.startswith("%s.%s: %d is not between %d and %d" % (setting.group, setting.name, value, low, high))


# option, value: what the error says
REFUSED = {
    "timeout of 0": ("icmp_timeout", 0, "timeouts.icmp_timeout: 0 is not between 1 and 2147483 seconds (the kernel would accept it and track nothing"),
    "timeout of -1": ("icmp_timeout", -1, "timeouts.icmp_timeout: -1 is not between 1 and 2147483 seconds (the kernel would accept it"),
    "timeout of 2^31": ("icmp_timeout", 2 ** 31, "timeouts.icmp_timeout: 2147483648 is not between 1 and 2147483 seconds"),
    "max of 0": ("max", 0, "table.max: 0 is not between 1 and 2147483647 entries (0 means no limit on older kernels and is refused by newer ones)"),
    "negative max": ("max", -1, "table.max: -1 is not between"),
    "max in words": ("max", "many", "table.max: many is not a whole number or auto"),
    "hexadecimal max": ("max", "0x10000", "table.max: 0x10000 is not a whole number or auto"),
    "broken max": ("max", "65536.0", "table.max: 65536.0 is not a whole number or auto"),
    "max with a unit": ("max", "64k", "table.max: 64k is not a whole number or auto"),
    "empty max": ("max", "", "table.max:  is not a whole number or auto"),
    "buckets of 2^28": ("buckets", 2 ** 28, "table.buckets: 268435456 is not between 1 and 268427264 chains"),
    "events of 3": ("events", 3, "tracking.events: 3 is not between 0 and 2"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused(name):
    option, value, text = REFUSED[name]
    found, = problems(option, value)
    assert found.startswith(text)


def test_auto_is_for_sizes_only():
    assert problems("max", "auto") == problems("expect_hashsize", "auto") == []
    # Elsewhere the argument spec has refused it; here it is passed over, and not called a number.
    assert list(_spec.problems(options(timeouts={"icmp_timeout": "auto"}))) == []


def test_every_problem_is_said_at_once():
    request = options(
        table={"max": "0", "buckets": "x", "memory_share": 2.0, "load_factor": 0.0},
        timeouts={"udp_timeout": 0, "icmp_timeout": -1},
        tracking={"events": 9},
    )
    assert [text.split(":")[0] for text in _spec.problems(request)] == [
        "table.buckets", "table.max", "timeouts.icmp_timeout", "timeouts.udp_timeout", "tracking.events",
        "table.memory_share", "table.load_factor",
    ]


# As given, as understood
UNDERSTOOD = {
    "numbers as text": ({"table": {"max": "65536"}}, {"max": 65536}),
    "leading zeros are decimal": ({"table": {"max": "0065536"}}, {"max": 65536}),
    "auto": ({"table": {"max": "auto"}}, {"max": "auto"}),
    "switches": ({"tracking": {"acct": True, "tcp_loose": False}}, {"acct": 1, "tcp_loose": 0}),
    "in the order of the catalogue": ({"timeouts": {"udp_timeout": 9, "generic_timeout": 8}, "table": {"max": "1", "buckets": "2"}},
                                      {"buckets": 2, "max": 1, "generic_timeout": 8, "udp_timeout": 9}),
    "nothing": ({}, {}),
}


@pytest.mark.parametrize("name", sorted(UNDERSTOOD))
def test_understood(name):
    given, expected = UNDERSTOOD[name]
    found = _spec.requested(options(**given))
    assert (found, list(found)) == (expected, list(expected))


def test_a_group_that_is_no_dict_was_refused_before_and_is_passed_over():
    assert _spec.requested({"table": "auto", "timeouts": None, "tracking": [1]}) == {}
    assert _spec.sizing({"table": "auto"}) == dict(BY_DEFAULT)


def test_sizing_falls_back_where_what_is_given_is_not_sound():
    given = options(table={"memory_share": 7.0, "load_factor": 2.0, "never_lower": True})
    assert _spec.sizing(given) == dict(BY_DEFAULT, load_factor=2.0, never_lower=True)


def test_what_steers_auto_has_no_default_that_would_hide_a_profile():
    assert [name for name in _spec.SIZING if "default" in _spec.group_spec("table")[name]] == []
    assert _spec.sizing(options(table={})) == BY_DEFAULT


# What is given in the option table: the problems
TARGETS = {
    "nothing": ({"max": "auto"}, []),
    "for each CPU": ({"max": "auto", "per_cpu": 1}, []),
    "a rate": ({"max": "auto", "connections_per_second": 1, "mean_life": 1}, []),
    "neither auto nor a number": ({"per_cpu": 1000}, [
        "table.per_cpu: only table.max: auto is worked out from it, and table.max is not given; say auto, or leave it out"]),
    "all of it and a number": ({"max": "5000", "per_cpu": 1, "connections_per_second": 1, "mean_life": 1}, [
        "table.per_cpu and table.connections_per_second and table.mean_life: only table.max: auto is worked out from it, and table.max is 5000; "
        "say auto, or leave it out"]),
    "a life without a rate": ({"max": "auto", "mean_life": 9}, [
        "table.mean_life: say table.connections_per_second as well, the connections that begin in a second"]),
    "none for each CPU": ({"max": "auto", "per_cpu": 0}, ["table.per_cpu: 0 is not between 1 and 2147483647"]),
    "a life of for ever": ({"max": "auto", "connections_per_second": 1, "mean_life": 2147484}, [
        "table.mean_life: 2147484 is not between 1 and 2147483"]),
    "yes for each CPU": ({"max": "auto", "per_cpu": True}, ["table.per_cpu: True is not between 1 and 2147483647"]),
    "words": ({"max": "auto", "per_cpu": "many"}, ["table.per_cpu: many is not between 1 and 2147483647"]),
}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_targets(name):
    table, texts = TARGETS[name]
    assert list(_spec.problems(options(table=table))) == texts


def test_the_largest_values_are_those_of_the_kernel():
    assert BY_NAME["max"].bounds == (1, INT_MAX)
    assert BY_NAME["buckets"].bounds == (1, BUCKETS_MAX)
    assert BY_NAME["udp_timeout"].bounds == (1, SECONDS_MAX)

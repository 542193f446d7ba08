# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module flow as a whole process, at tables of this machine's kernel: exactly the flows that the filter means."""

import json
import random
from collections import Counter

import pytest
from flow_filters import drawn, meet, told

from ansible_collections.netfleet.conntrack.plugins.module_utils import _flow
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.tests.flowtables import kinds, tables

ENTRIES = 1000
NUMBERS = ("matched", "acted", "spared", "already", "gone", "refused", "changed")
EVERYTHING = {"family": ["ipv4", "ipv6"]}
DEFAULTS = {"remaining": None, "limit": None, "own_connection": "spare"}
FAULTS = {
    "no condition": ({"state": "absent", "filter": {}}, ["filter: it has no condition"]),
    "an empty list": ({"state": "absent", "filter": {"source": []}}, ["filter.source: an empty list"]),
    "no time": ({"state": "capped", "filter": EVERYTHING}, ["remaining: state=capped needs it"]),
    "a time too many": ({"state": "absent", "remaining": 5, "filter": EVERYTHING}, ["remaining: 5; it is for state=capped"]),
    "no time at all": ({"state": "capped", "remaining": 0, "filter": EVERYTHING}, ["remaining: 0; give seconds, 1 to 2147483"]),
    "everything": (
        {"state": "capped", "remaining": 3000000, "limit": 0, "filter": {"protocol": ["ipx"], "destination": ["a.b"], "zone": [70000]}},
        ["remaining: 3000000;", "limit: 0;", "filter.protocol: ipx", "filter.destination: a.b", "filter.zone: 70000"]),
    "no state": ({"filter": EVERYTHING}, ["state"]),
}


def tuples(flows):
    return Counter((flow.protocol, flow.orig, flow.zone, flow.zone_orig, flow.zone_reply) for flow in flows)


def acted(netns, options, rehearse=False):
    with tables.inside(netns):
        return _flow.flow(Host(), {**DEFAULTS, **options}, rehearse, lambda text: None)


def numbers(result):
    return {name: result[name] for name in NUMBERS}


@pytest.mark.parametrize("seed", range(12))
def test_exactly_what_is_meant_goes(seed):
    dice = random.Random(seed)
    with tables.table(ENTRIES) as netns:
        tables.fill(netns, ENTRIES, kinds.mixed(seed), seed)
        before = told(netns)
        options = {"state": "absent", "filter": drawn(dice, before)}
        meant = meet(before, options["filter"])
        announced = acted(netns, options, True)
        assert tuples(told(netns)) == tuples(before)
        done = acted(netns, options)
        assert numbers(announced) == numbers(done)
        assert done["matched"] == done["acted"] == len(meant) and done["changed"] == bool(meant)
        assert announced["sample"] == done["sample"] and len(done["sample"]) == min(len(meant), 10)
        assert tuples(told(netns)) == tuples(before) - tuples(meant)
        assert numbers(acted(netns, options)) == dict.fromkeys(NUMBERS, 0)


@pytest.mark.parametrize("seed", range(12, 20))
def test_exactly_what_is_meant_has_less_time(seed):
    dice = random.Random(seed)
    with tables.table(ENTRIES) as netns:
        tables.fill(netns, ENTRIES, kinds.mixed(seed), seed)
        before = told(netns)
        most = sorted(flow.timeout for flow in before)[ENTRIES // 2] // 600 * 600 + 300
        options = {"state": "capped", "remaining": most, "filter": drawn(dice, before)}
        meant = meet(before, options["filter"])
        announced, done = acted(netns, options, True), acted(netns, options)
        lowered = [flow for flow in meant if flow.timeout > most]
        assert numbers(announced) == numbers(done)
        assert (done["matched"], done["acted"], done["already"]) == (len(meant), len(lowered), len(meant) - len(lowered))
        after = {flow.id: flow.timeout for flow in told(netns)}
        few = {flow.id for flow in lowered}
        assert all(0 <= (most if flow.id in few else flow.timeout) - after[flow.id] < 60 for flow in before)
        assert acted(netns, options)["changed"] is False


def test_a_limit_is_kept_to_the_flow():
    with tables.table(ENTRIES) as netns:
        tables.fill(netns, ENTRIES, kinds.mixed(1), 1)
        options = {"state": "absent", "filter": EVERYTHING, "limit": 137}
        assert numbers(acted(netns, options, True)) == numbers(acted(netns, options))
        assert len(told(netns)) == ENTRIES - 137


def test_as_a_whole_process(machine):
    with tables.table(ENTRIES) as netns:
        tables.fill(netns, ENTRIES, kinds.mixed(2), 2)
        options = {"state": "absent", "filter": {"protocol": ["tcp"]}}
        meant = meet(told(netns), options["filter"])
        announced = machine.run("flow", options, netns=netns, check=True)
        assert len(told(netns)) == ENTRIES
        done = machine.run("flow", options, netns=netns)
        assert numbers(announced) == numbers(done) and done["acted"] == len(meant) > 0
        assert len(told(netns)) == ENTRIES - len(meant)
        assert machine.run("flow", options, netns=netns)["changed"] is False


@pytest.mark.parametrize("options, texts", FAULTS.values(), ids=FAULTS)
def test_all_that_is_wrong_is_said_before_anything_is_touched(options, texts, machine):
    with tables.table(10) as netns:
        tables.fill(netns, 10, kinds.HEAVY)
        message = machine.refused("flow", options, netns=netns)
        assert all(text in message for text in texts), json.dumps(message)
        assert len(told(netns)) == 10


def test_without_rights_nothing_is_touched(machine):
    with tables.table(10) as netns:
        tables.fill(netns, 10, kinds.HEAVY)
        message = machine.refused("flow", {"state": "absent", "filter": EVERYTHING}, netns=netns, user="nobody")
        assert "root" in message and "CAP_NET_ADMIN" in message
        assert len(told(netns)) == 10

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part settings on recorded hosts: what holds for every host and request."""
import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _settings
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._transaction import FOLDER, execute
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.requests import ABSENT, Dice

SEEDS = range(12)
PART = _settings.PART


def run(host, options, check=False):
    del host.log[:]
    return execute(host, PART, options, check)


def refused(host, options):
    """Whether a request is refused; whatever comes of it, nothing is touched."""
    before = recorded.snapshot(host)
    try:
        run(host, options, check=True)
        return False
    except ConntrackError:
        with pytest.raises(ConntrackError):
            run(host, options)
        return True
    finally:
        assert recorded.snapshot(host) == before
        assert host.log == []


def holds(host, options):
    """A check run announces what the run then makes, and after that there is nothing to do."""
    announced = run(host, options, check=True)
    assert announced == run(host, options, check=True), "a plan depends on nothing but the host and the request"
    made = run(host, options)
    assert (made["changes"], made["diff"], made["changed"]) == (announced["changes"], announced["diff"], announced["changed"])
    again = run(host, options)
    assert (again["changed"], again["changes"], host.log) == (False, [], [])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", recorded.names())
def test_whatever_is_asked_of_a_recorded_host(name, seed, tmp_path):
    host = recorded.machine(name, tmp_path)
    dice = Dice("%s %d" % (name, seed), host, PART.read(host, {}))
    before, values = recorded.settled(host), (host.values(), recorded.fresh_values(host, tmp_path))
    for dummy in range(3):
        options = dice.request()
        if not refused(host, options):
            holds(host, options)
    holds(host, ABSENT)
    assert recorded.settled(host) == before
    assert host.values() in values
    assert not host.exists(FOLDER)


def test_most_requests_that_are_tried_are_carried_out(tmp_path):
    tried = []
    for name in recorded.names():
        host = recorded.machine(name, tmp_path)
        state = PART.read(host, {})
        tried += [PART.plan(state, Dice("%s %d" % (name, seed), host, state).request()).refusals == () for seed in SEEDS]
    assert tried.count(True) > len(tried) / 2
    assert tried.count(False) > len(tried) / 20

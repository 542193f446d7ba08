# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller makes of a policy that awaits its confirmation; the hosts' part of it is proven on virtual machines."""
import types

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.netfleet.conntrack.plugins.action import policy

RUNNING = {"part": "settings", "name": "max", "layer": "running"}
BOOT = {"part": "settings", "name": "max", "layer": "boot"}
APPLIED = {"changed": True, "changes": [RUNNING], "withheld": [BOOT], "awaits_confirmation": True}
CONFIRMED = {"changed": True, "changes": [BOOT], "withheld": [], "awaits_confirmation": False}
REFUSED = {"failed": True, "msg": "confirm: this connection is older than the policy"}
GONE = {"failed": True, "msg": "confirm: nothing awaits a confirmation on this host"}
UNREACHABLE = AnsibleConnectionFailure("Connection timed out")


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Action(policy.ActionModule):
    """The plugin, with answers of a host instead of one."""

    def __init__(self, answers, args, check_mode=False):
        self._task = types.SimpleNamespace(args=args, check_mode=check_mode, async_val=0)
        self._connection = types.SimpleNamespace(reset=self.reset, has_native_async=False)
        self.answers, self.asked, self.resets = list(answers), [], 0

    def reset(self):
        self.resets += 1

    def _execute_module(self, module_args=None, **dummy_more):
        self.asked.append(self._task.args if module_args is None else module_args)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            policy.time.sleep(10)
            raise answer
        return dict(answer)


@pytest.fixture
def run(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(policy, "time", clock)
    monkeypatch.setattr(policy.ActionBase, "run", lambda *dummy: {})

    def execute(answers, check_mode=False, **args):
        action = Action(answers, args, check_mode)
        began = clock.now
        return action.run(None, {"inventory_hostname": "r1"}), action, clock.now - began

    return execute


def test_without_a_window_there_is_one_execution(run):
    result, action, dummy = run([dict(CONFIRMED, changes=[RUNNING, BOOT])], table={"max": 5})
    assert (action.asked, action.resets, result["changes"]) == ([{"table": {"max": 5}}], 0, [RUNNING, BOOT])


def test_a_document_is_opened_below_what_is_given_beside_it(run):
    dummy, action, dummy2 = run([CONFIRMED], document={"table": {"max": 5}, "at_boot": False}, at_boot=True)
    assert action.asked == [{"table": {"max": 5}, "at_boot": True}]
    assert run([CONFIRMED], document=None, state="absent")[1].asked == [{"state": "absent"}]
    with pytest.raises(policy.AnsibleActionFail, match="document: 'text' is no document"):
        run([CONFIRMED], document="text")


def test_a_confirmed_policy_has_done_what_it_withheld(run):
    result, action, dummy = run([APPLIED, CONFIRMED], table={"max": 5}, confirm_within=60)
    assert action.asked == [{"table": {"max": 5}, "confirm_within": 60}, {"table": {"max": 5}, "confirm": True}]
    assert action.resets == 1
    assert (result["changes"], result["withheld"], result["awaits_confirmation"], "failed" in result) == ([RUNNING, BOOT], [], False, False)


def test_a_check_run_announces_the_whole_and_confirms_nothing(run):
    result, action, dummy = run([APPLIED], check_mode=True, confirm_within=60)
    assert (len(action.asked), result["changes"], result["withheld"]) == (1, [RUNNING, BOOT], [])


def test_a_connection_that_comes_about_late_confirms_too(run):
    result, action, seconds = run([APPLIED, UNREACHABLE, UNREACHABLE, CONFIRMED], confirm_within=60)
    assert "failed" not in result and len(action.asked) == 4 and seconds < 60


def test_what_the_host_refuses_is_told_at_once(run):
    result, dummy, seconds = run([APPLIED, REFUSED], confirm_within=60)
    assert (result["failed"], result["msg"], seconds < 5) == (True, REFUSED["msg"], True)
    assert (result["changes"], result["withheld"]) == ([RUNNING], [BOOT])


def test_a_policy_that_cuts_its_administrator_off_is_told_to_be_taken_back(run):
    result, dummy, seconds = run([APPLIED] + [UNREACHABLE] * 6 + [GONE], confirm_within=30)
    assert result["failed"] and "within 30 seconds" in result["msg"] and "took it back" in result["msg"] and "timed out" in result["msg"]
    assert 30 < seconds < 30 + policy.AFTERWARDS


def test_a_host_that_stays_away_is_unreachable(run):
    result, dummy, seconds = run([APPLIED, UNREACHABLE], confirm_within=30)
    assert result["unreachable"] and not result.get("failed") and 30 + policy.AFTERWARDS <= seconds < 60 + policy.AFTERWARDS

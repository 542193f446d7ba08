# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a plan is shown, and how commands stand around the files that they read."""
import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import BOOT, RUNNING, Change, Plan, Step, diff, reread, shown

COMMAND = ["udevadm", "control", "--reload"]
FILE = Step("file", "/etc/x", "text")


@pytest.mark.parametrize("value, text", [(None, "(not there)"), (True, "true"), (False, "false"), (0, "0"), (65536, "65536"), ("loaded", "loaded")])
def test_shown(value, text):
    assert shown(value) == text


def test_diff_has_a_pair_for_each_layer_and_file():
    plan = Plan(
        changes=(
            Change("settings", "max", RUNNING, 65536, 131072),
            Change("settings", "acct", RUNNING, False, True),
            Change("settings", "max", BOOT, None, 131072),
            Change("settings", "/etc/x", BOOT, "absent", "current"),
        ),
        files=(("/etc/x", None, "new\n"), ("/etc/y", "old\n", None)),
    )
    assert diff(plan) == [
        {"before_header": "running", "after_header": "running", "before": "max = 65536\nacct = false\n", "after": "max = 131072\nacct = true\n"},
        {"before_header": "boot", "after_header": "boot", "before": "max = (not there)\n", "after": "max = 131072\n"},
        {"before_header": "/etc/x", "after_header": "/etc/x", "before": "", "after": "new\n"},
        {"before_header": "/etc/y", "after_header": "/etc/y", "before": "old\n", "after": ""},
    ]


def test_no_change_no_diff():
    assert diff(Plan()) == []


def test_a_file_alone_is_no_layer():
    assert diff(Plan(changes=(Change("settings", "/etc/x", BOOT, "absent", "current"),))) == []


def test_what_reads_files_runs_after_them_in_both_directions():
    steps = reread((FILE,), "telling udev", COMMAND)
    forth = [step.value for step in steps if step.value]
    back = [command for step in reversed(steps) for command in (("file",) if step.action == "file" else step.undo)]
    assert (forth, back) == (["text", COMMAND], ["file", COMMAND])


def test_no_files_nothing_to_read():
    assert reread((), "telling udev", COMMAND) == ()

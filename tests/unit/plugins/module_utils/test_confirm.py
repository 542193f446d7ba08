# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits for its confirmation: who may confirm it, who is refused, and when it is over."""
import os
import pathlib
import subprocess
import time
from collections import namedtuple

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _confirm, _journal, _memo, _own_connection
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import RUNNING, Change, ConntrackError, Plan
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host

JOURNAL = _journal.path()
NOW, BOOT = 1000.0, "11111111-2222-3333-4444-555555555555"
SINCE = 95000  # ticks: the policy was applied fifty seconds ago
CHANGE = Change("settings", "max", RUNNING, 1, 2)
FILE = "/etc/sysctl.d/zz-netfleet-conntrack.conf"
UNDO = [{"action": "value", "target": "/proc/sys/max", "value": "4096"}, {"action": "file", "target": FILE, "value": "before\n"},
        {"action": "file", "target": FILE + "2", "value": None}]
Planned = namedtuple("Planned", "whole now")
HELD, OPEN = Planned(Plan(), Plan()), Planned(Plan(changes=(CHANGE,)), Plan())
DIFFERENT = Planned(Plan(changes=(CHANGE,)), Plan(changes=(CHANGE,)))
WAITING = {"id": "7", "boot": BOOT, "until": NOW + 42, "since": SINCE}


class Machine(Host):
    """A tree of files with the programs that are needed, and the commands that were run."""

    def __init__(self, folder, systemd=True):
        super().__init__(str(folder), run=self._note)
        self.commands = []
        self.fails = ""
        for path, text in ((_memo.BOOT_ID, BOOT + "\n"), (_confirm.UPTIME, "%s 1.00\n" % NOW), ("/proc/sys/max", "65536"), (FILE, "after\n"),
                           (FILE + "2", "after\n"), ("/usr/bin/systemctl", ""), ("/usr/bin/systemd-run", ""), ("/usr/bin/sh", "")):
            self.put(path, text)
        if systemd:
            os.makedirs(self.root + _confirm.SYSTEMD)

    def put(self, path, text):
        place = pathlib.Path(self.root + path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def _note(self, argv, dummy_data):
        self.commands.append(argv)
        return int(os.path.basename(argv[0]) == self.fails), "", "no"

    def wait(self, script=True, **more):
        """Be as a run leaves it that is to be confirmed."""
        waiting = dict(WAITING, **more)
        _journal.write(self, JOURNAL, UNDO, awaits={key: value for key, value in waiting.items() if value is not None})
        if script:
            self.put(_confirm.undo_path(waiting), "#!/bin/sh\n")

    def scripts(self):
        return [name for name in self.list(os.path.dirname(JOURNAL)) if name.startswith("undo-")]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setattr(_own_connection, "opened", lambda host: SINCE + 1)
    return Machine(tmp_path)


def settle(machine, planned, **options):
    return _confirm.settle(machine, JOURNAL, options, planned)


# Refusals of options: options, when the connection was opened, and the words of each that is wrong.
OPTIONS = {
    "nothing": ({}, None, [], ()),
    "at least": ({"confirm_within": 10}, 1, [CHANGE], ()),
    "at most": ({"confirm_within": 86400}, 1, [CHANGE], ()),
    "too short": ({"confirm_within": 9}, 1, [CHANGE], ("confirm_within: 9 ",)),
    "too long": ({"confirm_within": 86401}, 1, [CHANGE], ("confirm_within: 86401 ",)),
    "negative": ({"confirm_within": -1}, 1, [CHANGE], ("confirm_within: -1 ",)),
    "both": ({"confirm_within": 60, "confirm": True}, 1, [CHANGE], ("confirm: it confirms",)),
    "no connection": ({"confirm_within": 60}, None, [CHANGE], ("confirm_within: this run did not come over",)),
    "no connection, to confirm": ({"confirm": True}, None, [CHANGE], ("confirm: this run did not come over",)),
    "no connection, and nothing to do": ({"confirm_within": 60}, None, [], ()),
    "everything": ({"confirm_within": 1, "confirm": True}, None, [CHANGE], ("confirm: it", "confirm_within: 1 ", "confirm_within: this")),
}


@pytest.mark.parametrize("options, opened, changes, wrong", OPTIONS.values(), ids=OPTIONS)
def test_options_that_cannot_be_met_are_all_said(machine, monkeypatch, options, opened, changes, wrong):
    monkeypatch.setattr(_own_connection, "opened", lambda host: opened)
    said = list(_confirm.refusals(machine, options, changes))
    assert len(said) == len(wrong) and all(text.startswith(words) for text, words in zip(said, wrong))


# What became of the wait, and whether it is still one.
ENDS = {
    "nothing ended it": ({}, True),
    "a boot": ({"boot": "other"}, False),
    "the script, which is gone when it is done": ({"script": False}, False),
    "the time is over, and we have come before the script": ({"until": NOW}, False),
    "a run that was killed before it started the clock": ({"until": NOW - 500, "since": None}, False),
}


@pytest.mark.parametrize("how, waits", ENDS.values(), ids=ENDS)
def test_another_run_is_refused_while_something_waits_and_completes_it_afterwards(machine, how, waits):
    machine.wait(**how)
    assert bool(_confirm.warning(machine, _journal.read(machine, JOURNAL))) == waits
    if waits:
        with pytest.raises(ConntrackError, match="taken back in 42 seconds; confirm it"):
            settle(machine, DIFFERENT)
        assert machine.scripts() and "awaits" in _journal.read(machine, JOURNAL)
    else:
        assert settle(machine, DIFFERENT) is True
        assert not machine.scripts() and "awaits" not in _journal.read(machine, JOURNAL)


@pytest.mark.parametrize("how, waits", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("planned", [OPEN, HELD], ids=["boot to do", "nothing to do"])
def test_only_what_still_waits_is_confirmed(machine, how, waits, planned):
    machine.wait(**how)
    if waits:
        assert settle(machine, planned, confirm=True) is False
        assert not machine.scripts() and _journal.read(machine, JOURNAL)["undo"] == UNDO
    else:
        with pytest.raises(ConntrackError, match="nothing awaits a confirmation"):
            settle(machine, planned, confirm=True)
        assert "awaits" in _journal.read(machine, JOURNAL)


@pytest.mark.parametrize("opened", [None, 1, SINCE])
def test_connection_that_is_not_newer_confirms_nothing(machine, monkeypatch, opened):
    monkeypatch.setattr(_own_connection, "opened", lambda host: opened)
    machine.wait()
    with pytest.raises(ConntrackError, match="older than the policy"):
        settle(machine, OPEN, confirm=True)
    assert machine.scripts() and "awaits" in _journal.read(machine, JOURNAL)


def test_policy_that_is_still_being_applied_is_not_confirmed(machine):
    machine.wait(since=None)
    with pytest.raises(ConntrackError):
        settle(machine, OPEN, confirm=True)


def test_another_policy_is_not_confirmed(machine):
    machine.wait()
    with pytest.raises(ConntrackError, match=r"not this policy \(max\)"):
        settle(machine, DIFFERENT, confirm=True)
    assert machine.scripts()


def test_confirming_what_holds_already_is_nothing(machine):
    assert settle(machine, HELD, confirm=True) is False


def test_after_a_boot_files_are_put_back_and_values_left_alone(machine):
    machine.wait(boot="other")
    assert settle(machine, DIFFERENT) is True
    assert (machine.read(FILE), machine.exists(FILE + "2"), machine.read("/proc/sys/max")) == ("before\n", False, "65536")
    assert not machine.exists(JOURNAL)


def test_script_and_journal_are_there_before_the_clock_runs(machine):
    seen = []
    machine._run = lambda argv, data: seen.append((argv, machine.scripts(), _journal.read(machine, JOURNAL))) or (0, "", "")
    window = _confirm.Window(machine, JOURNAL, 60)
    window.begin(UNDO)
    (argv, scripts, journal), = seen
    assert argv[0].endswith("systemd-run") and "--on-active=60s" in argv and argv[-1] == _confirm.undo_path(window.waiting)
    assert scripts and journal["undo"] == UNDO and journal["awaits"]["until"] == NOW + 60 and "since" not in journal["awaits"]


def test_what_cannot_be_armed_is_said(machine):
    machine.fails = "systemd-run"
    with pytest.raises(ConntrackError, match="arming what takes the policy back"):
        _confirm.Window(machine, JOURNAL, 60).begin(UNDO)


def test_cancelled_leaves_no_script_and_no_timer(machine):
    window = _confirm.Window(machine, JOURNAL, 60)
    window.begin(UNDO)
    window.cancel()
    assert not machine.scripts() and machine.commands[-1][1:] == ["stop", "netfleet-conntrack-undo-100000.timer"]


def run(argv, dummy_data=None):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_without_systemd_a_process_of_no_session_runs_the_script(tmp_path, monkeypatch):
    """By the real programs of this machine: the one who started it is gone by then, and has not waited."""
    script, said = tmp_path / "undo", tmp_path / "said"
    script.write_text('echo "$(cut -d " " -f 6 /proc/$$/stat)" > %s\n' % said)
    monkeypatch.setattr(_confirm, "undo_path", lambda waiting: str(script))
    monkeypatch.setattr(_confirm, "SYSTEMD", str(tmp_path / "systemd"))
    began = time.monotonic()
    _confirm._start(Host(run=run), WAITING, 1)
    assert time.monotonic() - began < 0.9 and not said.exists()
    while not said.exists() and time.monotonic() - began < 10:
        time.sleep(0.05)
    assert int(said.read_text()) != os.getsid(0)


def test_without_what_starts_such_a_process_nothing_is_armed(machine):
    done = subprocess.run([_shell(), "-c", _confirm.DETACHED % (1, "/nowhere")], env={"PATH": "/nowhere"}, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1 and done.stderr == b"setsid is not installed\n"


def _shell():
    return Host().program("sh")

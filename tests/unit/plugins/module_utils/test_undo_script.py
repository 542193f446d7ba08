# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that takes a policy back does, by a real shell, what the next run would do with the journal."""
import fcntl
import json
import os
import pathlib
import shutil
import stat
import subprocess
import time

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _journal, _undo_script
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host

BOOT = pathlib.Path("/proc/sys/kernel/random/boot_id")
SAYS = 'printf "%%s\\n" "$1" >> "%s/said"; %s'  # what a command leaves, and its status
TEXTS = {
    "plain": "net.netfilter.nf_conntrack_max = 4096\n",
    "words that a shell knows": "$HOME `id` $(id) \\ \\\\ \\n !! * ~ 'one' \"two\" & | ; # <\n",
    "end marker": "%s\n'%s'\n %s_\n%s_\n" % ((_undo_script.END,) * 4),
    "blank lines": "\n\n  a\t\n\n",
    "no letters of ASCII": "W\u00e4rter \u2028 \x0b \x0c \udcff\n",
    "empty": "",
    "long": "0123456789abcdef\n" * 20000,
}
# What is in the tree when the policy has been applied; the entries take it back.
APPLIED = {"value": "65536", "new": "of the policy\n", "changed": "of the policy\n", "script": "#!/bin/false\n", "private": "{}\n"}


class Tree:
    """A folder that stands for a host, with a journal, and the one thing that a way of undoing changes."""

    def __init__(self, folder, entries):
        self.folder = folder
        self.journal = str(folder / "memory" / "journal.json")
        folder.joinpath("memory").mkdir(parents=True)
        for name, text in APPLIED.items():
            folder.joinpath(name).write_text(text)
        self.entries = json.loads(json.dumps(entries(folder)))
        folder.joinpath("memory", "journal.json").write_text(json.dumps({"undo": self.entries}))

    def content(self):
        """Everything that is in it."""
        return {str(path.relative_to(self.folder)): (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
                for path in sorted(self.folder.rglob("*")) if path.is_file()}

    def script(self, boot=None):
        """Where the script is, as it is rendered."""
        text = _undo_script.render(self.entries, boot or BOOT.read_text().strip(), 60, self.journal)
        place = self.folder / "memory" / "undo-1"
        place.write_bytes(text.encode("utf-8", "surrogateescape"))
        return place

    def begin(self, **more):
        """Begin to run the script."""
        return subprocess.Popen(["sh", str(self.script(**more))], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def undo(self, **more):
        """Run the script; return its status."""
        running = self.begin(**more)
        running.communicate(timeout=30)
        return running.returncode

    def roll_back(self):
        """Do with the journal what the next run does; return whether all of it succeeded."""
        try:
            _journal.roll_back(Host(run=command), self.journal, self.entries, "")
            os.rmdir(os.path.dirname(self.journal))  # as a run does in the end
        except ConntrackError:
            return False
        return True


def command(argv, data):
    given = None if data is None else data.encode("utf-8", "surrogateescape")
    done = subprocess.run(argv, input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, "", ""


@pytest.fixture(autouse=True)
def lock(monkeypatch, tmp_path):
    monkeypatch.setattr(_undo_script, "LOCK", str(tmp_path / "lock"))
    return tmp_path / "lock"


@pytest.fixture
def trees(tmp_path):
    """Make two trees alike, one for each way of undoing."""
    return lambda entries: [Tree(tmp_path / name, entries) for name in ("script", "journal")]


def entry(action, target, value):
    return {"action": action, "target": str(target), "value": value}


def said(folder, word, status="true"):
    return ["sh", "-c", SAYS % (folder, status), "sh", word]


# One of each action, with what it may hold. Each is a list of entries in the order of the journal.
CASES = {
    "nothing": lambda folder: [],
    "value": lambda folder: [entry("value", folder / "value", "4096")],
    "value of several words": lambda folder: [entry("value", folder / "value", "a  b'c")],
    "value whose key did not exist": lambda folder: [entry("value", folder / "value", None)],
    "value whose key is gone": lambda folder: [entry("value", folder / "gone" / "value", "1"), entry("value", folder / "value", "2")],
    "file that was not there": lambda folder: [entry("file", folder / "new", None)],
    "file that is gone already": lambda folder: [entry("file", folder / "never", None)],
    "file": lambda folder: [entry("file", folder / "changed", "before\n")],
    "file in a folder that is gone": lambda folder: [entry("file", folder / "value", "1\n"), entry("file", folder / "value" / "under", "2\n")],
    "script": lambda folder: [entry("script", folder / "script", "#!/bin/true\n")],
    "private": lambda folder: [entry("private", folder / "private", '{"first": 1}\n')],
    "run": lambda folder: [entry("run", "saying a word", said(folder, "word"))],
    "run of words that a shell knows": lambda folder: [entry("run", "saying\nmuch; more", said(folder, "it's $HOME `id`\n\\ \"*\""))],
    "run that has nothing to take back": lambda folder: [entry("run", "saying a word", None)],
    "run that fails": lambda folder: [entry("run", "first", said(folder, "a")), entry("run", "second", said(folder, "b", "false"))],
    "first": lambda folder: [entry("first", "saying a word", said(folder, "word"))],
    "reread": lambda folder: [entry("reread", "reading", said(folder, "read")), entry("file", folder / "new", None)],
    "load": lambda folder: [entry("load", "loading", said(folder, "unload"))],
    "load that is in use": lambda folder: [entry("load", "loading", said(folder, "unload", "false"))],
    "feed": lambda folder: [entry("feed", "rules", [["tee", str(folder / "fed")], "add table\n"])],
    "feed that is refused": lambda folder: [entry("feed", "rules", [["sh", "-c", "cat; exit 1"], "add table\n"])],
    "jump": lambda folder: [entry("jump", "rules", [["tee", str(folder / "fed")], "-D POSTROUTING\n"])],
    "jump that is gone": lambda folder: [entry("jump", "rules", [["sh", "-c", "cat; exit 1"], "-D POSTROUTING\n"])],
    "program that is not there": lambda folder: [entry("run", "calling it", ["netfleet-no-such-program", "x"])],
    "order": lambda folder: [entry("value", folder / "value", str(each)) for each in range(9)] + [
        entry("run", "saying", said(folder, word)) for word in "abc"],
}
CASES.update(("text: " + name, lambda folder, text=text: [entry("file", folder / "changed", text)]) for name, text in TEXTS.items())
CASES.update(("fed: " + name, lambda folder, text=text: [entry("feed", "rules", [["tee", str(folder / "fed")], text])]) for name, text in TEXTS.items())


@pytest.mark.parametrize("name", CASES)
def test_script_does_what_the_next_run_would_do_with_the_journal(trees, name):
    ours, theirs = trees(CASES[name])
    assert (ours.undo() == 0) == theirs.roll_back()
    found, wanted = ours.content(), theirs.content()
    # Each of the two leaves the journal when something failed, with the places of its own tree.
    assert ("memory/journal.json" in found) == ("memory/journal.json" in wanted)
    assert {**found, "memory/journal.json": None} == {**wanted, "memory/journal.json": None}


@pytest.mark.parametrize("name", CASES)
def test_script_leaves_nothing_of_itself(trees, name):
    ours = trees(CASES[name])[0]
    ours.undo()
    assert [path for path in ours.content() if "undo" in path or ".netfleet-new" in path] == []


@pytest.mark.parametrize("name", sorted(set(CASES) - {"order"} - {name for name in CASES if name.startswith(("run", "first", "load", "reread"))}))
def test_script_may_run_twice(trees, name):
    ours = trees(CASES[name])[0]
    ours.undo()
    once = ours.content()
    ours.folder.joinpath("memory").mkdir(exist_ok=True)
    ours.undo()
    assert ours.content() == once


def test_script_goes_on_after_what_fails_and_leaves_the_journal(trees):
    ours = trees(lambda folder: [entry("value", folder / "value", "4096"), entry("run", "calling", ["false"]), entry("file", folder / "new", None)])[0]
    assert ours.undo() == 1
    assert ours.content()["value"][1] == b"4096" and "new" not in ours.content()
    assert "memory/journal.json" in ours.content()


def test_rules_of_others_are_nothing_for_a_script(trees):
    with pytest.raises(ConntrackError, match="rules of others"):
        trees(lambda folder: [entry("foreign", "rules", "x")])[0].script()


def test_another_boot_takes_nothing_back(trees):
    ours = trees(CASES["file"])[0]
    before = ours.content()
    assert ours.undo(boot="00000000-0000-0000-0000-000000000000") == 0
    assert {path: each for path, each in ours.content().items() if "undo" not in path} == before


@pytest.mark.skipif(not shutil.which("flock"), reason="the program flock is not installed")
@pytest.mark.parametrize("confirmed", [True, False])
def test_script_waits_for_a_run_and_heeds_that_it_was_taken_away_meanwhile(trees, lock, confirmed):
    ours = trees(CASES["file"])[0]
    before = ours.content()
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        running = ours.begin()
        time.sleep(0.5)
        assert running.poll() is None and ours.content()["changed"] == before["changed"]
        if confirmed:
            ours.folder.joinpath("memory", "undo-1").unlink()
    running.communicate(timeout=30)
    assert (ours.content() == before) == confirmed


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="the program shellcheck is not installed")
def test_shellcheck_has_nothing_to_say(trees):
    everything = [case for name, case in CASES.items() if not name.startswith(("text", "fed"))]
    ours = trees(lambda folder: [each for case in everything for each in case(folder)])[0]
    # Less than a warning are that commands look unreachable (`try` calls them), and that what is quoted is not expanded.
    done = subprocess.run(["shellcheck", "--shell=sh", "--severity=warning", str(ours.script())], stdout=subprocess.PIPE, check=False)
    assert done.stdout.decode() == ""

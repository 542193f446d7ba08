# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An answer is recalled exactly while everything that it rests on is as it was."""
import json
import os

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _recall, _settings, _transaction
from ansible_collections.netfleet.conntrack.plugins.module_utils._memo import FOLDER
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.requests import options

REQUEST = options(table={"max": "65536", "memory_share": 0.9}, timeouts={"tcp_timeout_established": 7440}, tracking={"acct": True})
KEY = "as before"
HOSTS = [name for name in recorded.names() if not name.endswith(("-unloaded", "-netns"))]


def witness(host):
    return _recall.Witness(host.root, run=host.command, page_size=host.page_size, uid=0)


def settled(name, folder):
    """A host on which a run has found nothing to change and kept that, and the result."""
    host = recorded.machine(name, folder)
    _transaction.execute(host, _settings.PART, REQUEST, False)
    seeing = witness(host)
    result = _transaction.execute(seeing, _settings.PART, REQUEST, False)
    assert not result["changed"]
    _recall.keep(seeing, "settings", KEY, result)
    return host, result


def again(host, key=KEY):
    return _recall.recalled(host, "settings", key)


def kept(host):
    return json.loads(host.read("/var/lib/netfleet-conntrack/look-settings.json"))


@pytest.mark.parametrize("name", HOSTS)
def test_what_was_kept_is_the_result(name, tmp_path):
    host, result = settled(name, tmp_path)
    assert again(host) == json.loads(json.dumps(result))
    assert again(host, key="other options, or other code") is None
    assert _recall.recalled(host, "snat", KEY) is None


def other_content(place):
    with open(place, "ab") as stream:
        stream.write(b"1\n")


def other_link(place):
    target = os.readlink(place)
    os.unlink(place)
    os.symlink(target + "1", place)


def other_existence(place):
    if os.path.isdir(place):
        os.rename(place, place + ".away")
    elif os.path.exists(place):
        os.unlink(place)
    else:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as stream:
            stream.write(b"1\n")


def other_list(place):
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, "zzzz"), "wb"):
        pass


def other_mode(place):
    os.chmod(place, 0o444)


OTHERWISE = {"bytes": other_content, "link": other_link, "exists": other_existence, "list": other_list, "mode": other_mode, "stat": other_content}


def spoil(host, kind, question, answer):
    """Have the host answer a question otherwise than it did; False where this test cannot."""
    # pylint: disable-next=protected-access
    place = os.path.join(host.root + host._real(os.path.dirname(question)), os.path.basename(question))
    if kind in ("bytes", "link", "mode", "stat") and answer is None:
        kind = "exists"
    if kind == "mode" and answer == 0o444 or kind == "exists" and question.startswith("/proc/self"):
        return False
    OTHERWISE[kind](place)
    return True


def test_whatever_answers_otherwise_is_noticed(tmp_path):
    host, dummy = settled("bookworm-6.1", tmp_path)
    rows = kept(host)["answers"]
    tried = 0
    for number, (kind, question, answer) in enumerate(rows):
        if kind not in OTHERWISE or question in _recall.LASTING:
            continue
        copy = recorded.copied(host, tmp_path / ("copy%d" % number))
        if spoil(copy, kind, question, answer):
            assert again(copy) is None, (kind, question)
            tried += 1
    assert tried > 150 and {kind for kind, dummy, dummy2 in rows} <= set(_recall.ASKED)


# Files that change by themselves: what is read at first, what changes nothing, what does
PASSING = {
    "/proc/meminfo": ("MemTotal: 1024 kB\nMemFree: 1 kB\n", "MemTotal: 1024 kB\nMemFree: 2 kB\n", "MemTotal: 1025 kB\nMemFree: 1 kB\n"),
    "/proc/cpuinfo": ("processor: 0\ncpu MHz: 1\n", "processor: 0\ncpu MHz: 2\n", "processor: 0\ncpu MHz: 1\nprocessor: 1\n"),
    "/proc/net/dev": ("h\n eth0: 1 2\n", "h\n eth0: 3 4\n", "h\n eth0: 1 2\n wg0: 1 1\n"),
    "/proc/slabinfo": ("nf_conntrack 1 2 256 1\nx 1\n", "nf_conntrack 5 6 256 1\nx 2\n", "nf_conntrack 1 2 320 1\nx 1\n"),
    "/proc/self/mounts": ("p /proc proc rw 0 0\n", "p /proc proc rw 0 0\nt /run/user/1 tmpfs rw 0 0\n", "p /proc proc ro 0 0\n"),
    "/proc/sys/net/netfilter/nf_conntrack_count": ("5\n", "6\n", ""),
}


@pytest.mark.parametrize("path", sorted(PASSING))
def test_of_what_changes_by_itself_only_what_lasts_counts(path, tmp_path):
    assert set(PASSING) == set(_recall.LASTING)
    host = recorded.machine("bookworm-6.1", tmp_path)
    answers = []
    for text in PASSING[path]:
        recorded.put(host.root + path, {"text": text})
        answers.append(_recall.ASKED["bytes"](host, path))
    assert answers[0] == answers[1] != answers[2]


def test_nothing_is_kept_where_something_was_changed_or_cannot_be_asked_again(tmp_path):
    host = recorded.machine("bookworm-6.1", tmp_path)
    for act in (lambda seen: seen.write_file("/etc/x", "x"), lambda seen: seen.run(["iptables", "-w", "-t", "raw", "-S"]), lambda seen: seen.lock()):
        seen = witness(host)
        assert seen.sound
        act(seen)
        assert not seen.sound
    changing = witness(host)
    result = _transaction.execute(changing, _settings.PART, REQUEST, False)
    _recall.keep(changing, "settings", KEY, result)
    assert again(host) is None


def test_a_host_that_changes_while_it_is_looked_at_is_not_kept(tmp_path):
    host = recorded.machine("bookworm-6.1", tmp_path)
    seen = witness(host)
    seen.read("/proc/cmdline")
    host.overwrite("/proc/cmdline", "another")
    seen.read("/proc/cmdline")
    assert not seen.sound


def test_a_run_that_changes_something_forgets_what_was_kept(tmp_path):
    host, dummy = settled("bookworm-6.1", tmp_path)
    _transaction.execute(host, _settings.PART, options(timeouts={"icmp_timeout": 31}), False)
    assert not [name for name in host.list(_recall.FOLDER) if name.startswith(_recall.BEGINNING)]


def test_where_nothing_is_ours_nothing_is_kept(tmp_path):
    host, request = recorded.machine("bookworm-6.1", tmp_path), options()
    before, seen = recorded.snapshot(host), witness(host)
    _recall.keep(seen, "settings", KEY, _transaction.execute(seen, _settings.PART, request, False))
    assert recorded.snapshot(host) == before


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"key": "as before"}', '{"key": "as before", "result": {}, "answers": [["none", "/", 1]]}',
                                  '{"key": "as before", "result": {}, "answers": [[1]]}', '{"key": "as before", "result": {}, "answers": 5}'])
def test_a_spoilt_file_recalls_nothing(text, tmp_path):
    host, dummy = settled("bookworm-6.1", tmp_path)
    host.overwrite("/var/lib/netfleet-conntrack/look-settings.json", text)
    assert again(host) is None


def test_it_is_kept_where_everything_else_is_remembered():
    assert _recall.FOLDER == FOLDER


def test_other_code_has_another_key(tmp_path):
    class Loader:
        """As zipimport has it."""

        archive = str(tmp_path / "a.zip")

    import zipfile

    keys = []
    for text in ("1", "2"):
        with zipfile.ZipFile(Loader.archive, "w") as archive:
            archive.writestr("ansible_collections/module.py", text)
        keys += [_recall.key("settings", {"a": 1}, Loader), _recall.key("settings", {"a": 2}, Loader), _recall.key("snat", {"a": 1}, Loader)]
    assert len(set(keys)) == 6
    with zipfile.ZipFile(Loader.archive, "a") as archive:
        archive.writestr("sitecustomize.py", "the path of this archive, which is another one each time")
    assert _recall.key("settings", {"a": 1}, Loader) == keys[3]
    assert _recall.key("settings", {}, None) == _recall.key("settings", {}, None)

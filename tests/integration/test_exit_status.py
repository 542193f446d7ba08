# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-playbook ends with, and the report that it leaves: whole runs, on the newest ansible-core and on the oldest.

Routers are names of this machine whose Python enters a network namespace, and the mount namespace of the test. A router that is down is
a port at which nobody listens.
"""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from conftest import command

from ansible_collections.netfleet.conntrack.plugins.module_utils import _change

ROOT = Path(_change.__file__).resolve().parents[2]
CORES = {"newest": "run", "2.16": "core216"}
PLAYBOOKS = "netfleet.conntrack."
NOTHING = {"at_boot": False}
POLICY = {"at_boot": False, "timeouts": {"udp_timeout": 33}}
KEY = "net.netfilter.nf_conntrack_udp_timeout"
LOCAL = {"ansible_connection": "local"}
DOWN = {
    "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_common_args": "-F none -o ConnectTimeout=5",
    "conntrack_policy": POLICY,
}
# What cannot be read, each for another reason.
UNKNOWN = {
    "no_document": {"conntrack_policy": "{{ nowhere }}"},
    "no_mapping": {"conntrack_policy": "text"},
    "refused": {"conntrack_policy": {"timeouts": {"udp_timeout": 0}}},
    "no_python": {"ansible_python_interpreter": "/nonexistent/python"},
    "no_become": {"ansible_become_method": "nonexistent"},
    "no_connection": {"ansible_connection": "nonexistent"},
    "no_address": {"ansible_host": "{{ nowhere }}"},
}
OURS = {0, 2, 4}  # what no run ends with that broke


class Fleet:
    """Routers, and runs of playbooks on them."""

    def __init__(self, machine, place, purpose):
        self.machine, self.place, self.purpose = machine, place, purpose
        self.report_folder = place / "conntrack-report"
        (place / "ansible.cfg").write_text("")

    def router(self, netns, policy=None):
        """The variables of a router whose network is this namespace."""
        python = self.python(netns, self.machine.inside(sys.executable, netns=netns))
        return dict(LOCAL, ansible_python_interpreter=python, conntrack_policy=policy or POLICY)

    def python(self, name, argv):
        """A program that stands for a router's Python."""
        path = self.place / ("python-" + name)
        path.write_text('#!/bin/sh\nexec %s "$@"\n' % " ".join(argv))
        path.chmod(0o755)
        return str(path)

    def inventory(self, hosts):
        path = self.place / "inventory.json"
        path.write_text(json.dumps({"all": {"hosts": hosts}}))
        return path

    def run(self, playbook, hosts, *arguments):
        """Run a playbook; return its status, and the report that it left, if any."""
        for left in self.report_folder.glob("report.*"):
            left.unlink()
        argv = [sys.executable, ROOT / "tools/dev.py", "in", self.purpose, "ansible-playbook", playbook, "-i", self.inventory(hosts), *arguments]
        own = {name: str(self.place / name.lower()) for name in ("ANSIBLE_HOME", "ANSIBLE_REMOTE_TMP", "ANSIBLE_LOCAL_TEMP")}
        done = subprocess.run(
            [str(word) for word in argv], cwd=self.place, env=dict(os.environ, ANSIBLE_CONFIG=str(self.place / "ansible.cfg"), **own),
            capture_output=True, text=True, timeout=300, check=False)
        self.said = done.stdout + done.stderr
        report = self.report_folder / "report.json"
        return done.returncode, json.loads(report.read_text()) if report.exists() else None

    def statuses(self, playbook, hosts, *arguments):
        """The status of a run, and those of the hosts in its report, which has to tell of the same."""
        status, report = self.run(PLAYBOOKS + playbook, hosts, *arguments)
        assert report is not None, self.said
        assert report["exit_status"] == status, self.said
        return status, {host["name"]: host["status"] for host in report["hosts"]}


@pytest.fixture(name="fleet", params=sorted(CORES))
def _fleet(request, machine, tmp_path):
    return Fleet(machine, tmp_path, CORES[request.param])


@pytest.fixture(name="other")
def _other():
    """Another network namespace."""
    name = "netfleet-" + uuid.uuid4().hex[:12]
    command("ip", "netns", "add", name)
    yield name
    command("ip", "netns", "del", name)


def test_what_was_set_by_hand_is_found_and_put_right(fleet, netns, other):
    hosts = {"good": fleet.router(netns), "odd": fleet.router(other)}
    assert fleet.statuses("tune", hosts) == (0, {"good": "clean", "odd": "clean"})
    command("ip", "netns", "exec", other, "sysctl", "-q", "-w", "%s=77" % KEY)
    for playbook in ("drift", "plan"):
        assert fleet.statuses(playbook, hosts) == (2, {"good": "clean", "odd": "drift"}), fleet.said
    found = json.loads((fleet.report_folder / "report.json").read_text())
    assert found["hosts"][0]["name"] == "odd"
    assert [(row["name"], row["layer"], row["wanted"], row["found"]) for row in found["hosts"][0]["differences"]] == [("udp_timeout", "running", 33, 77)]
    assert fleet.statuses("tune", hosts) == (0, {"good": "clean", "odd": "clean"})


def test_every_host_is_looked_at_whatever_becomes_of_the_others(fleet, netns):
    good = fleet.router(netns, NOTHING)
    hosts = dict({"a_down": DOWN}, **{name: dict(good, **more) for name, more in UNKNOWN.items()}, z_good=good)
    expected = dict(dict.fromkeys(UNKNOWN, "unknown"), a_down="unreachable", z_good="clean")
    assert fleet.statuses("drift", hosts, "--forks", "1") == (4, expected)
    reasons = {host["name"]: host["message"] for host in json.loads((fleet.report_folder / "report.json").read_text())["hosts"]}
    assert all(reasons[name] and "no result" not in reasons[name] for name in expected if name != "z_good"), reasons
    del expected["a_down"]
    assert fleet.statuses("plan", hosts, "--limit", "all:!a_down") == (2, expected)


@pytest.mark.parametrize("playbook", ["drift", "tune"])
def test_where_all_hosts_are_down_there_is_a_report(fleet, playbook):
    assert fleet.statuses(playbook, {"r1": DOWN, "r2": DOWN}) == (4, {"r1": "unreachable", "r2": "unreachable"})


def test_where_no_host_can_be_read_there_is_a_report(fleet, netns):
    hosts = {name: dict(fleet.router(netns), **more) for name, more in UNKNOWN.items()}
    assert fleet.statuses("tune", hosts) == (2, dict.fromkeys(UNKNOWN, "unknown"))


NOBODY = {
    "no such group": ("drift", {"r1": DOWN}, ["-e", "conntrack_hosts=nowhere"]),
    "limit takes all": ("validate", {"r1": DOWN, "r2": DOWN}, ["-e", "conntrack_hosts=r1", "--limit", "r2"]),
    "empty inventory": ("tune", {}, []),
}


@pytest.mark.parametrize("name", sorted(NOBODY))
def test_a_run_that_matches_nobody_broke(fleet, name):
    playbook, hosts, arguments = NOBODY[name]
    status, report = fleet.run(PLAYBOOKS + playbook, hosts, *arguments)
    assert (status in OURS, report) == (False, None), fleet.said
    assert "no host matches" in fleet.said


def test_a_report_that_cannot_be_written_broke_the_run(fleet, netns):
    (fleet.place / "file").write_text("")
    status, dummy = fleet.run(PLAYBOOKS + "drift", {"down": DOWN, "good": fleet.router(netns, NOTHING)}, "-e", "conntrack_drift_directory=file/below")
    assert status not in OURS and "the report could not be written" in fleet.said, fleet.said


# Documents


def test_documents_are_checked_and_no_host_is_asked(fleet):
    python = fleet.python("witness", ["touch", str(fleet.place / "asked")])
    hosts = {"down": dict(DOWN, conntrack_policy=POLICY), "silent": dict(LOCAL, ansible_python_interpreter=python, conntrack_policy=POLICY)}
    assert fleet.run(PLAYBOOKS + "validate", hosts)[0] == 0, fleet.said
    wrong = {"undefined": None, "by_another": "{{ nowhere }}", "text": "text", "document": {"timeouts": {"udp_timeout": 0, "no_such": 1}}}
    hosts.update((name, dict(LOCAL, ansible_python_interpreter=python, conntrack_policy=value)) for name, value in wrong.items())
    del hosts["undefined"]["conntrack_policy"]
    assert fleet.run(PLAYBOOKS + "validate", hosts)[0] == 2, fleet.said
    for text in ("conntrack_policy: it is not defined", "conntrack_policy: 'nowhere' is undefined", "conntrack_policy: 'text' is no document",
                 "udp_timeout: 0 is not between", "no such option: timeouts.no_such"):
        assert text in fleet.said
    assert fleet.said.count("failed=1 ") == len(wrong)
    assert not (fleet.place / "asked").exists()


def test_documents_are_held_against_the_last_report(fleet, netns):
    hosts = {"r1": fleet.router(netns, NOTHING)}
    fleet.statuses("drift", hosts)
    kept = fleet.place / "kept.json"
    kept.write_text((fleet.report_folder / "report.json").read_text())
    hosts["r1"]["conntrack_policy"] = {"table": {"max": 100000000}}
    assert fleet.run(PLAYBOOKS + "validate", hosts)[0] == 0
    assert fleet.run(PLAYBOOKS + "validate", hosts, "-e", "conntrack_validate_report=kept.json")[0] == 2
    assert "of the memory, and the budget is" in fleet.said


# The role by itself


def test_the_role_goes_on_without_its_verdict_and_leaves_metrics(fleet, netns):
    own = fleet.place / "own.yml"
    own.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "roles": [{"role": "netfleet.conntrack.conntrack_drift"}], "tasks": [
        {"ansible.builtin.debug": {"msg": "it goes on with {{ conntrack_drift_report.exit_status }}"}, "run_once": True}]}]))
    folder = fleet.place / "collector"
    folder.mkdir()
    hosts = {"a_down": DOWN, "b": fleet.router(netns)}
    quiet = ["-e", json.dumps({"conntrack_drift_verdict": False, "conntrack_drift_textfile_directory": str(folder)})]
    assert fleet.run(str(own), hosts, "--check", *quiet)[0] == 0 and not list(folder.iterdir())
    assert fleet.run(str(own), hosts, *quiet)[0] == 0 and "it goes on with 4" in fleet.said
    assert "netfleet_conntrack_as_wanted 0" in (folder / "netfleet_conntrack.prom").read_text()
    assert fleet.run(str(own), hosts)[0] == 4 and "it goes on with" not in fleet.said

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action C(conntrack_report): what it takes, reads, writes and returns. How Ansible runs it, playbooks show."""
import json
import os
import types

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.netfleet.conntrack.plugins.action import conntrack_report
from ansible_collections.netfleet.conntrack.tests.unit.plugins.plugin_utils import results

FORMS = ["json", "junit", "markdown"]


class HostVars:
    """Variables by host; what else one asks of it fails."""

    def __init__(self, rows):
        self.rows = rows

    def raw_get(self, name):
        return self.rows.get(name, "undefined")


class Action(conntrack_report.ActionModule):
    def __init__(self, args, check_mode):
        self._task = types.SimpleNamespace(args=args, check_mode=check_mode, async_val=0)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs the action below a folder of its own, where ansible-playbook was started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(conntrack_report.ActionBase, "run", lambda *dummy: {})

    def execute(found, applied=None, check_mode=False, **args):
        rows = {name: {"conntrack_drift_looked": looked} if looked is not None else {} for name, looked in found.items()}
        for name, result in (applied or {}).items():
            rows[name]["conntrack_applied"] = result
        names = {"ansible_play_hosts_all": list(found), "hostvars": HostVars(rows)}
        return Action(dict({"formats": FORMS}, **args), check_mode).run(None, names)

    return execute


def report(folder="conntrack-report"):
    with open(os.path.join(folder, "report.json"), encoding="ascii") as stream:
        return json.load(stream)


def test_a_report_tells_every_host_of_the_play(run, tmp_path):
    found = results.results(9)
    result = run(found)
    folder = str(tmp_path / "conntrack-report")
    assert sorted(os.listdir(folder)) == ["history.jsonl", "report.json", "report.md", "report.xml"]
    assert result["written"] == [os.path.join(folder, name) for name in ("report.json", "report.xml", "report.md")]
    assert result["changed"] and result["exit_status"] == 4 == report()["exit_status"] and result["summary"] == report()["summary"]
    assert list(result["hosts"]) == list(found) and result["hosts"]["r1.example.net"] == {"status": "clean", "message": ""}
    assert {name: row["status"] for name, row in result["hosts"].items()} == {host["name"]: host["status"] for host in report()["hosts"]}
    assert result["lines"][0].startswith(results.EVIL_NAME) and "8 of 9 hosts" in result["lines"][-1] and result["warnings"] == []


# hosts and what they gave, exit status
FLEETS = (
    ({"r1": {"failed": True, "msg": "no"}, "r2": {"failed": True, "msg": "no"}}, 2),
    ({"r1": results.results(1)["r1.example.net"]}, 0),
    ({"r1": None, "r2": None}, 2),
    ({"r1": {"unreachable": True, "msg": "no"}}, 4),
)


@pytest.mark.parametrize("found, status", FLEETS, ids=("all failed", "one", "no variable", "unreachable"))
def test_there_is_a_report_whatever_became_of_the_hosts(run, found, status):
    assert run(found)["exit_status"] == status == report()["exit_status"] and len(report()["hosts"]) == len(found)


def test_check_mode_writes_as_well(run):
    assert run(results.results(2), check_mode=True)["changed"] and report()["summary"]["hosts"] == 2


def test_a_second_report_is_compared_with_the_first_and_the_history_grows(run):
    run(results.results(2, ago=1))
    result = run(results.results(2), kind="plan", title="Routers")
    assert (result["summary"]["new"], result["summary"]["gone"]) == (2, 2) and (report()["kind"], report()["title"]) == ("plan", "Routers")
    with open("conntrack-report/history.jsonl", encoding="ascii") as stream:
        assert [json.loads(line)["kind"] for line in stream] == ["drift", "plan"]


def test_folders_and_files_are_where_they_are_asked_for(run):
    run(results.results(2, ago=1), directory="a", history="")
    result = run(results.results(2), directory="b/c", previous="a/report.json", history="b/h.jsonl")
    assert "history.jsonl" not in os.listdir("a") + os.listdir("b/c") and sorted(os.listdir("b")) == ["c", "h.jsonl"]
    assert result["summary"]["gone"] == 2 and report("b/c")["previous"]


def test_a_broken_previous_report_is_a_warning(run):
    os.mkdir("conntrack-report")
    with open("conntrack-report/report.json", "w", encoding="ascii") as stream:
        stream.write("{")
    result = run(results.results(2))
    assert len(result["warnings"]) == 1 and "report.json" in result["warnings"][0] and report()["previous"] is None
    assert "there is no" in run(results.results(2), previous="none.json")["warnings"][0]


def test_what_failed_while_applying_counts_only_where_documents_were_applied(run):
    found, applied = results.results(1), {"r1.example.net": {"failed": True, "msg": "refused"}}
    assert run(found, applied)["exit_status"] == 0
    result = run(found, applied, kind="tune")
    assert (result["exit_status"], result["hosts"]["r1.example.net"]["message"]) == (2, "unknown: refused")


def test_hosts_and_variables_can_be_others(run):
    found = results.results(3)
    result = run(found, hosts=["r1.example.net", "r9.example.net", "r1.example.net"], variable="looked")
    assert {name: row["status"] for name, row in result["hosts"].items()} == {"r1.example.net": "unknown", "r9.example.net": "unknown"}


def test_everything_wrong_is_said_at_once(run):
    with pytest.raises(AnsibleActionFail) as caught:
        run({}, formats=["pdf"], kind="look", variable="a b", directory="", colour="red")
    for word in ("pdf", "kind", "look", "'a b' is no name of a variable", "directory: it is empty", "colour", "hosts: there is none"):
        assert word in str(caught.value)
    assert not os.path.exists("conntrack-report")


def test_a_folder_that_cannot_be_written_is_an_error(run):
    with open("conntrack-report", "w", encoding="ascii"):
        pass
    with pytest.raises(AnsibleActionFail, match="conntrack-report"):
        run(results.results(1))


def test_the_version_is_that_of_the_collection(run):
    run(results.results(1))
    with open(os.path.join(conntrack_report.COLLECTION, "galaxy.yml"), encoding="utf-8") as stream:
        assert "version: %s\n" % report()["collection_version"] in stream.read()

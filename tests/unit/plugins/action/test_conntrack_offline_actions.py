# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller alone makes of documents and of a report: no host is asked. The statuses of whole runs are in tests/integration."""
import datetime
import json
import types

import pytest
from ansible.errors import AnsibleActionFail, AnsibleError, AnsibleUndefinedVariable
from ansible.plugins.action import ActionBase

from ansible_collections.netfleet.conntrack.plugins.action import conntrack_validate, conntrack_verdict

GIB = 1 << 30
REPORTED = {"name": "r1", "kernel": "6.1.0", "mem_total": GIB, "cpus": 2}
TOO_MUCH = {"table": {"max": 5000000}}


def of_template(value):
    """A templar that knows of one undefined variable."""
    if value == "{{ nowhere }}":
        raise AnsibleUndefinedVariable("'nowhere' is undefined")
    return value


@pytest.fixture(name="run")
def _run(monkeypatch):
    monkeypatch.setattr(ActionBase, "run", lambda *dummy: {})

    def execute(plugin, args, **task_vars):
        action = object.__new__(plugin.ActionModule)
        action._load_name, action._task = "conntrack", types.SimpleNamespace(args=args)
        action._templar = types.SimpleNamespace(template=of_template)
        return action.run(None, dict({"inventory_hostname": "r1"}, **task_vars))

    return execute


# The verdict

ENDS = {"clean": (None, None), "drift": (True, None), "unknown": (True, None), "unreachable": (None, True)}


@pytest.mark.parametrize("status", sorted(ENDS))
def test_a_status_is_what_ansible_counts(run, status):
    for message in ("", "because"):
        result = run(conntrack_verdict, {"status": status, "message": message})
        assert (result.get("failed"), result.get("unreachable")) == ENDS[status]
        assert (result["changed"], result["status"]) == (False, status)
        assert result["msg"] == message or not message and result["msg"]


@pytest.mark.parametrize("args", [{}, {"status": "fine"}, {"status": "clean", "state": "absent"}], ids=str)
def test_no_other_status_passes_for_one(run, args):
    with pytest.raises(AnsibleError):
        run(conntrack_verdict, args)


# Documents


def test_the_document_is_the_hosts_own_variable_unless_another_is_given(run):
    right, wrong = {"profile": "server"}, {"profile": "palace"}
    assert "failed" not in run(conntrack_validate, {}, conntrack_policy=right)
    assert run(conntrack_validate, {}, conntrack_policy=wrong)["failed"]
    assert "failed" not in run(conntrack_validate, {"document": right}, conntrack_policy=wrong)


UNUSABLE = {
    "not defined": ({}, "conntrack_policy: it is not defined for this host"),
    "defined by what is not": ({"conntrack_policy": "{{ nowhere }}"}, "conntrack_policy: 'nowhere' is undefined"),
    "a text": ({"conntrack_policy": "nat_gateway"}, "conntrack_policy: 'nat_gateway' is no document"),
    "null": ({"conntrack_policy": None}, "conntrack_policy: None is no document"),
    "a list": ({"conntrack_policy": [{"profile": "server"}]}, "conntrack_policy: [{'profile': 'server'}] is no document"),
}


@pytest.mark.parametrize("name", sorted(UNUSABLE))
def test_what_is_no_document_is_one_clear_error(run, name):
    given, expected = UNUSABLE[name]
    result = run(conntrack_validate, {}, **given)
    assert result["failed"] and result["msg"].startswith(expected) and result["problems"] == [result["msg"]]


def test_what_yaml_makes_of_a_date_is_no_crash(run):
    assert "failed" in run(conntrack_validate, {}, conntrack_policy={"timeouts": {"udp_timeout": datetime.date(2026, 1, 1)}})


# What was recorded


def report(path, *hosts):
    path.write_text(json.dumps({"written": "2026-11-21T17:30:00Z", "hosts": list(hosts)}))
    return str(path)


def test_what_is_nearest_is_believed(run, tmp_path):
    past, cached = report(tmp_path / "report.json", REPORTED), {"netfleet_conntrack": dict(REPORTED, mem_total=64 * GIB)}
    given = dict(REPORTED, mem_total=16 * GIB)
    found = [
        run(conntrack_validate, {"report": past, "facts": given}, conntrack_policy={"table": {"max": "auto"}}, ansible_facts=cached),
        run(conntrack_validate, {"report": past}, conntrack_policy={"table": {"max": "auto"}}, ansible_facts=cached),
        run(conntrack_validate, {"report": past}, conntrack_policy={"table": {"max": "auto"}}),
        run(conntrack_validate, {}, conntrack_policy={"table": {"max": "auto"}}, ansible_facts={}),
    ]
    assert [result["policy"]["table"]["max"] for result in found] == [1048576, 4194304, 65536, "auto"]
    assert [result["facts_from"] for result in found] == ["facts", "facts", "report of 2026-11-21T17:30:00Z", ""]


def test_a_report_refuses_what_does_not_fit_the_host(run, tmp_path):
    path = report(tmp_path / "report.json", dict(REPORTED, name="r2"), REPORTED)
    assert "% of the memory" in run(conntrack_validate, {"report": path}, conntrack_policy=TOO_MUCH)["msg"]
    assert "failed" not in run(conntrack_validate, {"report": path}, conntrack_policy=TOO_MUCH, inventory_hostname="r3")


def test_a_relative_path_begins_where_ansible_was_started(run, tmp_path, monkeypatch):
    report(tmp_path / "report.json", REPORTED)
    monkeypatch.chdir(tmp_path)
    assert run(conntrack_validate, {"report": "report.json"}, conntrack_policy=TOO_MUCH)["failed"]


BROKEN = {"is not there": None, "is no JSON": "{", "is no report": "[]", "is no report ": '{"hosts": 5}'}


@pytest.mark.parametrize("what", sorted(BROKEN))
def test_a_report_that_is_none_is_an_error(run, tmp_path, what):
    if BROKEN[what] is not None:
        (tmp_path / "report.json").write_text(BROKEN[what])
    with pytest.raises(AnsibleActionFail, match=what.strip()):
        run(conntrack_validate, {"report": str(tmp_path / "report.json")}, conntrack_policy={})


def test_a_folder_is_no_report_either(run, tmp_path):
    with pytest.raises(AnsibleActionFail, match="report: .* cannot be read"):
        run(conntrack_validate, {"report": str(tmp_path)}, conntrack_policy={})

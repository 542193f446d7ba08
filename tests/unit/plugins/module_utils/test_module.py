# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of the modules, with the real AnsibleModule: every fault of a request in one message."""
import json
import os

import pytest
from ansible.module_utils import basic

from ansible_collections.netfleet.conntrack.plugins.module_utils import _early_load, _module, _settings, _spec
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded

SPECS = {"settings": _spec.settings_spec(), "early_load": _early_load.spec(), "conntrack_facts": {"probe": {"type": "bool", "default": False}}}


@pytest.fixture
def module(monkeypatch, capsys, tmp_path):
    """Runs a module as a controller would; returns (status, result)."""
    made = []

    def run(name, host="live-6.18", check=False, **arguments):
        machine = recorded.machine(host, tmp_path / str(len(made)))
        made.append(machine)
        arguments.update(_ansible_check_mode=check, _ansible_diff=True, _ansible_remote_tmp=str(tmp_path))
        give(monkeypatch, arguments)
        monkeypatch.setattr(_module.Module, "host", lambda self: machine)
        with pytest.raises(SystemExit) as ended:
            found = _module.Module(SPECS[name])
            found.tell(found.apply({"settings": _settings.PART, "early_load": _early_load.PART}[name]))
        return ended.value.code, json.loads(capsys.readouterr().out), machine

    return run


def give(monkeypatch, arguments):
    """Hand arguments to the next AnsibleModule; how they are kept differs between the versions of ansible-core."""
    text = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", text)
    if hasattr(basic, "_ANSIBLE_PROFILE"):
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy")


# What is given, the words of the message in order
FAULTS = {
    "an unknown option": (
        {"timeouts": {"udp_timeot": 30}}, ["no such option: timeouts.udp_timeot"]),
    "unknown options": (
        {"timeout": 30, "tracking": {"x": 1}}, ["no such option: timeout, tracking.x"]),
    "a word for a number": (
        {"timeouts": {"udp_timeout": "soon"}}, ["udp_timeout"]),
    "a word for a group": (
        {"table": "auto"}, ["table"]),
    "an unknown state": (
        {"state": "gone"}, ["state", "gone"]),
    "everything": (
        {"timeouts": {"udp_timeot": 30, "udp_timeout": 0, "icmp_timeout": "soon"}, "table": {"max": "0", "buckets": "many"}, "at_boot": "perhaps"},
        ["no such option: timeouts.udp_timeot", "at_boot", "icmp_timeout", "table.buckets: many is not a whole number or auto",
         "table.max: 0 is not between", "timeouts.udp_timeout: 0 is not between"]),
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_in_one_message(name, module):
    arguments, words = FAULTS[name]
    status, result, machine = module("settings", **arguments)
    assert status == 1 and result["failed"]
    assert [word for word in words if word not in result["msg"]] == []
    assert machine.log == []


def test_what_was_done_comes_back(module):
    status, result, machine = module("settings", timeouts={"tcp_timeout_established": 3600}, table={"max": 65536})
    assert (status, result["changed"], result["recovered"]) == (0, True, False)
    assert result["settings"] == {"buckets": 65536, "max": 65536, "tcp_timeout_established": 3600}
    assert result["kernel_command_line"] == "nf_conntrack.hashsize=65536"
    assert [change["name"] for change in result["changes"] if change["layer"] == "running"] == ["max", "buckets", "tcp_timeout_established"]
    assert "3600 is below 7440 seconds" in str(result["warnings"])
    assert machine.values()["nf_conntrack_max"] == "65536\n"


def test_a_check_run_only_tells(module):
    status, result, machine = module("settings", check=True, timeouts={"icmp_timeout": 31})
    assert (status, result["changed"], machine.log) == (0, True, [])
    assert [pair["after_header"] for pair in result["diff"]] == ["running", "boot", "/etc/sysctl.d/zz-netfleet-conntrack.conf"]


def test_a_refusal_is_an_error_and_no_traceback(module):
    status, result, dummy = module("settings", host="live-6.18-netns", table={"max": 65536})
    assert status == 1 and result["msg"].startswith("table.buckets: only the initial network namespace may set it")
    assert "exception" not in result or not result["exception"]


def test_facts_need_sound_options(monkeypatch, capsys):
    give(monkeypatch, {"probe": "perhaps"})
    with pytest.raises(SystemExit):
        _module.Module(SPECS["conntrack_facts"]).answer(lambda host, options: {})
    assert "probe" in json.loads(capsys.readouterr().out)["msg"]


def test_a_file_is_put_in_place_with_its_own_mode(monkeypatch, tmp_path):
    give(monkeypatch, {})
    found = _module.Module(SPECS["settings"])
    host = found.host()
    path = str(tmp_path / "hook")
    for mode in (0o755, 0o600):
        host.write_file(path, "text", mode)
        assert os.stat(path).st_mode & 0o7777 == mode

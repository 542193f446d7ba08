# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift on recorded hosts: none where a policy was applied, and what others do afterwards is found and told apart.

The kinds of drift are made on real machines by the scenario drift of molecule; 200 healthy hosts are looked at in tests/integration.
"""
import os

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _drift
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import BOOT, RUNNING, ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._drift_kinds import FILES, KINDS
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import policies, recorded

MODULAR, UNLOADED, NETNS = "bookworm-6.1", "bookworm-6.1-unloaded", "live-6.18-netns"
OURS = "/etc/sysctl.d/zz-netfleet-conntrack.conf"
POLICY = {"table": {"max": 8192, "memory_share": 0.1}, "timeouts": {"udp_timeout": 33, "icmp_timeout": 61}, "early_load": {}}


def drift(host, document=None):
    document = POLICY if document is None else document
    state = document.get("state", "present")
    given = {name: value for name, value in document.items() if name != "state"}
    return _drift.drift_info(recorded.again(host), {"document": given, "state": state, "headroom": False})


def applied(name, folder, document=None):
    host = recorded.machine(name, folder)
    policies.run(host, POLICY if document is None else document)
    return host


def kinds(found):
    return {(row["kind"], row["name"]) for row in found["differences"]}


def told(found, name):
    return next(value for value in found["compared"] if value["name"] == name)


@pytest.mark.parametrize("name", [MODULAR, UNLOADED])
def test_a_host_as_wanted_is_clean_and_every_value_is_told_three_ways(name, tmp_path):
    host = applied(name, tmp_path)
    before = recorded.snapshot(host)
    found = drift(host)
    assert (found["status"], found["differences"], found["problems"]) == ("clean", [], [])
    assert recorded.snapshot(host) == before
    for value in found["compared"]:
        assert (value["running"], value["boot"], value["differs"]) == (value["wanted"], value["wanted"], ()), value
        assert value["source"]
    assert [value["name"] for value in found["compared"]] == ["buckets", "max", "icmp_timeout", "udp_timeout", "hooks"]
    assert found["facts"]["mem_total"] and found["policy"]["table"]["max"] == 8192


def test_of_nothing_wanted_nothing_is_left(tmp_path):
    absent = {"state": "absent"}
    host = recorded.machine(MODULAR, tmp_path)
    assert drift(host, absent)["status"] == "clean"
    policies.run(host, POLICY)
    assert {"sysctl_file_left", "hooks_left", "left_over"} <= {kind for kind, dummy in kinds(drift(host, absent))}
    policies.run(host, absent)
    assert drift(host, absent)["status"] == "clean"


# What is done to the host -> (kind, name) of every difference that it makes.
DONE = {
    "a value by hand": (("/proc/sys/net/netfilter/nf_conntrack_udp_timeout", "31\n"), {("running_value", "udp_timeout")}),
    "a later file": (("/etc/sysctl.d/zzz-site.conf", "# site\nnet.netfilter.nf_conntrack_udp_timeout = 20\n"), {("foreign_sysctl", "udp_timeout")}),
    "an alias": (("/etc/sysctl.d/zzz-site.conf", "net.nf_conntrack_max = 5000\n"), {("foreign_sysctl", "max")}),
    "our file, edited": ((OURS, "net.netfilter.nf_conntrack_icmp_timeout = 9\n"),
                         {("sysctl_file_edited", OURS), ("own_file_decides", "icmp_timeout"), ("not_set_at_boot", "udp_timeout"),
                          ("own_file_decides", "max")}),
    "no module": (("/etc/modprobe.d/zzz.conf", "install nf_conntrack /bin/false\n"),
                  {("module_prevented", name) for name in ("buckets", "max", "icmp_timeout", "udp_timeout")}),
}


@pytest.mark.parametrize("case", sorted(DONE))
def test_what_others_do_is_told_apart(case, tmp_path):
    (path, text), wanted = DONE[case]
    host = applied(MODULAR, tmp_path)
    host.overwrite(path, text)
    found = drift(host)
    assert found["status"] == "drift"
    assert {pair for pair in kinds(found) if pair[0] != "running_value" or path.startswith("/proc/")} == wanted
    for row in found["differences"]:
        assert row["layer"] == (RUNNING if row["kind"] == "running_value" else BOOT)
        assert row["why"].startswith(KINDS[row["kind"]]) and row["wanted"] != row["found"]


def test_the_line_that_decides_is_named_and_so_is_who_writes_it(tmp_path):
    host = applied(MODULAR, tmp_path)
    host.overwrite("/etc/sysctl.d/zzz-site.conf", "# site\nnet.netfilter.nf_conntrack_udp_timeout = 20\n")
    host.overwrite("/proc/sys/net/netfilter/nf_conntrack_udp_timeout", "20\n")
    found = drift(host)
    value = told(found, "udp_timeout")
    where = "/etc/sysctl.d/zzz-site.conf:2"
    assert (value["wanted"], value["running"], value["boot"], value["source"]) == (33, 20, 20, where)
    assert [(writer["name"], writer["source"], writer["value"]) for writer in value["writers"]] == [("sysctl.d", where, 20)]
    assert [row["source"] for row in found["differences"]] == [where, where]
    assert any("remove that line" in text for text in found["problems"])


def test_what_is_wrong_with_a_document_is_said_at_once(tmp_path):
    host = recorded.machine(MODULAR, tmp_path)
    with pytest.raises(ConntrackError) as error:
        drift(host, {"timeouts": {"udp_timeout": "soon"}, "tables": {}})
    assert "no such option: tables" in str(error.value) and "udp_timeout" in str(error.value)


def test_a_host_that_cannot_be_compared_is_unknown(tmp_path):
    host = recorded.machine(NETNS, tmp_path)
    found = drift(host, {"timeouts": {}, "early_load": {}})
    assert (found["status"], bool(found["problems"])) == ("unknown", True)


def test_an_unfinished_run_is_drift(tmp_path):
    host = applied(MODULAR, tmp_path)
    host.overwrite("/var/lib/netfleet-conntrack/journal.json", "{}")
    assert kinds(drift(host)) == {("unfinished_run", "/var/lib/netfleet-conntrack/journal.json")}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", recorded.names())
def test_where_a_run_has_nothing_to_do_there_is_no_drift_and_else_there_is(name, seed, tmp_path):
    host = recorded.machine(name, tmp_path)
    document = policies.Documents("%s drift %d" % (name, seed), host, at_boot="netns" not in name).document()
    made = policies.tried(host, document)
    if isinstance(made, str):
        assert found_wrong(host, document)
    else:
        assert drift(host, document)["status"] == "clean"


def found_wrong(host, document):
    try:
        return drift(host, document)["status"] != "clean"
    except ConntrackError:
        return True


def test_every_file_of_ours_has_its_kinds():
    assert {FILES[path] for path in FILES} == {kind.rpartition("_")[0] for kind in KINDS if kind.endswith("_masked")}


def test_every_kind_is_documented():
    place = os.path.join(os.path.dirname(__file__), "../../../../docs/drift.md")
    with open(place, encoding="utf-8") as stream:
        text = stream.read()
    assert [kind for kind in KINDS if "`%s`" % kind not in text] == []

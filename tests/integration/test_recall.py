# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer of an earlier run stands while this machine answers as it did, and not a moment longer."""
import json
import sys

import pytest
from conftest import command

REQUEST = {"timeouts": {"icmp_timeout": 31}, "tracking": {"acct": True}}
KEPT = "/var/lib/netfleet-conntrack/look-settings.json"
GENERATION = """
from ansible_collections.netfleet.conntrack.plugins.module_utils import _host, _recall
print(_recall.ASKED["rules"](_host.Host(), None))
"""
RULE = (
    "add table ip t", "add chain ip t c", "add rule ip t c counter", "add set ip t s { type ipv4_addr; }", "add element ip t s { 192.0.2.1 }",
    "delete table ip t",
)


@pytest.fixture
def settled(machine):
    machine.settings(REQUEST)
    assert not machine.place(KEPT).exists()
    first = machine.settings(REQUEST)
    assert not first["changed"] and machine.place(KEPT).exists()
    return machine, first


def test_an_idle_run_answers_from_what_was_kept(settled):
    machine, first = settled
    told = json.loads(machine.place(KEPT).read_text())
    told["result"]["settings"]["icmp_timeout"] = "recalled"
    machine.place(KEPT).write_text(json.dumps(told))
    before = machine.stamps()
    again = machine.settings(REQUEST)
    assert dict(again, settings=None) == dict(first, settings=None) and again["settings"]["icmp_timeout"] == "recalled"
    assert machine.settings(REQUEST, check=True)["settings"]["icmp_timeout"] == "recalled"
    assert machine.settings({"timeouts": {"icmp_timeout": 31}}, check=True)["settings"]["icmp_timeout"] == 31
    assert machine.stamps() == before


# What somebody else does: the change that the next run has to make
MEANWHILE = {
    "a running value": (lambda machine: command("sysctl", "-q", "-w", "net.netfilter.nf_conntrack_icmp_timeout=32"), ("icmp_timeout", "running")),
    "a file that a boot reads after ours": (
        lambda machine: machine.place("/etc/sysctl.d/zzz.conf").write_text("net.netfilter.nf_conntrack_icmp_timeout = 33\n"), "refused"),
    "our own file": (lambda machine: machine.place("/etc/sysctl.d/zz-netfleet-conntrack.conf").write_text(""), ("icmp_timeout", "boot")),
    "our own file away": (lambda machine: machine.place("/etc/sysctl.d/zz-netfleet-conntrack.conf").unlink(), ("icmp_timeout", "boot")),
}


@pytest.mark.parametrize("name", sorted(MEANWHILE))
def test_what_is_otherwise_is_seen(name, settled):
    machine, dummy = settled
    act, expected = MEANWHILE[name]
    act(machine)
    if expected == "refused":
        assert "zzz.conf:1" in machine.refused("settings", REQUEST)
        machine.place("/etc/sysctl.d/zzz.conf").unlink()
    else:
        assert expected in [(change["name"], change["layer"]) for change in machine.settings(REQUEST)["changes"]]
    assert not machine.settings(REQUEST)["changed"]


def test_every_change_of_rules_has_a_number_of_its_own(netns):
    def number():
        return int(command("ip", "netns", "exec", netns, sys.executable, "-c", GENERATION))

    found = [number()]
    for words in RULE:
        command("ip", "netns", "exec", netns, "nft", words)
        found.append(number())
        command("ip", "netns", "exec", netns, "nft", "-j", "list", "ruleset")
    for program in ("iptables-nft", "ip6tables-nft"):
        command("ip", "netns", "exec", netns, program, "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE")
        found.append(number())
    assert len(set(found)) == len(found)
    assert number() == found[-1]

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts against what sysctl and conntrack say of this machine, and what looking leaves behind: nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

MODULES = Path("/proc/modules")
RULES = "table inet x { chain c { ct state new; }; }"
FACTS_MODULES = "ansible.builtin.setup,netfleet.conntrack.conntrack_facts"
PLAY = """
- hosts: localhost
  gather_facts: true
  tasks:
    - ansible.builtin.assert:
        that:
          - ansible_facts.kernel == ansible_facts.netfleet_conntrack.kernel
          - ansible_facts.netfleet_conntrack.available
          - ansible_facts.netfleet_conntrack.max == %d
"""


def command(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, universal_newlines=True, check=True).stdout


def facts(machine, options=None, **more):
    """The facts; that looking changes nothing is seen each time."""

    def seen():
        return MODULES.read_text() if MODULES.exists() else "", machine.now(), machine.files(), machine.stamps()

    before = seen()
    found = machine.run("conntrack_facts", options or {}, **more)["ansible_facts"]["netfleet_conntrack"]
    assert seen() == before
    assert (found["schema_version"], found["available"], found["error"]) == (1, True, "")
    return found


def counted():
    """What conntrack -S counts, by CPU."""
    return [
        {name.replace("chaintoolong", "chain_toolong"): int(value) for name, value in re.findall(r"(\w+)=([0-9]+)", line) if name != "cpu"}
        for line in command("conntrack", "-S").splitlines()
    ]


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_agrees_with_the_machine(machine, connections, user):
    connections(3)
    found = facts(machine, user=user)
    assert {name: int(found["settings"][name]["running"]) for name in machine.first} == machine.first
    assert {name: found[name] for name in ("max", "buckets", "expect_max")} == {name: machine.first[name] for name in ("max", "buckets", "expect_max")}
    assert found["count"] == int(command("conntrack", "-C")) >= 3
    assert found["usage"] == round(found["count"] / found["max"], 4)
    assert found["load_factor"] == round(found["max"] / found["buckets"], 4)
    assert found["namespace"] == "initial"
    assert found["kernel"] == os.uname().release
    assert found["builtin"] is not os.path.exists("/sys/module/nf_conntrack/initstate")


def test_counts_what_conntrack_counts(machine, connections):
    connections(3)
    cpus, found = counted(), facts(machine)["counters"]
    assert [{name: cpu[name] for name in cpus[0]} for cpu in found["cpus"]] == cpus
    assert {name: found["total"][name] for name in cpus[0]} == {name: sum(cpu[name] for cpu in cpus) for name in cpus[0]}


def test_says_what_decides_at_boot(machine):
    machine.settings({"timeouts": {"udp_timeout": 61}})
    machine.place("/etc/sysctl.d/50-site.conf").write_text("# site\nnet.netfilter.nf_conntrack_icmp_timeout = 62\n")
    found = facts(machine)["settings"]
    ours = {"running": 61, "boot": 61, "source": "/etc/sysctl.d/zz-netfleet-conntrack.conf:2"}
    theirs = {"running": machine.first["icmp_timeout"], "boot": 62, "source": "/etc/sysctl.d/50-site.conf:2"}
    assert {name: found["udp_timeout"][name] for name in ours} == ours
    assert {name: found["icmp_timeout"][name] for name in theirs} == theirs


def test_another_namespace(machine, netns):
    command("ip", "netns", "exec", netns, "sysctl", "-q", "net.netfilter.nf_conntrack_udp_timeout=77")
    found = facts(machine, netns=netns)
    assert (found["namespace"], found["count"]) == ("other", 0)
    assert found["settings"]["udp_timeout"]["running"] == 77
    assert {family: found["tracking"][family] for family in ("ipv4", "ipv6")} == {"ipv4": "no", "ipv6": "no"}
    assert facts(machine, netns=netns, user="nobody")["tracking"]["ipv4"] in ("no", "unknown")


@pytest.mark.parametrize("rules, answer", [("", "no"), (RULES, "yes")], ids=["no_rule", "rule"])
def test_probe(machine, netns, rules, answer):
    subprocess.run(["ip", "netns", "exec", netns, "nft", "-f", "-"], input=rules, universal_newlines=True, check=True)
    for options in ({}, {"probe": True}):
        found = facts(machine, options, netns=netns)
        assert (found["tracking"]["ipv4"], found["tracking"]["ipv6"]) == (answer, answer)
        assert found["tracking"]["because"]
    packets = int(command("ip", "netns", "exec", netns, "conntrack", "-C"))
    assert packets == (2 if rules else 0)


def test_never_fails(machine, netns):
    """Where hardly anything can be read, as in a container that is closed as far as can be."""
    machine.command("mount", "-t", "tmpfs", "tmpfs", "/proc/sys")
    machine.command("mount", "-t", "tmpfs", "tmpfs", "/sys")
    found = machine.run("conntrack_facts", {}, netns=netns, user="nobody")["ansible_facts"]["netfleet_conntrack"]
    assert found["available"] is False


def test_in_facts_modules(machine):
    machine.place("/run/play.yml").write_text(PLAY % machine.first["max"])
    variables = "ansible_connection=local ansible_python_interpreter=" + sys.executable
    env = dict(os.environ, HOME="/run", ANSIBLE_FACTS_MODULES=FACTS_MODULES, ANSIBLE_COLLECTIONS_PATH=os.environ["PYTHONPATH"])
    argv = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-e", variables, "/run/play.yml"]
    done = subprocess.run(machine.inside(*argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, env=env, check=False)
    assert done.returncode == 0, done.stdout


def test_early_load_of_what_is_built_in(machine):
    if not facts(machine)["builtin"]:
        pytest.skip("conntrack is a module of this kernel")
    done = machine.run("early_load", {"hooks": False})
    assert (done["changed"], done["loaded_by"]) == (False, "built in")
    assert (machine.now(), machine.files()) == (machine.first, machine.fresh)

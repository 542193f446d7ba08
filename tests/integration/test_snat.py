# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module snat on the real kernel, in a network namespace of its own, on each backend.

Needs root, nft, and both flavours of iptables.
"""

import contextlib
import json
import shutil
import subprocess
import time
import uuid
from pathlib import Path

import pytest
from conftest import command

BACKENDS = ("nftables", "iptables-nft", "iptables-legacy")
LAN = {"name": "lan", "out_interface": "wan*", "source": ["10.16.1.0/24", "10.17.0.0/16"], "to": "masquerade", "port_selection": "random_fully"}
INSIDE = {"name": "inside", "destination": ["10.0.0.0/8"], "to": "exempt"}
COMMIT = {"name": "commit", "source": ["10.18.0.0/16"], "to": "masquerade", "comment": "*nat COMMIT -A NETFLEET_SNAT"}
POOL = {"name": "pool", "protocol": ["tcp", "udp"], "to": "192.0.2.1-192.0.2.9", "ports": "1024-65535", "persistent": True, "out_interface": "wan1"}
SIX = {"name": "six", "source": ["fd00::/64"], "to": "2001:db8::1", "comment": "$(touch /tmp/x) \\ -j ACCEPT 'y' ;#{} ä"}
FIRST = [INSIDE, LAN, SIX]
# What another program has in the table nat, by which `auto` and `iptables` know the flavour.
FOREIGN = {
    "iptables-nft": "iptables-nft -t nat -A POSTROUTING -s 198.51.100.0/24 -j MASQUERADE",
    "iptables-legacy": "iptables-legacy -t nat -A POSTROUTING -s 198.51.100.0/24 -j MASQUERADE",
}
SAVES = ("iptables-nft-save", "ip6tables-nft-save", "iptables-legacy-save", "ip6tables-legacy-save")


class Router:
    """A network namespace with rules in it."""

    def __init__(self, machine, netns, backend):
        self.machine, self.netns, self.backend = machine, netns, backend
        if backend in FOREIGN:
            self.inside(*FOREIGN[backend].split())

    def inside(self, *argv):
        return command("ip", "netns", "exec", self.netns, *argv)

    def options(self, rules, **more):
        backend = "nftables" if self.backend == "nftables" else "iptables"
        return dict({"rules": rules, "backend": backend, "at_boot": False}, **more)

    def run(self, rules, check=False, **more):
        return self.machine.run("snat", self.options(rules, **more), check=check, netns=self.netns)

    def refused(self, rules, **more):
        before = self.rules()
        text = self.machine.refused("snat", self.options(rules, **more), netns=self.netns)
        assert self.rules() == before
        return text

    def rules(self):
        """Every rule there is, less counters; the old tables are only asked where they are in use."""
        with open("/proc/%d/net/ip_tables_names" % self.pid()) as names:
            used = names.read()
        texts = [self.inside("nft", "-s", "list", "ruleset")]
        texts += [self.inside(save, "-t", "nat") for save in SAVES if used or "legacy" not in save]
        return sorted(line for text in texts for line in text.splitlines() if not line.startswith(("#", ":")))

    def ours(self):
        """The lines that tell of ours: of our rules, their chain, and what leads there."""
        signs = ("netfleet", "comment", "priority srcnat - 1")
        return [line for line in self.rules() if any(sign in line.lower() for sign in signs)]

    def pid(self):
        """A process that lives in the namespace."""
        if not hasattr(self, "sleeper"):
            self.sleeper = subprocess.Popen(["ip", "netns", "exec", self.netns, "sleep", "600"])
            while b"sleep" not in self.cmdline():
                time.sleep(0.01)
        return self.sleeper.pid

    def cmdline(self):
        with open("/proc/%d/cmdline" % self.sleeper.pid, "rb") as line:
            return line.read()[:5]

    def close(self):
        if hasattr(self, "sleeper"):
            self.sleeper.kill()
            self.sleeper.wait()


@pytest.fixture(params=BACKENDS)
def router(request, machine, netns):
    found = Router(machine, netns, request.param)
    yield found
    found.close()


def without_lock(files):
    """Files less the one by which programs of iptables wait for each other; it stays."""
    return {path: text for path, text in files.items() if path != "/run/xtables.lock"}


def names(result):
    return [change["name"] for change in result["changes"]]


def announced(result):
    return result["changed"], result["changes"], result["diff"], result["backend"]


def test_present_and_absent(router):
    first = router.rules()
    assert router.run(FIRST, check=True)["changed"] and router.rules() == first
    files = without_lock(router.machine.files())
    planned = router.run(FIRST, check=True)
    done = router.run(FIRST)
    assert announced(planned) == announced(done)
    assert (names(done), done["backend"]) == (["inside", "lan", "six"], router.backend)
    assert done["diff"][0]["after"].count("\n") >= 3
    assert not router.run(FIRST)["changed"]
    assert "10.16.1.0/24" in "".join(router.rules())
    assert names(router.run([], state="absent")) == ["inside", "lan", "six"]
    left = [line for line in router.rules() if "netfleet" in line.lower()]
    assert left == [] and not router.run([], state="absent")["changed"]
    assert without_lock(router.machine.files()) == files


# From these rules to those: what is announced as changed.
WAYS = {
    "another target": (FIRST, [INSIDE, dict(LAN, port_selection="keep"), SIX], ["lan"]),
    "another comment": (FIRST, [INSIDE, LAN, dict(SIX, comment="x")], ["six"]),
    "one more": ([LAN], [LAN, POOL], ["pool"]),
    "one more before": ([LAN], [POOL, LAN], ["pool"]),
    "one less": (FIRST, [LAN, SIX], ["inside"]),
    "the only one of a family less": (FIRST, [INSIDE, LAN], ["six"]),
    "another order": ([INSIDE, LAN, POOL], [POOL, INSIDE, LAN], ["order"]),
    "another name": ([LAN], [dict(LAN, name="other")], ["lan", "other"]),
    "none": ([LAN], [], ["lan"]),
}


def test_from_one_list_to_another(router):
    for way, (before, after, changed) in WAYS.items():
        router.run(before)
        planned, done = router.run(after, check=True), router.run(after)
        assert announced(planned) == announced(done) and sorted(names(done)) == sorted(changed), way


def test_from_one_backend_to_another(machine, netns):
    router = Router(machine, netns, "nftables")
    router.run(FIRST)
    for backend in ("iptables", "nftables"):
        done = router.run(FIRST, backend=backend)
        assert names(done) == ["inside", "lan", "six"] * 2
        assert not router.run(FIRST, backend=backend)["changed"] and not router.run(FIRST, backend="auto")["changed"]
        held = [line for line in router.rules() if "fully" in line]
        assert all(("--random-fully" in line or line.startswith("\t\toif")) for line in held) and held


# What somebody does to our rules by hand, by backend; each is found, told and put right.
NFT = "nft %s ip netfleet_conntrack "
TAMPERS = {
    "nftables": (
        "nft flush chain ip netfleet_conntrack postrouting",
        "nft delete table ip netfleet_conntrack",
        "nft insert rule ip netfleet_conntrack postrouting accept",
        "nft add rule ip netfleet_conntrack postrouting ip saddr 10.0.0.1 counter masquerade comment lan",
        "nft add chain ip netfleet_conntrack other",
        "nft add chain ip netfleet_conntrack postrouting {{ policy drop; }}",
        "nft delete table ip6 netfleet_conntrack",
        "nft flush ruleset",
    ),
    "iptables": (
        "{0} -t nat -F NETFLEET_SNAT",
        "{0} -t nat -D POSTROUTING -j NETFLEET_SNAT",
        "{0} -t nat -I POSTROUTING -j ACCEPT",
        "{0} -t nat -A POSTROUTING -j NETFLEET_SNAT",
        "{0} -t nat -I NETFLEET_SNAT -j ACCEPT",
        "{0} -t nat -F",
    ),
}


def test_what_is_changed_by_hand_is_put_right(router):
    router.run(FIRST)
    right, ours = router.rules(), router.ours()
    for line in TAMPERS["iptables" if router.backend in FOREIGN else "nftables"]:
        router.inside(*line.format(router.backend).split())
        assert router.rules() != right, line
        planned, done = router.run(FIRST, check=True), router.run(FIRST)
        assert done["changed"] and announced(planned) == announced(done), line
        assert router.ours() == ours, line


def test_rules_of_others_that_lead_to_our_chain(machine, netns):
    router = Router(machine, netns, "iptables-nft")
    router.run([LAN])
    router.inside("iptables-nft", "-t", "nat", "-I", "POSTROUTING", "-s", "10.9.9.9", "-j", "NETFLEET_SNAT")
    assert "POSTROUTING -s 10.9.9.9/32 -j NETFLEET_SNAT" in router.refused([], state="absent")
    assert names(router.run([LAN])) == ["hook"]
    router.inside("iptables-nft", "-t", "nat", "-D", "POSTROUTING", "-s", "10.9.9.9", "-j", "NETFLEET_SNAT")
    assert names(router.run([], state="absent")) == ["lan"]


# Stands in for the program, and refuses rules of IPv6 only; $0 is the name that it is called by.
REFUSING = """#!/bin/bash
case $0$* in
    *ip6tables-*-restore*) echo "line 2 failed" >&2; exit 1;;
    *nft-f*) input=$(cat); case $input in *ip6*) echo "refused" >&2; exit 1;; esac; exec -a "$0" %(real)s "$@" <<< "$input";;
esac
exec -a "$0" %(real)s "$@"
"""


@contextlib.contextmanager
def ipv6_refused(router, folder):
    """Rules of IPv6 cannot be loaded."""
    real = "/usr/sbin/nft" if router.backend == "nftables" else "/usr/sbin/xtables-%s-multi" % router.backend[len("iptables-"):]
    shutil.copy(real, folder / "real")
    (folder / "refusing").write_text(REFUSING % {"real": folder / "real"})
    (folder / "refusing").chmod(0o755)
    router.machine.command("mount", "--bind", folder / "refusing", real)
    try:
        yield
    finally:
        router.machine.command("umount", real)


@pytest.mark.parametrize("earlier", [[], [INSIDE, LAN], [POOL, COMMIT, LAN]], ids=["none", "some", "others"])
def test_a_load_that_fails_leaves_everything(router, tmp_path, earlier):
    """IPv4 is loaded already when IPv6 is refused."""
    router.run(earlier)
    with ipv6_refused(router, tmp_path):
        before, files = router.rules(), without_lock(router.machine.files())
        error = router.machine.answer(router.machine.start("snat", router.options(FIRST), netns=router.netns))["msg"]
        assert "ipv6) failed" in error and error.endswith("everything is as it was before"), error
        assert router.rules() == before and without_lock(router.machine.files()) == files
    assert router.run(FIRST)["changed"] and not router.run(FIRST)["changed"]


REFUSALS = {
    "everything at once": ([dict(LAN, source=["10.0.0.1/8"]), dict(LAN, ports="1-9")], {}, ("rules[0].source", "rules[1].ports", "rules[1].name")),
    "at boot": ([LAN], {"at_boot": True}, ("at_boot: the next boot sets up another network namespace",)),
    "an argument that is none": ([dict(LAN, port_selection=True)], {}, ("port_selection",)),
    "an option that is none": ([dict(LAN, random_fully="yes")], {}, ("random_fully",)),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_before_anything_is_touched(router, case):
    rules, more, words = REFUSALS[case]
    text = router.refused(rules, **more)
    assert all(word in text for word in words), text


def test_a_table_that_another_process_owns(machine, netns):
    """nft 1.0.6 cannot print such a table as JSON; what cannot be read is not changed."""
    router = Router(machine, netns, "nftables")
    router.run([LAN])
    argv = ["ip", "netns", "exec", netns, "nft", "-i"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as owner:
        owner.stdin.write("add table ip6 owned { flags owner; }\n")
        owner.stdin.flush()
        while "owned" not in router.inside("nft", "list", "tables"):
            time.sleep(0.01)
        printed = subprocess.run(["ip", "netns", "exec", netns, "nft", "-j", "list", "ruleset"], capture_output=True, text=True, check=False).stdout
        result = router.run([INSIDE, LAN])
        assert names(result) == ["inside"]
        assert ("table ip6 owned" in json.dumps(result.get("warnings", ""))) == (not printed.rstrip().endswith("}"))
        if not printed.rstrip().endswith("}"):
            assert "foreign: could not read table ip6 owned" in router.refused([LAN], foreign="randomize")
        owner.stdin.close()


def test_flavours_are_not_mixed(machine, netns):
    router = Router(machine, netns, "iptables-nft")
    router.inside(*FOREIGN["iptables-legacy"].split())
    assert "backend: nftables" in router.refused([LAN])
    assert router.run([LAN], backend="auto")["backend"] == "nftables"


@pytest.mark.parametrize("foreign", FOREIGN)
def test_auto_is_what_does_nat(machine, netns, foreign):
    router = Router(machine, netns, foreign)
    assert router.run([LAN], backend="auto")["backend"] == foreign


def test_looking_leaves_no_trace(machine, netns):
    """Neither a check run nor one that has nothing to do registers a table of iptables."""
    router = Router(machine, netns, "nftables")
    router.run([LAN], check=True)
    router.run([], state="absent")
    with open("/proc/%d/net/ip_tables_names" % router.pid()) as names_:
        assert names_.read() == ""
    assert router.inside("nft", "list", "ruleset") == ""
    router.close()


def test_texts_are_data(router):
    """What a shell would carry out is loaded and given back as it is."""
    trap = Path("/tmp/trap-" + uuid.uuid4().hex[:8])  # short, as a comment must be
    hostile = [
        {"name": "a", "comment": "$(touch %s) `touch %s`; touch %s" % (trap, trap, trap), "to": "masquerade"},
        {"name": "b", "comment": "\\ ' ; touch x -j ACCEPT", "to": "masquerade", "out_interface": "$(x);`y`"},
        {"name": "c", "comment": "} } add table ip evil {", "to": "masquerade", "in_interface": "a'b\\c"},
    ]
    router.run(hostile)
    assert not router.run(hostile)["changed"]
    assert not trap.exists() and "table ip evil" not in "\n".join(line.strip() for line in router.rules() if "comment" not in line)


def test_the_saved_ruleset_loads_again(router):
    router.run(FIRST + [POOL])
    before = router.ours()
    saved = {"ruleset": router.inside("nft", "list", "ruleset")} if router.backend == "nftables" else {
        save: router.inside(save, "-t", "nat") for save in SAVES if router.backend[9:] in save}
    for save, text in saved.items():
        argv = ["nft", "-f", "-"] if save == "ruleset" else [save.replace("-save", "-restore")]
        subprocess.run(["ip", "netns", "exec", router.netns, *argv], input="flush ruleset\n" + text if save == "ruleset" else text, text=True, check=True)
    assert router.ours() == before and not router.run(FIRST + [POOL])["changed"]


def test_facts_tell_of_our_rules(router):
    router.run(FIRST)
    facts = router.machine.run("conntrack_facts", {}, netns=router.netns)["ansible_facts"]["netfleet_conntrack"]
    json.dumps(facts["snat_rules"])
    ours = [row for row in facts["snat_rules"] if row["owner"] == "netfleet.conntrack"]
    assert {(row["backend"], row["comment"].partition(":")[0]) for row in ours} >= {(router.backend, "lan"), (router.backend, "six")}


def test_rules_of_others_get_random_ports_and_their_words_back(router):
    """Through the module: what a check run announces is done, beside rules of ours, and undone."""
    router.inside("nft", "table ip others { chain c { type nat hook postrouting priority 100; ip saddr 10.9.0.0/16 counter masquerade; }; }")
    first = router.rules()
    warned = router.run([LAN], foreign="report", check=True)
    assert "do not choose ports at random" in json.dumps(warned["warnings"]) and len(warned["foreign"]) == 1 + (router.backend in FOREIGN)
    planned, done = router.run([LAN], foreign="randomize", check=True), router.run([LAN], foreign="randomize")
    assert announced(planned) == announced(done)
    assert {row["port_selection"] for row in done["foreign"]} == {"random_fully"}
    assert not router.run([LAN], foreign="randomize")["changed"]
    assert len(names(router.run([], state="absent"))) == 2 + (router.backend in FOREIGN)
    left = [line for line in router.rules() if "fully" in line]
    assert left == [] and set(first) <= set(router.rules())

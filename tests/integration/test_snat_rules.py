# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our SNAT rules come back from the kernel as they went in, and the ruleset that an admin saves with them loads again.

Needs root, nft, and both flavours of iptables.
"""
import json
import subprocess

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _iptables, _nft
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import FAMILIES, Nat, Rule
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import snat_rules

LEAST = 250
PROGRAMS = {"ipv4": "iptables", "ipv6": "ip6tables"}
PLAIN = Rule("plain", "ipv4", Nat("masquerade"))


class Nft:
    """Our tables of one network namespace."""

    def __init__(self, run):
        self.run = run

    def refusals(self, rule):
        return _nft.refusals(rule, _nft.version(self.objects()))

    def objects(self):
        return json.loads(self.run("nft", "-j", "list", "ruleset"))["nftables"]

    def replace(self, rules):
        self.run("nft", "-f", "-", text=_nft.script(rules, FAMILIES))

    def held(self):
        objects = self.objects()
        return [rule for family in FAMILIES for rule, dummy, dummy in _nft.rules(objects, family)]

    def reload(self):
        saved = self.run("nft", "list", "ruleset")
        self.run("nft", "flush", "ruleset")
        assert self.run("nft", "list", "ruleset") == ""
        self.run("nft", "-f", "-", text=saved)


class Iptables:
    """The tables of one flavour in one network namespace."""

    def __init__(self, run, flavour):
        self.run = run
        self.programs = {family: "%s-%s" % (program, flavour) for family, program in PROGRAMS.items()}

    def refusals(self, rule):
        return _iptables.refusals(rule)

    def replace(self, rules):
        for family, program in self.programs.items():
            text = _iptables.script([rule for rule in rules if rule.family == family], ["-I POSTROUTING 1 -j " + _iptables.CHAIN])
            self.run(program + "-restore", "--noflush", text=text)

    def held(self):
        saved = {family: self.run(program + "-save") for family, program in self.programs.items()}
        return [rule for family in FAMILIES for rule, dummy in _iptables.rules(saved[family], family)]

    def reload(self):
        for program in self.programs.values():
            saved = self.run(program + "-save")
            self.run(program + "-restore", text="*nat\nCOMMIT\n")
            assert _iptables.CHAIN not in self.run(program + "-save")
            self.run(program + "-restore", text=saved)


# Rules that are refused, each for one reason.
REFUSED = {
    Nft: (
        PLAIN._replace(out_interface="*"),
        PLAIN._replace(out_interface='a"b'),
        PLAIN._replace(out_interface="a\\\\*"),
        PLAIN._replace(in_interface="abcdefghijklmno*"),
        PLAIN._replace(in_interface="abcdefghijklmnop"),
        PLAIN._replace(comment="x" * 122),
        PLAIN._replace(comment='"'),
        PLAIN._replace(protocol=("tcp",), nat=Nat("192.0.2.0-192.0.2.255", (1024, 65535))),
        PLAIN._replace(protocol=("tcp",), nat=Nat("192.0.2.4-192.0.2.5", (80, 80))),
        PLAIN._replace(protocol=("tcp",), nat=Nat("2001:db8::-2001:db8::f", (1024, 65535)), family="ipv6"),
    ),
    Iptables: (
        PLAIN._replace(out_interface="*"),
        PLAIN._replace(out_interface='a"b'),
        PLAIN._replace(out_interface="a b"),
        PLAIN._replace(out_interface="a+"),
        PLAIN._replace(in_interface="abcdefghijklmno*"),
        PLAIN._replace(in_interface="abcdefghijklmnop"),
        PLAIN._replace(comment="x" * 249),
        PLAIN._replace(comment="a\nb"),
        PLAIN._replace(nat=Nat("masquerade", persistent=True)),
        PLAIN._replace(protocol=("udplite",), nat=Nat("masquerade", (1024, 65535))),
    ),
}


class Refusal(Exception):
    """A program that does not do what it is told."""


def in_netns(name):
    """Runs programs there."""

    def run(*argv, text=""):
        done = subprocess.run(["ip", "netns", "exec", name, *argv], input=text.encode(), capture_output=True, timeout=120, check=False)
        if done.returncode:
            raise Refusal(done.stderr.decode())
        return done.stdout.decode()

    return run


BACKENDS = {"nftables": Nft, "iptables-nft": lambda run: Iptables(run, "nft"), "iptables-legacy": lambda run: Iptables(run, "legacy")}


@pytest.fixture(params=BACKENDS)
def backend(request, netns):
    return BACKENDS[request.param](in_netns(netns))


def by_family(rules):
    return [rule for family in FAMILIES for rule in rules if rule.family == family]


def test_rules_come_back_as_they_were_and_load_again(backend):
    rules = by_family([rule for rule in snat_rules.rules() if not backend.refusals(rule)])
    assert len(rules) >= LEAST
    backend.replace(rules)
    assert backend.held() == rules
    backend.reload()
    assert backend.held() == rules


def test_rules_are_replaced(backend):
    backend.replace(snat_rules.RECORDED)
    backend.replace([PLAIN])
    assert backend.held() == [PLAIN]
    backend.replace([])
    assert backend.held() == []


def holds(backend, rule):
    try:
        backend.replace([rule])
        held = backend.held()
        backend.reload()
    except Refusal:
        return False
    return held == [rule] == backend.held()


def test_what_is_refused_would_not_be_held(backend):
    for rule in REFUSED[type(backend)]:
        assert len(backend.refusals(rule)) == 1
        backend.replace([])
        assert not holds(backend, rule), rule
    assert holds(backend, PLAIN)

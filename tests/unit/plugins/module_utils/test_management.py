# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The management path: what the option means, how its rules are written and read again, and what of others they would meet."""
import itertools
import json
import os

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _hook_rules, _management, _management_meets, _management_nft, _management_truth
from ansible_collections.netfleet.conntrack.plugins.module_utils._management_rule import ALL, NO, SOME, Path
from ansible_collections.netfleet.conntrack.plugins.module_utils._rulesets import Rulesets
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import small_rules

RECORDED = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "fixtures", "management")
NETWORKS = ["192.0.2.0/25", "192.0.2.128/25", "198.51.100.7", "2001:db8::/32"]
EVERY = {"interfaces": ["mgmt0", "vpn*"], "networks": NETWORKS, "ports": [22, 8023, 8022]}


def management(**given):
    found, wrong = _management.wanted({"management": given})
    assert not wrong
    return found


def test_every_field_has_one_spelling():
    assert management(**EVERY) == _management.Management(
        interfaces=("mgmt0", "vpn*"),
        networks={"ipv4": ("192.0.2.0/24", "198.51.100.7/32"), "ipv6": ("2001:db8::/32",)},
        ports=((22, 22), (8022, 8023)),
    )
    assert management(interfaces=["b", "a", "b"]) == _management.Management(("a", "b"), None, ((22, 22),))
    assert management(networks=["0.0.0.0/0"]).networks == {"ipv4": ()}
    assert _management.wanted({}) == _management.wanted({"management": None}) == (None, ())


WRONG = {
    "nothing": ({}, ["management: say through which interfaces or from which networks this host is managed, at least one of the two"]),
    "ports alone": ({"ports": [22]}, ["management: say through which interfaces"]),
    "no network": ({"networks": ["192.0.2.1/24"]}, ["management.networks: 192.0.2.1/24 has host bits set; write it as 192.0.2.0/24"]),
    "no address": ({"networks": ["here"]}, ["management.networks: 'here' does not appear to be an IPv4 or IPv6 network; write it as an address or"]),
    "no interface": ({"interfaces": ["a/b"]}, ["management.interfaces: 'a/b' is no name of an interface; give up to 15"]),
    "loopback": ({"interfaces": ["lo"]}, ["management.interfaces: lo takes in the loopback interface"]),
    "loopback by a wildcard": ({"interfaces": ["l*"]}, ["management.interfaces: l* takes in the loopback interface"]),
    "no port": ({"interfaces": ["a"], "ports": [0]}, ["management.ports: 0 is no TCP port; give numbers from 1 to 65535"]),
    "no ports": ({"interfaces": ["a"], "ports": []}, ["management.ports: there is none; name the ports"]),
    "all at once": ({"interfaces": ["a b"], "networks": ["x"], "ports": [65536]}, ["management.interfaces: ", "management.networks: ", "management.ports: "]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told(name):
    given, expected = WRONG[name]
    found, wrong = _management.wanted({"management": given})
    assert found is None and len(wrong) == len(expected)
    assert all(text.startswith(start) for text, start in zip(wrong, expected))


@pytest.mark.parametrize("backend, name, start", [
    ("iptables", "mgmt+", "management.interfaces: to iptables, the + at the end"),
    ("nftables", "a23456789012345*", "management.interfaces: a23456789012345* has more than 15 bytes"),
])
def test_what_a_backend_cannot_hold_is_told(backend, name, start):
    (text,) = _management.refusals(management(interfaces=[name]), backend)
    assert text.startswith(start)


def paths():
    """Options of every shape."""
    for interfaces, networks, ports in itertools.product(
            ([], ["mgmt0"], ["mgmt0", "vpn*"]), ([], ["0.0.0.0/0"], ["2001:db8::1"], NETWORKS), ([22], [22, 23, 24, 8022], list(range(1, 60, 2)))):
        if interfaces or networks:
            yield {"interfaces": interfaces, "networks": networks, "ports": ports}


@pytest.mark.parametrize("hooks", [False, True])
@pytest.mark.parametrize("backend", ["nftables", "iptables-legacy"])
def test_what_is_written_is_what_is_read(backend, hooks):
    for given in paths():
        places = _hook_rules.wanted(backend, _hook_rules.Rules(hooks, management(**given)))
        assert places
        for place, chains in places.items():
            found = held(place, chains)
            assert {what: chain.rules for what, chain in found.items()} == {what: chain.rules for what, chain in chains.items()}, given
            assert {what: chain.words for what, chain in found.items()} == {what: chain.words for what, chain in chains.items()}, given


def held(place, chains):
    if place == _hook_rules.INET:
        text = small_rules.loaded("nft", "", _hook_rules.nft_input(chains))
        found = _hook_rules.held_by_nft(json.loads(small_rules.ruleset(text))["nftables"])
        assert _hook_rules.is_known(found)
        return found
    text = small_rules.loaded("iptables", "", _hook_rules.iptables_input(chains, {}))
    return _hook_rules.held_by_iptables("iptables-legacy-save", text)[0]


def test_what_the_rules_are():
    lines = _hook_rules.wanted("iptables-nft", _hook_rules.Rules(False, management(interfaces=["vpn*"], networks=["192.0.2.0/24"], ports=[22, 80, 81])))
    assert list(lines) == [("iptables-nft", "ipv4")]
    assert [chain.words for chain in lines["iptables-nft", "ipv4"].values()] == [
        ("-s 192.0.2.0/24 -i vpn+ -p tcp -m multiport --dports 22,80:81 -m addrtype --dst-type LOCAL -j CT --notrack",),
        ("-d 192.0.2.0/24 -o vpn+ -p tcp -m multiport --sports 22,80:81 -j CT --notrack",),
    ]
    lines = _hook_rules.wanted("nftables", _hook_rules.Rules(False, management(networks=["2001:db8::/32"])))
    assert [chain.words for chain in lines[_hook_rules.INET].values()] == [
        ('iifname != "lo" ip6 saddr 2001:db8::/32 tcp dport 22 fib daddr type local notrack',),
        ('oifname != "lo" ip6 daddr 2001:db8::/32 tcp sport 22 notrack',),
    ]


# What would be met


class Silent:
    """A host on which nft has nothing to say."""

    @staticmethod
    def run(dummy_argv):
        return 1, "", ""


def ruleset(name):
    with open(os.path.join(RECORDED, name + ".json"), encoding="utf-8") as stream:
        found = json.load(stream)
    return Rulesets("", tuple(found["objects"]), {command: "\n".join(lines) for command, lines in found["saved"].items()})


# Recorded rules, path: the hooks where it would be met
MET = {
    "ufw lets it in": ("ufw-0.36", {"interfaces": ["mgmt0"]}, ()),
    "ufw limits it": ("ufw-0.36", {"networks": ["10.0.0.0/8"], "ports": [2222]}, ()),
    "ufw does not know it": ("ufw-0.36", {"interfaces": ["mgmt0"], "ports": [8443]}, ("INPUT",)),
    "firewalld lets it in": ("firewalld-1.3-nftables", {"interfaces": ["mgmt0"]}, ()),
    "firewalld lets it in by its zone": ("firewalld-1.3-nftables", {"interfaces": ["lan0"], "networks": ["10.0.0.0/8", "fd00::/8"]}, ()),
    "firewalld does not": ("firewalld-1.3-nftables", {"interfaces": ["eth0"]}, ("filter_INPUT",)),
    "firewalld does not know it": ("firewalld-1.3-nftables", {"interfaces": ["mgmt0"], "ports": [8443]}, ("filter_INPUT",)),
    "firewalld lets it in by iptables": ("firewalld-1.3-iptables", {"interfaces": ["mgmt0"]}, ()),
    "firewalld does not by iptables": ("firewalld-1.3-iptables", {"networks": ["10.0.0.0/8"], "interfaces": ["eth0"]}, ("INPUT",)),
}


@pytest.mark.parametrize("name", MET)
def test_recorded_firewalls(name):
    recorded, given, expected = MET[name]
    texts = _management_meets.read(Silent, ruleset(recorded), management(**given))
    assert bool(texts) == bool(expected) and all(" %s " % hook in text for text in texts for hook in expected), texts


def test_what_cannot_be_read_is_met():
    for rulesets in (Rulesets(unread=("the nftables ruleset (it is no JSON)",)), Rulesets("", ({"rule": {"family": "inet"}},), {})):
        (text,) = _management_meets.read(Silent, rulesets, management(**EVERY))
        assert text.startswith("could not read the nftables ruleset") or "could not be understood" in text


def jumps(number):
    """A chain that leads into another, and so on."""
    place = {"family": "inet", "table": "f"}
    chains = [{"chain": dict(place, name="c%d" % each)} for each in range(number + 1)]
    chains[0]["chain"].update(type="filter", hook="input", prio=0, policy="accept")
    rules = [{"rule": dict(place, chain="c%d" % each, handle=each, expr=[{"jump": {"target": "c%d" % (each + 1)}}])} for each in range(number)]
    return Rulesets("", tuple(chains + rules), {})


def test_jumps_that_are_too_deep_are_met():
    given = management(interfaces=["mgmt0"])
    assert not _management_meets.read(Silent, jumps(16), given)
    assert all("is not understood" in text for text in _management_meets.read(Silent, jumps(17), given) or ["nothing was told"])


PATH = Path("in", "ipv4", ("mgmt0", "vpn*"), ("192.0.2.0/24",), ((22, 22), (80, 81)))
DPORT, SADDR, IIF = {"payload": {"protocol": "tcp", "field": "dport"}}, {"payload": {"protocol": "ip", "field": "saddr"}}, {"meta": {"key": "iifname"}}
# Condition: how much of the path fits, and whether of a connection all packets do
CONDITIONS = {
    "all ports": ((DPORT, "==", {"set": [22, {"range": [79, 90]}]}), (ALL, True)),
    "some ports": ((DPORT, "==", 80), (SOME, True)),
    "no port": ((DPORT, "==", {"set": [443, 8080]}), (NO, True)),
    "not that port": ((DPORT, "!=", 443), (ALL, True)),
    "above": ((DPORT, ">", 1023), (SOME, True)),
    "another protocol": (({"payload": {"protocol": "udp", "field": "dport"}}, "==", 22), (NO, True)),
    "wider": ((SADDR, "==", {"prefix": {"addr": "192.0.0.0", "len": 16}}), (ALL, True)),
    "narrower": ((SADDR, "==", {"range": ["192.0.2.1", "192.0.2.9"]}), (SOME, True)),
    "elsewhere": ((SADDR, "==", "203.0.113.1"), (NO, True)),
    "both halves": ((SADDR, "==", {"set": [{"prefix": {"addr": "192.0.2.%d" % half, "len": 25}} for half in (0, 128)]}), (ALL, True)),
    "a set that moves": ((SADDR, "==", "@moving"), (SOME, True)),
    "a set that stays": ((SADDR, "!=", "@fixed"), (NO, True)),
    "both interfaces": ((IIF, "==", {"set": ["mgmt0", "vpn*"]}), (ALL, True)),
    "one of many": ((IIF, "==", "vpn7"), (SOME, True)),
    "another interface": ((IIF, "==", "wan0"), (NO, True)),
    "to this host": (({"fib": {"result": "type", "flags": ["daddr"]}}, "==", "local"), (ALL, True)),
    "broadcast": (({"fib": {"result": "type", "flags": "daddr"}}, "==", {"set": ["broadcast", "multicast"]}), (NO, True)),
    "the other family": (({"meta": {"key": "nfproto"}}, "==", "ipv6"), (NO, True)),
    "flags": (({"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["syn", "ack"]]}, "==", "syn"), (SOME, False)),
    "unknown": (({"numgen": {"mode": "inc", "mod": 2}}, "==", 0), (SOME, False)),
    "together": (({"concat": [SADDR, DPORT]}, "==", {"set": [{"concat": ["192.0.2.1", 22]}]}), (SOME, True)),
}
SETS = _management_nft.Sets([
    {"set": {"family": "ip", "table": "f", "name": "moving", "flags": ["dynamic"], "elem": ["203.0.113.1"]}},
    {"set": {"family": "ip", "table": "f", "name": "fixed", "flags": ["interval"], "elem": [{"prefix": {"addr": "192.0.2.0", "len": 23}}]}},
])


@pytest.mark.parametrize("name", CONDITIONS)
def test_how_much_of_the_path_a_condition_takes(name):
    (left, op, right), expected = CONDITIONS[name]
    found = _management_nft._match(left, op, right, ("ip", "f", "c"), PATH, SETS)
    assert (found.fits, found.steady) == expected


TRUTHS = {
    "there": ({"interfaces": ["mgmt0"]}, {"mgmt0": None}, (32768, 60999), ""),
    "not there": ({"interfaces": ["mgmt0", "a*"]}, {"a1": None}, (), "management.interfaces: there is no interface mgmt0 now"),
    "in a bond": ({"interfaces": ["eth0"]}, {"eth0": "bond0", "bond0": None}, (), "management.interfaces: eth0 belongs to bond0"),
    "both": ({"interfaces": ["eth0", "bond0"]}, {"eth0": "bond0", "bond0": None}, (), ""),
    "in a VRF": ({"interfaces": ["eth0"]}, {"eth0": "vrf0", "vrf0": None}, (), "management.interfaces: eth0 is in a VRF"),
    "a port of connections": ({"interfaces": ["eth0"], "ports": [22, 40022]}, {"eth0": None}, (32768, 60999), "management.ports: connections that this host"),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_what_is_to_be_known(name):
    given, links, ports, start = TRUTHS[name]
    truth = _management_truth.Truth(management(**given), (), (), (), links, {"vrf0"}, ports)
    texts = list(truth.warnings())
    assert len(texts) == bool(start) and all(text.startswith(start) for text in texts)

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SNAT rules in the words of nft and out of its JSON. That a kernel holds them, tests/integration/test_snat_rules.py shows."""
import copy
import json
import pathlib
import random

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _nft
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import EVERY_BIT, FAMILIES, Nat, label
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import snat_rules
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.snat_rules import RECORDED, WAN, WAN6

FIXTURES = sorted((pathlib.Path(__file__).parents[2] / "fixtures" / "snat_ours").glob("nft-*.json"))
MUTATIONS = 3000

WRITTEN = {
    'oifname "wan0" counter masquerade comment "wan"': WAN,
    'iifname "a$(x)" oifname "ppp*" counter masquerade comment "wan: -j ACCEPT \\"':
        WAN._replace(out_interface="ppp*", in_interface="a$(x)", comment="-j ACCEPT \\"),
    'oifname "wan0" ip saddr { 10.0.0.0/24, 10.0.9.1 } ip daddr 192.0.2.0/24 counter masquerade comment "wan"':
        WAN._replace(source=("10.0.0.0/24", "10.0.9.1/32"), destination=("192.0.2.0/24",)),
    'oifname "wan0" ip6 saddr 2001:db8::1 counter masquerade comment "wan"': WAN6._replace(source=("2001:db8::1/128",)),
    'oifname "wan0" ip6 saddr 2001:db8::/32 counter masquerade comment "wan"': WAN6._replace(source=("2001:db8::/32",)),
    'oifname "wan0" meta l4proto { icmp, 47 } counter masquerade comment "wan"': WAN._replace(protocol=("icmp", "gre")),
    'oifname "wan0" tcp dport { 80, 1000-2000 } counter masquerade to :1024-65535 random comment "wan"':
        WAN._replace(protocol=("tcp",), destination_ports=((80, 80), (1000, 2000)), nat=Nat("masquerade", (1024, 65535), "random")),
    'oifname "wan0" meta l4proto { tcp, udp } th dport 53 counter masquerade to :80 comment "wan"':
        WAN._replace(protocol=("tcp", "udp"), destination_ports=((53, 53),), nat=Nat("masquerade", (80, 80))),
    'oifname "wan0" meta mark 0x10 counter snat to 192.0.2.1 fully-random,persistent comment "wan"':
        WAN._replace(mark=(16, EVERY_BIT), nat=Nat("192.0.2.1", (), "random_fully", True)),
    'oifname "wan0" meta mark & 0xff == 0x1 counter snat to 192.0.2.1-192.0.2.9 comment "wan"':
        WAN._replace(mark=(1, 0xFF), nat=Nat("192.0.2.1-192.0.2.9")),
    'oifname "wan0" meta mark 0x10000-0x1ffff counter masquerade comment "wan"': WAN._replace(mark=(0x10000, 0xFFFF0000)),
    'oifname "wan0" meta l4proto tcp counter snat to [2001:db8::1]-[2001:db8::9]:80-90 comment "wan"':
        WAN6._replace(protocol=("tcp",), nat=Nat("2001:db8::1-2001:db8::9", (80, 90))),
    'oifname "wan0" counter snat to 2001:db8::1-2001:db8::9 persistent comment "wan"': WAN6._replace(nat=Nat("2001:db8::1-2001:db8::9", persistent=True)),
    'oifname "wan0" counter snat to ip saddr comment "wan"': WAN._replace(nat=Nat("exempt")),
    'counter snat to ip6 saddr comment "wan"': WAN6._replace(nat=Nat("exempt"), out_interface=""),
}

SCRIPT = """\
table ip netfleet_conntrack {
    chain postrouting {
        type nat hook postrouting priority 99; policy accept;
    }
}
flush chain ip netfleet_conntrack postrouting
table ip netfleet_conntrack {
    chain postrouting {
        oifname "wan0" counter masquerade comment "wan"
    }
}
table ip6 netfleet_conntrack {
    chain postrouting {
        type nat hook postrouting priority 99; policy accept;
    }
}
flush chain ip6 netfleet_conntrack postrouting
table ip6 netfleet_conntrack {
    chain postrouting {
    }
}
"""


@pytest.mark.parametrize("text, rule", WRITTEN.items(), ids=str)
def test_rules_are_written(text, rule):
    assert _nft.rule_text(rule) == text


def test_script_replaces_the_rules_of_each_family():
    assert _nft.script([WAN], FAMILIES) == SCRIPT
    assert _nft.script([WAN, WAN6], ["ipv6"]) == _nft.script([WAN6], ["ipv6"])


# Reading


def objects_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["nftables"]


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
@pytest.mark.parametrize("family", FAMILIES)
def test_recorded_rules_are_read(path, family):
    rules = [rule for rule in RECORDED if rule.family == family]
    found = _nft.rules(objects_of(path), family)
    assert [rule for rule, dummy, dummy in found] == rules
    assert [words for dummy, dummy, words in found] == [_nft.rule_text(rule) for rule in rules]
    assert len({handle for dummy, handle, dummy in found}) == len(rules)


def test_recorded_versions():
    assert {path.stem: _nft.version(objects_of(path)) for path in FIXTURES} == {
        "nft-0.9.8": (0, 9, 8), "nft-0.9.8-unnamed": (0, 9, 8), "nft-1.0.6": (1, 0, 6), "nft-1.1.3": (1, 1, 3), "nft-1.1.3-unnamed": (1, 1, 3),
    }
    assert _nft.version([]) == _nft.version([{"metainfo": {}}]) == ()


def match(left, right, operator="=="):
    return {"match": {"op": operator, "left": left, "right": right}}


OUT = match({"meta": {"key": "oifname"}}, "wan0")
SOURCE = match({"payload": {"protocol": "ip", "field": "saddr"}}, "10.0.0.1")
PROTOCOLS = match({"meta": {"key": "l4proto"}}, {"set": ["tcp", "udp"]})
TCP_PORT = match({"payload": {"protocol": "tcp", "field": "dport"}}, 80)
TH_PORT = match({"payload": {"protocol": "th", "field": "dport"}}, 80)
COUNTER = {"counter": {"packets": 0, "bytes": 0}}
MASQUERADE = {"masquerade": None}
SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}


def thing(*expressions, **more):
    return dict({"family": "ip", "table": "netfleet_conntrack", "chain": "postrouting", "handle": 7, "comment": "wan", "expr": list(expressions)}, **more)


def read(part):
    return _nft.rules([{"rule": part}], "ipv4")


def test_a_rule_of_ours_is_read():
    assert read(thing(OUT, COUNTER, MASQUERADE)) == [(WAN, 7, 'oifname "wan0" counter masquerade comment "wan"')]
    assert read(thing(OUT, SOURCE, TCP_PORT, COUNTER, MASQUERADE))[0][0] == WAN._replace(
        source=("10.0.0.1/32",), protocol=("tcp",), destination_ports=((80, 80),))


STRANGE = {
    "no comment": {"family": "ip", "table": "netfleet_conntrack", "chain": "postrouting", "handle": 7, "expr": [OUT, COUNTER, MASQUERADE]},
    "no counter": thing(OUT, MASQUERADE),
    "no expressions": {"family": "ip", "table": "netfleet_conntrack", "chain": "postrouting", "handle": 7, "comment": "wan"},
    "nothing but the end": thing(MASQUERADE),
    "no NAT": thing(OUT, COUNTER, {"accept": None}),
    "a limit": thing(OUT, {"limit": {"rate": 1, "per": "second"}}, COUNTER, MASQUERADE),
    "something after it": thing(OUT, COUNTER, MASQUERADE, {"log": None}),
    "counter first": thing(COUNTER, OUT, MASQUERADE),
    "not this interface": thing(match({"meta": {"key": "oifname"}}, "wan0", "!="), COUNTER, MASQUERADE),
    "several interfaces": thing(match({"meta": {"key": "oifname"}}, {"set": ["a", "b"]}), COUNTER, MASQUERADE),
    "another order": thing(SOURCE, OUT, COUNTER, MASQUERADE),
    "twice": thing(OUT, OUT, COUNTER, MASQUERADE),
    "another key": thing(match({"meta": {"key": "skuid"}}, 0), COUNTER, MASQUERADE),
    "another field": thing(match({"payload": {"protocol": "tcp", "field": "sport"}}, 80), COUNTER, MASQUERADE),
    "another family": thing(match({"payload": {"protocol": "ip6", "field": "saddr"}}, "2001:db8::1"), COUNTER, MASQUERADE),
    "a masked address": thing(match({"&": [SADDR, "255.0.0.255"]}, "10.0.0.1"), COUNTER, MASQUERADE),
    "a mark shifted": thing(match({">>": [{"meta": {"key": "mark"}}, 1]}, 1), COUNTER, MASQUERADE),
    "a set by its name": thing(match(SADDR, "@lan"), COUNTER, MASQUERADE),
    "elements with more": thing(match(SADDR, {"set": [{"elem": {"val": "10.0.0.1", "comment": "x"}}]}), COUNTER, MASQUERADE),
    "another protocol": thing(match({"meta": {"key": "l4proto"}}, "igmp"), COUNTER, MASQUERADE),
    "ports of no protocol": thing(TH_PORT, COUNTER, MASQUERADE),
    "ports of one of the protocols": thing(PROTOCOLS, TCP_PORT, COUNTER, MASQUERADE),
    "both kinds of random": thing(OUT, COUNTER, {"masquerade": {"flags": ["random", "fully-random"]}}),
    "a map": thing(OUT, COUNTER, {"snat": {"addr": {"map": {"key": SADDR, "data": "@m"}}}}),
    "networks one to one": thing(OUT, COUNTER, {"snat": {"addr": {"prefix": {"addr": "192.0.2.0", "len": 24}}, "type_flags": "prefix"}}),
    "a port by an expression": thing(OUT, COUNTER, {"snat": {"addr": "192.0.2.1", "port": {"map": {}}}}),
    "exempt, but for the port": thing(OUT, COUNTER, {"snat": {"addr": SADDR, "flags": "random"}}),
    "expressions of another kind": thing("x", 1, None),
}


@pytest.mark.parametrize("part", STRANGE.values(), ids=STRANGE)
def test_what_is_not_written_so_is_no_rule_of_ours(part):
    (rule, handle, words), = read(part)
    assert (rule, handle) == (None, 7) and words


def test_words_of_a_strange_rule_have_its_comment():
    assert read(thing(MASQUERADE, comment="x y"))[0][2] == '[{"masquerade": null}] comment "x y"'


@pytest.mark.parametrize("place", [{"family": "ip6"}, {"family": "inet"}, {"table": "nat"}, {"chain": "prerouting"}], ids=str)
def test_rules_of_other_places_are_not_ours(place):
    assert read(thing(OUT, COUNTER, MASQUERADE, **place)) == []


def places(part, path=()):
    """Yield where everything is within decoded JSON."""
    yield path
    for key, value in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        yield from places(value, path + (key,))


def spoilt(part, dice):
    """A copy with one thing within it replaced."""
    found = copy.deepcopy(part)
    path = dice.choice([path for path in places(found) if path])
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = dice.choice([None, "", "x", -1, 7, 2 ** 40, 1.5, [], {}, ["x"], {"range": [1]}, {"prefix": {}}, {"set": []}, {"&": [{}, 1]}])
    return found


def test_spoilt_rules_are_read_without_an_error():
    dice = random.Random(3)
    whole = [item["rule"] for item in objects_of(FIXTURES[0]) if item.get("rule", {}).get("family") == "ip"]
    for dummy in range(MUTATIONS):
        part = spoilt(dice.choice(whole), dice)
        for rule, dummy, words in read(part):
            assert words == _nft.rule_text(rule) if rule else isinstance(words, str)


# The end of any rule

ENDS = [
    ({"masquerade": None}, Nat("masquerade")),
    ({"masquerade": {"flags": "fully-random"}}, Nat("masquerade", (), "random_fully")),
    ({"masquerade": {"port": {"range": [1024, 65535]}, "flags": ["random", "persistent"]}}, Nat("masquerade", (1024, 65535), "random", True)),
    ({"masquerade": {"port": 80, "flags": None}}, Nat("masquerade", (80, 80))),
    ({"masquerade": {"flags": ["random", "fully-random"]}}, Nat("masquerade", (), "random_fully")),
    ({"snat": {"addr": "192.0.2.1"}}, Nat("192.0.2.1")),
    ({"snat": {"addr": "::192.0.2.1", "flags": []}}, Nat("::c000:201")),
    ({"snat": {"family": "ip", "addr": "192.0.2.1", "port": {"range": [1, 9]}, "flags": "random"}}, Nat("192.0.2.1", (1, 9), "random")),
    ({"snat": {"addr": {"range": ["192.0.2.1", "192.0.2.9"]}}}, Nat("192.0.2.1-192.0.2.9")),
    ({"snat": {"addr": {"prefix": {"addr": "192.0.2.0", "len": 24}}}}, Nat("192.0.2.0-192.0.2.255")),
    ({"snat": {"addr": {"prefix": {"addr": "192.0.2.5", "len": 28}}}}, Nat("192.0.2.5-192.0.2.10")),
    ({"snat": {"addr": {"prefix": {"addr": "192.0.2.1", "len": 32}}}}, Nat("192.0.2.1")),
    ({"snat": {"addr": {"prefix": {"addr": "2001:db8::", "len": 120}}}}, Nat("2001:db8::-2001:db8::ff")),
    ({"snat": {"addr": SADDR}}, Nat("exempt")),
    ({"snat": {"family": "ip6", "addr": {"payload": {"protocol": "ip6", "field": "saddr"}}}}, Nat("exempt")),
    ({"snat": {"addr": SADDR, "flags": "random"}}, Nat(json.dumps(SADDR, sort_keys=True), (), "random")),
    ({"snat": {"addr": {"map": {"key": 1, "data": "@m"}}}}, Nat('{"map": {"data": "@m", "key": 1}}')),
    ({"snat": {"addr": "@x"}}, Nat('"@x"')),
    ({"snat": {"addr": {"prefix": {"addr": "192.0.2.0", "len": 24}}, "type_flags": "prefix"}}, Nat('{"prefix": {"addr": "192.0.2.0", "len": 24}}')),
    ({"snat": {"addr": "192.0.2.1", "port": {"map": {}}}}, Nat('{"addr": "192.0.2.1", "port": {"map": {}}}')),
    ({"snat": {"port": 80}}, Nat("null", (80, 80))),
    ({"accept": None}, Nat("")),
]


@pytest.mark.parametrize("statement, found", ENDS, ids=[json.dumps(statement) for statement, dummy in ENDS])
def test_what_a_statement_does(statement, found):
    assert _nft.nat(statement) == found


# What nft cannot hold

TCP = WAN._replace(protocol=("tcp",))
REFUSED = {
    "out_interface: * is every interface; leave it out": WAN._replace(out_interface="*"),
    'out_interface: nft cannot hold the double quote in a"b; rename the interface': WAN._replace(out_interface='a"b'),
    "in_interface: to nft, a\\* is one interface whose name ends with a *; name each interface in a rule of its own": WAN._replace(in_interface="a\\*"),
    "in_interface: abcdefghijklmno* has more than 15 bytes; give the interface its whole name, without a *": WAN._replace(in_interface="abcdefghijklmno*"),
    "to: 192.0.2.0-192.0.2.255 is all of a network, and nft cannot load its own text of that together with ports; leave out ports, "
    "or the first or last address": TCP._replace(nat=Nat("192.0.2.0-192.0.2.255", (1024, 65535))),
    "comment: nft holds up to 128 bytes, those of the name among them, and no double quote; change it": WAN._replace(comment="é" * 62),
}


@pytest.mark.parametrize("text, rule", REFUSED.items(), ids=str)
def test_refusals(text, rule):
    assert _nft.refusals(rule) == [text]


@pytest.mark.parametrize("to, wrong", [
    ("192.0.2.1-192.0.2.2", True), ("192.0.2.1-192.0.2.14", True), ("192.0.2.5-192.0.2.10", True), ("2001:db8::1-2001:db8::2", True),
    ("192.0.2.1-192.0.2.9", False), ("192.0.2.1-192.0.2.15", False), ("192.0.2.0-192.0.2.255", False), ("192.0.2.1", False), ("masquerade", False),
])
def test_ranges_that_old_nft_prints_wrongly(to, wrong):
    rule = WAN._replace(nat=Nat(to))
    text = "to: nft 1.0 prints %s as a network, and would load that as another range; take one address more or less, or nft 1.0.1" % to
    assert _nft.refusals(rule) == _nft.refusals(rule, (1, 0, 1)) == []
    assert _nft.refusals(rule, (1, 0)) == ([text] if wrong else [])
    assert len(_nft.refusals(rule, (0, 9, 8))) == wrong


def test_generated_rules_are_held_but_for_whole_networks_with_ports():
    made = list(zip(snat_rules.kinds_of_rules(), snat_rules.rules()))
    assert len({label(rule) for dummy, rule in made}) == len(made) >= 400
    held = [kinds for kinds, rule in made if not _nft.refusals(rule)]
    left = snat_rules.PAIRS - set().union(*map(snat_rules.pairs, held))
    assert len(held) >= 250 and left == snat_rules.crossed("to", ["network"], "ports", ["one", "range"])

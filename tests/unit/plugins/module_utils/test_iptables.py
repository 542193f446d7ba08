# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SNAT rules in the words of iptables, and back. That a kernel holds them, tests/integration/test_snat_rules.py shows."""
import pathlib
import random

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _iptables, _iptables_save
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import EVERY_BIT, Nat
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import snat_rules
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.snat_rules import RECORDED, WAN, WAN6

FIXTURES = sorted((pathlib.Path(__file__).parents[2] / "fixtures" / "snat_ours").glob("*.save"))
OURS = "-A NETFLEET_SNAT "
MASQUERADE = "-m comment --comment wan -j MASQUERADE"

WRITTEN = {
    "-o wan0 " + MASQUERADE: WAN,
    '-i a$(x) -o ppp+ -m comment --comment "wan: it\\\'s -j ACCEPT \\\\" -j MASQUERADE':
        WAN._replace(out_interface="ppp*", in_interface="a$(x)", comment="it's -j ACCEPT \\"),
    "-s 10.0.9.1/32 -d 192.0.2.0/24 -o wan0 " + MASQUERADE: WAN._replace(source=("10.0.9.1/32",), destination=("192.0.2.0/24",)),
    "-o wan0 -p 47 " + MASQUERADE: WAN._replace(protocol=("gre",)),
    "-o wan0 -p ipv6-icmp " + MASQUERADE: WAN6._replace(protocol=("icmpv6",)),
    "-o wan0 -p tcp -m multiport --dports 80,1000:2000 " + MASQUERADE + " --to-ports 1024-65535 --random":
        WAN._replace(protocol=("tcp",), destination_ports=((80, 80), (1000, 2000)), nat=Nat("masquerade", (1024, 65535), "random")),
    "-o wan0 -p tcp " + MASQUERADE + " --to-ports 80": WAN._replace(protocol=("tcp",), nat=Nat("masquerade", (80, 80))),
    "-o wan0 -m mark --mark 0x10 -m comment --comment wan -j SNAT --to-source 192.0.2.1 --random-fully --persistent":
        WAN._replace(mark=(16, EVERY_BIT), nat=Nat("192.0.2.1", (), "random_fully", True)),
    "-o wan0 -m mark --mark 0x0/0xff -m comment --comment wan -j SNAT --to-source 192.0.2.1-192.0.2.9":
        WAN._replace(mark=(0, 255), nat=Nat("192.0.2.1-192.0.2.9")),
    "-o wan0 -p udp -m comment --comment wan -j SNAT --to-source 192.0.2.1-192.0.2.9:80-90":
        WAN._replace(protocol=("udp",), nat=Nat("192.0.2.1-192.0.2.9", (80, 90))),
    "-o wan0 -p tcp -m comment --comment wan -j SNAT --to-source [2001:db8::1-2001:db8::9]:80": WAN6._replace(
        protocol=("tcp",), nat=Nat("2001:db8::1-2001:db8::9", (80, 80))),
    "-o wan0 -m comment --comment wan -j SNAT --to-source 2001:db8::1": WAN6._replace(nat=Nat("2001:db8::1")),
    "-o wan0 -m comment --comment wan -j NETMAP --to 0.0.0.0/0": WAN._replace(nat=Nat("exempt")),
    "-m comment --comment wan -j NETMAP --to ::/0": WAN6._replace(nat=Nat("exempt"), out_interface=""),
}


@pytest.mark.parametrize("text, rule", WRITTEN.items(), ids=str)
def test_rules_are_written(text, rule):
    assert _iptables.lines(rule) == [OURS + text]


def test_a_rule_is_a_line_for_each_combination():
    rule = WAN._replace(source=("10.0.0.0/24", "10.0.2.0/24"), destination=("192.0.2.0/24", "198.51.100.0/24"), protocol=("tcp", "udp"), out_interface="")
    assert _iptables.lines(rule) == [
        OURS + "-s %s -d %s -p %s %s" % (source, destination, protocol, MASQUERADE)
        for source in rule.source for destination in rule.destination for protocol in rule.protocol
    ]


@pytest.mark.parametrize("ports, sizes", [
    ([(port, port) for port in range(0, 30, 2)], [15]),
    ([(port, port) for port in range(0, 32, 2)], [15, 1]),
    ([(port, port + 1) for port in range(0, 24, 3)], [14, 2]),
    ([(port, port) for port in range(0, 28, 2)] + [(100, 200)], [14, 2]),
])
def test_a_line_has_at_most_15_ports(ports, sizes):
    rule = WAN._replace(protocol=("tcp",), destination_ports=tuple(ports))
    lists = [line.split("--dports ")[1].split(" ")[0] for line in _iptables.lines(rule)]
    assert [len(text.replace(":", ",").split(",")) for text in lists] == sizes
    assert _iptables.rules(_iptables.script([rule], ()), "ipv4")[0][0] == rule


def test_script_replaces_the_rules_and_then_does_more():
    assert _iptables.script([WAN], ("-D POSTROUTING -j NETFLEET_SNAT", "-I POSTROUTING 1 -j NETFLEET_SNAT")) == """\
*nat
:NETFLEET_SNAT - [0:0]
-A NETFLEET_SNAT -o wan0 -m comment --comment wan -j MASQUERADE
-D POSTROUTING -j NETFLEET_SNAT
-I POSTROUTING 1 -j NETFLEET_SNAT
COMMIT
"""
    assert _iptables.script([], ()) == "*nat\n:NETFLEET_SNAT - [0:0]\nCOMMIT\n"


# Reading


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_recorded_rules_are_read(path):
    family = "ipv6" if path.name.startswith("ip6") else "ipv4"
    rules = [rule for rule in RECORDED if rule.family == family]
    assert _iptables.rules(path.read_text(encoding="utf-8"), family) == [(rule, "\n".join(_iptables.lines(rule))) for rule in rules]


def test_versions_that_were_recorded():
    assert {path.stem.split("-", 1)[1] for path in FIXTURES} == {
        flavour + version for flavour in ("nft-", "legacy-") for version in ("1.8.7", "1.8.7-unnamed", "1.8.9", "1.8.11", "1.8.11-unnamed")}


def test_generated_rules_are_read_as_they_were_written():
    made = list(zip(snat_rules.kinds_of_rules(), snat_rules.rules()))
    held = [(kinds, rule) for kinds, rule in made if not _iptables.refusals(rule)]
    assert len(held) >= 250
    assert set().union(*(snat_rules.pairs(kinds) for kinds, dummy in held)) == snat_rules.PAIRS
    for family in ("ipv4", "ipv6"):
        rules = [rule for dummy, rule in held if rule.family == family]
        assert [rule for rule, dummy in _iptables.rules(_iptables.script(rules, ()), family)] == rules


def read(*lines):
    return _iptables.rules("*nat\n:NETFLEET_SNAT - [0:0]\n%s\nCOMMIT\n" % "\n".join(OURS + line for line in lines), "ipv4")


WEB = WAN._replace(protocol=("tcp", "udp"))
TCP, UDP = ("-o wan0 -p %s %s" % (protocol, MASQUERADE) for protocol in ("tcp", "udp"))
STRANGE = {
    "no comment": ("-o wan0 -j MASQUERADE",),
    "no target": ("-o wan0 -m comment --comment wan",),
    "another target": ("-o wan0 -m comment --comment wan -j ACCEPT",),
    "goto": ("-o wan0 -m comment --comment wan -g X",),
    "not this interface": ("! -o wan0 " + MASQUERADE,),
    "not this port": ("-o wan0 -p tcp -m multiport ! --dports 80 " + MASQUERADE,),
    "another match": ("-o wan0 -m conntrack --ctstate NEW " + MASQUERADE,),
    "a flag": ("-o wan0 -p tcp -m tcp --syn " + MASQUERADE,),
    "another protocol": ("-o wan0 -p igmp " + MASQUERADE,),
    "both kinds of random": ("-o wan0 " + MASQUERADE + " --random --random-fully",),
    "networks one to one": ("-o wan0 -m comment --comment wan -j NETMAP --to 192.0.2.0/24",),
    "a line too much": (TCP, UDP, UDP),
    "another order": (UDP, TCP),
    "lines of two rules": (TCP, UDP.replace("wan0", "wan1")),
    "other ends": (TCP, UDP + " --random"),
    "an address of the other family": ("-s 2001:db8::/64 -o wan0 " + MASQUERADE, "-s 10.0.0.0/8 -o wan0 " + MASQUERADE),
    "no words": ("",),
}


@pytest.mark.parametrize("lines", STRANGE.values(), ids=STRANGE)
def test_what_is_not_written_so_is_no_rule_of_ours(lines):
    words = "\n".join((OURS + line).rstrip() for line in lines)
    assert [(rule, text.rstrip()) for rule, text in read(*lines)] == [(None, words)]


def test_lines_are_told_apart_by_their_comments():
    other = "-o wan0 -m comment --comment other -j MASQUERADE"
    assert [rule for rule, dummy in read(TCP, UDP, "-j RETURN", other)] == [WEB, None, WAN._replace(name="other")]
    assert [rule for rule, dummy in read(TCP, other, UDP)] == [WAN._replace(protocol=("tcp",)), WAN._replace(name="other"), WAN._replace(protocol=("udp",))]


def test_rules_of_other_places_are_not_ours():
    ours = "*nat\n-A POSTROUTING -j NETFLEET_SNAT\n-A OTHER %s\nCOMMIT\n*mangle\n%s%s\nCOMMIT\n" % (TCP, OURS, TCP)
    assert _iptables.rules(ours, "ipv4") == []


def test_counters_before_rules_are_no_words():
    assert _iptables.rules("*nat\n[7:900] %s%s\n[0:0] %s%s\nCOMMIT\n" % (OURS, TCP, OURS, UDP), "ipv4")[0][0] == WEB


# The end of any rule

ENDS = {
    "-o eth9 -j MASQUERADE": Nat("masquerade"),
    "-o eth8 -p tcp -j MASQUERADE --to-ports 1024-65535 --random": Nat("masquerade", (1024, 65535), "random"),
    "-p tcp -j MASQUERADE --to-ports 80 --random-fully": Nat("masquerade", (80, 80), "random_fully"),
    "-j MASQUERADE --random --random-fully": Nat("masquerade", (), "random_fully"),
    "-j SNAT --to-source 192.0.2.1 --persistent": Nat("192.0.2.1", (), "keep", True),
    "-j SNAT --to-source 192.0.2.1:1-2": Nat("192.0.2.1", (1, 2)),
    "-j SNAT --to-source 192.0.2.1-192.0.2.9:1-2 --random-fully --persistent": Nat("192.0.2.1-192.0.2.9", (1, 2), "random_fully", True),
    "-j SNAT --to-source 192.0.2.1-192.0.2.1": Nat("192.0.2.1"),
    "-j SNAT --to-source 2001:db8::1": Nat("2001:db8::1"),
    "-j SNAT --to-source 2001:db8::1-2001:db8::9": Nat("2001:db8::1-2001:db8::9"),
    "-j SNAT --to-source [2001:db8::1]:80": Nat("2001:db8::1", (80, 80)),
    "-j SNAT --to-source [2001:db8::1-2001:db8::9]:1-2 --random": Nat("2001:db8::1-2001:db8::9", (1, 2), "random"),
    "-j SNAT --to-source [2001:db8::1]-[2001:db8::9]:1-2": Nat("2001:db8::1-2001:db8::9", (1, 2)),
    "-j SNAT --to-source ::192.0.2.1": Nat("::c000:201"),
    "-j NETMAP --to 0.0.0.0/0": Nat("exempt"),
    "-j NETMAP --to ::/0": Nat("exempt"),
    "-j NETMAP --to 192.0.2.0/24": Nat("192.0.2.0/24"),
    "-m comment --comment --random -j MASQUERADE": Nat("masquerade"),
    "-m comment --comment -j -j MASQUERADE --random": Nat("masquerade", (), "random"),
    "-m comment --comment SNAT -j ACCEPT": Nat(""),
    "-j SNAT": Nat(""),
    "-j": Nat(""),
    "": Nat(""),
}


@pytest.mark.parametrize("text, found", ENDS.items(), ids=str)
def test_what_a_rule_does(text, found):
    assert _iptables.nat(text.split()) == found


# Words


@pytest.mark.parametrize("line, words", [
    ("-A X -o a'b -j Y", ["-A", "X", "-o", "a'b", "-j", "Y"]),
    ("-o a\\b -i a\\", ["-o", "a\\b", "-i", "a\\"]),
    ('--comment "it\\\'s \\"x\\" \\\\"', ["--comment", "it's \"x\" \\"]),
    ('--comment ""', ["--comment", ""]),
    ('a "b c"d', ["a", "b cd"]),
    ('[7:900] -A X --comment "[1:2]"', ["-A", "X", "--comment", "[1:2]"]),
    ("a\u00a0b\u2028c \u0085", ["a\u00a0b\u2028c", "\u0085"]),
    ('-o a"b -j X', ["-o", "a", "b", "-j", "X"]),
    ("  ", []),
])
def test_words_of_a_line(line, words):
    assert _iptables_save.words(line) == words


def test_quoted_texts_are_one_word_again():
    dice = random.Random(4)
    for dummy in range(2000):
        text = "".join(dice.choice("ab-_ \\\\\"\"''é\u2028$`#*;{}!") for dummy in range(dice.randint(0, 12)))
        assert _iptables_save.words("-A X --comment %s -j Y" % _iptables_save.quoted(text)) == ["-A", "X", "--comment", text, "-j", "Y"]


def test_a_comment_ends_no_line():
    text = "*nat\n-A X -m comment --comment \"a\u2028-A Y\u0085-A Z\" -j MASQUERADE\nCOMMIT\n"
    assert [place for place, dummy in _iptables_save.rules("iptables-save", text)] == [("ip", "nat", "X")]


# What iptables cannot hold

REFUSED = {
    "out_interface: * is every interface; leave it out": WAN._replace(out_interface="*"),
    "out_interface: iptables cannot load a b from what it prints, for the blank or the double quote; rename the interface": WAN._replace(out_interface="a b"),
    "in_interface: to iptables, the + at the end of a+ is a wildcard; rename the interface, or use nftables": WAN._replace(in_interface="a+"),
    "in_interface: abcdefghijklmno* has more than 15 bytes; give the interface its whole name, without a *": WAN._replace(in_interface="abcdefghijklmno*"),
    "persistent: iptables has it for addresses only, not for masquerade, where it would do nothing; leave it out":
        WAN._replace(nat=Nat("masquerade", persistent=True)),
    "ports: iptables cannot choose ports for udplite; leave udplite to a rule without ports, or use nftables":
        WAN._replace(protocol=("udp", "udplite"), nat=Nat("masquerade", (1024, 65535))),
    "comment: iptables holds one line of up to 255 bytes, those of the name among them; change it": WAN._replace(comment="é" * 126),
}


@pytest.mark.parametrize("text, rule", REFUSED.items(), ids=str)
def test_refusals(text, rule):
    assert _iptables.refusals(rule) == [text]

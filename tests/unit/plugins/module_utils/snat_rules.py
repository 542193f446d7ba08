# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of SNAT made at random from a seed, with every two kinds of options together in one of them at least."""
import ipaddress
import itertools
import random

from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import (
    EVERY_BIT,
    EXEMPT,
    KEEP,
    MASQUERADE,
    RANDOM,
    RANDOM_FULLY,
    WITH_PORTS,
    Nat,
    Rule,
    merged_networks,
    merged_ports,
)

NUMBER = 400
HOSTILE_NAMES = (
    "a$(x)", "a`x`", "a\\b", "a\\\\b", "b\\", "\\", "a'b", "''", "a;b", "a&b", "a|b", "a<b", "-x", "-t", "--", "!", "#", "a#b", "a.b", "a+b", "+a",
    "a,b", "a{}", "{", "}", "@a", "$x", "%s", "lo", "tcp", "any", "0x1", "1", "a=b", "a?", "[a]", "é", "日本", "abcdefghijklmno", "-j", "a~b",
)
HOSTILE_COMMENTS = (
    "-j ACCEPT", "$(reboot)", "`reboot`", "it's", "''", "a;b; reboot", "{}", "} }", "#", "# x", "*", "a*", "*nat", "COMMIT", "\\", "a\\", "\\\\", "\\*",
    "\\n", "a\\b\\\\c", "\\'", ": x", ": ", " x", "x ", "two  blanks", "!", "! -s x", "%s %d", "[0:0]", "[1:2] -A X", "@set", "$x", "&&", "| cat", "<>",
    "äöü", "日本語", "\u2028-A NETFLEET_SNAT", "\u00a0", "\u0085x", "--comment", "-m comment --comment x", "counter masquerade", "x # handle 7",
)
NAME_SIGNS = "ABCabcxyz019_.-"
NAMES = ("-j", "-t", "--", ".", "-A", "--comment", "_", "0", "a.b-c_d", "-test")

# option: its kinds
KINDS = {
    "family": ("ipv4", "ipv6"),
    "to": ("masquerade", "exempt", "address", "range", "network"),
    "ports": ("none", "one", "range"),
    "port_selection": (KEEP, RANDOM, RANDOM_FULLY),
    "persistent": (False, True),
    "out_interface": ("none", "plain", "wildcard", "hostile", "hostile wildcard"),
    "in_interface": ("none", "plain", "wildcard", "hostile", "hostile wildcard"),
    "source": ("none", "address", "network", "several", "neighbours"),
    "destination": ("none", "address", "network", "several", "neighbours"),
    "protocol": ("none", "with ports", "several with ports", "without ports", "several"),
    "destination_ports": ("none", "one", "range", "several", "many"),
    "mark": ("none", "zero", "whole", "leading bits", "some bits"),
    "comment": ("none", "plain", "hostile", "longest"),
}
PORTLESS = ("none", "without ports", "several")
# Kinds that the model does not allow together.
NEVER = (
    ("protocol", PORTLESS, "ports", ("one", "range")),
    ("protocol", PORTLESS, "destination_ports", ("one", "range", "several", "many")),
    ("to", ("exempt",), "ports", ("one", "range")),
    ("to", ("exempt",), "port_selection", (RANDOM, RANDOM_FULLY)),
    ("to", ("exempt", "masquerade"), "persistent", (True,)),
)


def crossed(first, kinds, second, others):
    return {frozenset([(first, kind), (second, other)]) for kind in kinds for other in others}


IMPOSSIBLE = {pair for row in NEVER for pair in crossed(*row)}
PAIRS = {pair for first, second in itertools.combinations(KINDS, 2) for pair in crossed(first, KINDS[first], second, KINDS[second])} - IMPOSSIBLE


def pairs(kinds):
    return {frozenset(pair) for pair in itertools.combinations(kinds.items(), 2)}


def kinds_of_rules(seed=1, number=NUMBER):
    """Kinds for so many rules at least: every pair that is possible, then whatever comes."""
    dice = random.Random(seed)
    found, missing = [], sorted(PAIRS, key=lambda pair: sorted(map(str, pair)))
    while missing or len(found) < number:
        kinds = _with_pair(dice, missing[-1] if missing else ())
        found.append(kinds)
        covered = pairs(kinds)
        missing = [pair for pair in missing if pair not in covered]
    return found


def _with_pair(dice, pair):
    """Possible kinds with this pair among them."""
    while True:
        kinds = {option: dice.choice(choices) for option, choices in KINDS.items()}
        kinds.update(pair)
        if not pairs(kinds) & IMPOSSIBLE:
            return kinds


def rules(seed=1, number=NUMBER):
    """Rules with names of their own, each of one value for the kinds that it has."""
    dice = Dice(seed)
    return [dice.rule(kinds, place) for place, kinds in enumerate(kinds_of_rules(seed, number))]


class Dice:
    """Values for kinds."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.turns = {}

    def next_of(self, choices):
        """Each of the choices in its turn."""
        place = self.turns[choices] = self.turns.get(choices, -1) + 1
        return choices[place % len(choices)]

    def rule(self, kinds, place):
        name = NAMES[place] if place < len(NAMES) else self.word(NAME_SIGNS, 20) + str(place)
        return Rule(
            name=name,
            family=kinds["family"],
            nat=Nat(self.to(kinds), self.span(kinds["ports"], 1), kinds["port_selection"], kinds["persistent"]),
            out_interface=self.interface(kinds["out_interface"]),
            in_interface=self.interface(kinds["in_interface"]),
            source=self.networks(kinds["source"], kinds["family"]),
            destination=self.networks(kinds["destination"], kinds["family"]),
            protocol=self.protocol(kinds),
            destination_ports=self.ports(kinds["destination_ports"]),
            mark=self.mark(kinds["mark"]),
            comment=self.comment(kinds["comment"], name),
        )

    def word(self, signs, longest):
        return "".join(self.random.choice(signs) for dummy in range(self.random.randint(1, longest)))

    def address(self, family):
        if family == "ipv4":
            return ipaddress.IPv4Address(self.random.randint(0x01000000, 0xDFFFFF00))
        start = self.random.choice([0, 0xFFFF << 32, 0x20010DB8 << 96, 0xFC << 120])  # also ::192.0.2.1 and ::ffff:192.0.2.1
        return ipaddress.IPv6Address(start + self.random.randint(0x01000000, 0xFFFFFF00))

    def to(self, kinds):
        if kinds["to"] in ("masquerade", "exempt"):
            return {"masquerade": MASQUERADE, "exempt": EXEMPT}[kinds["to"]]
        first = self.address(kinds["family"])
        if kinds["to"] == "address":
            return str(first)
        if kinds["to"] == "range":
            first = first if int(first) % 2 else first + 1  # odd: no network begins with it
            return "%s-%s" % (first, first + self.random.choice([1, 5, self.random.randint(1, 200)]))
        size = self.random.choice([1, 4, 8])
        first = type(first)(int(first) >> size << size)
        return "%s-%s" % (first, first + 2 ** size - 1)

    def span(self, kind, least):
        first = self.random.randint(least, 65000)
        return {"none": (), "one": (first, first), "range": (first, self.random.randint(first + 1, 65535))}[kind]

    def ports(self, kind):
        if kind in ("several", "many"):
            spans = [self.span(self.random.choice(["one", "range"]), 0) for dummy in range(3 if kind == "several" else 40)]
            # Short ranges, so that many are left when they are merged.
            return merged_ports((first, min(last, first + 30)) for first, last in spans)
        return (self.span(kind, 0),) if kind != "none" else ()

    def interface(self, kind):
        name = self.next_of(HOSTILE_NAMES) if "hostile" in kind else self.word("abcdefgh01.", 10)
        name = name[:10] if "wildcard" in kind else name
        return {"none": ""}.get(kind, name + "*" * ("wildcard" in kind))

    def networks(self, kind, family):
        bits = 32 if family == "ipv4" else 128
        address = int(self.address(family))
        sizes = {"none": [], "address": [0], "network": [self.random.randint(1, bits - 8)], "several": [0, 3, 8, 0, 20]}
        if kind == "neighbours":  # networks that touch, and still are no one network
            starts = [((address >> 4) + step << 4, bits - 4) for step in range(1, 4)]
        else:
            starts = [((address >> size << size) + (number << 64) % 2 ** (bits - 2), bits - size) for number, size in enumerate(sizes[kind])]
        network = ipaddress.IPv4Network if family == "ipv4" else ipaddress.IPv6Network
        return merged_networks(network((start % 2 ** bits, length), strict=False) for start, length in starts)

    def protocol(self, kinds):
        wanted = kinds["protocol"]
        portless = ("gre", "esp") + (("ah", "icmp") if kinds["family"] == "ipv4" else ("icmpv6",))
        choices = {"with ports": WITH_PORTS, "several with ports": WITH_PORTS, "without ports": portless, "several": WITH_PORTS + portless, "none": ()}
        number = 0 if wanted == "none" else 1 if wanted in ("with ports", "without ports") else self.random.randint(2, 4)
        return tuple(sorted(self.random.sample(choices[wanted], number)))

    def mark(self, kind):
        leading = EVERY_BIT & ~(EVERY_BIT >> self.random.randint(1, 31))
        some = self.random.choice([1, 0xFF, 0xF0, 0x10, 0x80000001, EVERY_BIT - 1 - 2, self.random.randint(1, EVERY_BIT)])
        mask = {"none": None, "zero": self.random.choice([EVERY_BIT, leading, some]), "whole": EVERY_BIT, "leading bits": leading, "some bits": some}[kind]
        return None if mask is None else (self.random.randint(0, EVERY_BIT) & mask if kind != "zero" else 0, mask)

    def comment(self, kind, name):
        room = 120 - len(name) - len(": ")
        longest = self.random.choice(["x" * room, "\\" * room, "'" * room, "é" * (room // 2)])
        return {"none": "", "plain": "to the world", "hostile": self.next_of(HOSTILE_COMMENTS), "longest": longest}[kind]


WAN = Rule("wan", "ipv4", Nat(MASQUERADE), out_interface="wan0")
WAN6 = WAN._replace(family="ipv6")
# Rules that were loaded on several hosts; what their tools printed of them is in tests/unit/fixtures/snat_ours.
RECORDED = (
    WAN,
    WAN._replace(name="all", out_interface=""),
    WAN._replace(name="wild", out_interface="ppp*", in_interface="a$(x)", comment="it's -j ACCEPT \\"),
    WAN._replace(name="networks", source=("10.0.0.0/24", "10.0.2.0/23", "10.0.9.1/32"), destination=("192.0.2.0/24",)),
    WAN._replace(name="neighbours", source=("10.0.1.0/24", "10.0.2.0/24"), destination=("198.51.100.7/32",)),
    WAN._replace(name="tcp", protocol=("tcp",)),
    WAN._replace(name="web", protocol=("tcp",), destination_ports=((80, 80),), nat=Nat("192.0.2.1", (1024, 65535), RANDOM_FULLY)),
    WAN._replace(name="several", protocol=("dccp", "sctp", "tcp", "udp", "udplite"), destination_ports=((80, 80), (1000, 2000))),
    WAN._replace(name="many", protocol=("udp",), destination_ports=tuple((port, port + port % 4) for port in range(1000, 1300, 12))),
    WAN._replace(name="portless", protocol=("ah", "esp", "gre", "icmp")),
    WAN._replace(name="gre", protocol=("gre",)),
    WAN._replace(name="mark", mark=(0x10, EVERY_BIT)),
    WAN._replace(name="mark-zero", mark=(0, EVERY_BIT)),
    WAN._replace(name="mark-bits", mark=(0x1, 0xFF)),
    WAN._replace(name="mark-leading", mark=(0x10000, 0xFFFF0000)),
    WAN._replace(name="mark-first", mark=(0, 0x80000000)),
    WAN._replace(name="one-port", protocol=("tcp",), nat=Nat(MASQUERADE, (4000, 4000), RANDOM)),
    WAN._replace(name="range", nat=Nat("192.0.2.1-192.0.2.9", (), KEEP, True)),
    WAN._replace(name="all-of-a-network", nat=Nat("192.0.2.0-192.0.2.255", (), RANDOM_FULLY, True)),
    WAN._replace(name="range-ports", protocol=("tcp", "udp"), nat=Nat("192.0.2.1-192.0.2.9", (1024, 65535), RANDOM, True)),
    WAN._replace(name="exempt", nat=Nat(EXEMPT), destination=("10.0.0.0/8",), comment="ünter uns"),
    WAN6,
    WAN6._replace(name="networks", source=("2001:db8::/64", "2001:db8:1::5/128"), destination=("64:ff9b::/96",)),
    WAN6._replace(name="neighbours", source=("2001:db8:0:1::/64", "2001:db8:0:2::/64"), protocol=("icmpv6", "udp")),
    WAN6._replace(name="address", nat=Nat("2001:db8::1", (), RANDOM_FULLY)),
    WAN6._replace(name="port", protocol=("tcp",), nat=Nat("2001:db8::1", (1024, 1024), KEEP, True)),
    WAN6._replace(name="range", nat=Nat("2001:db8::1-2001:db8::9", (), RANDOM)),
    WAN6._replace(name="range-ports", protocol=("sctp",), nat=Nat("2001:db8::1-2001:db8::9", (1024, 65535), RANDOM_FULLY, True)),
    WAN6._replace(name="all-of-a-network", nat=Nat("2001:db8::-2001:db8::ff")),
    WAN6._replace(name="old-spelling", source=("::c000:201/128",), nat=Nat(str(ipaddress.ip_address("::ffff:192.0.2.1")))),
    WAN6._replace(name="exempt", nat=Nat(EXEMPT), destination=("fc00::/7",)),
)

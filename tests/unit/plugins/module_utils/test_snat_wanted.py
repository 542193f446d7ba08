# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a list of SNAT rules means, and everything that is wrong with one, by the path of the option."""
import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _snat_options, _snat_wanted
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import Nat, Rule


def given(**options):
    """A rule as a module hands it over: with every option."""
    defaults = {name: row.get("default") for name, row in _snat_options.rule_spec().items()}
    return dict(defaults, **dict({"name": "lan", "to": "masquerade"}, **options))


def meant(**options):
    (rule,), refusals = _snat_wanted.rules({"rules": [given(**options)]})
    assert refusals == ()
    return rule


def refused(*rules):
    return _snat_wanted.rules({"rules": list(rules)})[1]


MEANINGS = {
    "least": ({}, {}),
    "name of every kind": ({"name": "A-z_0.9"}, {"name": "A-z_0.9"}),
    "comment": ({"comment": "$(reboot) \\ 'x' -j ACCEPT"}, {"comment": "$(reboot) \\ 'x' -j ACCEPT"}),
    "family": ({"family": "ipv6"}, {"family": "ipv6"}),
    "family by source": ({"source": ["fd00::/8"]}, {"family": "ipv6", "source": ("fd00::/8",)}),
    "family by target": ({"to": "2001:db8::1"}, {"family": "ipv6", "nat": Nat("2001:db8::1")}),
    "family by protocol": ({"protocol": ["icmpv6"]}, {"family": "ipv6", "protocol": ("icmpv6",)}),
    "networks are merged": ({"source": ["10.0.1.0/24", "10.0.0.0/24", "10.0.0.7"]}, {"source": ("10.0.0.0/23",)}),
    "all addresses are none": ({"source": ["0.0.0.0/0"]}, {"source": ()}),
    "all addresses tell the family": ({"destination": ["::/0"]}, {"family": "ipv6"}),
    "a host is a network": ({"destination": ["192.0.2.7"]}, {"destination": ("192.0.2.7/32",)}),
    "one spelling of IPv6": ({"source": ["2001:DB8:0::/64"]}, {"family": "ipv6", "source": ("2001:db8::/64",)}),
    "protocols are sorted": ({"protocol": ["udp", "tcp", "udp"]}, {"protocol": ("tcp", "udp")}),
    "ports are merged": (
        {"protocol": ["tcp"], "destination_ports": ["443", "80-90", "91", "85-88"]},
        {"protocol": ("tcp",), "destination_ports": ((80, 91), (443, 443))},
    ),
    "mark": ({"mark": "16"}, {"mark": (16, 0xFFFFFFFF)}),
    "mark with mask": ({"mark": "0x10/0xF0"}, {"mark": (0x10, 0xF0)}),
    "no mark": ({"mark": "0/1"}, {"mark": (0, 1)}),
    "wildcard": ({"out_interface": "wan*"}, {"out_interface": "wan*"}),
    "15 letters and a wildcard": ({"in_interface": "abcdefghijklmno*"}, {"in_interface": "abcdefghijklmno*"}),
    "odd letters": ({"out_interface": "$(x);`y`'\\"}, {"out_interface": "$(x);`y`'\\"}),
    "range": ({"to": "192.0.2.1-192.0.2.9", "persistent": True}, {"nat": Nat("192.0.2.1-192.0.2.9", persistent=True)}),
    "range of one": ({"to": "192.0.2.1-192.0.2.1"}, {"nat": Nat("192.0.2.1")}),
    "ports to choose from": (
        {"to": "192.0.2.1", "protocol": ["udp"], "ports": "1024-65535", "port_selection": "random_fully"},
        {"protocol": ("udp",), "nat": Nat("192.0.2.1", (1024, 65535), "random_fully")},
    ),
    "one port": ({"protocol": ["tcp"], "ports": "5000"}, {"protocol": ("tcp",), "nat": Nat("masquerade", (5000, 5000))}),
    "exempt": ({"to": "exempt", "destination": ["10.0.0.0/8"]}, {"nat": Nat("exempt"), "destination": ("10.0.0.0/8",)}),
}


@pytest.mark.parametrize("options, fields", MEANINGS.values(), ids=MEANINGS)
def test_meaning(options, fields):
    assert meant(**options) == Rule(**dict({"name": "lan", "family": "ipv4", "nat": Nat("masquerade")}, **fields))


# options, the option that is named, what the remedy says
FAULTS = {
    "no name": ({"name": ""}, "name", "1 to 64"),
    "name with a blank": ({"name": "a b"}, "name", "A-Z"),
    "name with a line feed": ({"name": "a\n"}, "name", "A-Z"),
    "long name": ({"name": "a" * 65}, "name", "1 to 64"),
    "comment with a quote": ({"comment": 'a"b'}, "comment", "leave it out"),
    "comment with a line feed": ({"comment": "a\nb"}, "comment", "leave it out"),
    "comment with a bell": ({"comment": "\x07"}, "comment", "leave it out"),
    "long comment": ({"comment": "x" * 116}, "comment", "shorten"),
    "long comment in bytes": ({"comment": "ä" * 58}, "comment", "121 bytes"),
    "interface with a blank": ({"out_interface": "a b"}, "out_interface", "15 characters"),
    "interface with a slash": ({"in_interface": "a/b"}, "in_interface", "15 characters"),
    "interface of 16": ({"out_interface": "a" * 16}, "out_interface", "15 characters"),
    "every interface": ({"out_interface": "*"}, "out_interface", "15 characters"),
    "wildcard within": ({"out_interface": "a*b"}, "out_interface", "15 characters"),
    "folder": ({"out_interface": ".."}, "out_interface", "15 characters"),
    "no network": ({"source": ["lan"]}, "source", "192.0.2.0/24"),
    "host bits": ({"destination": ["10.0.0.1/24"]}, "destination", "10.0.0.0/24"),
    "networks of two families": ({"source": ["10.0.0.0/8", "fd00::/8"]}, "source", "a rule for each"),
    "families that differ": ({"source": ["10.0.0.0/8"], "to": "2001:db8::1"}, "family", "a rule for each"),
    "family and address": ({"family": "ipv6", "destination": ["10.0.0.0/8"]}, "family", "a rule for each"),
    "family and protocol": ({"family": "ipv4", "protocol": ["icmpv6"]}, "family", "a rule for each"),
    "no target": ({"to": "wan0"}, "to", "masquerade, exempt"),
    "target with a network": ({"to": "192.0.2.0/24"}, "to", "range of addresses"),
    "range upside down": ({"to": "192.0.2.9-192.0.2.1"}, "to", "lower to a higher"),
    "range of two families": ({"to": "192.0.2.9-2001:db8::1"}, "to", "one family"),
    "multicast": ({"to": "224.0.0.1"}, "to", "cannot be the source"),
    "no address": ({"to": "0.0.0.0"}, "to", "cannot be the source"),
    "ports without protocol": ({"ports": "1024-65535"}, "ports", "protocol: [tcp, udp]"),
    "ports of a protocol without": ({"protocol": ["tcp", "gre"], "ports": "1024-65535"}, "ports", "protocol: [tcp, udp]"),
    "destination ports without protocol": ({"destination_ports": ["80"]}, "destination_ports", "protocol: [tcp, udp]"),
    "port 0": ({"protocol": ["tcp"], "ports": "0-5"}, "ports", "1 to 65535"),
    "port 65536": ({"protocol": ["tcp"], "destination_ports": ["65536"]}, "destination_ports", "1 to 65535"),
    "ports upside down": ({"protocol": ["tcp"], "ports": "9-1"}, "ports", "low to high"),
    "ports by name": ({"protocol": ["tcp"], "destination_ports": ["http"]}, "destination_ports", "1024-65535"),
    "no mark": ({"mark": "red"}, "mark", "32 bits"),
    "mark of 33 bits": ({"mark": "4294967296"}, "mark", "32 bits"),
    "no bit in the mask": ({"mark": "0/0"}, "mark", "32 bits"),
    "mark beside its mask": ({"mark": "0x100/0xff"}, "mark", "widen the mask"),
    "exempt with ports": ({"to": "exempt", "protocol": ["tcp"], "ports": "1-9"}, "ports", "leave it out"),
    "exempt at random": ({"to": "exempt", "port_selection": "random"}, "port_selection", "leave it out"),
    "exempt and persistent": ({"to": "exempt", "persistent": True}, "persistent", "leave it out"),
    "masquerade and persistent": ({"persistent": True}, "persistent", "a range in to"),
}


@pytest.mark.parametrize("options, option, remedy", FAULTS.values(), ids=FAULTS)
def test_fault(options, option, remedy):
    (text,) = refused(given(**options))
    assert text.startswith("rules[0].%s: " % option) and remedy in text


def test_everything_wrong_is_said_at_once():
    texts = refused(given(), given(source=["x"], mark="y", ports="z"), given(name="b", out_interface=" "))
    assert [text.partition(":")[0] for text in texts] == [
        "rules[1].mark", "rules[1].ports", "rules[1].source", "rules[1].name", "rules[2].out_interface",
    ]


@pytest.mark.parametrize("value", ["text", [7], [{}], [{"name": 1, "to": [], "source": "x", "persistent": "maybe"}], None])
def test_what_the_frame_complains_of_is_no_traceback(value):
    rules, dummy = _snat_wanted.rules({"rules": value})
    assert rules == ()

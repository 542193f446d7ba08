# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is warned of, and that a sound document is not."""
from typing import Any, NamedTuple, Tuple

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _snat_truth
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_row import Row
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import Nat, Rule


class Kernel(NamedTuple):
    version: Tuple[int, int] = (6, 1)
    mem_total: int = 8 << 30
    running: Any = {"max": 262144, "tcp_timeout_established": 432000}


USUAL, SOUND = Kernel(), Nat("192.0.2.1", (1024, 65535), "random_fully")


def rule(nat=SOUND, name="lan", **fields):
    return Rule(**dict({"name": name, "family": "ipv4", "nat": nat}, **fields))


class State(NamedTuple):
    kernel: Any
    links: Any = ("lo", "wan0", "lan0")
    unread: Any = ()
    passing: Any = ()
    rows: Any = ()


def warned(*rules, kernel=USUAL):
    return list(_snat_truth.warnings(State(kernel), "nftables", rules))


def test_what_passes_untracked():
    state = State(USUAL, passing=("ipv4",))
    (text,) = _snat_truth.warnings(state, "nftables", [rule()])
    assert text.startswith("ipv4 is forwarded")
    assert list(_snat_truth.warnings(state, "nftables", [rule(family="ipv6")])) == list(_snat_truth.warnings(state, None, [])) == []


CHAINS = {
    "before nftables": (90, "nftables", "a rule of others decides before ours"),
    "with nftables": (99, "nftables", "whenever it is loaded after ours"),
    "after nftables": (100, "nftables", ""),
    "before iptables": (99, "iptables-nft", "a rule of others decides before ours"),
    "with iptables": (100, "iptables-legacy", "whenever it is loaded after ours"),
    "after iptables": (101, "iptables-nft", ""),
    "that nothing leads to": (None, "nftables", ""),
}


@pytest.mark.parametrize("priority, backend, words", CHAINS.values(), ids=CHAINS)
def test_chains_of_others(priority, backend, words):
    row = Row("nftables", "inet", "nat", "post", 1, Nat("masquerade"), priority=priority, text="masquerade")
    texts = list(_snat_truth.warnings(State(USUAL, rows=(row, row._replace(owner="netfleet.conntrack"))), backend, [rule()]))
    assert len(texts) == bool(words) and words in "".join(texts)


def test_what_could_not_be_read():
    assert list(_snat_truth.warnings(State(USUAL, unread=("table ip6 x (why)",)), None, [])) == ["could not read table ip6 x (why)"]


def test_a_sound_document_is_not_warned_of():
    assert warned(rule(out_interface="wan0", in_interface="lan*"), rule(Nat("masquerade"), "other", source=("10.0.0.0/8",))) == []


SHORT = Kernel(running={"max": 262144, "tcp_timeout_established": 600})
SMALL = Kernel(mem_total=1 << 30)
TRUTHS = {
    "random since 5.0": (rule(Nat("192.0.2.1", port_selection="random")), USUAL, "say random_fully, which means the same"),
    "random before": (rule(Nat("192.0.2.1", port_selection="random")), Kernel((4, 18)), "still collide"),
    "short timeout": (rule(), SHORT, "raise it to 7440"),
    "short timeout, random": (rule(Nat("192.0.2.1", port_selection="random")), SHORT, "raise it to 7440"),
    "one port": (rule(Nat("192.0.2.1", (5000, 5000))), USUAL, "widen ports"),
    "few ports": (rule(Nat("192.0.2.1", (5000, 5126))), USUAL, "127 ports"),
    "low ports": (rule(Nat("192.0.2.1", (512, 1023))), USUAL, "begin at 1024"),
    "masquerade's memory": (rule(Nat("masquerade")), SMALL, "32 MiB"),
    "persistent with one address": (rule(Nat("192.0.2.1", persistent=True)), USUAL, "leave it out"),
    "no such interface": (rule(out_interface="ppp*"), USUAL, "no interface ppp*"),
    "no such interface to come from": (rule(in_interface="lan1"), USUAL, "no interface lan1"),
}


@pytest.mark.parametrize("given, kernel, words", TRUTHS.values(), ids=TRUTHS)
def test_truth(given, kernel, words):
    assert words in "\n".join(warned(given, kernel=kernel))


NOT_TRUE = {
    "short timeout without random": (rule(Nat("192.0.2.1")), SHORT),
    "128 ports": (rule(Nat("192.0.2.1", (5000, 5127))), USUAL),
    "masquerade with memory": (rule(Nat("masquerade")), USUAL),
    "an address needs no more": (rule(Nat("192.0.2.1")), SMALL),
    "timeout as keepalive needs it": (rule(), Kernel(running={"max": 1, "tcp_timeout_established": 7440})),
    "not loaded": (rule(Nat("masquerade")), Kernel(running={})),
}


@pytest.mark.parametrize("given, kernel", NOT_TRUE.values(), ids=NOT_TRUE)
def test_not_true(given, kernel):
    assert warned(given, kernel=kernel) == []


# a rule, a rule after it, whether the second one never decides
WIDE = rule()
ORDERS = {
    "the same": (WIDE, WIDE, True),
    "less of it": (WIDE, rule(source=("10.0.0.0/8",), protocol=("tcp",), destination_ports=((80, 80),), mark=(1, 1)), True),
    "more": (rule(source=("10.0.0.0/8",)), WIDE, False),
    "a network within": (rule(source=("10.0.0.0/8", "192.168.0.0/16")), rule(source=("10.1.0.0/16", "192.168.7.0/24")), True),
    "a network beside": (rule(source=("10.0.0.0/9",)), rule(source=("10.0.0.0/8",)), False),
    "ports within": (
        rule(protocol=("tcp", "udp"), destination_ports=((80, 90), (443, 443))), rule(protocol=("tcp",), destination_ports=((85, 86),)), True),
    "ports beside": (rule(protocol=("tcp",), destination_ports=((80, 90),)), rule(protocol=("tcp",), destination_ports=((85, 91),)), False),
    "another protocol": (rule(protocol=("tcp",)), rule(protocol=("tcp", "udp")), False),
    "wildcard": (rule(out_interface="wan*"), rule(out_interface="wan0"), True),
    "wider wildcard": (rule(out_interface="wan0*"), rule(out_interface="wan*"), False),
    "another interface": (rule(out_interface="wan0"), rule(out_interface="lan0"), False),
    "another family": (WIDE, rule(family="ipv6"), False),
    "another mark": (rule(mark=(1, 1)), rule(mark=(0, 1)), False),
}


@pytest.mark.parametrize("first, second, hidden", ORDERS.values(), ids=ORDERS)
def test_order(first, second, hidden):
    texts = [text for text in warned(first, second._replace(name="second")) if "(second): it never decides, for lan" in text]
    assert bool(texts) == hidden

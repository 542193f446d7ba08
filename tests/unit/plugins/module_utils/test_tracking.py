# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import errno
import pathlib
import random

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _tracking
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import FlowTuple, get
from ansible_collections.netfleet.conntrack.plugins.module_utils._tracking import Evidence, tracking

RULESETS = pathlib.Path(__file__).parents[2] / "fixtures" / "nft"
MUTATIONS = 2000
IN_C = " in table ip x chain c"
INET = " in table inet x chain c"
NO_RULE = "no rule asks for it"
YES, NO, UNKNOWN = "yes", "no", "unknown"

# Recorded output of `nft -j list ruleset`, whether it has packets tracked, and why.
RECORDED = {
    "no_rules": (NO, NO, NO_RULE),
    "empty_table": (NO, NO, NO_RULE),
    "nat_chain_without_rule": (NO, NO, NO_RULE),
    "filter_without_ct": (NO, NO, NO_RULE),
    "notrack": (NO, NO, NO_RULE),
    "tproxy": (NO, NO, NO_RULE),
    "socket": (NO, NO, NO_RULE),
    "limit": (NO, NO, NO_RULE),
    "count_of_element": (NO, NO, NO_RULE),
    "set_of_marks": (NO, NO, NO_RULE),
    "map_of_marks": (NO, NO, NO_RULE),
    "iptables_mark": (NO, NO, NO_RULE),
    "state_in_unreached_chain": (YES, NO, "ipv4: rule with ct state" + IN_C + "; ipv6: " + NO_RULE),
    "state_ip6": (NO, YES, "ipv4: " + NO_RULE + "; ipv6: rule with ct state in table ip6 x chain c"),
    "state_inet": (YES, YES, "rule with ct state" + INET),
    "state_dormant_table": (YES, NO, "rule with ct state" + IN_C),
    "state_vmap": (YES, NO, "rule with ct state" + IN_C),
    "mark_in_concatenation": (YES, NO, "rule with ct mark" + IN_C),
    "mark_set": (YES, NO, "rule with ct mark" + IN_C),
    "mark_read": (YES, NO, "rule with ct mark" + IN_C),
    "mark_hashed": (YES, NO, "rule with ct mark" + IN_C),
    "zone_set": (YES, NO, "rule with ct zone" + IN_C),
    "label": (YES, NO, "rule with ct label" + IN_C),
    "event_set": (YES, NO, "rule with ct event" + IN_C),
    "helper_match": (YES, NO, "rule with ct helper" + IN_C),
    "original_address": (YES, YES, "rule with ct ip saddr" + INET),
    "count": (YES, NO, "rule with ct count" + IN_C),
    "count_in_set_update": (YES, NO, "rule with ct count" + IN_C),
    "count_of_set": (YES, NO, "set s with ct count in table ip x;"),
    "count_in_meter": (YES, NO, "rule with ct count" + IN_C),
    "helper_object": (YES, NO, "object ct helper f in table ip x;"),
    "helper_set": (YES, NO, "object ct helper f in table ip x;"),
    "timeout_object": (YES, NO, "object ct timeout f in table ip x;"),
    "timeout_object_inet": (YES, YES, "object ct timeout f in table inet x"),
    "expectation_object": (YES, NO, "object ct expectation f in table ip x;"),
    "synproxy_object": (YES, NO, "object synproxy f in table ip x;"),
    "synproxy": (YES, NO, "rule with synproxy" + IN_C),
    "snat": (YES, NO, "rule with snat" + IN_C),
    "snat_inet_ip": (YES, NO, "rule with snat" + INET),
    "snat_inet_ip6": (NO, YES, "ipv6: rule with snat" + INET),
    "masquerade": (YES, NO, "rule with masquerade" + IN_C),
    "masquerade_inet": (YES, YES, "rule with masquerade" + INET),
    "dnat": (YES, NO, "rule with dnat" + IN_C),
    "dnat_inet_ip": (YES, NO, "rule with dnat" + INET),
    "dnat_inet_port": (YES, YES, "rule with dnat" + INET),
    "dnat_by_map": (YES, NO, "rule with dnat" + IN_C),
    "redirect": (YES, NO, "rule with redirect" + IN_C),
    "bridge": (YES, YES, "rule with ct state in table bridge x chain c"),
    "flow": (YES, YES, "rule with flow" + INET),
    "flowtable_alone": (NO, NO, NO_RULE),
    "typed_by_expression": (NO, NO, NO_RULE),
    "iptables_docker": (YES, NO, "rule with -j MASQUERADE in table ip nat chain POSTROUTING"),
    "iptables_ct": (UNKNOWN, NO, "could not read rule with -j CT in table ip raw chain PREROUTING"),
    "iptables_ct_notrack": (UNKNOWN, NO, "could not read rule with -j CT in table ip raw chain PREROUTING"),
}

ONE_RULE = '{"nftables": [{"rule": {"family": "%s", "table": "t", "chain": "c", "handle": 1, "expr": [%s]}}]}'
CT = '{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}}'

# Rulesets that this kernel or this nft does not make, as sources and other versions have them.
WRITTEN = {
    "family that has no tracking": (ONE_RULE % ("arp", CT), NO, NO),
    "rule of iptables seen by an old nft": (ONE_RULE % ("ip", '{"xt": null}'), UNKNOWN, NO),
    "CLUSTERIP": (ONE_RULE % ("ip", '{"xt": {"type": "target", "name": "CLUSTERIP"}}'), YES, NO),
    "no rules": ('{"nftables": []}', NO, NO),
    "no JSON": ("", UNKNOWN, UNKNOWN),
    "other JSON": ("[]", UNKNOWN, UNKNOWN),
    "no list": ('{"nftables": 5}', UNKNOWN, UNKNOWN),
}


def read(name):
    return (RULESETS / (name + ".json")).read_text()


def answers(evidence):
    found = tracking(evidence)
    return found["ipv4"], found["ipv6"]


def test_every_recorded_ruleset_has_its_answer():
    assert sorted(path.stem for path in RULESETS.glob("*.json")) == sorted(RECORDED)


@pytest.mark.parametrize("name, ipv4, ipv6, reason", [(name,) + row for name, row in RECORDED.items()], ids=RECORDED)
def test_recorded_ruleset(name, ipv4, ipv6, reason):
    found = tracking(Evidence(nft=read(name)))
    assert (found["ipv4"], found["ipv6"]) == (ipv4, ipv6)
    assert reason in found["because"]


@pytest.mark.parametrize("ruleset, ipv4, ipv6", WRITTEN.values(), ids=WRITTEN)
def test_ruleset(ruleset, ipv4, ipv6):
    assert answers(Evidence(nft=ruleset)) == (ipv4, ipv6)


def saved(table, rule, chain="PREROUTING"):
    return "# Generated by iptables-save\n*%s\n:%s ACCEPT [0:0]\n-A %s %s\nCOMMIT\n" % (table, chain, chain, rule)


# Text of iptables-save, whether it has IPv4 tracked.
SAVED = {
    "nothing": ("", NO),
    "accept": (saved("nat", "-p tcp -m tcp --dport 80 -j ACCEPT"), NO),
    "state": (saved("filter", "-m state --state RELATED,ESTABLISHED -j ACCEPT"), YES),
    "state with counters": (saved("filter", "x").replace("-A", "[5:300] -A").replace("x", "-m state --state NEW"), YES),
    "masquerade": (saved("nat", '-o eth9 -m comment --comment "a \\"q\\" b" -j MASQUERADE --random-fully'), YES),
    "notrack": (saved("raw", "-j CT --notrack"), NO),
    "notrack of what a match tracks": (saved("raw", "-m connmark --mark 0x1 -j CT --notrack"), YES),
    "zone": (saved("raw", "-j CT --zone 3"), YES),
    "chain named like a target": (saved("filter", "-j SNAT-LOG", chain="MASQUERADE"), NO),
    "comment like a match": (saved("filter", '-m comment --comment "-m state" -j ACCEPT'), NO),
    "comment that never ends": (saved("filter", '-m comment --comment "open -m state --state NEW'), YES),
}


@pytest.mark.parametrize("text, ipv4", SAVED.values(), ids=SAVED)
def test_saved_rules(text, ipv4):
    assert answers(Evidence(iptables={"iptables-legacy-save": text})) == (ipv4, NO)
    assert answers(Evidence(iptables={"ip6tables-save": text})) == (NO, ipv4)


def test_saved_rule_is_named():
    evidence = Evidence(iptables={"ip6tables-legacy-save": saved("filter", "-m state --state NEW -j DROP", "INPUT")})
    assert tracking(evidence)["because"] == "ipv4: no rule asks for it; ipv6: rule with -m state in table ip6 filter chain INPUT"


SETTLED = {
    "notrack": ("iptables_ct_notrack", saved("raw", "-p udp -m udp --dport 53 -j CT --notrack"), NO),
    "zone": ("iptables_ct", saved("raw", "-j CT --zone 3"), YES),
    "text of other tables": ("iptables_ct", saved("filter", "-j ACCEPT", "INPUT"), UNKNOWN),
}


@pytest.mark.parametrize("name, text, ipv4", SETTLED.values(), ids=SETTLED)
def test_save_command_settles_what_nft_does_not_show(name, text, ipv4):
    assert answers(Evidence(nft=read(name), iptables={"iptables-save": text})) == (ipv4, NO)


TRACKED, UNTRACKED = {"ipv4": True}, {"ipv4": False}
HOOKED, UNHOOKED = {"ipv4": ("ipv4_conntrack_in",)}, {"ipv4": ("nft_do_chain_ipv4",)}
STATE, PARAMETER = read("state_in_unreached_chain"), "/etc/modprobe.d/x.conf:3"
PACKET = "a packet sent over loopback was "
SET = "module parameter enable_hooks in " + PARAMETER

# Evidence of several kinds, the answer for IPv4, and why.
WEIGHED = {
    "nothing at all": (Evidence(), NO, NO_RULE),
    "packet not tracked": (Evidence(probe=UNTRACKED), NO, NO_RULE + " and " + PACKET + "not tracked"),
    "packet tracked": (Evidence(probe=TRACKED), YES, PACKET + "tracked, though no rule that was read asks for it"),
    "packet unknown": (Evidence(probe={"ipv4": None}), NO, NO_RULE),
    "rule, though notrack hides the packet": (Evidence(nft=STATE, probe=UNTRACKED), YES, "rule with ct state" + IN_C),
    "rule and packet": (Evidence(nft=STATE, probe=TRACKED), YES, "rule with ct state" + IN_C),
    "unread": (Evidence(unread=("the rules of nft",)), UNKNOWN, "could not read the rules of nft"),
    "unread, packet tracked": (Evidence(unread=("the rules of nft",), probe=TRACKED), YES, PACKET + "tracked"),
    "unread, packet not tracked": (Evidence(unread=("a", "b"), probe=UNTRACKED), UNKNOWN, "could not read a, b"),
    "unread, but a rule was": (Evidence(nft=STATE, unread=("a",)), YES, "rule with ct state" + IN_C),
    "parameter": (Evidence(enable_hooks=PARAMETER), YES, SET),
    "parameter, packet tracked": (Evidence(enable_hooks=PARAMETER, probe=TRACKED), YES, SET),
    "parameter, packet not tracked": (Evidence(enable_hooks=PARAMETER, probe=UNTRACKED), UNKNOWN, SET + ", but " + PACKET + "not tracked"),
    "hook": (Evidence(hooks=HOOKED), YES, "the kernel has a hook for tracking"),
    "hook and rule": (Evidence(nft=STATE, hooks=HOOKED), YES, "rule with ct state" + IN_C),
    "hook, packet not tracked": (Evidence(hooks=HOOKED, probe=UNTRACKED), YES, "the kernel has a hook for tracking"),
    "no hook, whatever else": (Evidence(hooks=UNHOOKED, enable_hooks=PARAMETER, unread=("a",)), NO, "the kernel has no hook for tracking"),
    "hooks without names": (Evidence(hooks={"ipv4": ("",)}, probe=TRACKED), YES, PACKET + "tracked"),
}


@pytest.mark.parametrize("evidence, ipv4, reason", WEIGHED.values(), ids=WEIGHED)
def test_evidence_is_weighed(evidence, ipv4, reason):
    found = tracking(evidence)
    assert found["ipv4"] == ipv4
    assert found["because"].startswith((reason, "ipv4: " + reason))


PARAMETERS = {
    "module options": ("hashsize=4096 enable_hooks=1", "", True),
    "off": ("enable_hooks=0", "", False),
    "last one wins": ("enable_hooks=1 enable_hooks=N", "", False),
    "without a value": ("enable_hooks", "", True),
    "absent": ("hashsize=4096", "", None),
    "command line": ("quiet nf_conntrack.enable_hooks=Y -- x", "nf_conntrack.", True),
    "command line with dashes": ("nf-conntrack.enable-hooks=1", "nf_conntrack.", True),
    "of another module": ("other.enable_hooks=1", "nf_conntrack.", None),
}


@pytest.mark.parametrize("text, prefix, on", PARAMETERS.values(), ids=PARAMETERS)
def test_enable_hooks(text, prefix, on):
    assert _tracking.enable_hooks(text.split(), prefix) is on


class FakeHost:
    """A host whose kernel adds ``rises`` to the count for each datagram and answers netlink with ``answer``."""

    def __init__(self, answer=None, rises=(), loopback=None):
        self.answer, self.rises, self.loopback = answer, list(rises), loopback
        self.count, self.asked = 100, []

    def loopback_udp(self, family):
        if self.loopback:
            raise OSError(self.loopback, "")
        self.count += self.rises.pop(0) if self.rises else 0
        return {"ipv4": "127.0.0.1", "ipv6": "::1"}[family], 40000, 50000

    def number(self, path):
        assert path == "/proc/sys/net/netfilter/nf_conntrack_count"
        return self.count

    def netlink(self, request, dump):
        assert dump is False
        self.asked.append(request)
        if isinstance(self.answer, int):
            raise OSError(self.answer, "")
        return self.answer


LOOKED_UP = {
    "entry": (FakeHost(answer=[(0x100, 2, 1, b"")]), True),
    "no entry": (FakeHost(answer=errno.ENOENT), False),
    "not allowed": (FakeHost(answer=errno.EPERM), None),
    "no such subsystem": (FakeHost(answer=errno.EINVAL), None),
    "no such family": (FakeHost(loopback=errno.EADDRNOTAVAIL), None),
}


@pytest.mark.parametrize("host, tracked", LOOKED_UP.values(), ids=LOOKED_UP)
def test_probe_by_lookup(host, tracked):
    assert _tracking.probe(host, "ipv6") is tracked
    assert host.asked in ([], [get(FlowTuple(17, "::1", "::1", 40000, 50000))])


COUNTED = {
    "each packet counted": ([1, 1, 1], True),
    "none counted": ([0, 0, 0], False),
    "other traffic": ([1, 0, 1], None),
    "much other traffic": ([5, 1, 1], None),
    "entries go at the same time": ([-1, -1, -1], None),
}


@pytest.mark.parametrize("rises, tracked", COUNTED.values(), ids=COUNTED)
def test_probe_by_count(rises, tracked):
    host = FakeHost(rises=rises)
    assert _tracking.probe(host, "ipv4", netlink=False) is tracked
    assert host.asked == []


def test_no_mutation_of_a_ruleset_raises():
    chance = random.Random(3)
    texts = [read(name) for name in sorted(RECORDED)]
    for _attempt in range(MUTATIONS):
        text = chance.choice(texts)
        start, end = sorted((chance.randrange(len(text)), chance.randrange(len(text))))
        other = chance.choice(('null', '[]', '{}', '"ct"', '5', '{"ct": 1}', ''))
        for damaged in (text[:start] + text[end:], text.replace(chance.choice(('"x"', '"ip"', '"c"')), other)):
            assert set(answers(Evidence(nft=damaged))) <= {YES, NO, UNKNOWN}

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of diagnosis: what an Evidence shows, what it does not, what comes first, and that every fragment is a document.

That the numbers are those of real packets is shown by tests/integration.
"""
import json
import os

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _facts, _findings, _findings_row, _findings_size, _view
from ansible_collections.netfleet.conntrack.plugins.module_utils._findings_row import SEVERITIES, Evidence, Flows, Held, Hidden, Idle, Log, Queue, Sockets
from ansible_collections.netfleet.conntrack.plugins.module_utils._findings_texts import TEXTS
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_row import Row
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import Nat
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import policies, recorded

ROOT = os.path.abspath(os.path.join(recorded.HOSTS, *[os.pardir] * 4))
HEADINGS = ["## What you see", "## Why", "## Proof by hand", "## Cure", "## Prevention"]
# The ids that reports and people rely on.
IDS = {
    "table_full", "table_filling", "idle_flows_hold_table", "hash_too_small", "hash_too_large", "snat_collisions", "snat_ports_exhausted", "dns_pair_race",
    "count_mismatch", "late_load", "not_tracking", "lost_at_boot", "bad_boot_file", "legacy_names", "timeouts_too_short", "timeouts_too_long", "foreign_owner",
}
LISTS = {
    "by_source": [{"value": "192.168.1.20", "flows": 950, "share": 0.95}], "by_destination": [{"value": "203.0.113.9", "flows": 10, "share": 0.01}],
    "by_destination_port": [{"value": "6881/tcp", "flows": 900, "share": 0.9}],
}
FLOWS = Flows(1000, 1000, True, LISTS, {"tcp_timeout_established": 900, "udp_timeout": 100}, assured=1000)
IDLE = Idle(900, "192.168.1.20", 880, (90000, 250000, 420000))
RULE = {"backend": "nftables", "family": "ipv4", "table": "nat", "chain": "post", "handle": 2, "owner": "", "match": "", "to": "masquerade", "ports": "",
        "port_selection": "keep", "persistent": False, "comment": "", "packets": 0, "priority": 100}
AT_RANDOM = dict(RULE, port_selection="random_fully")
TEXT = 'oifname "wan0" snat to 192.0.2.1:40000-40009 fully-random'
ROW = Row("nftables", "ipv4", "nat", "post", 2, Nat("192.0.2.1", (40000, 40009)), match='oifname "wan0"', text=TEXT)
USE = {"nat_address": "192.0.2.1", "protocol": "tcp", "destination": "198.51.100.9", "destination_port": 443, "zone": 0, "used": 10, "available": 10,
       "share": 1.0, "flows_per_second": 0.1, "low": 10, "high": 10}
SOCKETS = Sockets(3, 9, ({"protocol": "tcp", "local": "192.0.2.1", "silent": 60},))
CLASH = {"snat_collisions": {"insert_failed": 9, "drop": 9, "found": 0}}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """A function of changes: the evidence of a healthy router, with them. Names of facts, counters' patterns, running values, or fields."""
    view = _view.View(recorded.machine("trixie-6.12", tmp_path_factory.mktemp("host")))
    facts = dict(_facts.of(view, {}), count=100, max=4096, buckets=4096, snat_rules=[AT_RANDOM], tracking={"ipv4": "yes", "ipv6": "yes", "because": "a rule"})

    def made(patterns=None, running=None, seconds=2.0, release=None, **changes):
        here = dict(facts, **{name: changes.pop(name) for name in list(changes) if name in facts})
        here["usage"] = here["count"] / float(here["max"])
        here["load_factor"] = here["max"] / float(here["buckets"])
        rows = [{"id": name, "meaning": "", "evidence": dict(numbers, seconds=seconds)} for name, numbers in (patterns or {}).items()]
        here["counters"] = dict(here["counters"], patterns=rows, rates={"seconds": seconds, "count": 0.0})
        kernel = view.kernel._replace(running=dict(view.kernel.running, **(running or {})), version=release or view.kernel.version)
        return Evidence(facts=here, kernel=kernel, boot=view.boot, inputs=view.inputs)._replace(**changes)

    return made


FULL = {"count": 4096, "flows": FLOWS, "patterns": {"table_full": {"drop": 300, "insert_failed": 0, "early_drop": 2}}}
# What is the case -> the (id, severity) of each finding, in their order.
CASES = {
    "nothing": ({}, []),
    "a lost packet in ten seconds": ({"patterns": {"snat_collisions": {"insert_failed": 1, "drop": 1}}, "seconds": 10.0}, []),
    "busy": ({"count": 3000, "patterns": {"clashes_resolved": {"clash_resolve": 50}, "invalid_packets": {"invalid": 90}}}, []),
    "full": (FULL, [("table_full", "critical")]),
    "full, and nobody tries": ({"count": 4096, "flows": FLOWS}, [("table_full", "critical")]),
    "at its limit, and makes room": ({"count": 4096, "flows": FLOWS._replace(assured=100), "patterns": {"table_filling": {"early_drop": 50}}},
                                     [("table_filling", "warning")]),
    "nearly full": ({"count": 3500}, [("table_filling", "warning")]),
    "was full a while ago": ({"count": 2600, "log": Log(3, 60.0)}, [("table_filling", "warning")]),
    "was full long ago": ({"count": 2600, "log": Log(3, 7200.0)}, []),
    "was full, and is twice as large now": ({"count": 2048, "log": Log(3, 60.0)}, []),
    "no memory for entries": ({"patterns": {"table_full": {"drop": 30}}}, [("table_full", "critical")]),
    "full of idle ones": (dict(FULL, flows=FLOWS._replace(idle=IDLE)), [("table_full", "critical"), ("idle_flows_hold_table", "critical")]),
    "nearly full of idle ones": ({"count": 3500, "flows": FLOWS._replace(idle=IDLE)}, [("idle_flows_hold_table", "warning"), ("table_filling", "warning")]),
    "full of a flood": (dict(FULL, running={"udp_timeout_stream": 600}, flows=FLOWS._replace(timeouts={"udp_timeout_stream": 990})),
                        [("table_full", "critical"), ("timeouts_too_long", "warning")]),
    "few chains": ({"max": 12262144, "buckets": 16384}, [("hash_too_small", "warning")]),
    "chains that are too long": ({"patterns": {"hash_too_small": {"chain_toolong": 9, "insert_failed": 9}}}, [("hash_too_small", "critical")]),
    "as old kernels begin": ({"max": 16384, "buckets": 4096, "count": 4000}, []),
    "the same on a kernel with short chains": ({"max": 16384, "buckets": 4096, "count": 5000, "release": (5, 15)}, [("hash_too_small", "warning")]),
    "many chains": ({"max": 1000, "buckets": 65536}, [("hash_too_large", "warning")]),
    "so many chains that nothing is evicted": (dict(FULL, count=1000, max=1000, buckets=65536, flows=FLOWS._replace(assured=0)),
                                               [("hash_too_large", "critical"), ("table_full", "critical")]),
    "many chains, and nothing to evict": (dict(FULL, count=1000, max=1000, buckets=65536), [("table_full", "critical"), ("hash_too_large", "warning")]),
    "a page of chains": ({"max": 60, "buckets": 512, "count": 1}, []),
    "no ports": ({"patterns": {"snat_ports_exhausted": {"insert_failed": 9, "drop": 9, "found": 999}}}, [("snat_ports_exhausted", "critical")]),
    "no ports, and which": (dict({"patterns": CLASH}, headroom=(USE,), rules=(ROW,)), [("snat_ports_exhausted", "critical")]),
    "few ports left": ({"headroom": (dict(USE, used=9, share=0.9),), "rules": (ROW,)}, [("snat_ports_exhausted", "warning")]),
    "one port for one connection": ({"headroom": (dict(USE, used=1, available=1),), "rules": (ROW,)}, []),
    "one port for many": ({"patterns": CLASH, "headroom": (dict(USE, used=1, available=1),), "rules": (ROW,)}, [("snat_ports_exhausted", "critical")]),
    "a race": ({"patterns": CLASH, "snat_rules": [RULE], "flows": FLOWS._replace(natted=900, dns=10)}, [("snat_collisions", "critical")]),
    "the same on a kernel that lets pairs pass": ({"patterns": CLASH, "snat_rules": [RULE], "flows": FLOWS._replace(natted=900, dns=800)},
                                                  [("snat_collisions", "critical")]),
    "a race of questions": ({"patterns": CLASH, "snat_rules": [RULE], "release": (4, 19), "flows": FLOWS._replace(natted=900, dns=800)},
                            [("dns_pair_race", "critical")]),
    "older than tracking": ({"sockets": SOCKETS}, [("late_load", "warning")]),
    "older, and exempt": ({"sockets": SOCKETS, "exempting": True}, []),
    "older, and nothing is translated": ({"sockets": SOCKETS, "snat_rules": []}, []),
    "forgotten while open": ({"sockets": SOCKETS._replace(older=()), "running": {"tcp_timeout_established": 300}}, [("timeouts_too_short", "warning")]),
    "short, without NAT": ({"snat_rules": [], "running": {"udp_timeout": 10}}, [("timeouts_too_short", "notice")]),
    "held by a queue": ({"held": (Held(Queue(7, 99, 5, 0, 5), 99, "ips"),), "hidden": Hidden(5), "flows": FLOWS._replace(seen=0, assured=0)},
                        [("count_mismatch", "critical")]),
    "a queue, and nothing is hidden": ({"held": (Held(Queue(7, 99, 5, 0, 5)),), "hidden": Hidden(0), "flows": FLOWS}, []),
    "leaked": ({"count": 1000, "hidden": Hidden(900, 900, 1.5), "flows": FLOWS._replace(seen=100)}, [("count_mismatch", "warning")]),
    "leaked until full": ({"count": 4096, "hidden": Hidden(4000, 4000, 1.5), "flows": FLOWS._replace(seen=96, assured=96)},
                          [("count_mismatch", "critical"), ("table_full", "critical")]),
    "hidden for a moment": ({"count": 1000, "hidden": Hidden(900, 3, 1.5), "flows": FLOWS._replace(seen=100)}, []),
    "switched off": ({"tracking": {"ipv4": "no", "ipv6": "no", "because": "no rule asks for it"}}, [("not_tracking", "critical")]),
    "off, and empty": ({"tracking": {"ipv4": "no", "ipv6": "no", "because": "no rule asks for it"}, "count": 0}, []),
    "off, and on at boot": ({"tracking": {"ipv4": "no", "ipv6": "no", "because": ""}, "count": 0, "hook_files": ("/etc/netfleet-conntrack/hooks.nft",)},
                            [("not_tracking", "warning")]),
    "of one family": ({"tracking": {"ipv4": "yes", "ipv6": "no", "because": "a rule"}}, []),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_what_evidence_shows(case, healthy, tmp_path):
    changes, expected = CASES[case]
    found = _findings.findings(healthy(**changes))
    assert [(each.id, each.severity) for each in found] == expected
    for each in found:
        assert all(each) or each.policy == {} and all(each._replace(policy=1))
        assert json.loads(json.dumps(each.evidence)) and None not in each.evidence.values()
        if each.policy:
            policies.run(recorded.machine("trixie-6.12", tmp_path / each.id), each.policy, check=True)


def test_every_finding_has_its_texts_and_its_page():
    assert set(_findings.IDS) == set(TEXTS) == IDS and len(_findings.IDS) == len(IDS)
    folder = os.path.join(ROOT, "docs", "findings")
    assert sorted(os.listdir(folder)) == sorted(name + ".md" for name in IDS)
    for name in IDS:
        with open(os.path.join(folder, name + ".md"), encoding="utf-8") as page:
            text = page.read()
        assert [line for line in text.splitlines() if line.startswith("## ")] == HEADINGS, name
        assert "# `%s`" % name in text and ("\n    " in text or "```" in text) and (_findings_row.DOCS % name).endswith("/docs/findings/%s.md" % name)


def test_every_finding_but_those_of_files_is_in_the_cases():
    shown = {name for dummy, expected in CASES.values() for name, severity in expected}
    assert IDS - shown == {"lost_at_boot", "bad_boot_file", "legacy_names", "foreign_owner"}  # in test_diagnosis
    assert {severity for dummy, expected in CASES.values() for name, severity in expected} == set(SEVERITIES)


def test_who_fills_the_table_is_told(healthy):
    found = _findings.findings(healthy(**dict(FULL, flows=FLOWS._replace(idle=IDLE))))
    for each in found:
        assert (each.evidence["source"], each.evidence["destinations"]) == ("192.168.1.20", [["203.0.113.9", 0.01]])
    full, idle = found
    assert (full.evidence["share"], full.evidence["dropped"]) == (0.95, 300)
    assert idle.evidence["remaining"] == {"least": 90000, "median": 250000, "most": 420000}
    assert (idle.evidence["idle_share"], idle.evidence["share"]) == (0.9, 0.88)
    assert full.policy == {"table": {"max": 8192, "buckets": "auto"}}
    assert idle.policy == {"table": {"max": 8192, "buckets": "auto"}, "timeouts": {"tcp_timeout_established": 7440}}


@pytest.mark.parametrize("mem_total, most, expected", [
    (2 ** 30, 4096, {"max": 8192, "buckets": "auto"}),
    (64 * 2 ** 20, 8192, {"max": 16384, "buckets": "auto", "memory_share": 0.1}),
    (56 * 2 ** 20, 8192, {"max": 16384, "buckets": "auto", "memory_share": 0.17}),
    (16 * 2 ** 20, 8192, None),
])
def test_a_larger_table_is_within_the_budget(mem_total, most, expected, healthy):
    evidence = healthy(count=most, max=most, flows=FLOWS)
    evidence = evidence._replace(kernel=evidence.kernel._replace(mem_total=mem_total))
    (found,) = [each for each in _findings.findings(evidence) if each.id == "table_full"]
    assert found.policy.get("table") == expected
    assert found.evidence["commands"] == (["sysctl -w net.netfilter.nf_conntrack_max=%d" % expected["max"]] if expected else [])


def test_where_sizes_cannot_be_set_there_is_a_command_and_no_fragment(healthy):
    evidence = healthy(**FULL)
    evidence = evidence._replace(kernel=evidence.kernel._replace(read_only=frozenset(["max", "buckets"])))
    (found,) = _findings.findings(evidence)
    assert found.policy == {} and found.evidence["commands"] and "initial network namespace" in found.cure


def test_a_power_of_two():
    assert [_findings_size.power_of_two(number) for number in (0, 1, 2, 3, 4, 5, 7680, 8192)] == [1, 1, 2, 4, 4, 8, 8192, 8192]


# A rule of others that names ports -> the command that takes them out.
WIDENED = {
    ("nftables", "ipv4", 'oifname "wan0" snat to 192.0.2.1:40000-40009 fully-random', (40000, 40009)):
        "nft 'replace rule ip nat post handle 2 oifname \"wan0\" snat to 192.0.2.1 fully-random'",
    ("nftables", "inet", 'oifname "wan0" masquerade to :40000-40009 random', (40000, 40009)):
        "nft 'replace rule inet nat post handle 2 oifname \"wan0\" masquerade random'",
    ("nftables", "ipv6", "snat to [2001:db8::1]:40000", (40000, 40000)): "nft 'replace rule ip6 nat post handle 2 snat to [2001:db8::1]'",
    ("iptables-nft", "ipv4", "-o wan0 -p tcp -j SNAT --to-source 192.0.2.1:40000-40009 --random-fully", (40000, 40009)):
        "iptables-nft -t nat -R post 2 -o wan0 -p tcp -j SNAT --to-source 192.0.2.1 --random-fully",
    ("iptables-legacy", "ipv6", "-p tcp -j MASQUERADE --to-ports 40000-40009", (40000, 40009)): "ip6tables-legacy -t nat -R post 2 -p tcp -j MASQUERADE",
}


@pytest.mark.parametrize("rule", sorted(WIDENED))
def test_the_command_that_widens_a_rule(rule, healthy):
    backend, family, text, ports = rule
    row = Row(backend, family, "nat", "post", 2, Nat("masquerade", ports), text=text)
    use = dict(USE, nat_address="2001:db8::1" if family == "ipv6" else "192.0.2.1")
    (found,) = _findings.findings(healthy(patterns=CLASH, headroom=(use,), rules=(row,)))
    assert found.evidence["commands"] == [WIDENED[rule]] and WIDENED[rule] in found.cure


def test_wide_ranges_that_are_used_up_are_kept_for_less_time(healthy):
    row = ROW._replace(nat=Nat("192.0.2.1"), text="snat to 192.0.2.1")
    (found,) = _findings.findings(healthy(headroom=(dict(USE, used=64000, available=64512, share=0.992),), rules=(row,)))
    assert (found.severity, found.policy, found.evidence["commands"]) == ("warning", {"timeouts": {"tcp_timeout_time_wait": 60}}, [])


@pytest.mark.parametrize("held, lists, patterns, cause", [
    ((Held(Queue(7, 99, 5, 0, 5), 99, "ips"),), {}, {}, "queue"),
    ((), {"dying": 900, "unconfirmed": 0}, {}, "deleted"),
    ((), {"dying": 0}, {"clashes_resolved": {"clash_resolve": 500}}, "clash"),
    ((), {"dying": 0, "unconfirmed": 0}, {}, "leak"),
])
def test_hidden_entries_are_told_apart(held, lists, patterns, cause, healthy):
    hidden = Hidden(900, 900, 1.5, lists)
    (found,) = _findings.findings(healthy(count=1000, flows=FLOWS._replace(seen=100), held=held, hidden=hidden, patterns=patterns))
    assert found.evidence["cause"] == cause and (found.evidence["hidden"], found.evidence["listed"]) == (900, 100)
    assert ("kill 99" in found.cure) is (cause == "queue") and ("reboot" in found.cure) is (cause == "leak")

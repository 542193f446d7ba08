# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of _tracking_rules against the kernel: each rule in a network namespace of its own, then real packets.

Needs root, nft, iptables of both kinds, and a kernel with conntrack. Each namespace is removed again.
"""

import contextlib
import ctypes
import errno
import os
import subprocess
import uuid

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _ctnetlink, _hooks, _stat
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.plugins.module_utils._tracking import Evidence, probe, tracking

CLONE_NEWNET = 0x40000000
FAMILIES = ("ipv4", "ipv6")
NONE, V4, V6, BOTH = (), ("ipv4",), ("ipv6",), FAMILIES

HOOKED = "type filter hook prerouting priority -300; "
NAT_IN = "type nat hook prerouting priority -100; iifname eth9 "
NAT_OUT = "type nat hook postrouting priority 100; oifname eth9 "
DYNAMIC = "type ipv4_addr; size 100; flags dynamic; "


def rule(text, family="ip"):
    return "table %s x { chain c { %s; }; }" % (family, text)


def thing(text, family="ip"):
    return "table %s x { %s; }" % (family, text)


# Ruleset of nft, families that it has tracked.
NFT = {
    "no_rules": ("", NONE),
    "empty_table": ("table ip x { }", NONE),
    "nat_chain_without_rule": (thing("chain c { type nat hook postrouting priority 100; }"), NONE),
    "filter_without_ct": (rule("tcp dport 22 accept"), NONE),
    "notrack": (rule(HOOKED + "notrack"), NONE),
    "tproxy": (rule(HOOKED + "meta l4proto tcp tproxy to 127.0.0.1:9"), NONE),
    "socket": (rule(HOOKED + "socket transparent 1"), NONE),
    "limit": (rule("limit rate 3/second accept"), NONE),
    "state_in_unreached_chain": (rule("ct state new"), V4),
    "state_ip6": (rule("ct state new", "ip6"), V6),
    "state_inet": (rule("ct state new", "inet"), BOTH),
    "state_dormant_table": (thing("flags dormant; chain c { type filter hook input priority 0; ct state new; }"), V4),
    "state_vmap": (rule("ct state vmap { established : accept, invalid : drop }"), V4),
    "mark_in_concatenation": (thing("set s { type ipv4_addr . mark; }; chain c { ip saddr . ct mark @s accept; }"), V4),
    "mark_set": (rule("ct mark set 1"), V4),
    "mark_read": (rule("meta mark set ct mark"), V4),
    "mark_hashed": (rule("meta mark set jhash ct mark mod 4"), V4),
    "zone_set": (rule(HOOKED + "ct zone set 5"), V4),
    "label": (rule("ct label 1"), V4),
    "event_set": (rule("ct event set new"), V4),
    "helper_match": (rule('ct helper "ftp"'), V4),
    "original_address": (rule("ct original ip saddr 192.0.2.1", "inet"), BOTH),
    "count": (rule("ct count over 5 drop"), V4),
    "count_in_set_update": (thing("set s { %s }; chain c { add @s { ip saddr ct count over 5 } drop; }" % DYNAMIC), V4),
    "count_of_set": (thing("set s { %s ct count over 5; }" % DYNAMIC), V4),
    "count_of_element": (thing("set s { %s elements = { 192.0.2.1 ct count over 5 }; }" % DYNAMIC), NONE),
    "count_in_meter": (rule("meter m { ip saddr ct count over 3 } drop"), V4),
    "set_of_marks": (thing("set s { typeof ct mark; }"), NONE),
    "map_of_marks": (thing("map s { typeof ct mark : ip saddr; }"), NONE),
    "helper_object": (thing('ct helper f { type "ftp" protocol tcp; }'), V4),
    "helper_set": (thing('ct helper f { type "ftp" protocol tcp; }; chain c { ct helper set "f"; }'), V4),
    "timeout_object": (thing("ct timeout f { protocol tcp; l3proto ip; policy = { established : 7440, close : 5 }; }"), V4),
    "timeout_object_inet": (thing("ct timeout f { protocol tcp; l3proto ip; policy = { close : 5 }; }", "inet"), BOTH),
    "expectation_object": (thing("ct expectation f { protocol tcp; dport 90; timeout 60s; size 1; l3proto ip; }"), V4),
    "synproxy_object": (thing("synproxy f { mss 1460; wscale 7; }"), V4),
    "synproxy": (rule("type filter hook input priority 0; tcp dport 80 synproxy mss 1460 wscale 7"), V4),
    "snat": (rule(NAT_OUT + "snat to 192.0.2.1"), V4),
    "snat_inet_ip": (rule(NAT_OUT + "snat ip to 192.0.2.1", "inet"), V4),
    "snat_inet_ip6": (rule(NAT_OUT + "snat ip6 to 2001:db8::1", "inet"), V6),
    "masquerade": (rule(NAT_OUT + "masquerade"), V4),
    "masquerade_inet": (rule(NAT_OUT + "masquerade", "inet"), BOTH),
    "dnat": (rule(NAT_IN + "dnat to 192.0.2.1"), V4),
    "dnat_inet_ip": (rule(NAT_IN + "dnat ip to 192.0.2.1", "inet"), V4),
    "dnat_inet_port": (rule(NAT_IN + "tcp dport 80 dnat to :8080", "inet"), BOTH),
    "dnat_by_map": (rule(NAT_IN + "dnat to numgen inc mod 2 map { 0 : 192.0.2.1, 1 : 192.0.2.2 }"), V4),
    "redirect": (rule(NAT_IN + "tcp dport 80 redirect to :99"), V4),
}

FLOWTABLE = "flowtable f { hook ingress priority 0; devices = { lo }; }; "
FLOW = "chain c { type filter hook forward priority 0; meta l4proto tcp flow add @f; }"

# The same, and what a kernel says that lacks nf_conntrack_bridge or nf_flow_table.
NOT_EVERYWHERE = {
    "bridge": (rule("ct state new", "bridge"), BOTH, "Protocol error"),
    "flow": (thing(FLOWTABLE + FLOW, "inet"), BOTH, "No such file or directory"),
    "flowtable_alone": (thing(FLOWTABLE, "inet"), NONE, "No such file or directory"),
}

# Rule of iptables, whether it has its family tracked. ADDRESS is one of the family.
IPTABLES = {
    "plain": ("-A INPUT -p tcp --dport 22 -j ACCEPT", False),
    "nat_accept": ("-t nat -A POSTROUTING -j ACCEPT", False),
    "nat_listed": ("-t nat -L", False),
    "hashlimit": ("-A INPUT -m hashlimit --hashlimit-above 5/s --hashlimit-name f", False),
    "recent": ("-A INPUT -m recent --set", False),
    "socket": ("-t mangle -A PREROUTING -m socket", False),
    "tproxy": ("-t mangle -A PREROUTING -p tcp -j TPROXY --on-port 99", False),
    "mark": ("-t mangle -A INPUT -j MARK --set-mark 1", False),
    "comment": ("-A INPUT -m comment --comment state", False),
    "ct_notrack": ("-t raw -A PREROUTING -j CT --notrack", False),
    "notrack": ("-t raw -A PREROUTING -j NOTRACK", False),
    "conntrack": ("-A INPUT -m conntrack --ctstate NEW", True),
    "state": ("-A INPUT -m state --state NEW", True),
    "connmark": ("-A INPUT -m connmark --mark 1", True),
    "connmark_set": ("-t mangle -A INPUT -j CONNMARK --set-mark 1", True),
    "connsecmark": ("-t mangle -A INPUT -j CONNSECMARK --save", True),
    "connlimit": ("-A INPUT -p tcp -m connlimit --connlimit-above 5 -j DROP", True),
    "connbytes": ("-A INPUT -m connbytes --connbytes 5 --connbytes-mode bytes --connbytes-dir both", True),
    "connlabel": ("-A INPUT -m connlabel --label 1", True),
    "helper": ("-A INPUT -m helper --helper ftp", True),
    "cluster": (
        "-A INPUT -m cluster --cluster-total-nodes 2 --cluster-local-node 1 --cluster-hash-seed 0xdead", True,
    ),
    "ct": ("-t raw -A PREROUTING -j CT", True),
    "ct_zone": ("-t raw -A PREROUTING -j CT --zone 3", True),
    "ct_helper": ("-t raw -A PREROUTING -p tcp -j CT --helper ftp", True),
    "synproxy": ("-A INPUT -p tcp -j SYNPROXY", True),
    "masquerade": ("-t nat -A POSTROUTING -o eth9 -j MASQUERADE", True),
    "snat": ("-t nat -A POSTROUTING -o eth9 -j SNAT --to-source ADDRESS", True),
    "dnat": ("-t nat -A PREROUTING -i eth9 -j DNAT --to-destination ADDRESS", True),
    "redirect": ("-t nat -A PREROUTING -i eth9 -p tcp -j REDIRECT", True),
    "netmap": ("-t nat -A PREROUTING -i eth9 -j NETMAP --to ADDRESS", True),
}

# Tool, the command that shows its rules, the family, an address of it.
TOOLS = {
    "iptables-nft": ("iptables-nft-save", V4, "192.0.2.1"),
    "iptables-legacy": ("iptables-legacy-save", V4, "192.0.2.1"),
    "ip6tables-nft": ("ip6tables-nft-save", V6, "2001:db8::1"),
    "ip6tables-legacy": ("ip6tables-legacy-save", V6, "2001:db8::1"),
}


def command(*argv, data=None):
    done = subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, check=False)
    assert done.returncode == 0, "%s: %s" % (" ".join(argv), done.stderr)
    return done.stdout


def enter(namespace):
    handle = os.open(namespace, os.O_RDONLY)
    try:
        assert ctypes.CDLL(None).setns(handle, CLONE_NEWNET) == 0, "cannot enter " + namespace
    finally:
        os.close(handle)


@contextlib.contextmanager
def namespace():
    """A network namespace with loopback up; this thread and what it starts are inside."""
    name = "netfleet-" + uuid.uuid4().hex[:12]
    home = "/proc/%d/ns/net" % os.getpid()
    outside = os.open(home, os.O_RDONLY)
    command("ip", "netns", "add", name)
    try:
        enter("/run/netns/" + name)
        command("ip", "link", "set", "lo", "up")
        yield
    finally:
        assert ctypes.CDLL(None).setns(outside, CLONE_NEWNET) == 0
        os.close(outside)
        command("ip", "netns", "del", name)


@pytest.fixture(autouse=True)
def inside():
    if os.geteuid() != 0:
        pytest.fail("these tests make network namespaces: run them as root")
    with namespace():
        yield


def packets(netlink=True):
    return {family: probe(Host(), family, netlink) for family in FAMILIES}


def nft_evidence(**more):
    return Evidence(nft=command("nft", "-j", "list", "ruleset"), **more)


def answers(evidence):
    found = tracking(evidence)
    return {family: found[family] for family in FAMILIES}


def check(families, evidence):
    """Packets, counted and looked up, agree with the table, and so do the rules alone."""
    assert packets() == packets(netlink=False) == {family: family in families for family in FAMILIES}
    wanted = {family: "yes" if family in families else "no" for family in FAMILIES}
    assert answers(evidence) == answers(evidence._replace(probe=packets())) == wanted


@pytest.mark.parametrize("ruleset, families", NFT.values(), ids=NFT)
def test_nft_rule(ruleset, families):
    command("nft", "-f", "-", data=ruleset)
    check(families, nft_evidence())


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("text, tracks", IPTABLES.values(), ids=IPTABLES)
def test_iptables_rule(tool, text, tracks):
    save, family, address = TOOLS[tool]
    command(tool, "-w", *text.replace("ADDRESS", address).split())
    check(family if tracks else NONE, nft_evidence(iptables={save: command(save)}))


@pytest.mark.parametrize("text, answer", [("CT", "unknown"), ("CT --notrack", "unknown"), ("CONNMARK --save-mark", "yes"), ("MARK --set-mark 1", "no")])
def test_rule_of_iptables_seen_through_nft_alone(text, answer):
    table = "raw" if text.startswith("CT") else "mangle"
    command("iptables-nft", "-w", "-t", table, "-A", "PREROUTING", "-j", *text.split())
    assert answers(nft_evidence()) == {"ipv4": answer, "ipv6": "no"}


def test_last_rule_gone_switches_tracking_off():
    command("nft", "-f", "-", data=NFT["state_inet"][0])
    command("nft", "flush", "chain", "inet", "x", "c")
    check(NONE, nft_evidence())


def test_notrack_on_loopback_does_not_hide_tracking():
    command("nft", "-f", "-", data=thing("chain o { type filter hook output priority -300; notrack; }; chain c { ct state new; }"))
    assert packets() == {"ipv4": False, "ipv6": False}
    assert answers(nft_evidence(probe=packets())) == {"ipv4": "yes", "ipv6": "no"}


def test_no_loopback_leaves_the_packet_unknown():
    command("ip", "link", "set", "lo", "down")
    assert packets() == packets(netlink=False) == {"ipv4": None, "ipv6": None}


@pytest.mark.parametrize("ruleset, families, refusal", NOT_EVERYWHERE.values(), ids=NOT_EVERYWHERE)
def test_nft_rule_that_not_every_kernel_takes(ruleset, families, refusal):
    done = subprocess.run(["nft", "-f", "-"], input=ruleset, stderr=subprocess.PIPE, universal_newlines=True, check=False)
    if done.returncode == 0:
        check(families, nft_evidence())
    else:
        assert refusal in done.stderr


@pytest.mark.parametrize("name", ["no_rules", "state_ip6", "state_inet"])
def test_hooks_tell_the_same_or_nothing(name):
    ruleset, families = NFT[name]
    command("nft", "-f", "-", data=ruleset)
    for family in FAMILIES:
        try:
            names = _hooks.functions(payload for _t, _f, _s, payload in Host().netlink(_hooks.get(family), dump=True))
        except OSError as error:
            assert error.errno == errno.EINVAL
        else:
            assert _hooks.tracks(names) == (family in families)


def test_netlink_and_proc_count_the_same():
    command("nft", "-f", "-", data=NFT["state_inet"][0])
    assert packets() == {"ipv4": True, "ipv6": True}
    host = Host()
    shown = _ctnetlink.cpus(payload for _t, _f, _s, payload in host.netlink(_ctnetlink.stats_cpu(), dump=True))
    rows = _stat.parse(host.read("/proc/net/stat/nf_conntrack"))
    assert shown == [{name: row[name] for name in shown[0]} for row in rows]
    ((_type, _flags, _sequence, payload),) = host.netlink(_ctnetlink.stats(), dump=False)
    assert _ctnetlink.entries_and_max(payload) == {
        "entries": 2, "max": host.number("/proc/sys/net/netfilter/nf_conntrack_max"),
    }

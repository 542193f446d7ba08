# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Which programs make SNAT rules, how their rules are known, and each one's own switch for random ports. Data only.

A program with a remedy writes its rules again by itself, without what somebody changed in them.
"""
import re
from typing import NamedTuple

OURS = "netfleet.conntrack"
INSTEAD = "and put rules of yours in rules"


class Owner(NamedTuple):
    """A program that makes rules. Patterns match whole names; an empty one matches nothing."""

    name: str  # as facts name it
    called: str  # as people name it
    remedy: str  # what has the program choose ports at random, or not make rules
    tables: str = ""  # tables of nft
    chains: str = ""  # chains in the table nat of iptables
    rules: str = ""  # rules of iptables in chains that are not the program's own, by their words
    beside: str = ""  # a chain that is there wherever chains or rules of iptables are the program's


OWNERS = (
    Owner(OURS, OURS, "", tables="netfleet_conntrack", chains="NETFLEET_.*"),
    Owner(
        "docker", "Docker",
        'Docker has no switch for it: create its networks with --opt com.docker.network.bridge.enable_ip_masquerade=false '
        '("ip-masq": false in /etc/docker/daemon.json for the default one), ' + INSTEAD,
        tables="docker-bridges", chains="DOCKER(-.*)?", beside="DOCKER",
        rules=r"-s \S+ ! -o \S+ -j (MASQUERADE|SNAT) ?.*|-o \S+ -m addrtype --src-type LOCAL -j (MASQUERADE|SNAT) ?.*"
              r"|-s (\S+/(?:32|128)) -d \3 -p \S+ (-m \S+ )?--dport \S+ -j MASQUERADE ?.*",
    ),
    Owner(
        "firewalld", "firewalld",
        "firewalld has no switch for it: take masquerade from its zones and policies "
        "(firewall-cmd --permanent --zone=ZONE --remove-masquerade), " + INSTEAD,
        tables="firewalld", chains="POST_.*|POSTROUTING_(ZONES|POLICIES).*", beside="POSTROUTING_ZONES",
    ),
    Owner(
        "kube-proxy", "kube-proxy",
        "kube-proxy adds it by itself where the iptables beside it is 1.6.2 or newer: update that",
        tables="kube-proxy", chains="KUBE-.*", rules=".*--comment \"kubernetes .*",
    ),
    Owner(
        "ip-masq-agent", "ip-masq-agent",
        "ip-masq-agent adds it by itself since 2.10: update it, and do not start it with --random-fully=false",
        chains="IP-MASQ(-AGENT)?",
    ),
    Owner(
        "libvirt", "libvirt",
        "libvirt has no switch for it: say <forward mode='open'/> in the network (virsh net-edit NAME), for which it makes no rules, " + INSTEAD,
        tables="libvirt_network", chains="LIBVIRT_.*", rules=r"-s (\S+) ! -d \1 (-p \S+ )?-j MASQUERADE --to-ports 1024-65535",
    ),
    Owner(
        "netavark", "netavark (Podman)",
        'netavark has no switch for it: say firewall_driver = "none" below [network] in containers.conf, after which Podman '
        "publishes no ports either, " + INSTEAD,
        tables="netavark", chains="NETAVARK-.*",
    ),
    Owner(
        "cni", "CNI plugins",
        'they have no switch for it: say "ipMasq": false in the network\'s file in /etc/cni/net.d, ' + INSTEAD,
        tables="cni_plugins_masquerade|cni_hostport", chains="CNI-.*",
    ),
    Owner(
        "cilium", "Cilium",
        "start cilium-agent with --iptables-random-fully (iptablesRandomFully: true in the values of Helm)",
        chains="(OLD_)?CILIUM_.*",
    ),
    Owner(
        "calico", "Calico",
        "Felix adds it by itself where its iptables is 1.6.2 or newer; where it does not, say "
        'featureDetectOverride: "SNATFullyRandom=true,MASQFullyRandom=true" in the FelixConfiguration',
        tables="calico", chains="cali-.*", rules='.*--comment "cali:.*',
    ),
    Owner(
        "flannel", "flannel",
        "flannel adds it by itself where its iptables is 1.6.2 or newer: update it, and do not start flanneld with --ip-masq-fully-random-disable",
        tables="flannel-ipv[46]", chains="FLANNEL-.*", rules='.*--comment "flanneld masq.*',
    ),
    Owner(
        "antrea", "Antrea",
        "say snatFullyRandomPorts: true in antrea-agent.conf",
        chains="ANTREA-.*",
    ),
    Owner(
        "lxd", "LXD",
        "LXD has no switch for it: say lxc network set NAME ipv4.nat=false ipv6.nat=false, " + INSTEAD,
        tables="lxd", rules='.*--comment "generated for LXD network .*',
    ),
    Owner(
        "incus", "Incus",
        "Incus has no switch for it: say incus network set NAME ipv4.nat=false ipv6.nat=false, " + INSTEAD,
        tables="incus", rules='.*--comment "generated for Incus network .*',
    ),
    Owner(
        "networkmanager", "NetworkManager",
        "NetworkManager has no switch for it: set ipv4.method of the shared connection to manual, " + INSTEAD,
        tables="nm-shared-.*", rules='.*--comment "?nm-shared-.*',
    ),
    Owner(
        "systemd-networkd", "systemd-networkd",
        "systemd has no switch for it: say IPMasquerade=no in the .network file, " + INSTEAD,
        tables=r"io\.systemd\.nat",
    ),
    Owner(
        "tailscale", "Tailscale",
        "Tailscale has no switch for it: say tailscale set --snat-subnet-routes=false, " + INSTEAD,
        chains="ts-postrouting",
    ),
    Owner(
        "vyos", "VyOS",
        "say set nat source rule NUMBER translation options port-mapping random",
        tables="vyos_nat",
    ),
)
BY_NAME = {owner.name: owner for owner in OWNERS}

# Files that have rules loaded at boot, or when an interface comes up: path, and who reads it. Folders end in "/".
FILES = (
    ("/etc/nftables.conf", ""),
    ("/etc/nftables/", ""),
    ("/etc/nftables.d/", ""),
    ("/etc/sysconfig/nftables.conf", ""),
    ("/etc/ufw/before.rules", "ufw"),
    ("/etc/ufw/before6.rules", "ufw"),
    ("/etc/ufw/after.rules", "ufw"),
    ("/etc/ufw/after6.rules", "ufw"),
    ("/etc/iptables/rules.v4", "netfilter-persistent"),
    ("/etc/iptables/rules.v6", "netfilter-persistent"),
    ("/etc/sysconfig/iptables", "iptables.service"),
    ("/etc/sysconfig/ip6tables", "ip6tables.service"),
    ("/etc/firewalld/direct.xml", "firewalld (direct)"),
    ("/etc/network/interfaces", "ifupdown"),
    ("/etc/network/interfaces.d/", "ifupdown"),
    ("/etc/network/if-up.d/", "ifupdown"),
    ("/etc/wireguard/", "wg-quick"),
    ("/etc/rc.local", ""),
)


def _patterns(field):
    return [(owner, re.compile(getattr(owner, field))) for owner in OWNERS if getattr(owner, field)]


TABLES, CHAINS, RULES = (_patterns(field) for field in ("tables", "chains", "rules"))


def of_table(table):
    """The name of the owner of a table of nft, or ""."""
    return _first(TABLES, table)


def of_iptables(chain, words, chains):
    """The name of the owner of a rule in the table nat of iptables, or ""; ``chains`` are all that the table has."""
    return _first(CHAINS, chain, chains) or _first(RULES, words, chains)


def _first(patterns, text, chains=()):
    found = (owner for owner, pattern in patterns if pattern.fullmatch(text) and (not chains or not owner.beside or owner.beside in chains))
    return next((owner.name for owner in found), "")

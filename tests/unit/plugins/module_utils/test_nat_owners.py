# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who makes which rules: lines as the programs' documents and sources show them, and lines of nobody."""
import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _nat_owners
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_owners import OWNERS, of_iptables, of_table

# Owner, chain, words, another chain that is there.
DOCUMENTED = [
    ("docker", "POSTROUTING", "-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", "DOCKER"),
    ("docker", "POSTROUTING", "-s 172.20.0.0/16 ! -o mine0 -j SNAT --to-source 192.0.2.1", "DOCKER"),
    ("docker", "POSTROUTING", "-s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE", "DOCKER"),
    ("docker", "POSTROUTING", "-s fd00::2/128 -d fd00::2/128 -p udp -m udp --dport 53 -j MASQUERADE", "DOCKER"),
    ("docker", "POSTROUTING", "-o docker_gwbridge -m addrtype --src-type LOCAL -j MASQUERADE", "DOCKER"),
    ("firewalld", "POST_public_allow", "! -o lo -j MASQUERADE", "POSTROUTING_ZONES"),
    ("kube-proxy", "KUBE-POSTROUTING", '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully', ""),
    ("kube-proxy", "POSTROUTING", '-m comment --comment "kubernetes service traffic requiring SNAT" -m mark --mark 0x4000/0x4000 -j MASQUERADE', ""),
    ("ip-masq-agent", "IP-MASQ-AGENT", "-j MASQUERADE", ""),
    ("ip-masq-agent", "IP-MASQ", "-j MASQUERADE", ""),
    ("libvirt", "LIBVIRT_PRT", "-s 192.168.122.0/24 ! -d 192.168.122.0/24 -j MASQUERADE", ""),
    ("libvirt", "POSTROUTING", "-s 192.168.122.0/24 ! -d 192.168.122.0/24 -p tcp -j MASQUERADE --to-ports 1024-65535", ""),
    ("netavark", "NETAVARK-1D8721804F16F", "! -d 224.0.0.0/4 -j MASQUERADE", ""),
    ("cni", "CNI-8865e8cf5b4b1b2f1a2b3c4d", '! -d 224.0.0.0/4 -m comment --comment "name: \\"x\\" id: \\"y\\"" -j MASQUERADE', ""),
    ("cilium", "CILIUM_POST_nat", '-s 10.0.0.0/24 ! -d 10.0.0.0/24 ! -o cilium_+ -m comment --comment "cilium masquerade non-cluster" -j MASQUERADE', ""),
    ("cilium", "OLD_CILIUM_POST_nat", "-j MASQUERADE", ""),
    ("calico", "cali-nat-outgoing", '-m comment --comment "cali:flqWnvo8yq4ULQLa" -m set --match-set cali40masq-ipam-pools src -j MASQUERADE', ""),
    ("calico", "POSTROUTING", '-m comment --comment "cali:O3lYWMrLQYEMJtB5" -j MASQUERADE', ""),
    ("flannel", "FLANNEL-POSTRTG", '-s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE', ""),
    ("flannel", "POSTROUTING", '-s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE', ""),
    ("antrea", "ANTREA-POSTROUTING", '-m comment --comment "Antrea: masquerade Pod to external packets" -s 10.0.0.0/24 -j MASQUERADE', ""),
    ("lxd", "POSTROUTING", '-s 10.5.0.0/24 ! -d 10.5.0.0/24 -m comment --comment "generated for LXD network lxdbr0" -j MASQUERADE', ""),
    ("incus", "POSTROUTING", '-s 10.5.0.0/24 ! -d 10.5.0.0/24 -m comment --comment "generated for Incus network incusbr0" -j MASQUERADE', ""),
    ("networkmanager", "POSTROUTING", "-s 10.42.0.0/24 ! -d 10.42.0.0/24 -m comment --comment nm-shared-wlan0 -j MASQUERADE", ""),
    ("tailscale", "ts-postrouting", "-m mark --mark 0x40000/0xff0000 -j MASQUERADE", ""),
    ("netfleet.conntrack", "NETFLEET_SNAT", "-j MASQUERADE", ""),
    ("", "POSTROUTING", "-o eth0 -j MASQUERADE", "DOCKER"),
    ("", "POSTROUTING", "-s 10.0.0.0/8 -o eth0 -j SNAT --to-source 192.0.2.1", "DOCKER"),
    ("", "POSTROUTING", "-s 10.0.0.0/8 ! -o eth0 -j MASQUERADE", "OTHER"),
    ("", "POSTROUTING", "-s 10.0.0.0/8 ! -d 10.0.0.0/8 -j MASQUERADE", "LIBVIRT_PRT"),
    ("", "POST_ROOM", "-o eth0 -j MASQUERADE", "OTHER"),
    ("", "POSTROUTING_direct", "-o eth0 -j MASQUERADE", "POSTROUTING_ZONES"),
    ("", "POSTROUTING", '-m comment --comment "not -j kubernetes" -j MASQUERADE', ""),
]
TABLES = {
    "docker-bridges": "docker", "firewalld": "firewalld", "kube-proxy": "kube-proxy", "libvirt_network": "libvirt", "netavark": "netavark",
    "cni_plugins_masquerade": "cni", "cni_hostport": "cni", "calico": "calico", "flannel-ipv4": "flannel", "flannel-ipv6": "flannel", "lxd": "lxd",
    "incus": "incus", "nm-shared-wlan0": "networkmanager", "io.systemd.nat": "systemd-networkd", "vyos_nat": "vyos", "netfleet_conntrack": "netfleet.conntrack",
    "nat": "", "filter": "", "io-systemd-nat": "", "my-docker-bridges": "", "firewalld2": "",
}


@pytest.mark.parametrize("owner, chain, words, beside", DOCUMENTED)
def test_rules_of_iptables(owner, chain, words, beside):
    assert of_iptables(chain, words, {chain, beside, "PREROUTING"}) == owner


@pytest.mark.parametrize("table, owner", TABLES.items())
def test_tables_of_nft(table, owner):
    assert of_table(table) == owner


def test_every_owner_is_known_by_something_and_has_a_switch():
    shown = {owner for owner, *dummy in DOCUMENTED} | set(TABLES.values())
    for owner in OWNERS:
        assert owner.name in shown
        assert owner.remedy or owner.name == _nat_owners.OURS
        assert not owner.remedy.endswith(".")


def test_folders_and_files():
    assert len({path for path, dummy in _nat_owners.FILES}) == len(_nat_owners.FILES)
    assert all(path.startswith("/etc/") for path, dummy in _nat_owners.FILES)

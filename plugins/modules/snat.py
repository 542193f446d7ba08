#!/usr/bin/python
# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: snat
short_description: Source NAT that does not collide, now and at every boot
version_added: 0.1.0
author: netfleet.conntrack contributors (@netfleet)
description:
  - Keeps the SNAT rules of a router, with what other modules cannot say, C(fully-random) above all, by nftables or iptables.
  - Rules are replaced at once, so that no packet passes without NAT, and connections that are known keep their address and port.
  - Before the first rule acts, the TCP connections of the host itself are taken into the table. So the one that carries Ansible is
    not mistaken for a new one and rewritten, even where nothing was tracked before.
  - At boot a systemd unit loads the rules before the network is up, and again after the firewall services of the distribution.
  - Everything that is wrong is said at once, before anything is touched, and what was loaded is read back. Nothing of others is edited
    unless O(foreign=randomize).
extends_documentation_fragment:
  - netfleet.conntrack.snat
  - netfleet.conntrack.attributes
  - netfleet.conntrack.attributes.change_module
  - netfleet.conntrack.attributes.actiongroup_conntrack
options:
  at_boot:
    description:
      - Make the rules hold at every boot too. Needs systemd. V(false) leaves nothing of ours for the boot.
    type: bool
    default: true
  state:
    description:
      - V(absent) takes away all of our rules, and gives rules of others back what O(foreign=randomize) changed.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: netfleet.conntrack.early_load
  - module: netfleet.conntrack.settings
notes:
  - Needs root, Python 3.6 or newer, and C(nft) or C(iptables) on the host.
  - Where nothing was tracked before, connections that pass through the host at that moment are taken for new ones, and those that
    a rule then rewrites are reset by their servers.
"""

EXAMPLES = r"""
- name: Masquerade the LAN without collisions
  netfleet.conntrack.snat:
    rules:
      - name: lan
        out_interface: wan0
        source: [10.16.1.0/24]
        to: masquerade
        port_selection: random_fully

- name: A pool of addresses, and none for what stays inside
  netfleet.conntrack.snat:
    rules:
      - name: inside
        destination: [10.0.0.0/8, 192.168.0.0/16]
        to: exempt
      - name: customers
        out_interface: transit*
        source: [100.64.0.0/10]
        protocol: [tcp, udp]
        to: 203.0.113.16-203.0.113.31
        ports: 1024-65535
        port_selection: random_fully
        persistent: true
      - name: other-protocols
        out_interface: transit*
        source: [100.64.0.0/10]
        to: 203.0.113.16-203.0.113.31
        persistent: true

- name: Show which SNAT rules of others may collide, and change nothing
  netfleet.conntrack.snat:
    foreign: report
  register: result

- name: Take all of our rules away
  netfleet.conntrack.snat:
    state: absent
"""

RETURN = r"""
changes:
  description: What was changed, or in check mode would be, in order; rules are in the backend's own words.
  returned: success
  type: list
  elements: dict
  sample:
    - part: snat
      name: lan
      layer: running
      before: null
      after: oifname "wan0" ip saddr 10.16.1.0/24 counter masquerade fully-random comment "lan"
      why: nftables, ipv4
backend:
  description: What holds the rules (V(nftables), V(iptables-nft), V(iptables-legacy)); empty where there are none.
  returned: success
  type: str
  sample: nftables
foreign:
  description: The SNAT rules of others, as C(snat_rules) of M(netfleet.conntrack.conntrack_facts) has them.
  returned: when O(foreign) is not V(leave)
  type: list
  elements: dict
recovered:
  description: Whether this run completed one that had been killed.
  returned: success
  type: bool
"""

from ansible_collections.netfleet.conntrack.plugins.module_utils._module import bring_about


def make():
    """The argument spec and the Part, loaded where they are needed."""
    from ansible_collections.netfleet.conntrack.plugins.module_utils._snat import PART, spec

    return spec(), PART


def main():
    bring_about("snat", make)


if __name__ == "__main__":
    main()

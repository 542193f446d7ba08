#!/usr/bin/python
# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: early_load
short_description: Have connections tracked before the first one, at every boot
version_added: 0.1.0
author: netfleet.conntrack contributors (@netfleet)
description:
  - Loads C(nf_conntrack) at boot, so that settings in C(sysctl.d) find their keys.
  - Switches tracking really on before the network is. A loaded module tracks nothing until a rule asks for it,
    and connections that are older than the first such rule are unknown to the table, and can be reset by NAT.
  - The rule is an own nftables table (or iptables chain) that no packet passes through. An own systemd unit loads it
    before C(network-pre.target), after the distribution's firewall services, and again when one of them
    restarts or reloads.
  - On request, keeps the management path out of the table, so that a full table never locks the administrator out.
  - What it did is verified by a packet over loopback when something had to be changed.
extends_documentation_fragment:
  - netfleet.conntrack.early_load
  - netfleet.conntrack.early_load.management
  - netfleet.conntrack.attributes
  - netfleet.conntrack.attributes.change_module
  - netfleet.conntrack.attributes.actiongroup_conntrack
options:
  at_boot:
    description:
      - Do the same at every boot. This needs systemd.
      - V(false) is for hosts without systemd, and for network namespaces that no boot sets up. The rules are then loaded now, and
        O(module) and O(initramfs) mean nothing.
    type: bool
    default: true
  state:
    description:
      - V(absent) takes away what is ours. The module stays loaded, because rules may need it.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: netfleet.conntrack.settings
  - module: netfleet.conntrack.conntrack_facts
"""

EXAMPLES = r"""
- name: Track connections before the network comes up
  netfleet.conntrack.early_load:

- name: The same from the initramfs on, for a root file system on iSCSI
  netfleet.conntrack.early_load:
    initramfs: always

- name: Never locked out by a full table
  netfleet.conntrack.early_load:
    management:
      interfaces: [mgmt0]
      networks: [192.0.2.0/24, 2001:db8:7::/64]
      ports: [22, 830]
"""

RETURN = r"""
changes:
  description: What was changed, or in check mode would be, in order.
  returned: success
  type: list
  elements: dict
  sample: [{part: early_load, name: hooks, layer: running, before: absent, after: present, why: a rule of nftables that needs tracking}]
tracking:
  description: Whether packets are tracked (V(yes), V(no), V(unknown)), and because of what. In check mode, as it is before the change.
  returned: success
  type: dict
  sample: {ipv4: 'yes', ipv6: 'yes', because: rule with ct state in table inet netfleet_conntrack chain early_load}
management:
  description: Whether the management path is V(untracked), as asked, or stays V(tracked), because rules of others would be met.
  returned: when O(management) is given
  type: str
  sample: untracked
loaded_by:
  description: What loads the module before C(systemd-sysctl) runs at the next boot.
  returned: success
  type: str
  sample: /etc/modules-load.d/zz-netfleet-conntrack.conf:3
recovered:
  description: Whether this run completed one that had been killed.
  returned: success
  type: bool
"""

from ansible_collections.netfleet.conntrack.plugins.module_utils._module import bring_about


def make():
    """The argument spec and the Part, loaded where they are needed."""
    from ansible_collections.netfleet.conntrack.plugins.module_utils._early_load import PART, spec

    return spec(), PART


def main():
    bring_about("early_load", make)


if __name__ == "__main__":
    main()

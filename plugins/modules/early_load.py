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
  - What it did is verified by a packet over loopback when something had to be changed.
extends_documentation_fragment:
  - netfleet.conntrack.attributes
  - netfleet.conntrack.attributes.change_module
  - netfleet.conntrack.attributes.actiongroup_conntrack
options:
  module:
    description:
      - Load C(nf_conntrack) at every boot. Means nothing where it is built into the kernel.
    type: bool
    default: true
  hooks:
    description:
      - Load a rule that switches tracking on, now and at every boot. Needs systemd.
    type: bool
    default: true
  backend:
    description:
      - What holds the rule. V(auto) takes nftables where it is installed, else iptables.
    type: str
    choices: [auto, nftables, iptables]
    default: auto
  initramfs:
    description:
      - Whether the initramfs loads the module. V(auto) does so where the root file system needs the network.
        Works with C(initramfs-tools) and C(dracut).
    type: str
    choices: [auto, always, never]
    default: auto
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

from ansible_collections.netfleet.conntrack.plugins.module_utils._early_load import PART, spec
from ansible_collections.netfleet.conntrack.plugins.module_utils._module import Module


def main():
    Module(spec()).apply(PART)


if __name__ == "__main__":
    main()

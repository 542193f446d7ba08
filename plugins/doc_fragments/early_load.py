# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


class ModuleDocFragment:
    # The options of early_load, which are also those of the document: tools/render.py copies them into policy and the role's argument specs.
    DOCUMENTATION = r"""
options:
  module:
    description:
      - Load C(nf_conntrack) at every boot. Means nothing where it is built into the kernel.
    type: bool
    default: true
  hooks:
    description:
      - Load a rule that switches tracking on, now and at every boot.
    type: bool
    default: true
  backend:
    description:
      - What holds the rules. V(auto) takes nftables where it is installed, else iptables.
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
"""

    # The way by which a host is managed, which is an option of the whole document there.
    MANAGEMENT = r"""
options:
  management:
    description:
      - The path by which this host is managed. TCP packets that come in to O(management.ports) of this host, and those that
        leave from these ports, are not tracked. They need no entry, so a full table does not drop them.
      - Give O(management.interfaces), O(management.networks) or both. Where both are given, packets have to match both.
      - Connections that are forwarded, that this host makes to others, and that it makes to itself, are tracked as before.
      - Packets that are not tracked are never C(established), and never rewritten by NAT. So the rules of others are looked at first.
        Where a stateful rule or one of NAT would be met, or what is there is not understood, the path stays tracked. A warning says which
        rule that is, and how to let the path pass it. Everything else is done.
    type: dict
    suboptions:
      interfaces:
        description:
          - Names of the interfaces through which management comes in. A V(*) at the end stands for every name that begins so.
            Empty means every interface but loopback.
        type: list
        elements: str
        default: []
      networks:
        description:
          - Networks (or addresses) of IPv4 and IPv6 from which management comes in. Empty means every network. Where there are only
            networks of one family, the path is of that family alone.
        type: list
        elements: str
        default: []
      ports:
        description:
          - TCP ports of this host.
        type: list
        elements: int
        default: [22]
      force:
        description:
          - Do not track the path although rules of others would be met. They are told all the same. B(This can lock you out.)
        type: bool
        default: false
"""

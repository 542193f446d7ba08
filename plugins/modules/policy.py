#!/usr/bin/python
# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: policy
short_description: How a router tracks connections, as one document, now and at every boot
version_added: 0.1.0
author: netfleet.conntrack contributors (@netfleet)
description:
  - Makes size, timeouts, behaviour, early loading and source NAT what one document says, in one execution.
  - All or nothing. Everything that is wrong with any part is said at once, before anything is touched. What was before is on the disk
    before the first write, every result is read back, and what fails is undone. A run that was killed is completed by the next.
  - The document is the whole of what is wanted. What an earlier one set and this one no longer names goes back to what it was
    before the first run, and what this one has no section for is taken away.
  - With O(confirm_within) the host takes the policy back by itself, unless it is confirmed over a new connection in time. The task
    sees to that confirmation.
  - A run that has nothing to change takes no lock, and costs about what M(ansible.builtin.ping) does.
extends_documentation_fragment:
  - netfleet.conntrack.settings
  - netfleet.conntrack.policy
  - netfleet.conntrack.attributes
  - netfleet.conntrack.attributes.change_module
  - netfleet.conntrack.attributes.actiongroup_conntrack
options:
  document:
    description:
      - The document as one mapping, such as a variable holds it, instead of an option for each of its sections. What is given beside it
        counts more.
    type: dict
  at_boot:
    description:
      - Make all of it hold at every boot too. V(false) leaves nothing of ours for the boot.
    type: bool
    default: true
  state:
    description:
      - V(absent) takes away what is ours, and returns the running values to what they were before the first run.
    type: str
    choices: [present, absent]
    default: present
  confirm_within:
    description:
      - Seconds, from 10 to 86400, after which the host takes back what this run changes, unless it was confirmed. Only a
        connection to the SSH server of the host confirms it that was opened after the change, so a policy that cuts its
        administrator off is gone by itself.
      - The task opens that connection and confirms over it. It fails where that does not come about, and then tells so after the
        host has taken the policy back.
      - Until then nothing is written for the next boot, so a reboot or a power cut comes up with the old policy, and
        SNAT rules of others are not touched.
      - V(0) waits for no confirmation.
    type: int
    default: 0
  confirm:
    description:
      - Confirm what an earlier run with O(confirm_within) applied, with the same document. Tasks with O(confirm_within)
        do that by themselves.
    type: bool
    default: false
seealso:
  - module: netfleet.conntrack.settings
  - module: netfleet.conntrack.early_load
  - module: netfleet.conntrack.snat
  - module: netfleet.conntrack.conntrack_facts
notes:
  - Needs root, and Python 3.6 or newer on the host; for rules also C(nft) or C(iptables), and systemd where they are to hold at boot.
"""

EXAMPLES = r"""
- name: A NAT gateway, by the profile and three words of its own
  netfleet.conntrack.policy:
    profile: nat_gateway
    management:
      interfaces: [mgmt0]
    snat:
      rules:
        - name: lan
          out_interface: wan0
          source: [10.16.0.0/16]
          to: masquerade
          port_selection: random_fully

- name: The same on a router that must not be lost; it takes the policy back by itself unless a new connection gets through
  netfleet.conntrack.policy:
    profile: nat_gateway
    table:
      memory_share: 0.2
    confirm_within: 60

- name: Exactly this many connections, and what a connection means here
  netfleet.conntrack.policy:
    table:
      max: auto
      connections_per_second: 4000
      mean_life: 90
    timeouts:
      tcp_timeout_established: 7440
      udp_timeout_stream: 300
    early_load: {}
  register: result

- name: Show what the table can cost
  ansible.builtin.debug:
    var: result.memory

- name: The document that the router's group_vars hold
  netfleet.conntrack.policy:
    document: "{{ conntrack_policy }}"

- name: Put everything back as it was before the first run
  netfleet.conntrack.policy:
    state: absent
"""

RETURN = r"""
changes:
  description:
    - What was changed, or in check mode would be, in order. Where a policy was confirmed it is all of it.
  returned: success
  type: list
  elements: dict
  contains:
    part:
      description: The part that it belongs to.
      type: str
    name:
      description: The setting, the rule, or our file.
      type: str
    layer:
      description: V(running) for the kernel now, V(boot) for the next boot.
      type: str
    before:
      description: What was there; null where nothing was.
      type: raw
    after:
      description: What is there now.
      type: raw
    why:
      description: The reason, or what decides at boot.
      type: str
  sample: [{part: settings, name: max, layer: running, before: 65536, after: 524288, why: ''}]
policy:
  description: The document completed, with the values of its profile and V(auto) worked out for this host.
  returned: success
  type: dict
  sample: {profile: nat_gateway, table: {max: 524288, buckets: 524288, memory_share: 0.1}}
memory:
  description: What the table can take, entries at their dearest; null when O(table.max) is not given.
  returned: success
  type: dict
  contains:
    entry_bytes:
      description: Bytes of one entry with its extensions.
      type: int
    table_bytes:
      description: Bytes of the full table.
      type: int
    share:
      description: The same as a share of the memory.
      type: float
boot:
  description: What the next boot would give each setting of the document, and the file and line that decides.
  returned: success
  type: dict
  sample: {max: {value: 524288, source: '/etc/sysctl.d/zz-netfleet-conntrack.conf:2'}}
kernel_command_line:
  description: What to put on the kernel command line where connection tracking is built in, so that NAT gets its hash size too; else empty.
  returned: success
  type: str
  sample: nf_conntrack.hashsize=524288
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
awaits_confirmation:
  description: Whether what was done awaits a confirmation. After a task that confirms by itself it does not.
  returned: success
  type: bool
withheld:
  description: Of a run whose changes await their confirmation, those that are made with it.
  returned: success
  type: list
  elements: dict
recovered:
  description: Whether this run completed one that had been killed, or that a boot cut short.
  returned: success
  type: bool
"""

from ansible_collections.netfleet.conntrack.plugins.module_utils._module import bring_about


def make():
    """The argument spec and the Part, loaded where they are needed."""
    from ansible_collections.netfleet.conntrack.plugins.module_utils._policy import PART, spec

    return spec(), PART


def main():
    bring_about("policy", make)


if __name__ == "__main__":
    main()

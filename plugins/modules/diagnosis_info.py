#!/usr/bin/python
# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: diagnosis_info
short_description: Which of the known failures of connection tracking a router has
version_added: 0.1.0
author: netfleet.conntrack contributors (@netfleet)
description:
  - Names the failures of connection tracking that a router has, worst first, each with the numbers that prove it, what users notice,
    the cure in words and exact commands, and the fragment of a document that cures it.
  - Finds a full table and who fills it, entries that count and are in no list, a hash table that is too small or too large, source NAT without ports or
    with clashes, DNS questions that lose each other, connections that are older than tracking, tracking that is not on, timeouts that are too short or too
    long, values that the next boot loses, files with mistakes or with names of old kernels, and programs that write other values.
  - A healthy router has no findings, also under load.
  - Reads the counters twice, and of the table no more than a sample, and that only where counters or usage give reason to. So a table of
    a million connections takes about as long as an empty one.
  - Looking changes nothing. Where C(nf_conntrack_netlink) is a module and not loaded, and flows have to be read, the kernel loads it.
extends_documentation_fragment:
  - netfleet.conntrack.attributes
  - netfleet.conntrack.attributes.info_module
  - netfleet.conntrack.attributes.actiongroup_conntrack
options:
  interval:
    description:
      - Seconds between the two readings of the counters, 0 to 300. Loss that is rarer than once in this time is not seen.
      - With V(0) the counters are read once, and findings that need rates are missing.
    type: float
    default: 2.0
notes:
  - Needs root, and Python 3.6 or newer on the host. Without root, there are fewer findings and a warning.
  - It sees the network namespace that it runs in.
seealso:
  - module: netfleet.conntrack.flow_info
  - module: netfleet.conntrack.flow
  - module: netfleet.conntrack.conntrack_facts
"""

EXAMPLES = r"""
- name: What is wrong with this router?
  netfleet.conntrack.diagnosis_info:
  register: diagnosis

- name: Say it, worst first
  ansible.builtin.debug:
    msg: "{{ item.severity }}: {{ item.title }}. {{ item.cure }}"
  loop: "{{ diagnosis.findings }}"
  loop_control:
    label: "{{ item.id }}"

- name: Stop where packets are lost now
  ansible.builtin.assert:
    that: diagnosis.findings | selectattr('severity', 'eq', 'critical') | length == 0
"""

RETURN = r"""
schema_version:
  description: Grows when the meaning of a name changes.
  returned: success
  type: int
findings:
  description: >-
    The failures that were found, those first that lose packets now, then those that will, then the rest. Of equals, a cause comes before
    what it causes.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: >-
        One of V(table_full), V(table_filling), V(idle_flows_hold_table), V(hash_too_small), V(hash_too_large), V(snat_collisions),
        V(snat_ports_exhausted), V(dns_pair_race), V(count_mismatch), V(late_load), V(not_tracking), V(lost_at_boot), V(bad_boot_file),
        V(legacy_names), V(timeouts_too_short), V(timeouts_too_long), V(foreign_owner).
      type: str
    severity:
      description: V(critical) where packets are lost now, V(warning) where they will be, or at the next boot, else V(notice).
      type: str
    title:
      description: The failure in a few words.
      type: str
    means:
      description: What it is, and why.
      type: str
    notice:
      description: What users notice.
      type: str
    evidence:
      description: >-
        The numbers and short texts that prove it, by names of their own for each C(id). Where C(commands) are among them, they cure it, or
        one part of it, as they are printed; C(filter) is one for O(netfleet.conntrack.flow#module:filter).
      type: dict
    cure:
      description: What to do, in words.
      type: str
    policy:
      description: The fragment of a document for M(netfleet.conntrack.policy) that cures it for good, within the memory budget; empty where none does.
      type: dict
    docs:
      description: The page about it.
      type: str
  sample:
    - id: table_full
      severity: critical
      title: The table of connections is full
      means: No new connection finds room, and its packets are dropped. ...
      notice: New connections time out, and programs on the router itself get EPERM ...
      evidence: {count: 7680, max: 7680, usage: 1.0, dropped: 311, seconds: 2.0, source: 192.168.1.20, share: 0.954}
      cure: Raise max to 16384, which the memory budget allows ...
      policy: {table: {max: 16384, buckets: auto}}
      docs: https://github.com/netfleet/ansible-conntrack/blob/main/docs/findings/table_full.md
interval:
  description: Seconds that passed between the two readings of the counters; 0 where they were read once.
  returned: success
  type: float
facts:
  description: The same as M(netfleet.conntrack.conntrack_facts) gives in RV(netfleet.conntrack.conntrack_facts#module:ansible_facts.netfleet_conntrack).
  returned: success
  type: dict
"""

from ansible_collections.netfleet.conntrack.plugins.module_utils._diagnosis import SPEC, diagnosis_info, problems
from ansible_collections.netfleet.conntrack.plugins.module_utils._module import Module


def main():
    Module(SPEC).answer(diagnosis_info, problems)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: conntrack_facts
short_description: State of connection tracking as facts
version_added: 0.1.0
author: netfleet.conntrack contributors (@netfleet)
description:
  - Says how full the table is, what it costs, every setting now and at the next boot with the file that decides, whether
    packets are really tracked, and the counters.
  - Looking changes nothing. No module is loaded, no table is registered, and no packet is sent unless O(probe=true).
  - Never fails; a host without connection tracking gives C(available) as false. So it can be put into C(facts_modules).
extends_documentation_fragment:
  - netfleet.conntrack.attributes
  - netfleet.conntrack.attributes.facts_module
  - netfleet.conntrack.attributes.actiongroup_conntrack
options:
  probe:
    description:
      - Send one datagram of each family over loopback and see whether it is tracked. It leaves an entry of 30 seconds.
      - Without it C(tracking) may be V(unknown) where the rules cannot be read.
    type: bool
    default: false
  interval:
    description:
      - Read the counters twice, so many seconds apart, and say in C(counters) how fast they rise and what that means.
      - At most V(300), or V(0) for one reading and no rates. Another number is no failure either, but is told in C(error), and gives no rates.
    type: float
    default: 0.0
notes:
  - Without root, C(tracking) is V(unknown), and some settings and C(expect_count) are missing.
seealso:
  - module: netfleet.conntrack.settings
"""

EXAMPLES = r"""
- name: Read the state of connection tracking
  netfleet.conntrack.conntrack_facts:

- name: Stop when the table is nearly full
  ansible.builtin.assert:
    that: ansible_facts.netfleet_conntrack.usage < 0.8

- name: Watch the counters for five seconds
  netfleet.conntrack.conntrack_facts:
    interval: 5

- name: Stop when source NAT loses connections
  ansible.builtin.assert:
    that: ansible_facts.netfleet_conntrack.counters.patterns | selectattr('id', 'match', 'snat_') | length == 0
"""

RETURN = r"""
ansible_facts:
  description: The facts.
  returned: always
  type: dict
  contains:
    netfleet_conntrack:
      description: The state of connection tracking.
      returned: always
      type: dict
      contains:
        schema_version:
          description: Grows when the meaning of a name changes.
          type: int
        available:
          description: Whether connection tracking is in the kernel.
          type: bool
        error:
          description: Why the host could not be read, or what is wrong with O(interval); else empty.
          type: str
        builtin:
          description: Whether it is built in, and not a module.
          type: bool
        kernel:
          description: The kernel's release.
          type: str
        namespace:
          description: The network namespace, V(initial) or V(other).
          type: str
        mem_total:
          description: Bytes of memory that the host has.
          type: int
        cpus:
          description: CPUs that work; 0 where the host does not tell.
          type: int
        page_size:
          description: Bytes of a page of memory, by which the kernel rounds C(buckets).
          type: int
        count:
          description: Connections in the table, of this network namespace.
          type: int
        max:
          description: Most connections that it may hold.
          type: int
        usage:
          description: The first of these two by the second, from 0 to 1.
          type: float
        buckets:
          description: Chains of the hash table.
          type: int
        load_factor:
          description: Most connections by chains.
          type: float
        expect_max:
          description: Most expected connections.
          type: int
        expect_count:
          description: Connections that helpers expect, in this network namespace; null where netlink cannot be asked without loading a module.
          type: int
        memory:
          description: C(entry_bytes), C(table_bytes) of the full table, and its C(share) of the memory, entries at their dearest.
          type: dict
        tracking:
          description: Whether packets are tracked (V(yes), V(no), V(unknown)) for C(ipv4) and C(ipv6), and C(because) of what.
          type: dict
        settings:
          description: >-
            For each setting what it is C(running), what the next C(boot) gives, the C(source) that decides, and where a file asks in
            vain for another value, that file, its line and the C(reason).
          type: dict
        loaded_by:
          description: What loads the module at boot before the settings are written; empty where nothing does.
          type: str
        boot_problems:
          description: What is wrong in the files that a boot reads, each with its file and line.
          type: list
          elements: str
        snat_rules:
          description: >-
            Every rule that does SNAT or masquerades, whoever made it, with C(backend) (V(nftables), V(iptables-nft), V(iptables-legacy)),
            C(family), C(table), C(chain), C(handle) or C(number) there, C(owner) where it is known, C(match) in the backend's own words,
            C(to), C(ports), C(port_selection), C(persistent), C(comment), C(packets) and C(priority) of its base chain.
          type: list
          elements: dict
        owners:
          description: >-
            Other programs and files that write the same values, each with its C(name), C(where) it says so, its C(effect) in words, and
            C(settings), which has the C(value) of each, its C(source) and C(when) it is written (V(always), V(if it was lower),
            V(if it was higher), or V(never) for a name that kernels no longer know).
          type: list
          elements: dict
        counters:
          description: Counters since the network namespace began, under the names that the kernel gives them in netlink.
          type: dict
          contains:
            total:
              description: Each counter, summed over the CPUs. C(insert) counts what programs put into the table, never traffic.
              type: dict
            cpus:
              description: The same by CPU. Each is 32 bits wide and begins again at 0.
              type: list
              elements: dict
            rates:
              description: >-
                How fast they rose, in events a second, C(total) and by CPU (C(cpus)), with the C(seconds) between the two readings, and by
                how many entries a second the table grew (C(count), below 0 where it shrank).
              returned: interval is over 0
              type: dict
            patterns:
              description: >-
                What it means that these counters rose and others did not, C(id) and C(meaning), with the numbers that say so (C(evidence),
                of counters by how much they rose). V(table_full), V(hash_too_small), V(snat_ports_exhausted) and V(snat_collisions) lose
                packets, V(table_filling) is about to; V(invalid_packets) and V(lookups_restarted) are told above the everyday, and
                V(clashes_resolved) is harmless.
              returned: interval is over 0 and the counters can be read
              type: list
              elements: dict
      sample:
        schema_version: 1
        available: true
        count: 1204
        max: 262144
        usage: 0.0046
        settings: {max: {running: 262144, boot: 262144, source: kernel default, reason: ''}}
"""

from ansible_collections.netfleet.conntrack.plugins.module_utils._facts import facts
from ansible_collections.netfleet.conntrack.plugins.module_utils._module import Module


def main():
    Module({"probe": {"type": "bool", "default": False}, "interval": {"type": "float", "default": 0.0}}).answer(facts)


if __name__ == "__main__":
    main()

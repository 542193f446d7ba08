#!/usr/bin/python
# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: flow_info
short_description: What fills the table of connections
version_added: 0.1.0
author: netfleet.conntrack contributors (@netfleet)
description:
  - Counts the flows of a router by source, destination, port, protocol, state and more, exactly or from a uniform sample, and says
    how many ports SNAT has left, and which sockets of the router itself nobody tracks.
  - Reads the table by netlink, with no other program, and never holds it in memory. An exact answer about a million flows takes
    some seconds, a sample a tenth of one, whatever the size of the table.
  - Looking changes nothing in the table. Where C(nf_conntrack_netlink) is a module and not loaded, the kernel loads it.
extends_documentation_fragment:
  - netfleet.conntrack.attributes
  - netfleet.conntrack.attributes.info_module
  - netfleet.conntrack.attributes.actiongroup_conntrack
  - netfleet.conntrack.flows
options:
  show:
    description:
      - What to find out; without it, everything. Each takes some time on a large table.
      - V(longest) are the flows that have the most time left, V(snat_headroom) tells how many ports SNAT has left, and
        V(unknown_sockets) are established TCP connections of the router that conntrack does not know. The others count flows by
        what they have in common.
    type: list
    elements: str
    choices:
      - family
      - protocol
      - tcp_state
      - status
      - zone
      - source
      - source_network
      - destination
      - destination_port
      - nat_address
      - mark
      - remaining
      - longest
      - snat_headroom
      - unknown_sockets
  top:
    description: How many rows a list has at most, from 1 to 10000. Families, protocols, states and classes of time are all shown.
    type: int
    default: 10
  source_network:
    description: How long the prefix is of the networks that sources are counted by.
    type: dict
    suboptions:
      ipv4:
        description: Of IPv4, 0 to 32.
        type: int
        default: 24
      ipv6:
        description: Of IPv6, 0 to 128.
        type: int
        default: 64
  sample:
    description:
      - How much of the table to read. V(exact) reads all of it.
      - A number, from 100 on, reads so many flows. The kernel keeps them in the order of a secret hash, so the first are a uniform sample, and
        the same one each time until the hash table is resized.
      - V(auto) reads up to 7500 flows exactly, and of more a sample of 5000, which tells a share within 0.014.
    type: str
    default: auto
  time_limit:
    description: Seconds after which reading ends, with what has been read as the sample.
    type: float
notes:
  - Needs root, or C(CAP_NET_ADMIN), and sees the network namespace that it runs in.
  - While an exact answer is read, flows come and go, so numbers that are read one after the other need not add up.
seealso:
  - module: netfleet.conntrack.flow
  - module: netfleet.conntrack.conntrack_facts
"""

EXAMPLES = r"""
- name: Who fills the table? At once, at any size
  netfleet.conntrack.flow_info:
    show: [source, destination_port, tcp_state]
  register: answer

- name: Say it
  ansible.builtin.debug:
    msg: "{{ item.value }} holds {{ item.flows }} flows, {{ (item.low * 100) | round(1) }} to {{ (item.high * 100) | round(1) }} %"
  loop: "{{ answer.flows.by_source }}"
  loop_control:
    label: "{{ item.value }}"

- name: The networks behind all unanswered UDP flows, exactly
  netfleet.conntrack.flow_info:
    show: [source_network]
    sample: exact
    filter:
      protocol: [udp]
      status: [unreplied]

- name: Stop before SNAT has used up its ports towards anybody
  netfleet.conntrack.flow_info:
    show: [snat_headroom]
    sample: exact
  register: answer
  failed_when: (answer.flows.snat_headroom | map(attribute='share') | max | default(0)) > 0.8
"""

RETURN = r"""
flows:
  description: What has been found.
  returned: success
  type: dict
  contains:
    schema_version:
      description: Grows when the meaning of a name changes.
      type: int
    total:
      description: Flows that O(filter) means; of a sample, an estimate.
      type: int
    count:
      description: Entries in the table. It may hold some that are in no listing, such as those of packets on their way.
      type: int
    exact:
      description: Whether all of the table has been read.
      type: bool
    sample_size:
      description: How many flows have been read.
      type: int
    share:
      description: The share of the table that O(filter) means, from 0 to 1.
      type: float
    low:
      description: The least that the share may be. Of a sample, it is between C(low) and C(high) with a confidence of 95 %.
      type: float
    high:
      description: The most that the share may be.
      type: float
    by_source:
      description: >-
        Values with the most C(flows) first, each with its C(share) of C(total), and the C(low) and C(high) of that. The other lists are alike,
        and are named likewise C(by_destination), C(by_protocol) and so on. Of a sample, the intervals are wide enough
        that of all rows of a list 95 % hold the truth, although chance had a part in choosing the rows. C(by_destination_port) has values as
        V(53/udp). C(by_status) counts a flow under everything that it is. C(by_remaining) has classes of
        seconds, in their order; flows are C(offloaded) where only the flowtable knows their time.
      type: list
      elements: dict
    breakdowns:
      description: >-
        For each of these lists the number of C(distinct) values that have been read. Up to 50000 of them, counts are exact. Of more, the
        rarest have been forgotten, C(distinct) is null, and no value has more than C(bound) flows than it is shown with; C(high) allows for that.
      type: dict
    longest:
      description: Flows with the most time left, each with what the kernel tells of it.
      type: list
      elements: dict
    snat_headroom:
      description: >-
        Worst first, for each C(nat_address), C(protocol), C(destination) and C(destination_port) the ports C(used), whatever O(filter) says, of
        those C(available) by the rules that give the address, whatever protocol they are for, the C(share), and the new C(flows_per_second)
        that it allows for long if each keeps its port for the present timeout of flows that are over (of TCP, C(tcp_timeout_time_wait)).
        C(low) and C(high) bound C(used).
      type: list
      elements: dict
    unknown_sockets:
      description: >-
        C(total) established TCP connections that end on this router and have no entry, of so many C(checked), and C(sockets) with some of
        them. SNAT may give their ports to others. Looked for in zone 0, and in the zones that O(show=zone) has seen.
      type: dict
  sample:
    total: 7663
    count: 7663
    exact: true
    sample_size: 7663
    by_source: [{value: 192.168.1.20, flows: 7312, share: 0.954195, low: 0.954195, high: 0.954195}]
"""

from ansible_collections.netfleet.conntrack.plugins.module_utils._flow_info import SPEC, flow_info, problems
from ansible_collections.netfleet.conntrack.plugins.module_utils._module import Module


def main():
    Module(SPEC).answer(flow_info, problems)


if __name__ == "__main__":
    main()

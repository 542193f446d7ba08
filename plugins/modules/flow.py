#!/usr/bin/python
# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: flow
short_description: Delete tracked flows, or cap the time that they have left
version_added: 0.1.0
author: netfleet.conntrack contributors (@netfleet)
description:
  - Acts on the flows of a router that a filter means, by netlink, while it reads the table, and needs no other program.
  - A timeout that is set anew holds for packets to come. What an idle flow has left stays as long as it was; O(state=capped) shortens it.
    It is the kinder of the two, for a flow that lives gets its time again with its next packet.
  - A deleted flow loses its NAT. If its connection lives, its next packet begins a new flow, which may get another port.
  - The connection that carries Ansible is left alone unless asked otherwise. It is found from the SSH server above the module's process,
    so that it holds under C(become) and C(ControlPersist).
extends_documentation_fragment:
  - netfleet.conntrack.flows
  - netfleet.conntrack.attributes
  - netfleet.conntrack.attributes.actiongroup_conntrack
attributes:
  check_mode:
    support: full
    details:
      - Says how many flows it would act on, and shows some.
  diff_mode:
    support: none
    details:
      - RV(sample) shows some of the flows instead.
  idempotent:
    support: partial
    details:
      - Flows that traffic makes anew are found again. A capped flow whose time is short enough is left alone.
options:
  state:
    description:
      - V(absent) deletes the flows.
      - V(capped) lowers what they have left to O(remaining) seconds, where it is more.
    type: str
    choices: [absent, capped]
    required: true
  filter:
    description: Which flows are meant. It needs at least one condition; all flows are those of C(family=[ipv4, ipv6]).
    required: true
  remaining:
    description: The most seconds that flows are to have left, 1 to 2147483. For O(state=capped), which needs it.
    type: int
  limit:
    description: Act on so many flows at most, and end.
    type: int
  own_connection:
    description:
      - V(spare) leaves the TCP connections alone that carry Ansible, with whatever SSH forwards in them. Where they are not found, as under
        C(async) or on a console, it is every established TCP connection to the host's own SSH server, and a warning says so.
      - V(include) treats them as any other.
    type: str
    choices: [spare, include]
    default: spare
notes:
  - Needs root, or C(CAP_NET_ADMIN), and acts in the network namespace that it runs in.
  - Long work is told in the log of the host every five seconds, with its rate.
  - A flow whose time is fixed, or that a flowtable has, cannot be capped; a warning tells their number.
seealso:
  - module: netfleet.conntrack.flow_info
  - module: netfleet.conntrack.settings
"""

EXAMPLES = r"""
- name: Let dead connections of one host go after two hours instead of days; those that live have their time again with their next packet
  netfleet.conntrack.flow:
    state: capped
    remaining: 7440
    filter:
      protocol: [tcp]
      state: [ESTABLISHED]
      source: [192.168.1.20]

- name: How many flows would go? Nothing is done
  netfleet.conntrack.flow:
    state: absent
    filter:
      destination: [198.51.100.0/24]
  check_mode: true
  register: answer

- name: Forget where UDP flows went before the address of the link changed
  netfleet.conntrack.flow:
    state: absent
    filter:
      protocol: [udp]
      nat_address: [203.0.113.7]
"""

RETURN = r"""
matched:
  description: How many flows the filter means, of those that were read before O(limit) was reached.
  returned: success
  type: int
acted:
  description: How many were deleted or capped; in check mode, how many would be.
  returned: success
  type: int
spared:
  description: How many were left alone because they carry Ansible.
  returned: success
  type: int
already:
  description: How many had no more than O(remaining) seconds left.
  returned: success
  type: int
gone:
  description: How many had gone when it came to them.
  returned: success
  type: int
refused:
  description: How many the kernel does not let go, or be capped.
  returned: success
  type: int
rate:
  description: Flows a second.
  returned: success
  type: int
sample:
  description: Some of the flows that were acted on, or would be, with what the kernel told of them before.
  returned: success
  type: list
  elements: dict
  sample:
    - {protocol: tcp, source: 192.168.1.20, destination: 198.51.100.9, source_port: 51413, destination_port: 6881, state: ESTABLISHED, remaining: 398211}
"""

from ansible_collections.netfleet.conntrack.plugins.module_utils._flow import SPEC, flow, problems
from ansible_collections.netfleet.conntrack.plugins.module_utils._module import Module


def main():
    Module(SPEC).act(flow, problems)


if __name__ == "__main__":
    main()

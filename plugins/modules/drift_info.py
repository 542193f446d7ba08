#!/usr/bin/python
# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: drift_info
short_description: Where a router differs from its document, now and at the next boot
version_added: 0.1.0
author: netfleet.conntrack contributors (@netfleet)
description:
  - Compares a router with the document that M(netfleet.conntrack.policy) applies, three ways. For every value and rule it says what is
    wanted, what the running kernel has, and what the next boot would give, with the file and line, or the rule, that decides.
  - Tells kinds of drift apart, such as a value set by hand, a file of others that wins at boot, a unit that was disabled, or a rule that
    was reordered. Programs of others that write the same values are named.
  - Looking changes nothing. What cannot be compared is told in C(problems), and such a router is never C(clean).
  - The role P(netfleet.conntrack.conntrack_drift#role) does this for a fleet, and writes reports.
extends_documentation_fragment:
  - netfleet.conntrack.attributes
  - netfleet.conntrack.attributes.info_module
  - netfleet.conntrack.attributes.actiongroup_conntrack
options:
  document:
    description:
      - The document, as the option of that name of M(netfleet.conntrack.policy).
    type: dict
    required: true
  state:
    description:
      - V(absent) compares with a router on which nothing of ours is left.
    type: str
    choices: [present, absent]
    default: present
  headroom:
    description:
      - Also tell how many ports SNAT has left, as M(netfleet.conntrack.flow_info) does, where anything does SNAT. Where
        C(nf_conntrack_netlink) is a module and not loaded, the kernel loads it.
    type: bool
    default: false
seealso:
  - module: netfleet.conntrack.policy
  - module: netfleet.conntrack.conntrack_facts
  - module: netfleet.conntrack.flow_info
notes:
  - Needs root, and Python 3.6 or newer on the host.
"""

EXAMPLES = r"""
- name: Compare a router with its document
  netfleet.conntrack.drift_info:
    document: "{{ conntrack_policy }}"
  register: drift

- name: Stop where it differs, and say where
  ansible.builtin.assert:
    that: drift.status == 'clean'
    fail_msg: "{{ drift.differences | map(attribute='why') | join('; ') }}"
"""

RETURN = r"""
schema_version:
  description: Grows when the meaning of a name changes.
  returned: success
  type: int
status:
  description: >-
    V(clean) where all is as wanted, V(drift) where something differs, V(unknown) where nothing was seen to differ and something could not
    be compared.
  returned: success
  type: str
  sample: drift
compared:
  description: What the document asks for, three ways; a value, a rule, or a group of rules each.
  returned: success
  type: list
  elements: dict
  contains:
    part:
      description: The part of the document.
      type: str
    name:
      description: The setting or the rule.
      type: str
    wanted:
      description: What the document asks for.
      type: raw
    running:
      description: What the running kernel has; null where it is not there.
      type: raw
    boot:
      description: What the next boot gives; null where it gives nothing, or where nothing is asked for at boot.
      type: raw
    source:
      description: What decides about the boot, a file and its line, or words.
      type: str
    reason:
      description: Why a file asks in vain for another value, or empty.
      type: str
    differs:
      description: The layers in which it differs, of V(running) and V(boot).
      type: list
      elements: str
    writers:
      description: Programs and files of others that write another value, each with its C(name), C(value), C(source) and C(when).
      type: list
      elements: dict
  sample: [{part: settings, name: max, wanted: 524288, running: 65536, boot: 524288,
            source: '/etc/sysctl.d/zz-netfleet-conntrack.conf:2', reason: '', differs: [running], writers: []}]
differences:
  description: Everything that is not as wanted, also files and units.
  returned: success
  type: list
  elements: dict
  contains:
    part:
      description: The part of the document.
      type: str
    name:
      description: The setting, the rule, the file or the unit.
      type: str
    layer:
      description: V(running) for the kernel now, V(boot) for the next boot.
      type: str
    kind:
      description: What kind of drift it is; U(https://github.com/netfleet/ansible-conntrack/blob/main/docs/drift.md) lists them.
      type: str
    wanted:
      description: What the document asks for.
      type: raw
    found:
      description: What is there; null where nothing is.
      type: raw
    source:
      description: What decides, or has to be put right, a file and its line, the place of a rule, or words.
      type: str
    why:
      description: What that means.
      type: str
  sample: [{part: settings, name: max, layer: running, kind: running_value, wanted: 524288, found: 65536, source: '',
            why: the running kernel has another value}]
problems:
  description: Why something could not be compared, or cannot be had on this host, each with its remedy.
  returned: success
  type: list
  elements: str
policy:
  description: The document completed, with the values of its profile and V(auto) worked out for this host.
  returned: success
  type: dict
memory:
  description: What the table can take, as M(netfleet.conntrack.policy) says it; null when C(table.max) is not given.
  returned: success
  type: dict
facts:
  description: The same as M(netfleet.conntrack.conntrack_facts) gives in RV(netfleet.conntrack.conntrack_facts#module:ansible_facts.netfleet_conntrack).
  returned: success
  type: dict
headroom:
  description: How many ports SNAT has left, as RV(netfleet.conntrack.flow_info#module:flows.snat_headroom); null where nothing does SNAT.
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.netfleet.conntrack.plugins.module_utils._drift import SPEC, drift_info
from ansible_collections.netfleet.conntrack.plugins.module_utils._module import Module


def main():
    Module(SPEC).answer(drift_info)


if __name__ == "__main__":
    main()

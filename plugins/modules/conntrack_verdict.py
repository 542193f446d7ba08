# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of this name does it all on the controller.

DOCUMENTATION = r"""
module: conntrack_verdict
short_description: End a host's run as its status in the report says
version_added: 0.1.0
author: netfleet.conntrack contributors (@netfleet)
description:
  - Makes the status of a host in the report that of Ansible, so that C(ansible-playbook) ends with V(0), V(2) or V(4).
  - A host that is as wanted goes on. One that is not, or of which that could not be told, fails. One that could not be reached is
    unreachable to Ansible as well. C(ansible-playbook) ends with 4 where a host is unreachable, else with 2 where one has failed.
  - The role P(netfleet.conntrack.conntrack_drift#role) ends with it, after the report was written.
extends_documentation_fragment:
  - netfleet.conntrack.attributes
  - netfleet.conntrack.attributes.info_module
  - netfleet.conntrack.attributes.actiongroup_conntrack
options:
  status:
    description:
      - What the report says of the host.
    type: str
    choices: [clean, drift, unknown, unreachable]
    required: true
  message:
    description:
      - Why; it becomes the message of the result.
    type: str
    default: ''
notes:
  - It runs on the controller, and the host is not contacted.
seealso:
  - module: netfleet.conntrack.drift_info
"""

EXAMPLES = r"""
- name: Compare the router with its document
  netfleet.conntrack.drift_info:
    document: "{{ conntrack_policy }}"
  register: looked

- name: Fail where it is not as wanted
  netfleet.conntrack.conntrack_verdict:
    status: "{{ looked.status }}"
    message: "{{ looked.differences | map(attribute='why') | join('; ') }}"
"""

RETURN = r"""
status:
  description: The status that was given.
  returned: always
  type: str
  sample: drift
msg:
  description: Why the host is not as wanted.
  returned: always
  type: str
"""

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of this name does it all on the controller.

DOCUMENTATION = r"""
module: conntrack_validate
short_description: Check a document without contacting its host
version_added: 0.1.0
author: netfleet.conntrack contributors (@netfleet)
description:
  - Says what M(netfleet.conntrack.policy) would refuse in a document, on the controller, before any host is touched. The same functions
    that plan on the host plan here.
  - Names and types of options, bounds, profiles, and rules are checked for every host. Where something was recorded of the host, such as
    its memory and kernel, its budget is checked as well, C(auto) is worked out, and settings that its kernel lacks are named.
  - Of what is not recorded nothing stands in the way. What only the host can tell, such as programs that are missing, is told by
    C(netfleet.conntrack.plan).
  - Everything that is wrong is said at once, each with the path of its option.
extends_documentation_fragment:
  - netfleet.conntrack.attributes
  - netfleet.conntrack.attributes.info_module
  - netfleet.conntrack.attributes.actiongroup_conntrack
options:
  document:
    description:
      - The document, as the option of that name of M(netfleet.conntrack.policy). Without it, the variable C(conntrack_policy) of the host.
    type: raw
  facts:
    description:
      - What was recorded of the host, as C(ansible_facts.netfleet_conntrack) of M(netfleet.conntrack.conntrack_facts) or C(facts) of
        M(netfleet.conntrack.drift_info).
      - Without it, the facts of the host in a fact cache, and where there are none, what O(report) tells.
    type: dict
  report:
    description:
      - A file C(report.json) that an earlier run has written, of which the host's own entry is taken. A relative path begins where
        C(ansible-playbook) was started.
    type: path
notes:
  - It runs on the controller, and the host is not contacted.
  - Connections in the table are those at the time of the record, so a table that is refused as too small for them may have emptied since.
seealso:
  - module: netfleet.conntrack.policy
  - module: netfleet.conntrack.conntrack_facts
"""

EXAMPLES = r"""
- name: Check the documents of all routers
  hosts: routers
  gather_facts: false
  tasks:
    - name: Check the document
      netfleet.conntrack.conntrack_validate:

    - name: Check it against what the last report tells of the router
      netfleet.conntrack.conntrack_validate:
        report: conntrack-report/report.json

    - name: Check a document for a router that is to be bought
      netfleet.conntrack.conntrack_validate:
        document:
          profile: cgnat
        facts:
          kernel: 6.12.0
          mem_total: 68719476736
"""

RETURN = r"""
problems:
  description: What is wrong, each with the path of its option; empty where nothing is.
  returned: always
  type: list
  elements: str
  sample: ['timeouts.udp_timeout: 0 is not between 1 and 2147483 seconds (the kernel would accept it and track nothing in that state)']
warnings:
  description: What should be known of the document, such as timeouts under the floors of RFCs.
  returned: when there is a document
  type: list
  elements: str
policy:
  description: The document completed, with the values of its profile, and with C(auto) worked out where what was recorded tells enough.
  returned: success
  type: dict
  sample: {profile: nat_gateway, table: {max: 524288, buckets: 524288, memory_share: 0.1}}
memory:
  description: >-
    What the table can take, C(entry_bytes), C(table_bytes) and its C(share) of the memory, entries at their dearest; null where it cannot be
    worked out, as C(share) alone is where the memory is not known.
  returned: success
  type: dict
facts_from:
  description: What the document was held against, V(facts) or a report; empty for nothing.
  returned: when there is a document
  type: str
  sample: report of 2026-11-21T17:30:00Z
"""

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of this name does it all on the controller.

DOCUMENTATION = r"""
module: conntrack_report
short_description: One report on all hosts, in the forms that people and CI read
version_added: 0.1.0
author: netfleet.conntrack contributors (@netfleet)
description:
  - Makes one report of what M(netfleet.conntrack.drift_info) has registered on each host, and writes it on the controller as JSON, JUnit XML,
    Markdown, one HTML page and metrics of Prometheus.
  - Says which hosts are not as wanted, those first, where and why, what is new since the previous report and what went away, how fast the
    counters of the kernel rose meanwhile, and from the history in how many days a table is full.
  - A host that failed, could not be reached or has no result is in the report as well, as V(unknown) or V(unreachable), and never as V(clean).
  - The role P(netfleet.conntrack.conntrack_drift#role) does all this. Use this module for a run of your own making.
extends_documentation_fragment:
  - netfleet.conntrack.attributes
  - netfleet.conntrack.attributes.actiongroup_conntrack
attributes:
  check_mode:
    support: partial
    details:
      - Writes in check mode too. A report is no change of a host, and a check run is what it often reports on.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each run writes anew, and adds a line to the history.
  bypass_host_loop:
    description: Runs once for all hosts of the play. Only with C(run_once) do all of them have what it registers.
    support: full
options:
  directory:
    description:
      - The folder of the report on the controller, made if need be. A relative path begins where C(ansible-playbook) was started.
    type: path
    default: conntrack-report
  formats:
    description:
      - What to write. V(json) is C(report.json), V(junit) C(report.xml), V(markdown) C(report.md), V(html) C(report.html) and
        V(prometheus) C(report.prom).
    type: list
    elements: str
    choices: [html, json, junit, markdown, prometheus]
    default: [json, junit, markdown, html, prometheus]
  kind:
    description:
      - What the report is on. V(drift) looked, V(plan) says what would change, V(tune) looked after documents had been applied.
      - With V(tune), a host on which the document could not be applied (O(applied)) is V(unknown), though nothing differs.
    type: str
    choices: [drift, plan, tune]
    default: drift
  title:
    description:
      - What to call it.
    type: str
    default: ''
  previous:
    description:
      - The C(report.json) of an earlier run, to compare with. Without it, the one in O(directory), where there is one.
      - One that is broken, or of another C(schema_version), is told in a warning and ignored.
    type: path
  history:
    description:
      - A file of JSON lines, one for each run, to which this one is added. Without it, C(history.jsonl) in O(directory).
      - An empty text keeps no history.
    type: path
  variable:
    description:
      - The variable in which each host has registered the result of M(netfleet.conntrack.drift_info).
    type: str
    default: conntrack_drift_looked
  applied:
    description:
      - The variable in which each host has registered what became of its document; only read with O(kind=tune).
    type: str
    default: conntrack_applied
  hosts:
    description:
      - The hosts to report on. Without it, all hosts of the play, also those that failed or were unreachable.
    type: list
    elements: str
notes:
  - It runs on the controller, and no host is contacted. A task that delegates it to C(localhost) needs nothing of the first host of the play.
  - The files can be read by everybody. They hold addresses and rules of your routers, and no secrets of them.
seealso:
  - module: netfleet.conntrack.drift_info
"""

EXAMPLES = r"""
- name: Compare each router with its document, whatever becomes of the others
  netfleet.conntrack.drift_info:
    document: "{{ conntrack_policy }}"
  register: conntrack_drift_looked
  ignore_errors: true
  ignore_unreachable: true

- name: Write the report
  netfleet.conntrack.conntrack_report:
    title: Routers of the north
    formats: [json, markdown]
  register: report
  run_once: true
  delegate_to: localhost
  become: false

- name: Say which router is odd, and why
  ansible.builtin.debug:
    msg: "{{ report.lines }}"
  run_once: true

- name: What a merge request would change, beside what drifts on the main branch
  netfleet.conntrack.conntrack_report:
    kind: plan
    directory: plan
    previous: nightly/report.json
    history: ''
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
exit_status:
  description: V(4) where a host is unreachable, else V(2) where one is not as wanted or could not be read, else V(0).
  returned: success
  type: int
  sample: 2
summary:
  description: Numbers of C(hosts), of those that are C(clean), C(drift), C(unknown) and C(unreachable), and of differences that are C(new) or C(gone).
  returned: success
  type: dict
  sample: {hosts: 2, clean: 1, drift: 1, unknown: 0, unreachable: 0, new: 1, gone: 0}
lines:
  description: What to show at the end of a run. Odd hosts come first, in at most 20 lines and how many more there are; the last line is the summary.
  returned: success
  type: list
  elements: str
  sample:
    - 'r2: settings max, boot: found 65536, wanted 524288 (/etc/sysctl.d/99-zz-site.conf:3)'
    - '1 of 2 hosts is not as wanted: 1 drift'
hosts:
  description: For each host its C(status), and in one line the C(message) why it is not clean.
  returned: success
  type: dict
  sample:
    r1: {status: clean, message: ''}
    r2: {status: drift, message: 'settings max, boot: found 65536, wanted 524288 (/etc/sysctl.d/99-zz-site.conf:3)'}
written:
  description: The files that were written, the history excepted.
  returned: success
  type: list
  elements: str
  sample: [/home/ci/conntrack-report/report.json]
"""

#!/usr/bin/python
# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: settings
short_description: Size, timeouts and behaviour of connection tracking, now and at every boot
version_added: 0.1.0
author: netfleet.conntrack contributors (@netfleet)
description:
  - Gives the running kernel and the next boot the same values, all keys in one execution.
  - The options are the whole of what is wanted. What an earlier run set and this one no longer names goes back to
    what it was before the first run, so give all settings of a host in one task.
  - Everything that is wrong is said at once, before anything is touched. Every value is read back from the kernel, what the
    next boot would give is worked out from all files that a boot reads, and a run that cannot make both hold undoes
    what it did.
  - At boot, the key, the module that makes the key exist and the hash size travel together, in C(/etc/sysctl.d),
    C(/etc/modprobe.d), C(/etc/modules-load.d) and C(/etc/udev/rules.d), each in an own file named
    C(zz-netfleet-conntrack). Nothing of others is edited; where a foreign file or the kernel command line would win, its
    path and line are named. An initramfs that loads C(nf_conntrack) is made anew.
extends_documentation_fragment:
  - netfleet.conntrack.settings
  - netfleet.conntrack.attributes
  - netfleet.conntrack.attributes.change_module
  - netfleet.conntrack.attributes.actiongroup_conntrack
options:
  at_boot:
    description:
      - Make the values hold at every boot too. V(false) leaves nothing of ours for the boot.
    type: bool
    default: true
  state:
    description:
      - V(absent) takes away what is ours, and returns the running values to what they were before the first run.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: netfleet.conntrack.early_load
  - module: netfleet.conntrack.conntrack_facts
notes:
  - Needs root, and Python 3.6 or newer on the host; nothing else.
  - A warning says when a timeout is so short that it breaks idle connections.
"""

EXAMPLES = r"""
- name: Size the table by memory and forget dead connections after two hours
  netfleet.conntrack.settings:
    table:
      max: auto
      memory_share: 0.1
    timeouts:
      tcp_timeout_established: 7440
      udp_timeout_stream: 180

- name: Exactly this many connections, four in a chain
  netfleet.conntrack.settings:
    table:
      max: 524288
      buckets: 131072
      memory_share: 0.25

- name: Put everything back as it was before the first run
  netfleet.conntrack.settings:
    state: absent
"""

RETURN = r"""
changes:
  description: What was changed, or in check mode would be, in order.
  returned: success
  type: list
  elements: dict
  contains:
    part:
      description: The part that it belongs to.
      type: str
    name:
      description: The setting, or our file.
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
settings:
  description: The values that the options mean on this host, V(auto) worked out.
  returned: success
  type: dict
  sample: {max: 524288, buckets: 131072}
boot:
  description: What the next boot would give each setting once this is applied, and the file and line that decides.
  returned: success
  type: dict
  sample: {max: {value: 524288, source: '/etc/sysctl.d/zz-netfleet-conntrack.conf:2'}}
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
kernel_command_line:
  description: What to put on the kernel command line where connection tracking is built in, so that NAT gets its hash size too; else empty.
  returned: success
  type: str
  sample: nf_conntrack.hashsize=131072
recovered:
  description: Whether this run completed one that had been killed.
  returned: success
  type: bool
"""

from ansible_collections.netfleet.conntrack.plugins.module_utils._module import bring_about


def make():
    """The argument spec and the Part, loaded where they are needed."""
    from ansible_collections.netfleet.conntrack.plugins.module_utils._settings import PART
    from ansible_collections.netfleet.conntrack.plugins.module_utils._spec import settings_spec

    return settings_spec(), PART


def main():
    bring_about("settings", make)


if __name__ == "__main__":
    main()

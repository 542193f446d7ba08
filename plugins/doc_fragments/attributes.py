# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


class ModuleDocFragment:
    # Every module takes this one, adds one of the variants below it, and says itself where it differs.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can be run in check mode, and then says what would change without changing it.
  diff_mode:
    description: Shows in diff mode what has changed, or in check mode what would change.
  idempotent:
    description:
      - A second run with the same arguments changes nothing, as long as nothing else has changed the host in between.
  platform:
    description: Operating systems of the hosts on which the module works.
    support: full
    platforms: linux
"""

    # Modules that change a host.
    CHANGE_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
"""

    # Modules that only read, and return what they read.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - The module only reads.
  diff_mode:
    support: N/A
    details:
      - The module only reads.
  idempotent:
    support: full
    details:
      - The module only reads. What it returns follows the state of the host.
"""

    # Modules that only read, and return facts.
    FACTS_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - The module only reads.
  diff_mode:
    support: N/A
    details:
      - The module only reads.
  idempotent:
    support: full
    details:
      - The module only reads. What it returns follows the state of the host.
  facts:
    description: Returns C(ansible_facts), which become facts of the host.
    support: full
"""

    ACTIONGROUP_CONNTRACK = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/netfleet.conntrack.conntrack) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - netfleet.conntrack.conntrack
"""

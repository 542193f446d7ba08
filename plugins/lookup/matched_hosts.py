# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of a play, where there are any."""
from __future__ import annotations

DOCUMENTATION = r"""
name: matched_hosts
short_description: A pattern of hosts that matches at least one
version_added: 0.1.0
author: netfleet.conntrack contributors (@netfleet)
description:
  - Returns the pattern as it is where it matches a host of the inventory that C(--limit) does not take away.
  - Where it matches none, the lookup ends C(ansible-playbook) with the status 1. Ansible itself skips such a play and ends with 0, so
    that a pipeline with a misspelt group says that all is well.
  - It is made for C(hosts) of a play, where Ansible 2.19 and newer end with 4 whatever a lookup raises, as for a host that cannot be reached.
    Elsewhere it fails as lookups do.
options:
  _terms:
    description: The pattern, or several.
    type: list
    elements: str
    required: true
notes:
  - C(ansible-playbook --syntax-check) needs no inventory, so the pattern is returned in any case.
"""

EXAMPLES = r"""
- name: Track connections as the policy says
  hosts: "{{ lookup('netfleet.conntrack.matched_hosts', conntrack_hosts | default('routers')) }}"
  roles:
    - role: netfleet.conntrack.conntrack
"""

RETURN = r"""
_raw:
  description: The pattern.
  type: list
  elements: str
"""

from ansible import context
from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.inventory.manager import InventoryManager, split_host_pattern
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

STATUS = 1  # Ansible's own for a run that broke
NONE = "no host matches %s%s: nothing was done. The inventory has %s; see ansible-inventory --graph, and the variable conntrack_hosts"

display = Display()


class LookupModule(LookupBase):
    """Looks the pattern up in the inventory of the play."""

    def run(self, terms, variables=None, **kwargs):
        """Return the pattern; end the run where it matches nothing."""
        patterns = _patterns(terms)
        if patterns and (context.CLIARGS.get("syntax") or self._matches(patterns, variables)):
            return patterns
        told = NONE % (",".join(patterns) or "an empty pattern", _limited(variables), _size(variables["groups"]))
        if "inventory_hostname" in variables:
            raise AnsibleLookupError(told)
        # What is raised here as an error of Ansible comes out as status 4, that of a host that cannot be reached.
        display.error(told)
        raise SystemExit(STATUS)

    def _matches(self, patterns, variables):
        inventory = _inventory(self._loader, variables["groups"])
        try:
            found = {host.name for host in inventory.get_hosts(pattern=patterns)}
        except AnsibleError as error:
            display.warning(str(error))
            return False
        known, left = set(variables["groups"].get("all", ())), set(variables["ansible_play_hosts_all"])
        # `localhost` is there without being in the inventory, unless --limit takes it away.
        return bool(found & left) or bool(found - known) and left == known


def _inventory(loader, groups):
    """An inventory of the same groups; a lookup is given no other."""
    found = InventoryManager(loader, parse=False)
    for group, hosts in groups.items():
        found.add_group(group)
        for host in hosts:
            found.add_host(host, group=group)
    return found


def _patterns(terms):
    """Each pattern by itself; what separates them depends on how they are written."""
    found = []
    for term in terms:
        found += split_host_pattern(str(term)) if isinstance(term, str) else _patterns(term)
    return [pattern for pattern in found if pattern]


def _limited(variables):
    limit = variables.get("ansible_limit")
    return " within --limit %s" % limit if limit else ""


def _size(groups):
    number = len(groups.get("all", ()))
    return "%d host%s" % (number, "" if number == 1 else "s") if number else "no hosts at all"

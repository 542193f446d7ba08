# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Takes back what was done to the SNAT rules of others, wherever those rules are by now."""
from ansible_collections.netfleet.conntrack.plugins.module_utils import _foreign, _nat_rules, _rulesets, _snat_choice
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._memo import boot

RELEASE = "/proc/sys/kernel/osrelease"


def put_back(host, memo):
    """Give their former words to the rules that are as a plan was to leave them; what was not done, or is gone, needs nothing."""
    rulesets = _rulesets.read(host, (host.read(RELEASE) or "").strip())
    rows, dummy = _nat_rules.read(host, rulesets)
    programs = dict(_snat_choice.read(host, rulesets).programs)
    for step in _foreign.undo(rows, programs, memo, boot(host)).steps:
        if step.action == "feed":
            status, output, errors = host.run(*step.value)
            if status != 0:
                raise ConntrackError("%s failed: %s" % (step.target, (errors or output).strip()))

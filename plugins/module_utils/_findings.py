# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The rules of diagnosis: which of the known failures an Evidence shows, worst first. Pure."""
from ansible_collections.netfleet.conntrack.plugins.module_utils import _findings_boot, _findings_hash, _findings_nat, _findings_table
from ansible_collections.netfleet.conntrack.plugins.module_utils._findings_row import SEVERITIES

# One function for each finding. Of findings that are equally bad a cause comes before what it causes.
RULES = (
    _findings_table.count_mismatch,
    _findings_boot.not_tracking,
    _findings_hash.hash_too_small,
    _findings_hash.hash_too_large,
    _findings_table.table_full,
    _findings_table.idle_flows_hold_table,
    _findings_nat.snat_ports_exhausted,
    _findings_nat.snat_collisions,
    _findings_nat.dns_pair_race,
    _findings_nat.late_load,
    _findings_table.timeouts_too_long,
    _findings_table.table_filling,
    _findings_hash.timeouts_too_short,
    _findings_boot.bad_boot_file,
    _findings_boot.legacy_names,
    _findings_boot.lost_at_boot,
    _findings_boot.foreign_owner,
)
IDS = tuple(rule.__name__ for rule in RULES)


def findings(evidence):
    """Return the Findings that the evidence shows: those that lose packets now, then those that will, then the rest."""
    found = [each for each in (rule(evidence) for rule in RULES) if each]
    return sorted(found, key=lambda each: SEVERITIES.index(each.severity))

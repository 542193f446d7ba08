# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Drift of the parts that have rules, "early_load" and "snat": in the running kernel, and in what loads them at boot. Pure but for links."""
from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _drift_row,
    _early_load,
    _management_spec,
    _snat,
    _snat_backends,
    _snat_choice,
    _snat_wanted,
    _unit,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import BOOT, RUNNING
from ansible_collections.netfleet.conntrack.plugins.module_utils._drift_kinds import FILES

HOOKS, MANAGEMENT = "hooks", _management_spec.OPTION
PRESENT, ABSENT = "present", "absent"
# What rules at boot cannot do without, whatever they are; the others are files of the rules themselves.
COMMON = (_unit.NAME,) + _unit.OWN
# Changes of either part that have a name of their own.
NAMED = {"nf_conntrack": "module_unloaded", "initramfs": "initramfs_outdated", _unit.NAME: "unit_disabled"}
NAMED_SNAT = {"order": "rules_reordered", "hook": "rules_not_first"}


def values(dummy_view, row):
    """Yield a Value for every rule that is wanted, or group of rules."""
    if row.options.get("state") != ABSENT and row.part.name in WANTED and not row.plan.refusals:
        at_boot = row.options.get("at_boot", True)
        broken = next((change for change in row.plan.changes if change.layer == BOOT and _loads(row.part.name, change.name)), None)
        for name, wanted in WANTED[row.part.name](row):
            change = next((change for change in row.plan.changes if change.layer == RUNNING and change.name == name), None)
            running = wanted if change is None else _running(change)
            boot = (wanted if broken is None else broken.before) if at_boot else None
            source = "" if not at_boot else _unit.NAME if broken is None else broken.name
            differs = _drift_row.layers(change is not None, at_boot and broken is not None)
            yield _drift_row.Value(row.part.name, name, wanted, running, boot, source, differs=differs)


def _running(change):
    """What there is instead of what is wanted; of rules that others added to, in as many words."""
    return ABSENT if change.before is None and change.name in (HOOKS, MANAGEMENT) else change.before


def _loads(part, name):
    """Tell whether the rules of a part are not loaded at boot without this."""
    return name in COMMON or FILES.get(name) == FILE_OF[part]


def _of_early_load(row):
    if row.options.get("hooks", True):
        yield HOOKS, PRESENT
    if MANAGEMENT in row.plan.returns:
        yield MANAGEMENT, row.plan.returns[MANAGEMENT]


def _of_snat(row):
    """The rules in the words of their backend."""
    rules = _snat_wanted.rules(row.options)[0]
    backend = _snat_choice.backend(row.state.nat, row.state.held, row.options) if rules else None
    for rule in rules:
        yield rule.name, _snat_backends.words(backend, rule)


WANTED = {_early_load.NAME: _of_early_load, _snat.NAME: _of_snat}
FILE_OF = {_early_load.NAME: "hooks_file", _snat.NAME: "snat_file"}


def differences(view, row):
    """Yield a Difference for everything that is not as wanted."""
    if row.part.name not in WANTED:
        return
    for change in row.plan.changes:
        if change.name in FILES:
            yield _drift_row.of_file(row.part.name, view.host, change)
        elif change.name in NAMED:
            yield _drift_row.of_change(row.part.name, change, NAMED[change.name], change.name)
        else:
            kind = KIND_OF[row.part.name](change, row)
            yield _drift_row.of_change(row.part.name, change, kind, change.why)
    if row.part.name == _early_load.NAME:
        yield from _untracked(view, row)


def _hook_kind(change, dummy_row):
    if change.name not in (HOOKS, MANAGEMENT):
        return "stranger_in_table"
    if change.after in (None, ABSENT):
        return change.name + "_left"
    return change.name + ("_gone" if change.before in (None, ABSENT) else "_altered")


def _rule_kind(change, row):
    if change.name in NAMED_SNAT:
        return NAMED_SNAT[change.name]
    if change.before is None:
        return "rule_missing"
    if change.after is None:
        return "rule_unwanted"
    return "rule_changed" if change.name in dict(_of_snat(row)) else "foreign_not_random"


KIND_OF = {_early_load.NAME: _hook_kind, _snat.NAME: _rule_kind}


def _untracked(view, row):
    """What our rule asks for, and something else prevents: a rule of others that has all packets pass untracked."""
    if row.options.get("state") == ABSENT or not row.options.get("hooks", True) or any(change.name == HOOKS for change in row.plan.changes):
        return
    off = [family for family in ("ipv4", "ipv6") if view.tracking[family] == "no"]
    if off and not row.plan.refusals:
        yield _drift_row.difference(row.part.name, "tracking", RUNNING, "not_tracking", "yes", "no", why="%s: %s" % (", ".join(off), view.tracking["because"]))

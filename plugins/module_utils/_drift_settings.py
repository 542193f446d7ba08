# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Drift of the part "settings": every value that is wanted beside the running one and that of the next boot. Pure but for links."""
import re

from ansible_collections.netfleet.conntrack.plugins.module_utils import _boot, _boot_load, _drift_row, _own, _owners, _settings
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import BOOT, RUNNING
from ansible_collections.netfleet.conntrack.plugins.module_utils._drift_kinds import FILES

# What the place that decides about a boot looks like -> the kind of difference that it makes; the first that fits.
DECIDES = (
    (re.compile(re.escape(_boot_load.COMMAND_LINE)), "kernel_command_line"),
    (re.compile(r"%s:|%s:" % (re.escape(_own.SYSCTL), re.escape(_own.MODPROBE))), "own_file_decides"),
    (re.compile(r"[^:]*/sysctl\.(?:d/|conf)"), "foreign_sysctl"),
    (re.compile(r"[^:]*/modprobe\.d/"), "foreign_modprobe"),
    (re.compile(r"[^:]*:/"), "initramfs_decides"),
)


def values(view, row):
    """Yield a Value for every setting that is wanted."""
    if row.part.name == _settings.NAME:
        for name, wanted in row.plan.returns["settings"].items():
            yield _value(view, row, name, wanted)


def _value(view, row, name, wanted):
    at_boot = _boot_of(view, name)
    kept = row.options.get("at_boot", True)
    boot = BY_NAME[name].shown(at_boot.value)
    running = BY_NAME[name].shown(view.kernel.running.get(name))
    return _drift_row.Value(
        row.part.name, name, wanted, running, boot, at_boot.source, at_boot.reason,
        _drift_row.layers(_runs_otherwise(row, name), kept and boot != wanted),
        tuple(_writers(view, name, wanted)),
    )


def _boot_of(view, name):
    return view.boot.values.get(name) or _boot.BootValue(None, "")


def _runs_otherwise(row, name):
    return any(change.name == name and change.layer == RUNNING for change in row.plan.changes)


def _writers(view, name, wanted):
    """What others write, whenever they do, that is not wanted."""
    for owner in _owners.facts(view.owners):
        known = owner["settings"].get(name)
        if known and known["value"] != wanted:
            yield dict(known, name=owner["name"])


def differences(view, row):
    """Yield a Difference for everything that is not as wanted."""
    if row.part.name != _settings.NAME:
        return
    asked = row.plan.returns["settings"]
    for change in row.plan.changes:
        if change.name in FILES:
            yield _drift_row.of_file(row.part.name, view.host, change)
        elif change.layer == RUNNING or change.name not in BY_NAME:
            kind = _kind(view, change, asked)
            yield _drift_row.of_change(row.part.name, change, kind, _suspect(view, change) if kind == "running_value" else "")
    for value in values(view, row):
        if BOOT in value.differs:
            yield _at_boot(view, value)


def _kind(view, change, asked):
    """What has become of a running value, of the module, or of the initramfs."""
    if change.name not in BY_NAME:
        return "module_unloaded" if change.layer == RUNNING else "initramfs_outdated"
    if change.name not in asked:
        return "left_over"
    return "running_value" if change.before is not None or not view.kernel.available else "no_such_setting"


def _suspect(view, change):
    """Where the number that is running stands written, if anywhere; the kernel does not say who wrote it."""
    found = [writer["source"] for writer in _writers(view, change.name, change.after) if writer["value"] == change.before]
    return found[0] if found else ""


def _at_boot(view, value):
    """The Difference that a boot makes."""
    found = view.boot
    if not found.loads and found.prevented_by:
        kind, source = "module_prevented", found.prevented_by
    elif value.name not in found.values:
        kind, source = "no_such_setting", ""
    elif value.reason:
        kind, source = "lost_at_boot", value.source
    else:
        kind, source = _decided(value)
    return _drift_row.difference(value.part, value.name, BOOT, kind, value.wanted, value.boot, source, value.reason)


def _decided(value):
    for pattern, kind in DECIDES:
        if pattern.match(value.source):
            return kind, value.source
    return "not_set_at_boot", value.source

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Read, plan, journal, apply, verify, undo: the one place where check mode is asked.

Everything is refused before the first write. What was there before is on the disk
(the journal) before the first write. A step that fails, and a result that does not
hold when it is read again, are undone at once; a run that was killed leaves its
journal, and the next run completes it.
"""
from typing import NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _journal, _own
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import (
    ConntrackError,
    Step,
    diff,
    shown,
)

FOLDER = _own.FOLDERS[0]
PARTS = ("settings", "early_load", "snat")


def memo_path(part, namespace=""):
    """Where a part remembers what it cannot read back from the host."""
    return "%s/%s%s.json" % (FOLDER, part, namespace)


JOURNAL = memo_path("journal")


def memo(host, part, namespace=""):
    """What a part remembered; an empty dict when nothing."""
    return _journal.load(host, memo_path(part, namespace))


def _journal_path(plan):
    """What holds, while a run changes something, how to take it back."""
    return memo_path("journal", plan.namespace)


class Wants(NamedTuple):
    """What parts have done at boot by files that are the same for all of them."""

    module: bool  # the module is loaded
    unit: bool  # the unit loads rules


def wanted_by_others(host, part):
    """What the parts but this one want, by what they remembered."""
    found = [memo(host, name) for name in PARTS if name != part]
    return Wants(*(any(remembered.get(field) for remembered in found) for field in Wants._fields))


def execute(host, part, options, check_mode, faults=()):
    """Bring ``options`` about on a host, or only say what that takes; return the module's result.

    Raises ConntrackError with everything that is wrong, in which case the host is as it was.
    """
    plan = _planned(host, part, options, faults)
    recovered, reached, proof = False, None, {}
    if not check_mode and (plan.changes or host.exists(_journal_path(plan)) or _forgetful(host, part, plan)):
        with host.lock():
            recovered = host.exists(_journal_path(plan))
            plan = _planned(host, part, options, faults)  # another run may have changed the host meanwhile
            reached, proof = _carry_out(host, part, options, plan)
    if not check_mode:
        _keep(host, reached or plan)
        _tidy(host, _journal_path(plan))
    return dict(_result(plan, recovered), **proof)


def _planned(host, part, options, faults):
    plan = part.plan(part.read(host, options), options)
    wrong = tuple(faults) + plan.refusals
    if wrong:
        raise ConntrackError("; ".join(wrong))
    return plan


def _result(plan, recovered):
    result = {
        "changed": bool(plan.changes),
        "changes": [dict(change._asdict()) for change in plan.changes],
        "diff": diff(plan),
        "recovered": recovered,
        "warnings": list(plan.warnings),
    }
    result.update(plan.returns or {})
    return result


def _carry_out(host, part, options, plan):
    path = _journal_path(plan)
    left = _journal.read(host, path)
    done = left + _journal.undo(host, _memo_step(part, plan))
    steps = plan.steps + _forgotten_cache(host, plan)
    undo = [_journal.undo(host, step) for step in steps]
    _note(host, path, done + [entry for entries in undo for entry in entries])
    try:
        _journal.clear(host, left)
        _remember(host, part, plan)
        for step, entries in zip(steps, undo):
            _journal.do_noted(host, step, entries, done)
        _journal.reread(host, left)
        reached = _verified(host, part, options)
        proof = part.prove(host, options) if part.prove else {}
        _remember(host, part, reached)
        host.remove_file(path)
    except ConntrackError as error:
        _journal.roll_back(host, path, done, error)
        _tidy(host, path)
        raise ConntrackError("%s; everything is as it was before" % error) from error
    return reached, proof


def _note(host, path, entries):
    try:
        _journal.write(host, path, entries)
    except ConntrackError as error:
        _tidy(host, path)
        raise ConntrackError("%s; nothing was changed" % error) from error


def _tidy(host, path):
    host.clear(path)
    for folder in _own.FOLDERS:
        host.remove_folder(folder)


def _keep(host, plan):
    """Save the next run work, on a host where something is ours; where that fails, the next run has it to do."""
    path, text = plan.cache or (None, None)
    if path and text is None:
        host.clear(path)
    if text is None or not host.exists(FOLDER):
        return
    try:
        _journal.do(host, Step("private", path, text))
    except ConntrackError:
        pass


def _forgotten_cache(host, plan):
    path, text = plan.cache or (None, None)
    return (Step("private", path, None),) if path and text is None and host.exists(path) else ()


def _memo_step(part, plan):
    return Step("private", memo_path(part.name, plan.namespace), None if plan.memo is None else _journal.dump(plan.memo))


def _forgetful(host, part, plan):
    """Tell whether a part remembers something else than it should; that alone is no change of the host."""
    step = _memo_step(part, plan)
    return host.read(step.target) != step.value


def _remember(host, part, plan):
    if _forgetful(host, part, plan):
        _journal.do(host, _memo_step(part, plan))


def _verified(host, part, options):
    """Read again; return the plan that is left, which holds no change."""
    reached = part.plan(part.read(host, options), options)
    if reached.changes:
        raise ConntrackError("; ".join(
            "%s (%s) was set to %s and is %s" % (c.name, c.layer, shown(c.after), shown(c.before)) for c in reached.changes
        ))
    return reached

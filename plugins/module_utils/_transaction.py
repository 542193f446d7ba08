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
import json

from ansible_collections.netfleet.conntrack.plugins.module_utils import _own
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import (
    ConntrackError,
    Step,
    diff,
    shown,
)

FOLDER = _own.FOLDERS[0]
JOURNAL = FOLDER + "/journal.json"
SCHEMA_VERSION = 1
MODES = {"file": 0o644, "script": 0o755, "private": 0o600}


def memo_path(part):
    """Where a part remembers what it cannot read back from the host."""
    return "%s/%s.json" % (FOLDER, part)


def memo(host, part):
    """What a part remembered; an empty dict when nothing."""
    return _load(host, memo_path(part))


def wants_module(host, part):
    """Tell whether a part, by what it remembered, has the module loaded at boot."""
    return bool(memo(host, part).get("module"))


def execute(host, part, options, check_mode, faults=()):
    """Bring ``options`` about on a host, or only say what that takes; return the module's result.

    Raises ConntrackError with everything that is wrong, in which case the host is as it was.
    """
    plan = _planned(host, part, options, faults)
    recovered, reached, proof = False, None, {}
    if not check_mode and (plan.changes or host.exists(JOURNAL) or _forgetful(host, part, plan)):
        with host.lock():
            recovered = host.exists(JOURNAL)
            plan = _planned(host, part, options, faults)  # another run may have changed the host meanwhile
            reached, proof = _carry_out(host, part, options, plan)
    if not check_mode:
        _keep(host, reached or plan)
        _tidy(host)
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
    left = _load(host, JOURNAL).get("undo", [])
    done = left + _undo(host, _memo_step(part, plan))
    steps = plan.steps + _forgotten_cache(host, plan)
    undo = [_undo(host, step) for step in steps]
    _write_journal(host, done + [entry for entries in undo for entry in entries])
    try:
        _clear(host, left)
        _remember(host, part, plan)
        for step, entries in zip(steps, undo):
            _do_noted(host, step, entries, done)
        reached = _verified(host, part, options)
        proof = part.prove(host, options) if part.prove else {}
        _remember(host, part, reached)
        host.remove_file(JOURNAL)
    except ConntrackError as error:
        _roll_back(host, done, error)
        raise ConntrackError("%s; everything is as it was before" % error) from error
    return reached, proof


def _write_journal(host, undo):
    try:
        host.write_file(JOURNAL, _dump({"undo": undo}), MODES["private"])
    except ConntrackError as error:
        _tidy(host)
        raise ConntrackError("%s; nothing was changed" % error) from error


def _clear(host, left):
    """Take away the half-written files of a run that was killed."""
    for entry in left:
        if entry["action"] in MODES:
            host.clear(entry["target"])


def _tidy(host):
    host.clear(JOURNAL)
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
        host.write_file(path, text, MODES["private"])
    except ConntrackError:
        pass


def _forgotten_cache(host, plan):
    path, text = plan.cache or (None, None)
    return (Step("private", path, None),) if path and text is None and host.exists(path) else ()


def _memo_step(part, plan):
    return Step("private", memo_path(part.name), None if plan.memo is None else _dump(plan.memo))


def _forgetful(host, part, plan):
    """Tell whether a part remembers something else than it should; that alone is no change of the host."""
    step = _memo_step(part, plan)
    return host.read(step.target) != step.value


def _remember(host, part, plan):
    if _forgetful(host, part, plan):
        _do(host, _memo_step(part, plan))


def _verified(host, part, options):
    """Read again; return the plan that is left, which holds no change."""
    reached = part.plan(part.read(host, options), options)
    if reached.changes:
        raise ConntrackError("; ".join(
            "%s (%s) was set to %s and is %s" % (c.name, c.layer, shown(c.after), shown(c.before)) for c in reached.changes
        ))
    return reached


def _undo(host, step):
    """What takes a step back, as the journal holds it: the last entry is carried out first."""
    before = step.undo[::-1] if step.action == "run" else (host.read(step.target),)
    return [{"action": step.action, "target": step.target, "value": value} for value in before]


def _roll_back(host, undo, error):
    """Put everything back as it was; ``error`` is what made this necessary."""
    failed = []
    for entry in reversed(undo):
        try:
            _take_back(host, Step(**entry))
        except ConntrackError as fault:
            failed.append(str(fault))
    if not failed:
        failed = _forget(host)
    if failed:
        raise ConntrackError("%s; putting back what was before failed, and the next run will try again: %s" % (error, "; ".join(failed)))


def _forget(host):
    """Take the journal away; return what is wrong."""
    try:
        host.remove_file(JOURNAL)
    except ConntrackError as error:
        return [str(error)]
    _tidy(host)
    return []


def _take_back(host, step):
    # A value with nothing before it has nothing to go back to: its module was not loaded.
    if step.action not in MODES and step.value is None:
        return
    _do(host, step)


def _do_noted(host, step, undo, done):
    """Do a step, and note what takes it back; a write that fails did nothing, but a command may have done half."""
    if step.action == "run":
        done.extend(undo)
        _do(host, step)
    else:
        _do(host, step)
        done.extend(undo)


def _do(host, step):
    if step.action == "value":
        host.write_value(step.target, step.value)
    elif step.action == "run":
        _command(host, step)
    elif step.value is None:
        host.remove_file(step.target)
    else:
        host.write_file(step.target, step.value, MODES[step.action])


def _command(host, step):
    if step.value is None:
        return
    status, output, errors = host.run(step.value)
    if status != 0:
        raise ConntrackError("%s failed (%s): %s" % (step.target, " ".join(step.value), (errors or output).strip()))


def _load(host, path):
    text = host.read(path)
    if not text:
        return {}
    try:
        return json.loads(text)
    except ValueError:
        raise ConntrackError("%s is not JSON; move it away and run again" % path) from None


def _dump(values):
    return json.dumps(dict(values, schema_version=SCHEMA_VERSION), indent=2, sort_keys=True) + "\n"

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

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import (
    ConntrackError,
    Step,
    diff,
    shown,
)

FOLDER = "/var/lib/netfleet-conntrack"
JOURNAL = FOLDER + "/journal.json"
SCHEMA_VERSION = 1
MODES = {"file": 0o644, "script": 0o755}


def memo_path(part):
    """Where a part remembers what it cannot read back from the host."""
    return "%s/%s.json" % (FOLDER, part)


def memo(host, part):
    """What a part remembered; an empty dict when nothing."""
    return _load(host, memo_path(part))


def execute(host, part, options, check_mode, faults=()):
    """Bring ``options`` about on a host, or only say what that takes; return the module's result.

    Raises ConntrackError with everything that is wrong, in which case the host is as it was.
    """
    plan = _planned(host, part, options, faults)
    recovered, proof = False, {}
    if not check_mode and (plan.changes or host.exists(JOURNAL)):
        with host.lock():
            recovered = host.exists(JOURNAL)
            plan = _planned(host, part, options, faults)  # another run may have changed the host meanwhile
            proof = _carry_out(host, part, options, plan)
    if not check_mode and plan.cache:
        _keep(host, *plan.cache)
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
    steps = _with_memo(part, plan)
    undo = _load(host, JOURNAL).get("undo", []) + [entry for step in steps for entry in _undo(host, step)]
    host.write_file(JOURNAL, _dump({"undo": undo}), 0o600)
    try:
        for step in steps:
            _do(host, step)
        _verify(host, part, options)
        proof = part.prove(host, options) if part.prove else {}
    except ConntrackError as error:
        _roll_back(host, undo)
        raise ConntrackError("%s; everything is as it was before" % error)
    if plan.memo is None and plan.cache:
        host.remove_file(plan.cache[0])
    host.remove_file(JOURNAL)
    host.remove_folder(FOLDER)
    return proof


def _keep(host, path, text):
    """Save the next run work, on a host where something is ours."""
    if text is not None and host.exists(FOLDER):
        host.write_file(path, text, 0o600)


def _with_memo(part, plan):
    """A memo is written before anything else and forgotten after everything else."""
    if not plan.steps:
        return ()
    if plan.memo is None:
        return plan.steps + (Step("file", memo_path(part.name), None),)
    return (Step("file", memo_path(part.name), _dump(plan.memo)),) + plan.steps


def _verify(host, part, options):
    left = part.plan(part.read(host, options), options).changes
    if left:
        raise ConntrackError(
            "; ".join("%s (%s) was set to %s and is %s" % (c.name, c.layer, shown(c.after), shown(c.before)) for c in left)
        )


def _undo(host, step):
    """What takes a step back, as the journal holds it: the last entry is carried out first."""
    before = step.undo[::-1] if step.action == "run" else (host.read(step.target),)
    return [{"action": step.action, "target": step.target, "value": value} for value in before]


def _roll_back(host, undo):
    failed = []
    for entry in reversed(undo):
        try:
            _take_back(host, Step(**entry))
        except ConntrackError as error:
            failed.append(str(error))
    if failed:
        raise ConntrackError("putting back what was before failed, and the next run will try again: " + "; ".join(failed))
    host.remove_file(JOURNAL)


def _take_back(host, step):
    # A value with nothing before it has nothing to go back to: its module was not loaded.
    if step.action not in MODES and step.value is None:
        return
    _do(host, step)


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
        raise ConntrackError("%s is not JSON; move it away and run again" % path)


def _dump(values):
    return json.dumps(dict(values, schema_version=SCHEMA_VERSION), indent=2, sort_keys=True) + "\n"

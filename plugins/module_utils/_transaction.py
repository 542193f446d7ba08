# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Read, plan, journal, apply, verify, undo: the one place where check mode is asked.

Everything is refused before the first write. What was there before is on the disk
(the journal) before the first write. A step that fails, and a result that does not
hold when it is read again, are undone at once; a run that was killed leaves its
journal, and the next run completes it. A run that is to be confirmed leaves its journal
on purpose, with what takes it back (_confirm), and nothing for the next boot.
"""
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _journal, _memo, _planning, _recall, _view
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import (
    RUNNING,
    ConntrackError,
    Plan,
    Step,
    diff,
    shown,
    together,
)


class Planned(NamedTuple):
    """What a run has to do."""

    rows: Any  # a _planning.Row for each part
    whole: Plan  # of all parts
    now: Plan  # what of it is done before it is confirmed
    waits: bool  # this run does no more than that

    @property
    def doing(self):
        """What this run does."""
        return self.now if self.waits else self.whole


def execute(host, part, options, check_mode, faults=()):
    """Bring ``options`` about on a host, or only say what that takes; return the module's result.

    Raises ConntrackError with everything that is wrong, in which case the host is as it was.
    """
    planned = _planned(host, part, options, faults)
    recovered, reached, proof = False, None, {}
    path = _journal.path(planned.whole.namespace)
    if check_mode:
        return _result(part, options, planned, recovered, waiting(host, path))
    if planned.whole.changes or host.exists(path) or any(_forgetful(host, row) for row in planned.rows):
        with host.lock():
            planned = _planned(host, part, options, faults)  # another run may have changed the host meanwhile
            recovered = _settle(host, path, options, planned)
            planned = _planned(host, part, options, faults) if recovered else planned
            reached, proof = _carry_out(host, part, options, planned)
    _keep(host, reached or planned)
    _journal.tidy(host, path)
    return dict(_result(part, options, planned, recovered), **proof)


def _planned(host, part, options, faults):
    rows = _planning.rows(_view.View(host), part, options)
    whole = together([row.plan for row in rows])
    confirmed = bool(options.get("confirm_within") or options.get("confirm"))
    wrong = tuple(faults) + whole.refusals + (tuple(_confirm().refusals(host, options, whole.changes)) if confirmed else ())
    if wrong:
        raise ConntrackError("; ".join(wrong))
    if not (confirmed and whole.changes):
        return Planned(rows, whole, whole, False)
    at_once = _planning.rows(_view.View(host), part, part.at_once(options))
    now = together([row.plan for row in at_once])
    now = now._replace(changes=tuple(c for c in now.changes if c.layer == RUNNING), boot_steps=())
    waits = bool(options.get("confirm_within"))
    return Planned(at_once if waits else rows, whole, now, waits)


def _confirm():
    # Imported here because only runs that are to be confirmed need it, and imports cost time.
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _confirm as found

    return found


def _result(part, options, planned, recovered, warning=""):
    plan, result = planned.doing, {}
    for row in planned.rows:
        result.update(row.plan.returns or {})
    if part.tell:
        withheld = [change for change in planned.whole.changes if change not in plan.changes]
        result = dict(part.tell(options, result), awaits_confirmation=planned.waits, withheld=_told(withheld))
    return dict(
        result,
        changed=bool(planned.whole.changes),
        changes=_told(plan.changes),
        diff=diff(planned.whole),
        recovered=recovered,
        warnings=list(planned.whole.warnings) + [warning] * bool(warning),
    )


def _told(changes):
    return [dict(change._asdict()) for change in changes]


def waiting(host, path):
    """What a check run has to say of a policy that awaits its confirmation."""
    if not host.exists(path):
        return ""
    return _confirm().warning(host, _journal.read(host, path))


def _settle(host, path, options, planned):
    """Deal with the journal that an earlier run left; return whether it was killed."""
    if not (host.exists(path) or options.get("confirm")):
        return False
    return _confirm().settle(host, path, options, planned)


def _carry_out(host, part, options, planned):
    plan, path = planned.doing, _journal.path(planned.whole.namespace)
    _recall.forget(host)
    left = _journal.read(host, path).get("undo", [])
    done = left + [entry for row in planned.rows for entry in _journal.undo(host, _memo_step(row))]
    steps = plan.steps + plan.boot_steps + tuple(step for row in planned.rows for step in _forgotten_cache(host, row.plan))
    undo = [_journal.undo(host, step) for step in steps]
    finish = _window(host, options, planned, path)
    _note(host, path, left, done + [entry for entries in undo for entry in entries], finish)
    try:
        _journal.clear(host, left)
        _remember(host, planned.rows)
        for step, entries in zip(steps, undo):
            _journal.do_noted(host, step, entries, done)
        _journal.reread(host, left)
        reached = _verified(host, part, options, planned)
        proof = _proof(host, planned.rows)
        _remember(host, reached.rows)
        finish.end()
    except ConntrackError as error:
        finish.cancel()
        _journal.roll_back(host, path, done, error)
        raise ConntrackError("%s; everything is as it was before" % error) from error
    return reached, proof


def _window(host, options, planned, path):
    """What is done about the journal at the end of a run."""
    return _confirm().Window(host, path, options["confirm_within"]) if planned.waits else _journal.Closed(host, path)


def _note(host, path, left, entries, finish):
    """Have the journal on the disk; ``left`` are the entries of an earlier run, which goes back as well where that fails."""
    try:
        finish.begin(entries)
    except ConntrackError as error:
        finish.cancel()
        if left:
            _journal.roll_back(host, path, left, error)
            raise ConntrackError("%s; everything is as it was before" % error) from error
        _journal.forget(host, path)
        _journal.tidy(host, path)
        raise ConntrackError("%s; nothing was changed" % error) from error


def _keep(host, planned):
    """Save the next run work, on a host where something is ours; where that fails, the next run has it to do."""
    for row in () if planned.waits else planned.rows:
        place, text = row.plan.cache or (None, None)
        if place and text is None:
            host.clear(place)
        if text is None or not host.exists(_memo.FOLDER):
            continue
        try:
            _journal.do(host, Step("private", place, text))
        except ConntrackError:
            pass


def _forgotten_cache(host, plan):
    place, text = plan.cache or (None, None)
    return (Step("private", place, None),) if place and text is None and host.exists(place) else ()


def _memo_step(row):
    place = _memo.path(row.part.name, row.plan.namespace)
    return Step("private", place, None if row.plan.memo is None else _memo.dump(row.plan.memo))


def _forgetful(host, row):
    """Tell whether a part remembers something else than it should; that alone is no change of the host."""
    step = _memo_step(row)
    return host.read(step.target) != step.value


def _remember(host, rows):
    for row in rows:
        if _forgetful(host, row):
            _journal.do(host, _memo_step(row))


def _proof(host, rows):
    found = {}
    for row in rows:
        found.update(row.part.prove(host, row.options) if row.part.prove else {})
    return found


def _verified(host, part, options, planned):
    """Read again; return what is left, which holds no change that should have been made."""
    reached = _planned(host, part, options, ())
    left = (reached.now if planned.waits else reached.whole).changes
    if left:
        raise ConntrackError("; ".join(
            "%s (%s) was set to %s and is %s" % (c.name, c.layer, shown(c.after), shown(c.before)) for c in left
        ))
    return reached

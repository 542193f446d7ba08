# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The nouns between reading and writing: Change, Step, Plan; and how a Plan is shown.

Pure: no files, no Ansible.
"""
from collections import OrderedDict
from typing import Any, Callable, NamedTuple, Tuple

RUNNING = "running"
BOOT = "boot"


class ConntrackError(Exception):
    """A fault whose text is for the user."""


class Change(NamedTuple):
    """One difference between what is and what is wanted."""

    part: str
    name: str
    layer: str  # running or boot
    before: Any  # None: not there
    after: Any
    why: str = ""


def own_file(part, path, before, after):
    """The Change that another text of an own file is; None is the text of a file that is not there."""
    return Change(part, path, BOOT, "absent" if before is None else "outdated", "absent" if after is None else "current", "our own file")


class Step(NamedTuple):
    """One write to the machine. A step with ``value`` None takes the file away."""

    # file, script (a file that can be run), private (what we remember), value, run, first (a command before files go), load (a module), reread,
    # feed (a program that reads its input and does all of it or nothing), jump (the same, of a rule that may be gone when it is
    # taken back), adopt (local connections into the table), foreign (rules of others, which are only taken back by it)
    action: str
    target: str  # a path; of a command, what it is for
    # Text; of a command, its list of arguments, or None where only taking it back does something; of feed and jump, that list and the input.
    value: Any
    undo: Any = ()  # of a command: the values that take it back, in order


LOAD_MODULE = Step("load", "loading nf_conntrack", ["modprobe", "nf_conntrack"], (["modprobe", "-r", "nf_conntrack"],))


def reread(steps, target, command):
    """``steps`` that write files, and a command that makes a program read them, also when they are taken back.

    What is undone is undone in reverse, so the command that follows the files then stands before them. A run
    that was killed may have written the files already: the next one has them read again.
    """
    if not steps:
        return ()
    return (Step("reread", target, None, (command,)),) + tuple(steps) + (Step("run", target, command),)


class Plan(NamedTuple):
    """Changes, and the steps that make them, in the order in which they are safe."""

    changes: Tuple[Change, ...] = ()
    steps: Tuple[Step, ...] = ()  # in the running kernel
    boot_steps: Tuple[Step, ...] = ()  # for the next boot; they come after the others
    warnings: Tuple[str, ...] = ()
    refusals: Tuple[str, ...] = ()
    files: Tuple[Tuple[str, Any, Any], ...] = ()  # (path, text before, text after) of own files that change
    namespace: str = ""  # what tells apart the memories of network namespaces on one file system
    memo: Any = None  # what the part wants remembered on the host: a dict, or None to forget it
    cache: Any = None  # (path, text or None to forget it) of what only saves the next run work; it is no change
    returns: Any = None  # a dict: what the module returns besides


class Part(NamedTuple):
    """One subject: how it is read from a host, and planned; everything else is the transaction's."""

    name: str
    read: Callable  # (_view.View, options) -> state, with a field `others`: the _memo.Wants of other parts
    plan: Callable  # (state, options) -> Plan
    prove: Any = None  # (host, options) -> what the module returns besides; raises ConntrackError where it does not hold
    rows: Any = None  # of a part that is made of others: (options) -> ((Part, its options), ...)
    tell: Any = None  # of such a part: (options, what its parts return) -> what the module returns besides
    at_once: Any = None  # of such a part: (options) -> options without what waits for the confirmation


def together(plans):
    """One Plan of those of several parts: what several of them want is done once, and said once."""
    if len(plans) == 1:
        return plans[0]
    return Plan(
        changes=_unique((c for plan in plans for c in plan.changes), lambda c: (c.name, c.layer, c.before, c.after)),
        steps=_once(plan.steps for plan in plans),
        boot_steps=_once(plan.boot_steps for plan in plans),
        warnings=_unique(text for plan in plans for text in plan.warnings),
        refusals=_unique(text for plan in plans for text in plan.refusals),
        files=_unique((row for plan in plans for row in plan.files), lambda row: row[0]),
        namespace=max(plan.namespace for plan in plans),
    )


def _unique(found, key=lambda each: each):
    """The items, the first of those with the same key."""
    known = OrderedDict()
    for each in found:
        known.setdefault(repr(key(each)), each)
    return tuple(known.values())


def _once(lists):
    """The steps of several plans, less those that an earlier one has; but a program that reads what was written runs in the last that asks for it."""
    numbered = [(number, step) for number, steps in enumerate(lists) for step in steps]
    places = {}
    for number, step in numbered:
        if step.action == "run":
            places[_sameness(step)] = number
        else:
            places.setdefault(_sameness(step), number)
    return tuple(step for number, step in numbered if places[_sameness(step)] == number)


def _sameness(step):
    return repr((step.action, step.target, step.value))


def shown(value):
    """A value as people write it."""
    if value is None:
        return "(not there)"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _layer_diff(plan, layer):
    changes = [c for c in plan.changes if c.layer == layer and not c.name.startswith("/")]
    if not changes:
        return []
    sides = ["".join("%s = %s\n" % (c.name, shown(getattr(c, side))) for c in changes) for side in ("before", "after")]
    return [{"before_header": layer, "after_header": layer, "before": sides[0], "after": sides[1]}]


def diff(plan):
    """What ``--diff`` shows: a pair a layer, then a pair for each own file that changes."""
    files = [
        {"before_header": path, "after_header": path, "before": before or "", "after": after or ""}
        for path, before, after in plan.files
    ]
    return _layer_diff(plan, RUNNING) + _layer_diff(plan, BOOT) + files

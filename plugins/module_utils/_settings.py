# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The part "settings": table, timeouts and tracking, in the running kernel and at every boot.

The options are the whole of what is wanted: what an earlier run set and this one no longer
names goes back to what it was before the first run. C(absent) is a request that names nothing.
"""
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _boot,
    _boot_read,
    _initrd,
    _obstacles,
    _own,
    _owners,
    _sizing,
    _wanted,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME, CATALOGUE
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import BOOT, LOAD_MODULE, RUNNING, Change, Part, Plan, Step, own_file, reread

NAME = "settings"
# Lowering these comes before lowering their partners, whose rows stand first in the catalogue:
# a table must never be fuller than its limit, nor a low threshold above the high one.
FIRST_WHEN_LOWERED = ("max", "frag6_low_thresh")
# Names that get another value when the module loads with one of the others (nf_conntrack_expect_init).
STARTED_WITH = {"expect_max": ("buckets", "expect_hashsize")}
OWN = (_own.MODPROBE, _own.MODULES_LOAD, _own.UDEV, _own.SYSCTL)


class State(NamedTuple):
    """What the part sees of a host."""

    kernel: Any  # _kernel.Kernel
    inputs: Any  # _boot.BootInputs
    boot: Any  # _boot.Boot: what the next boot would give as things stand
    own: Any  # dict: path of each own file -> its text, or None
    memo: Any  # dict: first (name -> value before the first run), auto (its earlier answer)
    initrd: Any  # _initrd.Tools: what makes the initramfs, or None
    udev: bool  # udev is running
    sysctl_program: str  # what a udev rule runs to apply our values
    others: Any  # _memo.Wants: what other parts want at boot as well
    owners: Any  # _owners.Owner of every other program that writes the same values


def read(view, dummy_options):
    """Read everything that a plan needs."""
    return State(
        kernel=view.kernel,
        inputs=view.inputs,
        boot=view.boot,
        own={path: view.host.read(path) for path in OWN},
        memo=view.memo(NAME),
        initrd=view.initrd,
        udev=view.host.exists("/run/udev/control"),
        sysctl_program=_own.sysctl_program(view.host.exists),
        others=view.wanted_by_others(NAME),
        owners=view.owners,
    )


def plan(state, options):
    """What makes ``options`` hold now and at every boot, in the order in which it is safe."""
    want = _wanted.wanted(state, options)
    at_boot = want.values if options.get("at_boot", True) else {}
    files = _files(state, at_boot)
    after = _boot.boot(_initrd.renewed(_boot.with_files(state.inputs, files), files))
    running = _running_changes(state, want.values, after)
    renewal = _initrd.changes(NAME, state.inputs, files, state.own)
    changes = tuple(running) + tuple(_boot_changes(state, at_boot, after)) + tuple(_file_changes(state, files)) + renewal
    refusals = (
        want.refusals
        + tuple(_obstacles.obstacles(state, want.values, at_boot))
        + tuple(_obstacles.write_obstacles(state, [c.name for c in running if c.name in BY_NAME]))
        + tuple(_obstacles.boot_obstacles(state, after, at_boot))
    )
    return Plan(
        changes=changes,
        steps=tuple(_running_step(state, change, at_boot) for change in running),
        boot_steps=_initrd.around(_file_steps(state, files), state.initrd, renewal),
        warnings=want.warnings + after.problems + _owners.warnings(state.owners, want.values, kept=bool(at_boot)),
        refusals=refusals,
        files=tuple((p, state.own[p], files[p]) for p in OWN if state.own[p] != files[p]),
        namespace=state.kernel.namespace,
        memo=_memo(state, want, [change.name for change in running], bool(at_boot) and not state.inputs.builtin),
        cache=_cache(state, want),
        returns=_returns(state, want, after),
    )


def _files(state, values):
    """The texts of our files; those on a file system that another network namespace boots from stay as they are."""
    if not state.kernel.boots:
        return state.own
    return _own.settings_files(values, state.inputs.builtin, state.sysctl_program, state.others.module)


def _returns(state, want, after):
    return {
        "memory": want.memory,
        "settings": {name: BY_NAME[name].shown(value) for name, value in want.values.items()},
        "boot": {n: {"value": BY_NAME[n].shown(v.value), "source": v.source} for n, v in after.values.items()},
        "kernel_command_line": _command_line(state, want.values),
    }


def _command_line(state, values):
    """What only the command line can give built-in connection tracking: NAT's table keeps the size of its start."""
    wanted = "buckets" in values and state.kernel.builtin
    return "nf_conntrack.hashsize=%d" % values["buckets"] if wanted else ""


# The running kernel


def _running_changes(state, values, after):
    """What to change in the running kernel; before its module is loaded, everything that is asked for."""
    first = state.memo.get("first", {})
    targets = {n: first[n] if first[n] is not None else _default(after, n) for n in first if not _stays(n, first, values)}
    targets.update(values)
    found = [_running_change(state, s, targets[s.name], s.name in values) for s in CATALOGUE if s.name in targets]
    changes = [change for change in found if change]
    return _load_change(state, changes) + sorted(changes, key=_rank)


def _ours(values):
    """The names whose first values count: those asked for, and those that get another value with them."""
    return set(values).union(name for name, causes in STARTED_WITH.items() if not values.keys().isdisjoint(causes))


def _stays(name, first, values):
    """Tell whether a name is as it should be: asked for, or as loading the module with what is asked for made it."""
    return name in values or first[name] is None and name in _ours(values)


def _default(after, name):
    """What a host whose module was not loaded before the first run goes back to; None where its kernel has it no more."""
    return after.values[name].value if name in after.values else None


def _running_change(state, setting, target, asked):
    before = state.kernel.running.get(setting.name)
    if setting.access == "boot" or target is None or _same(state, setting, before, target):
        return None
    if not asked and before is None:
        return None
    why = "" if asked else "as before the first run"
    return Change(NAME, setting.name, RUNNING, setting.shown(before), setting.shown(target), why)


def _same(state, setting, before, target):
    if setting.name == "buckets" and before is not None:
        return _sizing.round_buckets(before, state.kernel.page_size) == _sizing.round_buckets(target, state.kernel.page_size)
    return before == target


def _rank(change):
    lowered = change.before is not None and change.after < change.before
    return 0 if lowered and change.name in FIRST_WHEN_LOWERED else 1


def _load_change(state, changes):
    if state.kernel.available or not changes:
        return []
    return [Change(NAME, "nf_conntrack", RUNNING, "not loaded", "loaded", "its settings exist only while it is loaded")]


def _running_step(state, change, at_boot):
    if change.name not in BY_NAME:
        # With the sizes of the next boot, for the table of NAT keeps the one that the module begins with.
        return LOAD_MODULE._replace(value=LOAD_MODULE.value + ["%s=%d" % pair for pair in _own.parameters(at_boot)])
    return Step("value", _obstacles.value_path(state, change.name), str(int(change.after)))


# The next boot


def _boot_changes(state, values, after):
    """Every value that the next boot would give otherwise than now: those asked for, and those let go."""
    for setting in CATALOGUE:
        before, target = state.boot.values.get(setting.name), after.values.get(setting.name)
        if target is None or before is not None and before.value == target.value:
            continue
        why = target.source if setting.name in values else "it follows from the others: " + target.source
        yield Change(NAME, setting.name, BOOT, setting.shown(before and before.value), setting.shown(target.value), why)


def _file_changes(state, files):
    for path in OWN:
        if state.own[path] != files[path]:
            yield own_file(NAME, path, state.own[path], files[path])


def _file_steps(state, files):
    steps = tuple(Step("file", path, files[path]) for path in OWN if state.own[path] != files[path])
    if any(step.target == _own.UDEV for step in steps) and state.udev:
        return reread(steps, "telling udev of its new rule", _own.RELOAD_UDEV)
    return steps


def _cache(state, want):
    """What reading the initramfs leaves for the next run, to be written where it is new; it goes when nothing is ours."""
    if not state.kernel.boots:
        return None
    text = state.inputs.initramfs_cache if want.values else None
    return None if want.values and text is None else (_boot_read.CACHE, text)


def _memo(state, want, changing, modular):
    """First values and the answer of C(auto), to be kept while anything is ours; None when nothing is.

    A value that has still to go back to what it was is ours until it has.
    """
    ours = _ours(want.values)
    known = state.memo.get("first", {})
    first = {n: v for n, v in known.items() if _stays(n, known, want.values) or n in changing}
    if not want.values and not first:
        return None
    for name in want.values if state.kernel.available else ours:
        if BY_NAME[name].access == "rw":
            first.setdefault(name, state.kernel.running.get(name))
    return {"first": first, "auto": want.auto, "module": modular}


PART = Part(NAME, read, plan)

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The part "early_load": connection tracking loaded, and really on, before the network is.

Loading the module is not tracking: packets are tracked once a rule asks for it. So an own
table with such a rule is loaded by an own unit before the network, and again whenever a
firewall service of the distribution empties the rules.
"""
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _boot,
    _boot_read,
    _evidence,
    _hook_rules,
    _initrd,
    _kernel,
    _obstacles,
    _own,
    _rulesets,
    _unit,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import (
    LOAD_MODULE,
    RUNNING,
    Change,
    ConntrackError,
    Part,
    Plan,
    Step,
    own_file,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._transaction import wanted_by_others

NAME = "early_load"
PROGRAMS = ("nft", "iptables", "ip6tables", "iptables-restore", "ip6tables-restore", "systemctl")
BACKENDS = ("auto", "nftables", "iptables")
INITRAMFS = ("auto", "always", "never")


def spec():
    """The argument spec of the module C(early_load)."""
    return {
        "module": {"type": "bool", "default": True},
        "hooks": {"type": "bool", "default": True},
        "backend": {"type": "str", "default": "auto", "choices": list(BACKENDS)},
        "initramfs": {"type": "str", "default": "auto", "choices": list(INITRAMFS)},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    }


class State(NamedTuple):
    """What the part sees of a host."""

    kernel: Any  # _kernel.Kernel
    inputs: Any  # _boot.BootInputs
    boot: Any  # _boot.Boot
    own: Any  # dict: path of each own file -> its text, or None
    programs: Any  # dict: program -> path, of those that are installed
    shown: Any  # frozenset of backends whose rules of ours are in the kernel
    unit: Any  # _unit.Unit
    initrd: Any  # _initrd.Tools
    tracking: Any  # dict: ipv4, ipv6, because
    others: Any  # _transaction.Wants: what other parts want at boot as well


def read(host, options):
    """Read everything that a plan needs."""
    inputs = _boot_read.read(host)
    kernel = _kernel.read(host, inputs)
    inputs = _kernel.as_booted(kernel, inputs)
    return State(
        kernel=kernel,
        inputs=inputs,
        boot=_boot.boot(inputs),
        own={path: host.read(path) for path in _own_paths()},
        programs={name: host.program(name) for name in PROGRAMS if host.program(name)},
        shown=frozenset(b for b in _hook_rules.BACKENDS if _shown(host, kernel, b)),
        unit=_unit.read(host),
        initrd=_initrd.tools(host, kernel.release),
        tracking=_evidence.read(host, kernel, inputs, probe=False),
        others=wanted_by_others(host, NAME),
    )


def _own_paths():
    return [_own.MODULES_LOAD] + sorted(_hook_rules.files(None)) + list(_unit.OWN + _initrd.OWN)


def _shown(host, kernel, backend):
    """Tell whether our rules are there; a backend that the kernel has not is not asked, for asking loads it."""
    return kernel.uid == 0 and all(_holds(host, kernel, *row) for row in _hook_rules.SHOWN[backend])


def _holds(host, kernel, modules, command, words):
    return any(_rulesets.in_kernel(host, kernel.release, module) for module in modules) and words in host.run(command)[1]


def plan(state, options):
    """What makes tracking begin before the network, now and at every boot."""
    present = options.get("state", "present") == "present"
    backend = _backend(state, options) if present and options.get("hooks", True) else None
    refusals = tuple(_refusals(state, options, backend)) if present else tuple(_not_from_here(state))
    if refusals:
        return Plan(refusals=refusals)
    modular = present and options.get("module", True) and not state.inputs.builtin
    files = _files(state, options, backend, modular)
    changed = [path for path in sorted(files) if state.own.get(path) != files[path]]
    renewal = _initrd.changes(NAME, state.inputs, files, state.own)
    loads = bool(backend) or state.others.unit
    unit = tuple(_unit.changes(NAME, state.unit, loads))
    running = tuple(_running_changes(state, backend, present))
    return Plan(
        changes=running + tuple(own_file(NAME, path, state.own.get(path), files[path]) for path in changed) + unit + renewal,
        steps=_initrd.around(_unit.around(_writes(files, changed), changed, unit, loads), state.initrd, renewal)
        + tuple(_rule_steps(state, changed, running, backend)),
        warnings=tuple(_warnings(state)) if present else (),
        files=tuple((path, state.own.get(path), files[path]) for path in changed),
        memo={"module": modular, "unit": bool(backend)} if backend or modular else None,
        returns={"tracking": state.tracking, "loaded_by": _boot.boot(_boot.with_files(state.inputs, files)).loaded_by},
    )


def _backend(state, options):
    """What holds our rule: as asked, else nftables where it is installed."""
    asked = options.get("backend", "auto")
    if asked != "auto":
        return asked
    return "nftables" if "nft" in state.programs or "iptables-restore" not in state.programs else "iptables"


def _not_from_here(state):
    yield from _obstacles.no_root(state.kernel)
    if not state.kernel.boots:
        yield "this network namespace is not the one that the next boot sets up; run this on the host"


def _refusals(state, options, backend):
    yield from _not_from_here(state)
    if not (state.kernel.available or state.kernel.loadable or state.kernel.builtin):
        yield _obstacles.no_tracking(state.kernel)
    if backend and not state.unit.systemd:
        yield "hooks: they are loaded at boot by a systemd unit, and this host does not run systemd; say hooks: false"
    missing = [row[2] for row in _hook_rules.BACKENDS.get(backend, ()) if row[2] not in state.programs]
    if missing:
        yield "backend: %s needs %s, which is not installed; install it, or say hooks: false" % (backend, " and ".join(missing))
    if options.get("initramfs") == "always" and state.initrd is None and not state.kernel.builtin:
        yield "initramfs: neither update-initramfs nor dracut is installed; say initramfs: never"
    if state.boot.prevented_by and options.get("module", True) and not state.kernel.builtin:
        yield "module: %s keeps nf_conntrack from loading at boot; remove that line, or say module: false" % state.boot.prevented_by


def _files(state, options, backend, modular):
    forced = bool(modular and _initrd.wanted(options.get("initramfs", "auto"), state.inputs))
    found = {_own.MODULES_LOAD: _own.modules_load_file(modular or state.others.module)}
    found.update(_hook_rules.files(backend))
    found.update(_unit.files(backend or state.others.unit))
    found.update(_initrd.files(state.initrd, forced))
    return found


def _running_changes(state, backend, present):
    if backend and not state.kernel.available:
        yield Change(NAME, "nf_conntrack", RUNNING, "not loaded", "loaded", "tracking needs it")
    for name in sorted(_hook_rules.BACKENDS):
        if (name == backend) != (name in state.shown):
            words = ("absent", "present") if name == backend else ("present", "absent")
            yield Change(NAME, "hooks", RUNNING, words[0], words[1], "a rule of %s that needs tracking" % name)


def _writes(files, changed):
    return tuple(Step("script" if path == _initrd.HOOK else "file", path, files[path]) for path in changed)


def _rule_steps(state, changed, running, backend):
    for name in sorted(state.shown):
        if name != backend:
            for command in _hook_rules.away(name):
                yield Step("run", "taking away the rule of %s" % name, command)
    if any(change.name == "nf_conntrack" for change in running):
        yield LOAD_MODULE
    if backend and (backend not in state.shown or any(path.startswith(_unit.FOLDER) for path in changed)):
        undo = () if backend in state.shown else (_unit.STOP,) + _hook_rules.away(backend)
        yield _unit.restart("loading the rule by %s" % _unit.NAME, undo)


def _warnings(state):
    if state.kernel.builtin and "nf_conntrack.hashsize" not in state.inputs.cmdline:
        yield ("connection tracking is built into this kernel, so nothing has to be loaded; its first hash size, which NAT keeps, "
               "comes from nf_conntrack.hashsize= on the kernel command line")


def _prove(host, options):
    """Send a packet of each family and see that it is tracked, where this run had to switch tracking on."""
    if options.get("state") == "absent" or not options.get("hooks", True):
        return {}
    inputs = _boot_read.read(host)
    found = _evidence.read(host, _kernel.read(host, inputs), inputs, probe=True)
    if "no" in (found["ipv4"], found["ipv6"]):
        raise ConntrackError("tracking is still off although the rule is loaded: %s" % found["because"])
    return {"tracking": found}


PART = Part(NAME, read, plan, _prove)

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The part "early_load": connection tracking loaded, and really on, before the network is.

Loading the module is not tracking: packets are tracked once a rule asks for it. So an own
table with such a rule is loaded, and by an own unit before the network, and again whenever a
firewall service of the distribution empties the rules. Beside it are the rules that keep the
management path out of the table.
"""
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _boot,
    _evidence,
    _hook_rules,
    _hook_running,
    _initrd,
    _management_spec,
    _obstacles,
    _own,
    _rulesets,
    _unit,
    _view,
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

NAME = "early_load"
PROGRAMS = ("nft", "iptables", "ip6tables", "iptables-restore", "ip6tables-restore", "iptables-legacy-restore", "ip6tables-legacy-restore",
            "iptables-nft-restore", "ip6tables-nft-restore", "systemctl")
BACKENDS = ("auto", "nftables", "iptables")
NEEDED = {"nftables": ("nft",), "iptables": ("iptables-restore", "ip6tables-restore")}
INITRAMFS = ("auto", "always", "never")


def spec():
    """The argument spec of the module C(early_load)."""
    return {
        "module": {"type": "bool", "default": True},
        "hooks": {"type": "bool", "default": True},
        "management": _management_spec.management_spec(),
        "backend": {"type": "str", "default": "auto", "choices": list(BACKENDS)},
        "initramfs": {"type": "str", "default": "auto", "choices": list(INITRAMFS)},
        "at_boot": {"type": "bool", "default": True},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    }


class State(NamedTuple):
    """What the part sees of a host."""

    kernel: Any  # _kernel.Kernel
    inputs: Any  # _boot.BootInputs
    boot: Any  # _boot.Boot
    own: Any  # dict: path of each own file -> its text, or None
    programs: Any  # dict: program -> path, of those that are installed
    flavour: str  # what `iptables` means here, where rules of ours are to go there
    held: Any  # dict: place -> _hook_running.Held, of those that hold something of ours
    unread: Any  # what of the rules could not be read, each in a few words
    path: Any  # _management_truth.Truth of the management path, where there is to be one
    unit: Any  # _unit.Unit
    initrd: Any  # _initrd.Tools
    tracking: Any  # dict: ipv4, ipv6, because
    memo: Any  # dict
    others: Any  # _memo.Wants: what other parts want at boot as well


def read(view, options):
    """Read everything that a plan needs."""
    host = view.host
    programs = {name: host.program(name) for name in PROGRAMS if host.program(name)}
    return State(
        kernel=view.kernel,
        inputs=view.inputs,
        boot=view.boot,
        own={path: host.read(path) for path in _own_paths()},
        programs=programs,
        flavour=_flavour(host) if _backend(programs, options) == "iptables" and "iptables" in programs else _hook_rules.FLAVOURS[0],
        held=_hook_running.read(host, view.rulesets) if host.uid == 0 else {},
        unread=view.rulesets.unread,
        path=_path(view, options),
        unit=view.unit,
        initrd=view.initrd,
        tracking=view.tracking,
        memo=view.memo(NAME),
        others=view.wanted_by_others(NAME),
    )


def _own_paths():
    return [_own.MODULES_LOAD] + sorted(_hook_rules.FILES.values()) + list(_unit.OWN + _initrd.OWN)


def _flavour(host):
    return _hook_rules.FLAVOURS[0 if "nf_tables" in host.run(["iptables", "--version"])[1] else 1]


def _path(view, options):
    if options.get(_management_spec.OPTION) is None or options.get("state") == "absent":
        return None
    # Imported here because most hosts do without, and imports cost time.
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _management_truth

    return _management_truth.read(view, options)


def plan(state, options):
    """What makes tracking begin before the network, now and at every boot."""
    present = options.get("state", "present") == "present"
    at_boot = present and options.get("at_boot", True)
    rules = _rules(state, options) if present else _hook_rules.Rules()
    backend = _backend(state.programs, options) if any(rules) else None
    refusals = tuple(_refusals(state, options, backend)) if present else tuple(_obstacles.no_root(state.kernel)) + tuple(_unseen(state, state.memo))
    if refusals:
        return Plan(refusals=refusals)
    wanted = _hook_rules.wanted(state.flavour if backend == "iptables" else backend, rules)
    modular = at_boot and options.get("module", True) and not state.inputs.builtin
    files = _files(state, options, wanted if at_boot else {}, modular)
    changed = [path for path in sorted(files) if state.own.get(path) != files[path]]
    renewal = _initrd.changes(NAME, state.inputs, files, state.own) if state.kernel.boots else ()
    loads = at_boot and bool(wanted) or state.others.unit
    unit = tuple(_unit.changes(NAME, state.unit, loads)) if state.kernel.boots else ()
    load = _load(state, rules)
    return Plan(
        changes=load + tuple(_hook_running.changes(NAME, state.held, wanted))
        + tuple(own_file(NAME, path, state.own.get(path), files[path]) for path in changed) + unit + renewal,
        steps=(LOAD_MODULE,) * len(load) + tuple(_hook_running.steps(state.held, wanted, state.programs)),
        boot_steps=_initrd.around(_unit.around(_writes(files, changed), changed, unit, loads), state.initrd, renewal)
        + (_proof_of_unit(changed, unit) if at_boot and wanted else ()),
        warnings=tuple(_warnings(state, options)) if present else (),
        refusals=tuple(_obstacles.prevented(state.boot, modular)),
        files=tuple((path, state.own.get(path), files[path]) for path in changed),
        namespace=state.kernel.namespace,
        memo={"module": modular, "unit": at_boot and bool(wanted)} if wanted or modular else None,
        returns=_returns(state, files),
    )


def _rules(state, options):
    """The rules that are wanted; the management path is left tracked where it would meet rules of others."""
    found = state.path.management if state.path and not state.path.met else None
    return _hook_rules.Rules(bool(options.get("hooks", True)), found)


def _returns(state, files):
    found = {"tracking": state.tracking, "loaded_by": _boot.boot(_boot.with_files(state.inputs, files)).loaded_by}
    return found if state.path is None else dict(found, management="tracked" if state.path.met else "untracked")


def _backend(programs, options):
    """What holds our rules: as asked, else nftables where it is installed."""
    asked = options.get("backend", "auto")
    if asked != "auto":
        return asked
    return "nftables" if "nft" in programs or "iptables-restore" not in programs else "iptables"


def _unseen(state, known):
    """Why it cannot be told what is ours."""
    for text in filter(_rulesets.hides_ours, state.unread if known and state.kernel.uid == 0 else ()):
        yield "could not read %s, so rules of ours may be there that are not seen" % text


def _refusals(state, options, backend):
    yield from _obstacles.no_root(state.kernel)
    if not (state.kernel.available or state.kernel.loadable or state.kernel.builtin):
        yield _obstacles.no_tracking(state.kernel)
    yield from _unseen(state, bool(backend))
    missing = [name for name in NEEDED.get(backend, ()) if name not in state.programs]
    if missing:
        yield "backend: %s needs %s, which is not installed; install it, or say %s" % (
            backend, " and ".join(missing), "hooks: false" if state.path is None else "hooks: false and leave out management")
    if state.path:
        yield from state.path.refusals(backend)
    if options.get("at_boot", True):
        yield from _not_at_boot(state, options, backend)


def _not_at_boot(state, options, backend):
    """Why the next boot could not be prepared."""
    if not state.kernel.boots:
        yield "at_boot: the next boot sets up another network namespace than this one; say at_boot: false"
        return
    if backend and not state.unit.systemd:
        yield "at_boot: rules are loaded at boot by a systemd unit, and this host does not run systemd; say at_boot: false"
    if options.get("initramfs") == "always" and state.initrd is None and not state.kernel.builtin:
        yield "initramfs: neither update-initramfs nor dracut is installed; say initramfs: never"


def _files(state, options, places, modular):
    """The texts of our files; those on a file system that another network namespace boots from stay as they are."""
    if not state.kernel.boots:
        return state.own
    forced = bool(modular and _initrd.wanted(options.get("initramfs", "auto"), state.inputs))
    found = {_own.MODULES_LOAD: _own.modules_load_file(modular or state.others.module)}
    found.update(_hook_rules.files(places))
    found.update(_unit.files(bool(places) or state.others.unit))
    found.update(_initrd.files(state.initrd, forced))
    return found


def _load(state, rules):
    if state.kernel.available or not rules.hooks:
        return ()
    return (Change(NAME, "nf_conntrack", RUNNING, "not loaded", "loaded", "tracking needs it"),)


def _writes(files, changed):
    return tuple(Step("script" if path == _initrd.HOOK else "file", path, files[path]) for path in changed)


def _proof_of_unit(changed, unit):
    """The unit proves now that it can load our rules."""
    if not unit and not any(path.startswith(_unit.FOLDER) or path == _unit.UNIT for path in changed):
        return ()
    return (_unit.restart("loading the rules by %s" % _unit.NAME, (_unit.STOP,) if unit else ()),)


def _warnings(state, options):
    if options.get("at_boot", True) and state.kernel.builtin and "nf_conntrack.hashsize" not in state.inputs.cmdline:
        yield ("connection tracking is built into this kernel, so nothing has to be loaded; its first hash size, which NAT keeps, "
               "comes from nf_conntrack.hashsize= on the kernel command line")
    if state.path:
        yield from state.path.warnings()


def _prove(host, options):
    """Send a packet of each family and see that it is tracked, where this run had to switch tracking on."""
    if options.get("state") == "absent" or not options.get("hooks", True):
        return {}
    view = _view.View(host)
    found = _evidence.read(host, view.kernel, view.inputs, probe=True)
    if "no" in (found["ipv4"], found["ipv6"]):
        raise ConntrackError("tracking is still off although the rule is loaded: %s" % found["because"])
    return {"tracking": found}


PART = Part(NAME, read, plan, _prove)

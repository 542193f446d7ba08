# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The part "snat": our rules of source NAT, in the running kernel and at every boot.

The list of rules is the whole of what is wanted: what is ours and not in it goes away. Before the
first rule does any NAT, connections of this host are taken into the table, so that none of them is
mistaken for a new one and rewritten.
"""
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _foreign,
    _memo,
    _nat_owners,
    _nat_row,
    _nat_rules,
    _obstacles,
    _rulesets,
    _snat_backends,
    _snat_choice,
    _snat_options,
    _snat_running,
    _snat_truth,
    _snat_wanted,
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
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import FAMILIES

NAME = "snat"
# Packets that are forwarded tell at POST_ROUTING where they came in (commit 28f8bfd1ac94).
IN_INTERFACE_SINCE = (5, 5)
FORWARDING = {"ipv4": "/proc/sys/net/ipv4/ip_forward", "ipv6": "/proc/sys/net/ipv6/conf/all/forwarding"}
FOREIGN = ("leave", "report", "randomize")
HOLD = "hold"  # what a run says that is to be confirmed before rules of others change


def spec():
    """The argument spec of the module C(snat)."""
    return {
        "rules": {"type": "list", "elements": "dict", "default": [], "options": _snat_options.rule_spec()},
        "backend": {"type": "str", "default": "auto", "choices": list(_snat_choice.OPTIONS)},
        "foreign": {"type": "str", "default": "leave", "choices": list(FOREIGN)},
        "at_boot": {"type": "bool", "default": True},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    }


class State(NamedTuple):
    """What the part sees of a host."""

    kernel: Any  # _kernel.Kernel
    unread: Any  # what of the rules could not be read, each in a few words
    held: Any  # dict: (backend, family) -> _snat_backends.Held, of those that hold something of ours
    rows: Any  # _nat_row.Row of every SNAT rule, whoever made it
    boot_files: Any  # dict: path -> text of files of others that may have SNAT rules loaded at boot
    boot: str  # what tells this boot from others
    nat: Any  # _snat_choice.Nat: who does NAT here, and by what program it can be done
    own: Any  # dict: path of each own file -> its text, or None
    unit: Any  # _unit.Unit
    links: Any  # names of the network interfaces
    passing: Any  # families whose packets are forwarded without being tracked
    memo: Any  # dict
    others: Any  # _memo.Wants


def read(view, dummy_options):
    """Read everything that a plan needs."""
    host, rulesets = view.host, view.rulesets
    rows, unread = _nat_rules.read(host, rulesets)
    return State(
        kernel=view.kernel,
        unread=unread,
        held=_held(host, rulesets),
        rows=rows,
        boot_files=_nat_rules.boot_files(host),
        boot=_memo.boot(host),
        nat=_snat_choice.read(host, rulesets),
        own={path: host.read(path) for path in tuple(_snat_backends.files(None, ())) + _unit.OWN},
        unit=view.unit,
        links=[line.partition(":")[0].strip() for line in (host.read("/proc/net/dev") or "").splitlines() if ":" in line],
        passing=_passing(host, view.tracking),
        memo=view.memo(NAME),
        others=view.wanted_by_others(NAME),
    )


def _passing(host, tracking):
    return [family for family in FAMILIES if tracking[family] == "no" and host.number(FORWARDING[family])]


def _held(host, rulesets):
    found = {}
    for family in FAMILIES:
        listing = host.run(_snat_backends.listing(family))[1] if _snat_backends.in_nft(rulesets.objects, family) else ""
        found[_snat_backends.NFTABLES, family] = _snat_backends.held_by_nft(rulesets.objects, family, listing)
        for flavour in _snat_backends.FLAVOURS:
            command = _snat_backends.suited(flavour, family) + "-save"
            text = dict(rulesets.iptables).get(command, "")
            found[flavour, family] = _snat_backends.held_by_iptables(command, text, family)
    return {place: held for place, held in found.items() if held.there}


def plan(state, options):
    """What makes the rules hold now and at every boot, in the order in which no packet goes without NAT."""
    present = options.get("state", "present") == "present"
    rules, refusals = _snat_wanted.rules(options) if present else ((), ())
    backend = _snat_choice.backend(state.nat, state.held, options) if rules else None
    lists = _snat_running.wanted(backend, rules)
    foreign = _of_others(state, options, present)
    refusals += tuple(_refusals(state, options, backend, rules, lists)) + foreign.refusals
    if refusals:
        return Plan(refusals=refusals)
    at_boot = options.get("at_boot", True) and bool(rules)
    files = _files(state, backend, rules if at_boot else ())
    changed = [path for path in sorted(files) if state.own[path] != files[path]]
    loads = at_boot or state.others.unit
    unit = tuple(_unit.changes(NAME, state.unit, loads)) if state.kernel.boots else ()
    running = _snat_running.changes(NAME, state.held, lists)
    load = _load(state, lists)
    return Plan(
        changes=load + sum(running.values(), ()) + foreign.changes + tuple(own_file(NAME, path, state.own[path], files[path]) for path in changed) + unit,
        steps=(LOAD_MODULE,) * len(load)
        + foreign.steps  # by numbers that rules have before ours come or go
        + tuple(_snat_running.steps(state.held, lists, running, state.nat.programs)),
        boot_steps=_boot_steps(files, changed, unit, loads, at_boot),
        warnings=tuple(_snat_truth.warnings(state, backend, rules)) + foreign.warnings,
        files=tuple((path, state.own[path], files[path]) for path in changed),
        namespace=state.kernel.namespace,
        memo={"unit": at_boot, "foreign": list(foreign.memo)} if rules or foreign.memo else None,
        returns=_returns(state, options, backend),
    )


def _of_others(state, options, present):
    """What is done about SNAT rules of others; where nothing is asked for, what was done is taken back."""
    known, asked = state.memo.get("foreign", ()), options.get("foreign", "leave") if present else "leave"
    if asked == HOLD:
        return _foreign.Foreign(memo=known)
    if asked == "randomize" and state.unread:
        return _foreign.Foreign(refusals=("foreign: could not read %s; say foreign: report" % ", ".join(state.unread),))
    if asked == "randomize":
        return _foreign.plan(state.rows, state.kernel.version, state.nat.programs, known, state.boot_files, state.boot)
    found = _foreign.undo(state.rows, state.nat.programs, known, state.boot)
    told = tuple(_foreign.report(state.rows, state.kernel.version)) if asked == "report" else ()
    return found._replace(warnings=found.warnings + told)


def _returns(state, options, backend):
    found = {"backend": backend or ""}
    if options.get("foreign", "leave") != "leave":
        found["foreign"] = _others(state)
    return found


def _others(state):
    return [_nat_row.facts(row) for row in state.rows if row.owner != _nat_owners.OURS]


def _load(state, lists):
    if state.kernel.available or not lists:
        return ()
    return (Change(NAME, "nf_conntrack", RUNNING, "not loaded", "loaded", "SNAT needs it"),)


def _refusals(state, options, backend, rules, lists):
    yield from _obstacles.no_root(state.kernel)
    if rules and not (state.kernel.available or state.kernel.loadable or state.kernel.builtin):
        yield _obstacles.no_tracking(state.kernel)
    known = rules or state.memo or any(state.own[path] for path in _snat_backends.files(None, ()))
    for text in filter(_rulesets.hides_ours, state.unread if known else ()):
        yield "could not read %s, so rules of ours may be there that are not seen" % text
    yield from _in_use(state, lists)
    if rules and options.get("at_boot", True):
        yield from _not_at_boot(state)
    if rules:
        yield from _snat_choice.refusals(state.nat, backend, rules)
    for number, rule in _snat_wanted.numbered(options, rules):
        for text in _snat_backends.refusals(backend, rule, state.nat.nft):
            yield "rules[%d].%s" % (number, text)
        if rule.in_interface and state.kernel.version < IN_INTERFACE_SINCE:
            yield "rules[%d].in_interface: Linux %d.%d is the first that knows it where SNAT is done, and this is %s; use mark" % (
                (number,) + IN_INTERFACE_SINCE + (state.kernel.release,))


def _in_use(state, wanted):
    """Why our chain cannot be taken away."""
    for place, held in sorted(state.held.items()):
        if held.others and place not in wanted:
            yield "state: other rules lead to our chain (%s, %s: %s); take them away first" % (place + ("; ".join(held.others),))


def _not_at_boot(state):
    if not state.kernel.boots:
        yield "at_boot: the next boot sets up another network namespace than this one; say at_boot: false"
    elif not state.unit.systemd:
        yield "at_boot: rules are loaded at boot by a systemd unit, and this host does not run systemd; say at_boot: false"


# The next boot


def _files(state, backend, rules):
    """The texts of our files; those on a file system that another network namespace boots from stay as they are."""
    if not state.kernel.boots:
        return state.own
    found = _snat_backends.files(backend, rules)
    found.update(_unit.files(bool(rules) or state.others.unit))
    return found


def _boot_steps(files, changed, unit, loads, at_boot):
    """Files, then what reads them; the unit proves now that it can load them."""
    writes = tuple(Step("file", path, files[path]) for path in changed)
    steps = _unit.around(writes, changed, unit, loads)
    started = (_unit.restart("loading the rules by %s" % _unit.NAME, (_unit.STOP,) if unit else ()),)
    return steps + (started if at_boot and (changed or unit) else ())


def _prove(host, options):
    """See that rules of others are where they were, with nothing else changed in them."""
    if options.get("state") == "absent" or options.get("foreign") != "randomize":
        return {}
    state = read(_view.View(host), options)
    wrong = list(_foreign.unproven(state.rows, state.memo.get("foreign", ()), state.boot))
    if wrong:
        raise ConntrackError("; ".join(wrong))
    return {"foreign": _others(state)}


PART = Part(NAME, read, plan, _prove)

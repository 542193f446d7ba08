# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The rules of early_load in the running kernel: what is held, how it differs from what is wanted, and the steps between.

Only the function C(read) looks at the host.
"""
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _hook_rules
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import RUNNING, Change, Step
from ansible_collections.netfleet.conntrack.plugins.module_utils._management_spec import OPTION

GROUPS = ("nftables", "iptables")


class Held(NamedTuple):
    """What a place holds of ours."""

    chains: Any = ()  # dict: what for -> _hook_rules.Chain
    saved: Any = ()  # of iptables: dict: what for -> its lines with counters
    back: str = ""  # of nftables: the input that makes it so again


NOTHING = Held({}, {})


def read(host, rulesets):
    """Place -> Held, of the places that hold something of ours."""
    found = {}
    chains = _hook_rules.held_by_nft(rulesets.objects)
    if chains is not None:
        known = _hook_rules.is_known(chains)
        listed = "" if known else host.run(["nft", "list", "table"] + list(_hook_rules.TABLE))[1]
        found[_hook_rules.INET] = Held(chains, {}, _hook_rules.nft_input(chains) if known else _hook_rules.FRESH + listed)
    for place in [(flavour, family) for flavour in _hook_rules.FLAVOURS for family in sorted(_hook_rules.PROGRAM)]:
        command = _hook_rules.suited(place) + "-save"
        chains, saved = _hook_rules.held_by_iptables(command, dict(rulesets.iptables).get(command, ""))
        if chains:
            found[place] = Held(chains, saved)
    return found


def changes(part, held, wanted):
    """Yield what differs: the rule that switches tracking on, and those of the management path, for each kind of backend."""
    for group in GROUPS:
        places = [place for place in sorted(set(held) | set(wanted)) if _group(place) == group]
        pairs = [(held.get(place, NOTHING).chains, wanted.get(place, {})) for place in places]
        yield from _hooks(part, group, pairs)
        yield from _management(part, group, pairs)
        for name in sorted({name for chains, dummy in pairs for name in chains if name not in _hook_rules.CHAINS}):
            yield Change(part, name, RUNNING, "in our table", None, "what is put there is lost when our rules are loaded")


def _group(place):
    return place[0] if place[0] == _hook_rules.NFTABLES else "iptables"


def _hooks(part, group, pairs):
    pairs = [(before.get(_hook_rules.HOOKS), after.get(_hook_rules.HOOKS)) for before, after in pairs]
    if all(_same(*pair) for pair in pairs):
        return
    there = [before is not None for before, dummy in pairs]
    asked = any(after for dummy, after in pairs)
    before = "absent" if not any(there) else "altered" if asked else "present"
    yield Change(part, "hooks", RUNNING, before, "present" if asked else "absent", "a rule of %s that needs tracking" % group)


def _management(part, group, pairs):
    ways = (_hook_rules.IN, _hook_rules.OUT)
    if all(_same(before.get(way), after.get(way)) for before, after in pairs for way in ways):
        return
    found, asked = [_words(chains, ways) for chains in zip(*pairs)]
    yield Change(part, OPTION, RUNNING, "altered" if found == asked else found, asked, "rules of %s that keep the management path untracked" % group)


def _words(places, ways):
    """What the rules are, the same words of two families once; None where there is no rule."""
    lines = [line for chains in places for way in ways if way in chains for line in chains[way].words]
    return "\n".join(sorted(set(lines), key=lines.index)) or None


def _same(before, after):
    """Tell whether a chain is as it is wanted; None stands for none."""
    if before is None or after is None:
        return before is after
    return before.rules == after.rules and before.hooked


def steps(held, wanted, programs):
    """Load what is wanted, then take away what another backend holds; tracking never pauses between the two.

    ``programs``: names of those that are installed.
    """
    for place in sorted(wanted, reverse=True):
        yield from _loading(place, held.get(place, NOTHING), wanted[place], programs)
    for place in sorted(set(held) - set(wanted)):
        yield _feed("taking away rules of %s", place, held[place], {}, programs)


def _loading(place, held, chains, programs):
    if set(held.chains) != set(chains) or not all(_loaded(place, held.chains[what], chains[what]) for what in chains):
        yield _feed("loading rules of %s", place, held, chains, programs)
    if place == _hook_rules.INET:
        return
    for what in (_hook_rules.IN, _hook_rules.OUT):
        known = held.chains.get(what, _hook_rules.Chain(hooked=False))
        if what in chains and not known.hooked:
            argv = _command(place, programs)
            undo = () if known.jumps else ([argv, _hook_rules.unjump_input(what)],)
            yield Step("jump", "making the jump to our rules the first of %s" % _hook_rules.CHAINS[what][1],
                       [argv, _hook_rules.jump_input(what, known.jumps)], undo)


def _loaded(place, before, after):
    """Tell whether a chain is right, but for the jump of iptables, which has a step of its own."""
    return before.rules == after.rules and (before.hooked or place != _hook_rules.INET)


def _feed(why, place, held, chains, programs):
    argv = _command(place, programs)
    if place == _hook_rules.INET:
        data, back = _hook_rules.nft_input(chains) if chains else _hook_rules.FRESH, held.back or _hook_rules.FRESH
    else:
        data = _hook_rules.iptables_input(chains, held.chains)
        back = _hook_rules.iptables_back(chains, held.chains, held.saved)
    return Step("feed", why % _words_of(place), [argv, data], ([argv, back],))


def _words_of(place):
    return place[0] if place == _hook_rules.INET else "%s (%s)" % place


def _command(place, programs):
    """The command that reads an input."""
    if place == _hook_rules.INET:
        return ["nft", "-f", "-"]
    name = _hook_rules.suited(place) + "-restore"
    return [name if name in programs else _hook_rules.PROGRAM[place[1]] + "-restore", "-w", "--noflush", "--counters"]

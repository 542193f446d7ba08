# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Our SNAT rules in the running kernel: how they differ from those that are wanted, and the steps from the one to the other.

A place is a backend and a family, such as ("nftables", "ipv4"). Pure.
"""
from ansible_collections.netfleet.conntrack.plugins.module_utils import _snat_backends
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import RUNNING, Change, Step

NOTHING = _snat_backends.Held()
ADOPT = Step("adopt", "taking the connections of this host into the table", None)


def wanted(backend, rules):
    """Place -> its rules, in order."""
    places = [(backend, rule.family) for rule in rules]
    return {place: tuple(rule for rule in rules if rule.family == place[1]) for place in places}


def changes(part, held, lists):
    """Place -> the Changes there, of those places that change; ``lists``: place -> the rules that are wanted."""
    found = {place: tuple(_changes(part, place, held.get(place, NOTHING), lists.get(place, ()))) for place in sorted(set(held) | set(lists))}
    return {place: some for place, some in found.items() if some}


def _changes(part, place, held, rules):
    """The rules that differ; their order, or their hook, where nothing else does."""
    where = "%s, %s" % place
    before, after = _snat_backends.by_name(held.entries), {rule.name: rule for rule in rules}
    for name in [name for name in before if name not in after]:
        yield Change(part, name, RUNNING, before[name][1], None, where)
    for name, rule in after.items():
        known, words = before.get(name, (None, None))
        if known != rule:
            yield Change(part, name, RUNNING, words, _snat_backends.words(place[0], rule), where)
    if set(before) == set(after) and list(before) != list(after):
        yield Change(part, "order", RUNNING, ", ".join(before), ", ".join(after), where)
    if held.there and (not rules and not before or rules and not held.sound):
        yield Change(part, "hook", RUNNING, "another", "first of postrouting" if rules else None, where)


def steps(held, lists, changing, programs):
    """First tracking without NAT, and local connections into the table; then rules; then what another backend held."""
    loaded = [place for place in changing if place in lists]
    yield from _first_contact(held, [place for place in loaded if not held.get(place, NOTHING).entries], programs)
    for place in loaded:
        yield _feed(held, place, programs, "loading rules into %s", _snat_backends.replacing, lists[place])
        yield from _jump(held, place, programs)
    for place in sorted(set(held) - set(lists)):
        yield _feed(held, place, programs, "taking rules out of %s", _snat_backends.removing)


def _first_contact(held, places, programs):
    """Have local connections in the table before anything does NAT.

    Before tracking, for the first packet that it sees may be one without an answer, whose entry soon expires. And after, for
    connections have begun meanwhile.
    """
    if not places:
        return
    yield ADOPT
    for place in places:
        yield _feed(held, place, programs, "switching tracking on for %s", _snat_backends.without_nat)
    yield ADOPT


def _feed(held, place, programs, why, make, *more):
    known, (backend, family) = held.get(place, NOTHING), place
    argv = _snat_backends.command(backend, family, programs)
    back = _snat_backends.restoring(backend, family, known, jump=make is _snat_backends.removing)
    return Step("feed", why % ("%s (%s)" % place), [argv, make(backend, family, known, *more)], ([argv, back],))


def _jump(held, place, programs):
    known = held.get(place, NOTHING)
    if place[0] == _snat_backends.NFTABLES or known.there and known.sound:
        return
    argv = _snat_backends.command(place[0], place[1], programs)
    undo = () if known.jumps else ([argv, _snat_backends.unjumping()],)
    yield Step("jump", "making the jump to our rules the first of POSTROUTING", [argv, _snat_backends.jumping(known)], undo)

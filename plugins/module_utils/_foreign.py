# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""SNAT rules of others that try to keep the port: they are given random ports, in place, and get their words back. Pure."""
import re
from typing import Any, NamedTuple, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _foreign_words, _nat_owners
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import Change, Step
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_row import NFTABLES, chain_of, stateless, untouchable
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import KEEP, RANDOM

# Since Linux 5.0 random does what fully-random does; before, a rule that has both does what random does (nf_nat_l4proto_unique_tuple).
EQUAL_SINCE = (5, 0)
MANY = 10  # rules that a message names
# A line of a file that makes a SNAT rule, and what it says where the ports are random.
LINES = (
    (re.compile(r"^[^#]*-j (SNAT|MASQUERADE)\b"), "--random-fully"),
    (re.compile(r"^[^#]*(?<!chain )(?<!jump )(?<!goto )\b(masquerade|snat (to|ip|ip6))\b"), "fully-random"),
)


class Foreign(NamedTuple):
    """What is to be done about the rules of others."""

    changes: Tuple[Change, ...] = ()
    steps: Tuple[Step, ...] = ()
    refusals: Tuple[str, ...] = ()
    warnings: Tuple[str, ...] = ()
    memo: Tuple[Any, ...] = ()  # a dict for each rule that is as we left it, with "leaving" where it is about to be put back


def plan(rows, version, programs, memo=(), files=(), boot=""):
    """Give random ports to every rule of others that has none, on a kernel of this ``version``.

    ``memo``: what the last plan remembered. ``files``: path -> text of C(_nat_rules.boot_files).
    ``boot``: what tells this boot from others; what was left in another one is forgotten.
    """
    wanting = list(_wanting(rows, version))
    pairs = [(row, _foreign_words.randomized(row)) for row in wanting if row.text]
    refusals = tuple(_refusals(wanting))
    if refusals:
        return Foreign(refusals=refusals, memo=tuple(memo))
    left = [(row, entry["before"], entry["after"]) for row, entry in _left(rows, memo, boot)]
    new = [(row, stateless(row.text), stateless(text)) for row, text in pairs]
    return Foreign(
        changes=_foreign_words.changes(pairs, "foreign: randomize"),
        steps=_steps(rows, new, boot, _foreign_words.steps(pairs, programs, "giving random ports to")),
        warnings=tuple(_warnings(left + new, dict(files))),
        memo=tuple(_remembered(rows, left + new, boot)),
    )


def undo(rows, programs, memo, boot=""):
    """Give their former words to the rules that still are exactly as we left them.

    They are remembered until it is done, so that the next run does it where this one is killed.
    """
    found = list(_undoable(rows, _left(rows, memo, boot)))
    pairs = [(row, _foreign_words.with_flags(row, _foreign_words.flags(row, entry["before"]))) for row, entry in found]
    new = [(row, stateless(row.text), stateless(text)) for row, text in pairs]
    gone = len([entry for entry in memo if not entry.get("leaving")]) - len([entry for dummy, entry in found if not entry.get("leaving")])
    return Foreign(
        changes=_foreign_words.changes(pairs, "it was foreign: randomize"),
        steps=_steps(rows, new, boot, _foreign_words.steps(pairs, programs, "giving their former words to")),
        warnings=("%d of the SNAT rules of others that were given random ports are gone or have changed since; they stay as they are" % gone,)
        if gone else (),
        memo=tuple(dict(entry, leaving=True) for dummy, entry in found),
    )


def _steps(rows, new, boot, steps):
    """Steps, and before them what takes all of them back: not by number or handle, which may be others by then."""
    back = Step("foreign", "giving back the words of the SNAT rules of others", None, (list(_remembered(rows, new, boot)),))
    return (back,) + steps if steps else ()


def unproven(rows, memo, boot=""):
    """Yield a text for each rule that is not what was to be made of it, read again."""
    found = {(row.backend, row.family, row.table, row.chain, entry["nth"], entry["after"]): row for row, entry in _left(rows, memo, boot)}
    for entry in [entry for entry in memo if not entry.get("leaving")]:
        row = found.get(_chain(entry) + (entry["nth"], entry["after"]))
        if row is None or row.behind != entry["behind"]:
            yield "%s %s %s %s: %s is not to be found where it was put" % (_chain(entry) + (entry["after"],))


def report(rows, version):
    """Yield what is to be said of rules of others that have no random ports, where nothing is to be changed."""
    for name, some in _by_owner(_wanting(rows, version)):
        owner = _nat_owners.BY_NAME.get(name)
        remedy = owner.remedy if owner and owner.remedy else "say foreign: randomize, which changes that"
        yield "connections may collide at %d SNAT rules of %s, which do not choose ports at random (%s); %s" % (
            len(some), owner.called if owner else name or "others", _places(some), remedy)


# Which rules, and why not


def _wanting(rows, version):
    """Yield the rules of others that keep ports, without those that are never reached, since the same with random ports stands before them."""
    lacking = (KEEP,) if version >= EQUAL_SINCE else (KEEP, RANDOM)
    before = set()
    for row in rows:
        wants = row.owner != _nat_owners.OURS and not untouchable(row) and row.nat.port_selection in lacking
        if wants and chain_of(row) + (stateless(_foreign_words.randomized(row)),) not in before:
            yield row
        elif not wants:
            before.add(chain_of(row) + (stateless(row.text),))


def _by_owner(rows):
    groups = {}
    for row in rows:
        groups.setdefault(row.owner, []).append(row)
    return sorted(groups.items())


def _places(rows):
    groups = {}
    for row in rows:
        groups.setdefault("%s %s %s %s" % (row.backend, row.family, row.table, row.chain), []).append(str(row.place))
    return "; ".join("%s %s" % (chain, ", ".join(_few(places))) for chain, places in groups.items())


def _few(places):
    return places if len(places) <= MANY else places[:MANY] + ["and %d more" % (len(places) - MANY)]


def _refusals(rows):
    for name, some in _by_owner(rows):
        owner = _nat_owners.BY_NAME.get(name)
        held = [row for row in some if row.held]
        if owner and owner.remedy:
            yield "foreign: %s makes these rules, and makes them again as they were (%s). %s; or say foreign: report" % (
                owner.called, _places(some), owner.remedy[0].upper() + owner.remedy[1:])
        elif held:
            yield "foreign: only the program that made them can change these rules (%s: flags owner), which is %s; set it there, or say foreign: report" % (
                _places(held), held[0].held)
    mute = [row for row in rows if not row.text]
    if mute:
        yield ("foreign: these rules cannot be changed, for they are not shown in words that could be read again, such as those of a comment "
               "(%s); make them anew without such words, or say foreign: report" % _places(mute))


def _warnings(left, files):
    if not left:
        return
    lines = ["%s:%d (add %s)" % line for line in boot_lines(files)]
    again = "; each run puts that right again"
    if lines:
        yield "SNAT rules of others come back without random ports at the next boot or reload, as these lines have them: %s%s" % (", ".join(lines), again)
    else:
        yield "%d SNAT rules of others have random ports in the running kernel only, and come back as they were with what made them%s" % (len(left), again)


def boot_lines(files):
    """Yield (path, number, what to add) of each line that makes a SNAT rule without random ports."""
    for path in sorted(files):
        for number, line in enumerate(files[path].split("\n"), 1):
            words = [word for pattern, word in LINES if pattern.search(line)]
            if words and not re.search(r"\brandom-fully\b|\bfully-random\b", line):
                yield path, number, words[0]


# What was changed, and what of it still is


def _chain(entry):
    return tuple(entry[field] for field in ("backend", "family", "table", "chain"))


def _alike(rows):
    """(backend, family, table, chain, words) -> rows."""
    found = {}
    for row in rows:
        found.setdefault(chain_of(row) + (stateless(row.text),), []).append(row)
    return found


def _remembered(rows, left, boot):
    """Yield the entry of each rule in ``left``: (row, words before, words after)."""
    after = {(chain_of(row), row.place): words for row, dummy, words in left}
    final = _alike(row._replace(text=after.get((chain_of(row), row.place), row.text)) for row in rows)
    renewed = {(chain_of(row), stateless(row.text)): words for row, dummy, words in left}
    for row, before, words in left:
        places = [other.place for other in final[chain_of(row) + (words,)]]
        yield {
            "backend": row.backend, "family": row.family, "table": row.table, "chain": row.chain, "place": row.place,
            "before": before, "after": words, "behind": renewed.get((chain_of(row), row.behind), row.behind),
            "nth": places.index(row.place), "of": len(places), "epoch": row.epoch, "moves": row.moves, "boot": boot,
        }


def _left(rows, memo, boot):
    """The (row, entry) of every rule that is as we left it."""
    alike = _alike(rows)
    found = []
    for entry in memo if memo and memo[0]["boot"] == boot else ():
        same = [row for row in alike.get(_chain(entry) + (entry["after"],), []) if row.epoch == entry["epoch"]]
        if entry["backend"] == NFTABLES and not entry["moves"]:
            known = [row for row in same if row.place == entry["place"]]
        else:
            known = same[entry["nth"]:entry["nth"] + 1] if len(same) == entry["of"] else []
        found.extend((row, entry) for row in known)
    return found


def _undoable(rows, found):
    """Without those of iptables that another's rule of the same words stands before: that one would be deleted.

    It is no loss, since such a rule is never reached.
    """
    ours = {(chain_of(row), row.place) for row, dummy in found}
    alike = _alike(rows)
    for row, entry in found:
        before = [other for other in alike[chain_of(row) + (entry["after"],)] if other.place < row.place]
        if row.backend == NFTABLES or all((chain_of(other), other.place) in ours for other in before):
            yield row, entry

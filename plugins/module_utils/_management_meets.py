# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Whether rules of others would treat the management path otherwise once it is not tracked: rules of NAT, and stateful ones.

A chain is walked as a packet of the path walks it. A rule that takes tracked packets only is passed by, and remembered:
where packets are dropped after it, it is what let them through so far. Only the function C(read) looks at the host.
"""
from collections import OrderedDict
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _management, _management_iptables, _management_nft, _nat_nft
from ansible_collections.netfleet.conntrack.plugins.module_utils._management_rule import (
    ACCEPT,
    ALL,
    DROP,
    ESTABLISHED,
    GOTO,
    JUMP,
    MARK,
    NAT,
    NEW,
    NO,
    OTHER,
    RETURN,
    UNKNOWN,
    UNTRACKED,
    Path,
)

DEEPEST = 16  # NFT_JUMP_STACK_SIZE of the kernel
# Why a rule is told.
LETS_IN = "lets in what is tracked, and what is not would be dropped after it"
DROPS = "would drop what is not tracked"
REWRITES = "rewrites what is tracked, and not what is not"
MARKS = "gives packets the mark of their connection, and what is not tracked has none"
BYPASSED = "is passed by only by what is tracked, and may drop packets of what is not"
UNCLEAR = "is not understood, and may need packets to be tracked"


class Met(NamedTuple):
    """A rule that the path would meet."""

    rule: Any
    why: str


class Walk:
    """One walk of the path through the chains of one hook."""

    def __init__(self, chains, direction, nat):
        self.chains, self.direction, self.nat = chains, direction, nat
        # Rules that take packets of tracked connections only: also their first ones, or only later ones.
        self.takes_new = self.takes_old = None
        self.some_accepted = False  # packets of some connections of the path, whether they are tracked or not
        self.unsure = None  # a rule that takes some packets of a connection, or is not understood
        self.met = None

    def base(self, base):
        """What is met from a base chain on, or None."""
        end = self.chain(base.chain, 0)
        if self.met or self.nat or (end if end in (ACCEPT, DROP) else base.policy) == ACCEPT:
            return self.met
        let_in = self.takes_new or (self.takes_old if self.direction == _management.OUT or not self.some_accepted else None)
        if let_in or not self.takes_old:
            return Met(let_in, LETS_IN) if let_in else None
        return Met(self.unsure, UNCLEAR) if self.unsure else None

    def chain(self, name, depth):
        """What becomes of every packet: accept, drop, or something else where that is not decided here."""
        leaky = False
        for rule in self.chains.get(name, ()):
            if rule.fits == NO or not self._reaches(rule):
                continue
            sure = rule.fits == ALL and rule.steady and not leaky
            end = self._end(rule, depth)
            if self.met:
                return DROP
            if end in (RETURN, GOTO) and not sure:
                leaky = True
            elif end and sure:
                return end
            elif end == ACCEPT:
                self._accepts_some(rule)
            elif end == DROP:
                self._drops_some(rule)
        return ""

    def _reaches(self, rule):
        """Tell whether packets of the path that are not tracked can fit; remember what takes others of them."""
        if rule.states is None:
            return True
        if self.nat:
            return NEW in rule.states or UNKNOWN in rule.states
        if rule.verdict == MARK or UNTRACKED in rule.states and {NEW, ESTABLISHED} <= rule.states:
            return True
        if UNKNOWN in rule.states and rule.verdict in (DROP, OTHER):
            self.met = self.met or Met(rule, UNCLEAR)
        elif UNTRACKED in rule.states and rule.verdict in (DROP, OTHER):
            self.met = self.met or Met(rule, DROPS)
        elif UNTRACKED not in rule.states and rule.verdict in (ACCEPT, JUMP, GOTO, RETURN):
            self._passes_by(rule)
        return UNTRACKED in rule.states

    def _passes_by(self, rule):
        if self.direction == _management.IN and rule.states & {NEW, UNKNOWN}:
            self.takes_new = self.takes_new or rule
        if rule.states & {ESTABLISHED, UNKNOWN}:
            self.takes_old = self.takes_old or rule

    def _end(self, rule, depth):
        if self.met:
            return ""
        if rule.verdict == NAT and self.nat:
            self.met = Met(rule, REWRITES)
        elif rule.verdict == MARK and not self.nat:
            self.met = Met(rule, MARKS)
        elif rule.verdict == OTHER:
            self.unsure = self.unsure or rule
        elif rule.verdict in (JUMP, GOTO):
            return self._inner(rule, depth)
        return rule.verdict if rule.verdict in (ACCEPT, DROP, RETURN) else ""

    def _inner(self, rule, depth):
        if depth >= DEEPEST:
            self.met = Met(rule, UNCLEAR)
            return ""
        end = self.chain(rule.target, depth + 1)
        return end if end in (ACCEPT, DROP) else rule.verdict if rule.verdict == GOTO else ""

    def _accepts_some(self, rule):
        if rule.steady:
            self.some_accepted = True
        else:
            self.unsure = self.unsure or rule

    def _drops_some(self, rule):
        """A drop of whole connections is the same for those that are tracked, unless a rule took these before."""
        let_in = self.takes_new or (self.takes_old if self.direction == _management.OUT else None)
        if let_in:
            self.met = Met(let_in, LETS_IN)
        elif self.takes_old and not rule.steady:
            self.met = Met(rule, BYPASSED)


def paths(management):
    """The path in each direction and family."""
    for direction in _management.DIRECTIONS:
        for family in _management.families(management):
            yield Path(direction, family, management.interfaces, (management.networks or {}).get(family, ()), management.ports)


def _sources(rulesets, path):
    """Yield (Bases, chains) of nftables and of each flavour of iptables."""
    saved = {command: text for command, text in dict(rulesets.iptables).items() if command.startswith("ip6") == (path.family == "ipv6")}
    # What today's iptables made is read as iptables shows it; nft does not show all of that.
    family = "ip6" if path.family == "ipv6" else "ip"
    ours = {(name, "netfleet_conntrack") for name in ("inet", "ip", "ip6")}
    theirs = {(family, line[1:].strip()) for command, text in saved.items() if "-nft-" in command for line in text.split("\n") if line.startswith("*")}
    yield _management_nft.chains(rulesets.objects, path, ours | theirs)
    for command, text in sorted(saved.items()):
        yield _management_iptables.chains(command, text, path)


def met(rulesets, management):
    """(Path, Base, Met) for all that the path would meet."""
    sources = ((path, *source) for path in paths(management) for source in _sources(rulesets, path))
    walks = ((path, base, Walk(chains, path.direction, base.nat)) for path, bases, chains in sources for base in bases)
    found = ((path, base, walk.base(base)) for path, base, walk in walks)
    return (row for row in found if row[2])


def read(host, rulesets, management):
    """The texts of all that the path would meet; none where it can be reserved."""
    try:
        found = list(met(rulesets, management))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        return ("the rules of this host could not be understood (%s: %s)" % (type(error).__name__, error),)
    groups, listings = OrderedDict(), {}
    for path, base, (rule, why) in found:
        key = (rule.where, rule.handle, rule.text, why, path.direction, base.insert)
        groups.setdefault(key, (rule, []))[1].append(path.family)
    texts = ["%s %s; accept the path before it, by that firewall's own means or as by `%s`" % (
        _rule(host, rule, listings), why, _remedy(direction, families, insert, management))
        for (dummy_where, dummy_handle, dummy_text, why, direction, insert), (rule, families) in groups.items()]
    return tuple(["could not read %s" % text for text in rulesets.unread] + texts)


def _rule(host, rule, listings):
    """A rule in its program's words."""
    family, table, chain = rule.where
    if rule.text:
        return "the rule `%s` (%s, table %s)" % (rule.text, family, table)
    if (family, table) not in listings:
        listings[family, table] = _nat_nft.listing(host.run(["nft", "-a", "list", "table", family, table])[1]).rules
    words = listings[family, table].get((chain, rule.handle), "number %s" % rule.handle)
    return "the rule `%s` (nft, table %s %s, chain %s)" % (words, family, table, chain)


def _remedy(direction, families, insert, management):
    """The commands that let the path pass."""
    if insert.startswith("nft"):
        lines = [_management.nft_text(line, ACCEPT) for line in _management.nft_lines(management, direction) if line.family in [""] + families]
    else:
        lines = [_management.iptables_text(line, "ACCEPT") for line in _management.iptables_lines(management, direction, families[0])]
    return "; ".join("%s %s" % (insert, line) for line in lines)

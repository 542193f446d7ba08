# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Our SNAT rules in each backend: what is held there, and the inputs that replace it, take it away and put it back.

An input is what a program reads and carries out as a whole or not at all. Pure.
"""
import re
from typing import Any, NamedTuple, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _iptables, _iptables_save, _nft
from ansible_collections.netfleet.conntrack.plugins.module_utils._own import FOLDERS, HEADER
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import FAMILIES

NFTABLES = "nftables"
FLAVOURS = ("iptables-nft", "iptables-legacy")
PROGRAM = {"ipv4": "iptables", "ipv6": "ip6tables"}
JUMP = "POSTROUTING -j %s" % _iptables.CHAIN
OWN_LINE = re.compile(r"(\[[0-9]+:[0-9]+\] )?-A %s " % _iptables.CHAIN)
COMMENT = re.compile(r'comment "?([\w.-]+)')  # of a rule that somebody has altered: what names ours
NFT_FILE = FOLDERS[1] + "/snat.nft"


class Held(NamedTuple):
    """What one backend holds of ours for one family."""

    there: bool = False  # our table or chain is there
    sound: bool = True  # it is hooked as ours is: the base chain is as we make it; the jump is the first rule, and the only one
    entries: Tuple[Any, ...] = ()  # (Rule, or None where it is no rule of ours; its words)
    jumps: int = 0  # of iptables: rules of POSTROUTING that lead to our chain, with no condition
    others: Tuple[str, ...] = ()  # of iptables: other rules that lead there; the chain cannot go while there are any
    back: str = ""  # the input that makes it so again


def suited(flavour, family):
    """The name of a program of iptables, such as ip6tables-legacy."""
    return PROGRAM[family] + flavour[len("iptables"):]


def files(backend, rules):
    """Path -> text of the files that have the rules loaded at boot; None for those that are to be gone."""
    found = {NFT_FILE: None}
    found.update(("%s/snat.%s" % (FOLDERS[1], suited(flavour, family)), None) for flavour in FLAVOURS for family in FAMILIES)
    for family in FAMILIES:
        ours = [rule for rule in rules if rule.family == family]
        if ours and backend in FLAVOURS:
            found["%s/snat.%s" % (FOLDERS[1], suited(backend, family))] = "# %s\n%s" % (HEADER, _iptables.script(ours, ()))
    families = [family for family in FAMILIES if any(rule.family == family for rule in rules)]
    if families and backend == NFTABLES:
        found[NFT_FILE] = "# %s\n%s" % (HEADER, _nft.script(rules, families))
    return found


def words(backend, rule):
    """A rule as its backend would show it."""
    return _nft.rule_text(rule) if backend == NFTABLES else "\n".join(_iptables.lines(rule))


def refusals(backend, rule, nft_version):
    """What of a rule a backend cannot hold; ``nft_version`` is that of the program nft."""
    return _nft.refusals(rule, nft_version) if backend == NFTABLES else _iptables.refusals(rule)


# What is held


def in_nft(objects, family):
    """Tell whether nftables has our table, by its decoded ruleset."""
    return any(_is_table(item, family) for item in objects)


def listing(family):
    """The command that prints our table."""
    return ["nft", "list", "table", _nft.FAMILIES[family], _nft.TABLE]


def held_by_nft(objects, family, printed):
    """What nftables holds, by its decoded ruleset; ``printed`` is our table in nft's own words."""
    if not in_nft(objects, family):
        return Held()
    table = {"family": _nft.FAMILIES[family], "table": _nft.TABLE}
    chains = [_of(item["chain"], table) for item in objects if "chain" in item]
    return Held(
        there=True,
        sound=[chain for chain in chains if chain] == [_nft_chain()],
        entries=tuple((rule, text) for rule, dummy, text in _nft.rules(objects, family)),
        back=_fresh(family) + printed,
    )


def _of(thing, place):
    """The properties of a thing of ours less those that differ from host to host; None of a thing that is not ours."""
    if any(thing.get(key) != value for key, value in place.items()):
        return None
    return {key: value for key, value in thing.items() if key not in ("handle", "family", "table")}


def _nft_chain():
    return {"name": _nft.CHAIN, "type": "nat", "hook": "postrouting", "prio": _nft.PRIORITY, "policy": "accept"}


def _is_table(item, family):
    return _of(item.get("table", {}), {"family": _nft.FAMILIES[family], "name": _nft.TABLE}) is not None


def _fresh(family):
    """Takes our table away, also where there is none."""
    return "table %(family)s %(table)s\ndelete table %(family)s %(table)s\n" % {"family": _nft.FAMILIES[family], "table": _nft.TABLE}


def held_by_iptables(command, text, family):
    """What a flavour of iptables holds, by what its save command printed."""
    lines = list(_iptables_save.rules(command, text))
    route = [found for place, found in lines if place[1:] == ("nat", "POSTROUTING")]
    jumps = route.count(["-j", _iptables.CHAIN])
    there = ":%s " % _iptables.CHAIN in _iptables_save.table(text, "nat")
    return Held(
        there=there or bool(jumps),
        sound=jumps == 1 and route[0] == ["-j", _iptables.CHAIN],
        entries=tuple(_iptables.rules(text, family)),
        jumps=jumps,
        others=tuple("%s %s" % (place[2], " ".join(found)) for place, found in lines if _leads_here(place, found)),
        back=_chain("".join(line + "\n" for line in _own_lines(text))),
    ) if there or jumps else Held()


def _leads_here(place, found):
    step = any(pair in (("-j", _iptables.CHAIN), ("-g", _iptables.CHAIN)) for pair in zip(found, found[1:]))
    return place[1] == "nat" and step and not (place[2] == "POSTROUTING" and found == ["-j", _iptables.CHAIN])


def _own_lines(text):
    """The lines of our chain as they were saved, with their counters."""
    return [line for line in _iptables_save.table(text, "nat").split("\n") if OWN_LINE.match(line)]


def _chain(lines):
    return "*nat\n:%s - [0:0]\n%sCOMMIT\n" % (_iptables.CHAIN, lines)


# Inputs


def command(backend, family, programs):
    """The command that reads an input; ``programs`` maps names to those that serve for them."""
    if backend == NFTABLES:
        return ["nft", "-f", "-"]
    return [programs[suited(backend, family)] + "-restore", "-w", "--noflush", "--counters"]


def without_nat(backend, family, held):
    """Switches tracking on by a rule that does no NAT, where no rule of ours is."""
    if backend == NFTABLES:
        return ("" if held.sound else _fresh(family)) + _nft.script((), [family]) + "add rule %s %s %s ct state new\n" % (
            _nft.FAMILIES[family], _nft.TABLE, _nft.CHAIN)
    return _chain("-A %s -m conntrack --ctstate NEW\n" % _iptables.CHAIN)


def replacing(backend, family, held, rules):
    """Puts ``rules`` in the place of those that are held; packets meet the one or the other."""
    if backend == NFTABLES:
        return ("" if held.sound else _fresh(family)) + _nft.script(rules, [family])
    return _iptables.script(rules, ())


def removing(backend, family, held):
    """Takes everything of ours away."""
    if backend == NFTABLES:
        return _fresh(family)
    return "*nat\n%s:%s - [0:0]\n-X %s\nCOMMIT\n" % (_unjump(held.jumps), _iptables.CHAIN, _iptables.CHAIN)


def restoring(backend, family, held, jump):
    """Makes it so again as it was held; ``jump``: with the jump, which has been taken away."""
    if not held.there:
        return removing(backend, family, held._replace(jumps=0))
    if not jump or not held.jumps:
        return held.back
    return held.back.replace("COMMIT\n", "-I %s\nCOMMIT\n" % JUMP)


def jumping(held):
    """Makes the jump to our chain the first rule of POSTROUTING, and the only one."""
    return "*nat\n%s-I %s\nCOMMIT\n" % (_unjump(held.jumps), JUMP)


def unjumping():
    """Takes the jump away again."""
    return "*nat\n%sCOMMIT\n" % _unjump(1)


def _unjump(number):
    return "-D %s\n" % JUMP * number


def by_name(entries):
    """Name -> (Rule, words) of what is held. What is no rule of ours goes by the name in its comment, or else by its place."""
    found = {}
    for number, (rule, text) in enumerate(entries, 1):
        name = rule.name if rule is not None else _named(text)
        ours = rule is not None and name not in found
        found["rule %d" % number if not name or name in found else name] = (rule if ours else None, text)
    return found


def _named(text):
    said = COMMENT.search(text)
    return said.group(1) if said else ""

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Which backend holds our SNAT rules, and why one cannot.

Only the function C(read) looks at the host.
"""
import re
from typing import Any, NamedTuple, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _nft
from ansible_collections.netfleet.conntrack.plugins.module_utils._iptables_save import rules as iptables_rules
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_backends import FLAVOURS, JUMP, NFTABLES, suited
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import FAMILIES, RANDOM_FULLY

OPTIONS = ("auto", "nftables", "iptables")
NAT = ("snat", "dnat", "masquerade", "redirect")
# The first iptables that knows --random-fully: of SNAT 1.6.1, of MASQUERADE 1.6.2.
RANDOM_FULLY_SINCE = (1, 6, 2)


class Nat(NamedTuple):
    """Who does NAT on a host, and by what program it can be done."""

    nft: Tuple[int, ...] = ()  # version of nft, empty where it is not installed
    flavour: str = ""  # what `iptables` means here: iptables-nft, iptables-legacy, or "" where it is not installed
    version: Tuple[int, ...] = ()  # of iptables
    programs: Any = ()  # dict: ip6tables-legacy and the like -> the program that is it here
    doing: Any = frozenset()  # backends in which others have rules of NAT


def read(host, rulesets):
    """Read what is installed and who does NAT, by rules that have been read."""
    said = host.run(["iptables", "--version"])[1] if host.program("iptables") else ""
    flavour = said and FLAVOURS[0 if "nf_tables" in said else 1]
    return Nat(
        nft=_nft.version(rulesets.objects) or _version(host.run(["nft", "--version"])[1]),
        flavour=flavour,
        version=_version(said),
        programs=dict(_programs(host, flavour)),
        doing=frozenset(_doing(rulesets)),
    )


def _version(said):
    found = re.search(r"v([0-9]+(?:\.[0-9]+)*)", said)
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()


def _programs(host, default):
    for flavour in FLAVOURS:
        for family in FAMILIES:
            name = suited(flavour, family)
            if host.program(name + "-restore"):
                yield name, name
            elif flavour == default and host.program(name.partition("-")[0] + "-restore"):
                yield name, name.partition("-")[0]


def _doing(rulesets):
    rules = [item["rule"] for item in rulesets.objects if "rule" in item]
    if any(key in NAT for rule in rules if rule.get("table") != _nft.TABLE for part in rule.get("expr", ()) for key in part):
        yield NFTABLES
    for flavour in FLAVOURS:
        commands = [suited(flavour, family) + "-save" for family in FAMILIES]
        if any(_does_nat(command, dict(rulesets.iptables).get(command, "")) for command in commands):
            yield flavour


def _does_nat(command, text):
    """Tell whether others have rules in the table nat; the jump to ours is none."""
    ours = JUMP.split()
    return any(
        place[1] == "nat" and place[2] != ours[-1] and [place[2]] + words != ours
        for place, words in iptables_rules(command, text)
    )


def backend(nat, held, options):
    """Where our rules go: as asked; else where they are, or where others do NAT already; else nftables."""
    asked = options.get("backend", "auto")
    if asked == "auto":
        asked = _auto(nat, {place[0] for place in held})
    return asked if asked == NFTABLES else _flavour(nat, {place[0] for place in held})


def _auto(nat, ours):
    if len(ours) == 1:
        return NFTABLES if NFTABLES in ours else "iptables"
    by_iptables = nat.doing.intersection(FLAVOURS)
    if NFTABLES in nat.doing or not by_iptables:
        return NFTABLES if nat.nft or not nat.flavour else "iptables"
    # Rules of both flavours cannot be joined; those of nftables decide before both.
    return NFTABLES if len(by_iptables) > 1 and nat.nft else "iptables"


def _flavour(nat, ours):
    """The flavour that does NAT here, or that `iptables` means; they are never mixed."""
    for found in (nat.doing.intersection(FLAVOURS), ours.intersection(FLAVOURS)):
        if len(found) == 1:
            return next(iter(found))
    return nat.flavour or FLAVOURS[0]


def refusals(nat, chosen, rules):
    """Yield a text for every reason why the chosen backend cannot hold the rules."""
    if chosen == NFTABLES:
        if not nat.nft:
            yield "backend: nftables needs nft, which is not installed; install it, or say backend: iptables"
        return
    missing = [name for name in (suited(chosen, family) for family in {rule.family for rule in rules}) if name not in dict(nat.programs)]
    if missing:
        yield "backend: %s is not installed here; install it, or say backend: nftables" % " and ".join(sorted(missing))
    if len(nat.doing.intersection(FLAVOURS)) > 1:
        yield ("backend: others do NAT by iptables-nft and by iptables-legacy, which know nothing of each other; move them to one of the two, "
               "or say backend: nftables, which decides before both")
    if nat.version and nat.version < RANDOM_FULLY_SINCE and any(rule.nat.port_selection == RANDOM_FULLY for rule in rules):
        yield "backend: iptables %s does not know random_fully, which came with %s; upgrade it, or say backend: nftables" % (
            ".".join(map(str, nat.version)), ".".join(map(str, RANDOM_FULLY_SINCE)))

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The rules that switch tracking on, and those that keep the management path out of it, in each backend.

What is held there is compared chain by chain with what is wanted. An input is what a program reads and carries out
as a whole or not at all. A place is a backend and a family, such as ("nftables", "inet"). Pure.
"""
import json
from typing import Any, NamedTuple, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _iptables_save
from ansible_collections.netfleet.conntrack.plugins.module_utils._own import FOLDERS, HEADER

NFTABLES = "nftables"
INET = (NFTABLES, "inet")
FLAVOURS = ("iptables-nft", "iptables-legacy")
PROGRAM = {"ipv4": "iptables", "ipv6": "ip6tables"}
FILES = {"inet": FOLDERS[1] + "/hooks.nft", "ipv4": FOLDERS[1] + "/hooks.v4", "ipv6": FOLDERS[1] + "/hooks.v6"}
TABLE = ("inet", "netfleet_conntrack")
HOOKS = "hooks"
IN, OUT = "in", "out"
# What a chain is for -> its name, and the hook that leads to it. Before -200, where tracking begins (NF_IP_PRI_CONNTRACK).
NFT_CHAINS = {HOOKS: ("early_load", None), IN: ("management_in", "prerouting"), OUT: ("management_out", "output")}
CHAINS = {HOOKS: ("NETFLEET_EARLY_LOAD", None), IN: ("NETFLEET_MANAGEMENT_IN", "PREROUTING"), OUT: ("NETFLEET_MANAGEMENT_OUT", "OUTPUT")}
PRIORITY = -300
# A rule that needs tracking registers its hooks when it is loaded, also in a chain that nothing
# jumps to, so it costs no packet anything (nf_ct_netns_get, called by nft_ct and xt_CT).
NEEDS_TRACKING = {NFTABLES: "ct state new", "iptables": "-j CT"}
FRESH = "table %s %s\ndelete table %s %s\n" % (TABLE * 2)


class Rules(NamedTuple):
    """What is wanted."""

    hooks: bool = False  # the rule that switches tracking on
    management: Any = None  # _management.Management


class Chain(NamedTuple):
    """One chain of ours, or something that is not and lies in our table."""

    rules: Tuple[Any, ...] = ()  # in a spelling in which two that say the same are equal
    words: Tuple[str, ...] = ()  # as the backend has them
    hooked: bool = True  # what leads to it is as we make it
    jumps: int = 0  # of iptables: how many rules do


def wanted(backend, rules):
    """Place -> (dict: what for -> Chain) of all places that are to hold something."""
    places = [INET] if backend == NFTABLES else [(backend, family) for family in sorted(PROGRAM)] if backend else []
    found = {place: _chains(place, rules) for place in places}
    return {place: chains for place, chains in found.items() if chains}


def _chains(place, rules):
    found = {}
    if rules.hooks:
        words = NEEDS_TRACKING[NFTABLES if place == INET else "iptables"]
        found[HOOKS] = Chain((words if place == INET else _iptables_rule(words),), (words,))
    if rules.management:
        # Imported here because most hosts do without, and imports cost time.
        from ansible_collections.netfleet.conntrack.plugins.module_utils import _management

        for way in (IN, OUT):
            if place == INET:
                lines = _management.nft_lines(rules.management, way)
                found[way] = Chain(lines, tuple(map(_management.nft_text, lines)))
            elif place[1] in _management.families(rules.management):
                words = tuple(map(_management.iptables_text, _management.iptables_lines(rules.management, way, place[1])))
                found[way] = Chain(tuple(map(_iptables_rule, words)), words)
    return found


def files(places):
    """Path -> text of every file of our rules, for the places of one backend; None for those that are to be gone."""
    found = dict.fromkeys(FILES.values())
    for place, chains in places.items():
        found[FILES[place[1]]] = "# %s\n%s" % (HEADER, nft_input(chains) if place == INET else _declared(chains))
    return found


# nftables


def nft_input(chains):
    """Makes our table hold these chains, and nothing else."""
    return FRESH + "table %s %s {\n%s}\n" % (TABLE + ("".join(_nft_chain(what, chains[what]) for what in NFT_CHAINS if what in chains),))


def _nft_chain(what, chain):
    name, hook = NFT_CHAINS[what]
    base = ["type filter hook %s priority %d; policy accept;" % (hook, PRIORITY)] if hook else []
    return "    chain %s {\n%s    }\n" % (name, "".join("        %s\n" % line for line in base + list(chain.words)))


def held_by_nft(objects):
    """What for -> Chain in our table, by the decoded ruleset; None where there is no table."""
    ours = [(kind, thing) for item in objects for kind, thing in item.items() if _is_ours(kind, thing)]
    if not any(kind == "table" for kind, dummy in ours):
        return None
    names = {name: (what, hook) for what, (name, hook) in NFT_CHAINS.items()}
    found = {}
    for kind, thing in ours:
        what, hook = names.get(thing.get("name"), (None, None)) if kind == "chain" else (None, None)
        if what:
            rules = [other for each, other in ours if each == "rule" and other.get("chain") == thing["name"]]
            found[what] = _nft_held(what, rules, _base(thing) == (("filter", hook, PRIORITY, "accept") if hook else (None,) * 4))
        elif kind not in ("table", "rule"):
            found["%s %s" % (kind, thing.get("name"))] = Chain(("",), ("something of others",))
    return found


def _is_ours(kind, thing):
    place = (thing.get("family"), thing.get("name" if kind == "table" else "table")) if isinstance(thing, dict) else ()
    return place == TABLE


def _base(chain):
    return tuple(chain.get(key) for key in ("type", "hook", "prio", "policy"))


def _nft_held(what, rules, hooked):
    if what == HOOKS:
        found = [NEEDS_TRACKING[NFTABLES] if _needs_tracking(rule) else _text(rule) for rule in rules]
        return Chain(tuple(found), tuple(found), hooked)
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _management

    lines = [_management.nft_line(rule, what) or _text(rule) for rule in rules]
    words = [line if isinstance(line, str) else _management.nft_text(line) for line in lines]
    return Chain(tuple(lines), tuple(words), hooked)


def _needs_tracking(rule):
    match = [part["match"] for part in rule.get("expr", ()) if "match" in part]
    return len(match) == len(rule.get("expr", ())) == 1 and match[0]["left"] == {"ct": {"key": "state"}} and match[0]["right"] == "new"


def _text(rule):
    return json.dumps(rule.get("expr"), sort_keys=True)


def is_known(chains):
    """Tell whether our own words put back what our table holds."""
    return all(what in NFT_CHAINS and chain.hooked and not any(text.startswith(("[", "null")) for text in chain.words) for what, chain in chains.items())


# iptables


def suited(place):
    """The name of a program of iptables, such as ip6tables-legacy."""
    return PROGRAM[place[1]] + place[0][len("iptables"):]


def held_by_iptables(command, text):
    """What for -> Chain, and what for -> lines with their counters, of what a save command printed; None where nothing is ours."""
    table = _iptables_save.table(text, "raw")
    if "NETFLEET_" not in table:
        return None, {}
    rules = [(place[2], found) for place, found in _iptables_save.rules(command, text) if place[1] == "raw"]
    found, saved = {}, {}
    for what, (name, hook) in CHAINS.items():
        if ":%s " % name not in table:
            continue
        ours = [words for chain, words in rules if chain == name]
        jumps = [words == ["-j", name] for chain, words in rules if chain == hook]
        found[what] = Chain(
            rules=tuple(map(_grouped, ours)),
            words=tuple(map(_iptables_save.line, ours)),
            hooked=not hook or (jumps[:1], sum(jumps)) == ([True], 1),
            jumps=sum(jumps),
        )
        saved[what] = [line for line in table.split("\n") if "-A %s " % name in line]
    return found or None, saved


def _iptables_rule(text):
    return _grouped(_iptables_save.words(text))


def _grouped(words):
    """The options of a rule with their values, in any order."""
    groups = []
    for word, before in zip(words, [""] + list(words)):
        if groups and (before == "!" or word != "!" and not word.startswith("-")):
            groups[-1].append(word)
        else:
            groups.append([word])
    return frozenset(tuple(group) for group in groups if group != ["-m", "tcp"])


def _declared(chains):
    """Makes these chains hold these rules; others stay as they are."""
    return "*raw\n%sCOMMIT\n" % "".join(_iptables_chain(CHAINS[what][0], ["-A %s %s" % (CHAINS[what][0], words) for words in chains[what].words])
                                        for what in CHAINS if what in chains)


def _iptables_chain(name, lines):
    return ":%s - [0:0]\n%s" % (name, "".join(line + "\n" for line in lines))


def iptables_input(chains, held):
    """Makes these chains hold these rules, and takes away what else is held."""
    gone = "".join("-D %s -j %s\n" % (hook, name) * held[what].jumps + ":%s - [0:0]\n-X %s\n" % (name, name)
                   for what, (name, hook) in CHAINS.items() if what in held and what not in chains)
    return _declared(chains).replace("COMMIT\n", gone + "COMMIT\n")


def iptables_back(chains, held, saved):
    """What takes such an input back; it does no harm where that was not carried out, but for a second jump."""
    found = ["*raw\n"]
    for what, (name, hook) in CHAINS.items():
        if what in held:
            jump = "-I %s -j %s\n" % (hook, name) if held[what].jumps and what not in chains else ""
            found.append(_iptables_chain(name, saved[what]) + jump)
        elif what in chains:
            found.append(":%s - [0:0]\n-X %s\n" % (name, name))
    return "".join(found + ["COMMIT\n"])


def jump_input(what, jumps):
    """Makes the jump to a chain of ours the first rule of its hook, and the only one of its kind; ``jumps``: how many there are."""
    name, hook = CHAINS[what]
    return "*raw\n%s-I %s -j %s\nCOMMIT\n" % ("-D %s -j %s\n" % (hook, name) * jumps, hook, name)


def unjump_input(what):
    """Takes that jump away."""
    name, hook = CHAINS[what]
    return "*raw\n-D %s -j %s\nCOMMIT\n" % (hook, name)

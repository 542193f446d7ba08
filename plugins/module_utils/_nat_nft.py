# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""SNAT rules of nft, whoever made them: from its JSON, and in its own words. Pure.

Of a rule that iptables made, nft shows neither conditions nor ports; _nat_iptables reads those.
"""
import re
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _nat_owners, _nft_json
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_row import NFTABLES, Row, outside_quotes

FAMILIES = {"ip": "ipv4", "ip6": "ipv6", "inet": "inet"}
STATEMENTS = ("snat", "masquerade")
# Names that nft takes in a command; it would take others for more of the command.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
# A line of nft: what stands between quotation marks may have ends of lines in it.
LINE = re.compile(r'(?:"[^"]*"|[^"\n])+')
TABLE = re.compile(r"table \S+ \S+ \{ # handle ([0-9]+)(?: progname (.+))?")
CHAIN = re.compile(r"\tchain (\S+) \{")
RULE = re.compile(r"\t\t(.+) # handle ([0-9]+)", re.DOTALL)
OWNED = re.compile(r"\tflags (?:.*\b)?owner\b.*")
STATEMENT = re.compile(r"(?:(.*) )?(?:snat|masquerade)(?: .*)?", re.DOTALL)
QUOTED = re.compile(r'"[^"]*"')
# Versions of nft, from and before, that die of replacing a rule with ranges in a set or map of its own ("BUG: unhandled op 2").
NO_RANGES = ((1, 0, 3), (1, 1, 0))
COUNTER = re.compile(r"\bcounter packets [0-9]+ bytes [0-9]+ ?")


class Listing(NamedTuple):
    """A table in nft's words."""

    epoch: int = 0
    held: str = ""
    rules: Any = ()  # dict: (chain, handle) -> text


def listing(text):
    """Read what `nft -a list table` printed."""
    epoch, held, chain, rules = 0, "", "", {}
    for line in LINE.findall(text):
        table, inner, rule = TABLE.fullmatch(line), CHAIN.match(line), RULE.fullmatch(line)
        if table:
            epoch, held = int(table.group(1)), table.group(2) or ""
        elif OWNED.fullmatch(line) and not chain:
            held = held or "another program"
        elif inner:
            chain = inner.group(1)
        elif rule and chain:
            rules[chain, int(rule.group(2))] = rule.group(1)
    return Listing(epoch, held, rules)


def _statement(rule):
    """The statement of a decoded rule that does SNAT, or None."""
    return next((part for part in rule.get("expr", ()) if any(key in STATEMENTS for key in part)), None)


def _rules(objects):
    return [item["rule"] for item in objects if item.get("rule", {}).get("family") in FAMILIES]


def tables(objects):
    """The (family, table) that have rules which do SNAT by nft's own statements."""
    return {(rule["family"], rule["table"]) for rule in _rules(objects) if _statement(rule)}


def rows(objects, listings):
    """Yield the rows of a decoded ruleset; ``listings``: (family, table) -> Listing."""
    found = [(rule, _statement(rule)) for rule in _rules(objects)]
    priorities = _priorities(objects) if any(statement for dummy, statement in found) else {}
    fragile = NO_RANGES[0] <= _version(objects) < NO_RANGES[1]
    for rule, statement in found:
        if statement:
            place = (rule["family"], rule["table"])
            row = _row(rule, statement, listings.get(place, Listing(rules={})))
            priority = priorities.get(place + (rule["chain"],), ())
            yield row._replace(priority=min(priority) if len(priority) == 1 else None, moves=fragile and _has_ranges(rule["expr"]))


def _version(objects):
    text = next((item["metainfo"].get("version", "") for item in objects if "metainfo" in item), "")
    return tuple(int(part) for part in re.findall("[0-9]+", text)[:3])


def _has_ranges(part, inside=False):
    """Tell whether there are ranges or networks in a set or map that is written in a rule."""
    if isinstance(part, dict):
        return inside and ("range" in part or "prefix" in part) or any(_has_ranges(value, inside or key == "set") for key, value in part.items())
    return isinstance(part, list) and any(_has_ranges(value, inside) for value in part)


def _row(rule, statement, table):
    comment = rule.get("comment", "")
    text = table.rules.get((rule["chain"], rule["handle"]), "")
    whole = '"' not in comment and text.endswith(' comment "%s"' % comment if comment else "")
    match, to = _parted(text, comment) if whole else ("", "")
    inner = (statement.get("snat") or statement.get("masquerade") or {})
    counter = next((part["counter"] for part in rule["expr"] if isinstance(part.get("counter"), dict)), {})
    nat = _nft_json.nat(statement)
    return Row(
        backend=NFTABLES,
        family=FAMILIES[rule["family"]],
        table=rule["table"],
        chain=rule["chain"],
        place=rule["handle"],
        nat=nat._replace(to=to) if to and nat.to.startswith("{") else nat,  # JSON, where nft has shorter words
        owner=_nat_owners.of_table(rule["table"]) or table.held,
        match=match,
        comment=comment,
        packets=counter.get("packets"),
        text=text if whole and NAME.fullmatch(rule["chain"]) else "",
        epoch=table.epoch,
        held=table.held,
        one_to_one=inner.get("type_flags") == "prefix" or "netmap" in (inner.get("flags") or ()),
    )


def _parted(text, comment):
    """The conditions in a rule's words, and what an address is chosen by."""
    body = text[:-len(' comment "%s"' % comment)] if comment else text
    found = STATEMENT.fullmatch(QUOTED.sub(lambda quoted: "." * len(quoted.group()), body))
    cut = len(found.group(1) or "") if found else 0
    dummy, dummy, to = body[cut:].partition(" to ")
    return outside_quotes([(COUNTER, "")], body[:cut]).strip(), re.sub(r"( (random|fully-random|persistent|,)+)+$", "", to)


def _priorities(objects):
    """(family, table, chain) -> the priorities of the base chains that lead there."""
    edges, found, queue = {}, {}, []
    for item in objects:
        thing = item.get("rule") or item.get("map") or {}
        if "table" in thing:
            start = thing["family"], thing["table"], thing.get("chain") or "@" + thing["name"]
            edges.setdefault(start, set()).update(_targets(thing))
        chain = item.get("chain", {})
        if "prio" in chain:
            queue.append(((chain["family"], chain["table"], chain["name"]), chain["prio"]))
    while queue:
        place, priority = queue.pop()
        if priority not in found.setdefault(place, set()):
            found[place].add(priority)
            queue += [(place[:2] + (target,), priority) for target in edges.get(place, ())]
    return found


def _targets(part):
    """Where a rule or a map leads: names of chains, and "@" with names of maps."""
    if isinstance(part, str):
        return {part} if part.startswith("@") else set()
    if isinstance(part, list):
        return set().union(*map(_targets, part))
    if not isinstance(part, dict):
        return set()
    there = {step["target"] for step in (part.get("jump"), part.get("goto")) if isinstance(step, dict)}
    return there.union(*map(_targets, part.values()))

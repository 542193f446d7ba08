# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Parts of rules in the JSON of nft, of ours and of others, as what our rules are made of. Pure."""
import ipaddress
import json

from ansible_collections.netfleet.conntrack.plugins.module_utils import _protocols
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import (
    EVERY_BIT,
    EXEMPT,
    KEEP,
    MASQUERADE,
    RANDOM,
    RANDOM_FULLY,
    WITH_PORTS,
    Nat,
    between,
    merged_networks,
    merged_ports,
)

# A rule may have both; the first says all that the first does.
SELECTIONS = ((RANDOM_FULLY, "fully-random"), (RANDOM, "random"))
SAME = tuple({"payload": {"protocol": family, "field": "saddr"}} for family in ("ip", "ip6"))


# The end of a rule


def nat(statement):
    """What a statement snat or masquerade does, of whatever rule; any other has nothing in C(to)."""
    value = _value(statement)
    found = flags(statement)
    selection = next((name for name, word in SELECTIONS if word in found), KEEP)
    ports = value.get("port")
    try:
        ports = () if ports is None else _span(ports)
    except (LookupError, TypeError, ValueError):  # a map, or another expression
        return Nat(_text(value), (), selection, "persistent" in found)
    to = _address(value) if "snat" in statement else MASQUERADE if "masquerade" in statement else ""
    return Nat(to, ports, selection, "persistent" in found)


def _value(statement):
    return statement.get("snat") or statement.get("masquerade") or {}


def flags(statement):
    """The flags of a statement, in the order that nft gives them; one comes as a text, none as nothing at all."""
    found = _value(statement).get("flags") or []
    return [found] if isinstance(found, str) else list(found)


def _address(value):
    """The address or the range that is taken; the text of the JSON where it is anything else."""
    address = value.get("addr")
    if address in SAME and set(value) <= {"addr", "family"}:
        return EXEMPT
    try:
        first, last = _ends(address)
    except (LookupError, TypeError, ValueError):
        return _text(address)
    return _text(address) if "type_flags" in value else first if first == last else "%s-%s" % (first, last)


def _text(part):
    return json.dumps(part, sort_keys=True)


# The conditions of a rule of ours


def condition(match):
    """The keyword of a condition, and what it says as fields of a Rule."""
    left, right, mask = match["left"], match["right"], EVERY_BIT
    if "&" in left:
        left, mask = left["&"]
    if match["op"] not in ("==", "in") or (mask != EVERY_BIT and left != {"meta": {"key": "mark"}}):
        raise ValueError(match)
    if "meta" in left:
        key = left["meta"]["key"]
        field, read = META[key]
        return "meta " + key if key in ("l4proto", "mark") else key, {field: read(right) if mask == EVERY_BIT else (int(right), mask)}
    protocol, key = left["payload"]["protocol"], left["payload"]["field"]
    field, read = PAYLOAD[key]
    found = {field: read(right)}
    if protocol in WITH_PORTS:
        found["protocol"] = (protocol,)
    return "%s %s" % (protocol, key), found


def _items(right):
    return right["set"] if isinstance(right, dict) and "set" in right else [right]


def _interface(right):
    if not isinstance(right, str):
        raise ValueError(right)
    return right


def _networks(right):
    return merged_networks(network for item in _items(right) for network in between(*_ends(item)))


def _ends(item):
    """The first and the last address of an address, a network or a range."""
    if isinstance(item, dict) and "prefix" in item:
        first = ipaddress.ip_address(item["prefix"]["addr"])
        # Not what follows from the length alone: to nft before 1.0.1, 192.0.2.1-192.0.2.2 is 192.0.2.1/30.
        return str(first), str(type(first)(int(first) ^ (2 ** (first.max_prefixlen - item["prefix"]["len"]) - 1)))
    first, last = item["range"] if isinstance(item, dict) else (item, item)
    return str(ipaddress.ip_address(first)), str(ipaddress.ip_address(last))


def _protocols_of(right):
    return tuple(sorted(_protocols.name(item) for item in _items(right)))


def _ports(right):
    return merged_ports(_span(item) for item in _items(right))


def _span(item):
    first, last = item["range"] if isinstance(item, dict) else (item, item)
    return int(first), int(last)


def _mark(right):
    first, last = _span(right)
    return first, EVERY_BIT & ~(first ^ last)


META = {
    "iifname": ("in_interface", _interface),
    "oifname": ("out_interface", _interface),
    "l4proto": ("protocol", _protocols_of),
    "mark": ("mark", _mark),
}
PAYLOAD = {"saddr": ("source", _networks), "daddr": ("destination", _networks), "dport": ("destination_ports", _ports)}

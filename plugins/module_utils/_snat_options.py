# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The options of one rule of C(snat), each by itself: their spec, how they are read, and what is wrong with one.

Pure: no files, no Ansible.
"""
import ipaddress
import re

from ansible_collections.netfleet.conntrack.plugins.module_utils._option_readers import Wrong, interface, networks
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import (
    EVERY_BIT,
    EXEMPT,
    FAMILIES,
    KEEP,
    MASQUERADE,
    PORT_SELECTIONS,
    PROTOCOLS,
    merged_ports,
)

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
# nft cannot escape a quote within a comment, and the ruleset that it prints with one would not load again.
NOT_IN_COMMENT = re.compile(r'["\x00-\x1f\x7f]')
PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?\Z")
MARK = re.compile(r"(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})(?:/(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}))?\Z")


def rule_spec():
    """The argument spec of one rule."""
    texts = {"type": "list", "elements": "str", "default": []}
    return {
        "name": {"type": "str", "required": True},
        "comment": {"type": "str", "default": ""},
        "family": {"type": "str", "choices": list(FAMILIES)},
        "out_interface": {"type": "str", "default": ""},
        "in_interface": {"type": "str", "default": ""},
        "source": dict(texts),
        "destination": dict(texts),
        "protocol": dict(texts, choices=sorted(PROTOCOLS)),
        "destination_ports": dict(texts),
        "mark": {"type": "str", "default": ""},
        "to": {"type": "str", "required": True},
        "ports": {"type": "str", "default": ""},
        "port_selection": {"type": "str", "default": KEEP, "choices": list(PORT_SELECTIONS)},
        "persistent": {"type": "bool", "default": False},
    }


def _name(text):
    if not NAME.match(text or ""):
        raise Wrong("%r is no name; use 1 to 64 of the letters A-Z and a-z, digits, and _ . -" % text)
    return text


def _comment(text):
    text = text or ""
    if NOT_IN_COMMENT.search(text):
        raise Wrong("%r holds a double quote or a control character, which a saved ruleset could not hold; leave it out" % text)
    return text


def _networks(texts):
    found = networks(texts)
    if len({network.version for network in found}) > 1:
        raise Wrong("%s are of IPv4 and of IPv6; write a rule for each" % ", ".join(texts))
    return found


def _to(text):
    """Return (masquerade or exempt, None, None), or (None, first address, last address)."""
    if text in (MASQUERADE, EXEMPT):
        return text, None, None
    first, dash, last = (text or "").partition("-")
    try:
        found = ipaddress.ip_address(first), ipaddress.ip_address(last if dash else first)
    except ValueError:
        raise Wrong("%r is none of masquerade, exempt, an address, and a range of addresses such as 192.0.2.1-192.0.2.9" % text) from None
    if found[0].version != found[1].version or found[0] > found[1]:
        raise Wrong("%s does not go from a lower to a higher address of one family" % text)
    if any(address.is_multicast or address.is_unspecified for address in found):
        raise Wrong("%s cannot be the source of a packet; give an address that this router is reached at" % text)
    return (None,) + found


def _port_range(text):
    match = PORTS.match(str(text))
    first, last = (int(match.group(1)), int(match.group(2) or match.group(1))) if match else (0, 0)
    if not 1 <= first <= last <= 65535:
        raise Wrong("%r is no port from 1 to 65535, and no range of them from low to high such as 1024-65535" % text)
    return first, last


def _ports(text):
    return _port_range(text) if text else ()


def _port_ranges(texts):
    return merged_ports(_port_range(text) for text in texts or ())


def _mark(text):
    if not text:
        return None
    match = MARK.match(text)
    value, mask = (_number(match.group(1)), _number(match.group(2) or str(EVERY_BIT))) if match else (1, 0)
    if value > EVERY_BIT or not 0 < mask <= EVERY_BIT:
        raise Wrong("%r is no mark; give a number of 32 bits and perhaps a mask, such as 0x10 or 0x10/0xff" % text)
    if value & ~mask:
        raise Wrong("%s never matches, for its number has bits that its mask has not; widen the mask" % text)
    return value, mask


def _number(text):
    return int(text, 16) if text[:2] in ("0x", "0X") else int(text)


# option: how it is read; raises Wrong
READERS = {
    "name": _name,
    "comment": _comment,
    "out_interface": interface,
    "in_interface": interface,
    "source": _networks,
    "destination": _networks,
    "to": _to,
    "ports": _ports,
    "destination_ports": _port_ranges,
    "mark": _mark,
}

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""SNAT rules in the words of nft, and out of its JSON.

Read back and compared with nft 0.9.8, 1.0.6 and 1.1.3. Pure.
"""
import ipaddress
import json
import re

from ansible_collections.netfleet.conntrack.plugins.module_utils import _protocols
from ansible_collections.netfleet.conntrack.plugins.module_utils._nft_json import SELECTIONS, condition, flags, nat
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import (
    EVERY_BIT,
    EXEMPT,
    MASQUERADE,
    Rule,
    label,
    unlabel,
)

TABLE = "netfleet_conntrack"
CHAIN = "postrouting"
PRIORITY = 99  # before srcnat, which is 100: the first chain that maps a connection decides
FAMILIES = {"ipv4": "ip", "ipv6": "ip6"}
HOST = {"ipv4": "/32", "ipv6": "/128"}
LABEL_BYTES = 128  # NFTNL_UDATA_COMMENT_MAXLEN of libnftnl
RANGES_SINCE = (1, 0, 1)  # "src: Check range bounds before converting to prefix" of nftables
INTERFACE_BYTES = 15  # IFNAMSIZ of the kernel less its end

CHAIN_TEXT = """\
table %(family)s %(table)s {
    chain %(chain)s {
        type nat hook postrouting priority %(priority)s; policy accept;
    }
}
flush chain %(family)s %(table)s %(chain)s
table %(family)s %(table)s {
    chain %(chain)s {
%(rules)s    }
}
"""


# A rule in nft's words


def script(rules, families):
    """The input of `nft -f` that puts ``rules`` in the place of ours; the base chain stays, so NAT never pauses."""
    return "".join(_chain(family, [rule for rule in rules if rule.family == family]) for family in families)


def _chain(family, rules):
    return CHAIN_TEXT % {
        "family": FAMILIES[family],
        "table": TABLE,
        "chain": CHAIN,
        "priority": PRIORITY,
        "rules": "".join(" " * 8 + rule_text(rule) + "\n" for rule in rules),
    }


def rule_text(rule):
    """A rule in one line."""
    return " ".join(_conditions(rule) + ["counter", _statement(rule), 'comment "%s"' % label(rule)])


def _conditions(rule):
    family, several = FAMILIES[rule.family], len(rule.protocol) > 1
    interfaces = (("iifname", rule.in_interface), ("oifname", rule.out_interface))
    networks = (("saddr", rule.source), ("daddr", rule.destination))
    found = ['%s "%s"' % pair for pair in interfaces if pair[1]]
    found += ["%s %s %s" % (family, field, _set(_bare(text, rule.family) for text in texts)) for field, texts in networks if texts]
    if rule.protocol and (several or not rule.destination_ports):
        found.append("meta l4proto %s" % _set(_written(protocol) for protocol in rule.protocol))
    if rule.destination_ports:
        found.append("%s dport %s" % ("th" if several else rule.protocol[0], _set(map(_span, rule.destination_ports))))
    if rule.mark:
        found.append("meta mark " + _mark(*rule.mark))
    return found


def _mark(value, mask):
    if mask == EVERY_BIT:
        return "0x%x" % value
    rest = EVERY_BIT & ~mask
    if rest & (rest + 1):
        return "& 0x%x == 0x%x" % (mask, value)
    # nft prints a mask of leading bits as a prefix, and before 1.0.1 loads that as the mask of others.
    return "0x%x-0x%x" % (value, value | rest)


def _set(texts):
    found = list(texts)
    return found[0] if len(found) == 1 else "{ %s }" % ", ".join(found)


def _bare(network, family):
    """A network as nft prints it: one address goes without its length."""
    return network[:-len(HOST[family])] if network.endswith(HOST[family]) else network


def _written(protocol):
    """A protocol as nft reads it everywhere: before 1.1 it knows gre by /etc/protocols only."""
    return str(_protocols.NUMBERS[protocol]) if protocol == "gre" else protocol


def _span(ports):
    return "%d-%d" % ports if ports[0] != ports[1] else "%d" % ports[0]


def _statement(rule):
    target = rule.nat
    ports = ":" + _span(target.ports) if target.ports else ""
    flags = ",".join(_flags(target))
    if target.to == EXEMPT:
        # What the kernel does where no chain maps a connection, so that no later chain does.
        found = "snat to %s saddr" % FAMILIES[rule.family]
    elif target.to == MASQUERADE:
        found = "masquerade" + (" to " + ports if ports else "")
    else:
        found = "snat to " + _addresses(target.to, rule.family == "ipv6" and ports) + ports
    return found + (" " + flags if flags else "")


def _addresses(text, bracketed):
    return "-".join("[%s]" % address for address in text.split("-")) if bracketed else text


def _flags(target):
    return [word for name, word in SELECTIONS if name == target.port_selection] + ["persistent"] * target.persistent


# What nft cannot hold


def version(objects):
    """The version of nft that printed decoded objects; empty where it does not say."""
    found = next((item["metainfo"].get("version") for item in objects if "metainfo" in item), None)
    return tuple(int(part) for part in re.findall("[0-9]+", found or ""))


def refusals(rule, nft_version=()):
    """What of a rule nft cannot hold, or could not load again from what it prints."""
    found = [text % (field, value) for field, value in (("out_interface", rule.out_interface), ("in_interface", rule.in_interface))
             for is_wrong, text in INTERFACES if is_wrong(value)]
    first, last = _numbers(rule.nat.to)
    if rule.nat.ports and _looks_like_a_network(first, last) and first & (first ^ last) == 0:
        found.append("to: %s is all of a network, and nft cannot load its own text of that together with ports; leave out ports, "
                     "or the first or last address" % rule.nat.to)
    elif nft_version and nft_version < RANGES_SINCE and _looks_like_a_network(first, last) and first & (first ^ last):
        found.append("to: nft %s prints %s as a network, and would load that as another range; take one address more or less, or nft %s" % (
            ".".join(map(str, nft_version)), rule.nat.to, ".".join(map(str, RANGES_SINCE))))
    if len(label(rule).encode("utf-8", "surrogateescape")) > LABEL_BYTES or '"' in label(rule):
        found.append("comment: nft holds up to %d bytes, those of the name among them, and no double quote; change it" % LABEL_BYTES)
    return found


def _numbers(to):
    """The first and the last address of a range as numbers; two zeros for anything else."""
    first, dash, last = to.partition("-")
    return (int(ipaddress.ip_address(first)), int(ipaddress.ip_address(last))) if dash else (0, 0)


def _looks_like_a_network(first, last):
    """Tell whether the first and the last address differ in all of their last bits, and in no other."""
    return first != last and not (first ^ last) & ((first ^ last) + 1)


INTERFACES = (
    (lambda name: name == "*", "%s: %s is every interface; leave it out"),
    (lambda name: '"' in name, "%s: nft cannot hold the double quote in %s; rename the interface"),
    (lambda name: name.endswith("\\*"), "%s: to nft, %s is one interface whose name ends with a *; name each interface in a rule of its own"),
    (lambda name: len(name.encode("utf-8", "surrogateescape")) > INTERFACE_BYTES,
     "%s: %s has more than 15 bytes; give the interface its whole name, without a *"),
)


# Rules out of nft's JSON


def rules(objects, family):
    """(Rule, handle, words) of each rule of our chain; None for the Rule where C(rule_text) cannot have written it."""
    place = {"family": FAMILIES[family], "table": TABLE, "chain": CHAIN}
    found = [item["rule"] for item in objects if "rule" in item]
    return [_entry(thing, family) for thing in found if all(thing.get(key) == value for key, value in place.items())]


def _entry(thing, family):
    try:
        rule = _rule(thing, family)
    except (AttributeError, LookupError, TypeError, ValueError):  # something else is where a rule of ours has what is read
        comment = ' comment "%s"' % thing["comment"] if "comment" in thing else ""
        return None, thing.get("handle"), json.dumps(thing.get("expr"), sort_keys=True) + comment
    return rule, thing.get("handle"), rule_text(rule)


def _rule(thing, family):
    conditions, (counter, statement) = thing["expr"][:-2], thing["expr"][-2:]
    name, comment = unlabel(thing["comment"])
    keywords, fields = [], {}
    for part in conditions:
        keyword, found = condition(part["match"])
        keywords.append(keyword)
        fields.update(found)
    rule = Rule(name, family, nat(statement), comment=comment, **fields)
    if "counter" not in counter or not _is_written(rule, keywords, statement):
        raise ValueError("not written so")
    return rule


def _is_written(rule, keywords, statement):
    """Tell whether a Rule has all that was read, nothing twice, and in our order."""
    texts = _conditions(rule)
    plain = rule.nat.to in (EXEMPT, MASQUERADE) or ipaddress.ip_address(rule.nat.to.split("-")[0])
    return plain and flags(statement) == _flags(rule.nat) and len(texts) == len(keywords) and all(
        text.startswith(keyword + " ") for text, keyword in zip(texts, keywords))

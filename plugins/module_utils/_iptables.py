# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""SNAT rules in the words of iptables, for both of its flavours, and out of what its save commands print.

Read back and compared with iptables 1.8.7, 1.8.9 and 1.8.11. Pure.
"""
import ipaddress
import itertools
import re

from ansible_collections.netfleet.conntrack.plugins.module_utils import _iptables_save, _protocols
from ansible_collections.netfleet.conntrack.plugins.module_utils._iptables_save import EVERYWHERE, SELECTIONS, nat
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import (
    EVERY_BIT,
    EXEMPT,
    MASQUERADE,
    Rule,
    in_lines,
    label,
    merged_networks,
    merged_ports,
    unlabel,
)

CHAIN = "NETFLEET_SNAT"
LABEL_BYTES = 255  # XT_MAX_COMMENT_LEN of the kernel less its end
INTERFACE_BYTES = 15  # IFNAMSIZ of the kernel less its end
# Protocols as iptables reads them where there is no /etc/protocols, and as iptables-save prints them.
WRITTEN = {"dccp": "33", "gre": "47", "icmpv6": "ipv6-icmp"}


# A rule in the words of iptables


def script(rules, jump):
    """The input of iptables-restore --noflush that puts ``rules`` in the place of ours, then has the lines ``jump``."""
    ours = [line for rule in rules for line in lines(rule)]
    return "\n".join(["*nat", ":%s - [0:0]" % CHAIN] + ours + list(jump) + ["COMMIT", ""])


def lines(rule):
    """The lines that are a rule: one for each source, destination, protocol and list of ports."""
    parts = itertools.product(rule.source or ("",), rule.destination or ("",), rule.protocol or ("",), _chunks(rule.destination_ports))
    return [_line(rule, *part) for part in parts]


def _chunks(ports):
    """Lists of ports as a line has them; an empty text where every port matches."""
    return [",".join("%d" % first if first == last else "%d:%d" % (first, last) for first, last in some) for some in in_lines(ports)]


def _line(rule, source, destination, protocol, ports):
    found = (
        ("-A", CHAIN),
        ("-s", source),
        ("-d", destination),
        ("-i", _wildcard(rule.in_interface, "*", "+")),
        ("-o", _wildcard(rule.out_interface, "*", "+")),
        ("-p", WRITTEN.get(protocol, protocol)),
        ("-m multiport --dports", ports),
        ("-m mark --mark", _mark(rule.mark) if rule.mark else ""),
        ("-m comment --comment", _iptables_save.quoted(label(rule))),
        ("-j", _target(rule)),
    )
    return " ".join("%s %s" % pair for pair in found if pair[1])


def _wildcard(name, old, new):
    return name[:-1] + new if name.endswith(old) else name


def _mark(mark):
    return "0x%x" % mark[0] if mark[1] == EVERY_BIT else "0x%x/0x%x" % mark


def _target(rule):
    nat_ = rule.nat
    ports = "-".join(map(str, nat_.ports[:1] if nat_.ports[:1] == nat_.ports[1:] else nat_.ports))
    if nat_.to == EXEMPT:
        # Each address is mapped to itself, and no later rule decides.
        return "NETMAP --to %s" % EVERYWHERE[rule.family]
    if nat_.to == MASQUERADE:
        found = ["MASQUERADE"] + (["--to-ports", ports] if ports else [])
    else:
        address = "[%s]" % nat_.to if ports and rule.family == "ipv6" else nat_.to
        found = ["SNAT", "--to-source", address + (":" + ports if ports else "")]
    return " ".join(found + _flags(nat_))


def _flags(target):
    return [word for name, word in SELECTIONS if name == target.port_selection] + ["--persistent"] * target.persistent


# What iptables cannot hold


def refusals(rule):
    """What of a rule iptables cannot hold, or could not load again from what it prints."""
    found = [text % (field, value) for field, value in (("out_interface", rule.out_interface), ("in_interface", rule.in_interface))
             for is_wrong, text in INTERFACES if is_wrong(value)]
    if rule.nat.to == MASQUERADE and rule.nat.persistent:
        found.append("persistent: iptables has it for addresses only, not for masquerade, where it would do nothing; leave it out")
    if rule.nat.ports and "udplite" in rule.protocol:
        found.append("ports: iptables cannot choose ports for udplite; leave udplite to a rule without ports, or use nftables")
    if len(label(rule).encode("utf-8", "surrogateescape")) > LABEL_BYTES or "\n" in label(rule):
        found.append("comment: iptables holds one line of up to %d bytes, those of the name among them; change it" % LABEL_BYTES)
    return found


INTERFACES = (
    (lambda name: name == "*", "%s: %s is every interface; leave it out"),
    (lambda name: re.search(r'[\s"]', name), "%s: iptables cannot load %s from what it prints, for the blank or the double quote; rename the interface"),
    (lambda name: name.endswith("+"), "%s: to iptables, the + at the end of %s is a wildcard; rename the interface, or use nftables"),
    (lambda name: len(name.encode("utf-8", "surrogateescape")) > INTERFACE_BYTES,
     "%s: %s has more than 15 bytes; give the interface its whole name, without a *"),
)


# Rules out of what iptables-save prints


def rules(save_text, family):
    """(Rule, words) for the lines that are one rule of our chain; None for the Rule where C(lines) cannot have written them."""
    command = "ip6tables-save" if family == "ipv6" else "iptables-save"
    ours = [words for place, words in _iptables_save.rules(command, save_text) if place[1:] == ("nat", CHAIN)]
    return [_entry(list(group), family) for dummy, group in itertools.groupby(ours, _comment)]


def _comment(words):
    """What tells the lines of a rule from those of the next."""
    return next((value for option, value in zip(words, words[1:]) if option == "--comment"), None)


def _entry(found, family):
    try:
        read = [_fields(words) for words in found]
        rule = _merged(read, family)
        if [_fields(_iptables_save.words(line)[2:]) for line in lines(rule)] == read:
            return rule, "\n".join(lines(rule))
    except (LookupError, TypeError, ValueError):  # something else is where a rule of ours has what is read
        pass
    return None, "\n".join("-A %s %s" % (CHAIN, _iptables_save.line(words)) for words in found)


def _merged(read, family):
    """The one Rule that lines are."""
    name, comment = unlabel(read[0]["comment"])
    return Rule(
        name=name,
        family=family,
        nat=read[0]["nat"],
        out_interface=read[0].get("out_interface", ""),
        in_interface=read[0].get("in_interface", ""),
        source=merged_networks(line["source"] for line in read if "source" in line),
        destination=merged_networks(line["destination"] for line in read if "destination" in line),
        protocol=tuple(sorted({line["protocol"] for line in read if "protocol" in line})),
        destination_ports=merged_ports({ports for line in read for ports in line.get("destination_ports", ())}),
        mark=read[0].get("mark"),
        comment=comment,
    )


def _fields(words):
    """What one line says, as parts of a Rule; raises what a line that is not ours makes it raise."""
    cut = len(words) - 1 - words[::-1].index("-j")
    found = {"nat": nat(words), "target": sorted(word for word in words[cut:] if word.startswith("--"))}
    for option, value in zip(words[:cut:2], words[1:cut + 1:2]):
        field, read = OPTIONS[option]
        found[field] = found.get(field, ()) + (value,) if option == "-m" else read(value)
    return found


def _read_mark(text):
    value, dummy, mask = text.partition("/")
    return int(value, 16), int(mask, 16) if mask else EVERY_BIT


# option: (field, how its value is read)
OPTIONS = {
    "-s": ("source", ipaddress.ip_network),
    "-d": ("destination", ipaddress.ip_network),
    "-i": ("in_interface", lambda name: _wildcard(name, "+", "*")),
    "-o": ("out_interface", lambda name: _wildcard(name, "+", "*")),
    "-p": ("protocol", _protocols.name),
    "-m": ("modules", str),
    "--dports": ("destination_ports", lambda text: [_iptables_save.span(part, ":") for part in text.split(",")]),
    "--mark": ("mark", _read_mark),
    "--comment": ("comment", str),
}

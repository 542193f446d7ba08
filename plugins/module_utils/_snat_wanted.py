# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What the option C(rules) of C(snat) means: Rules, and everything that is wrong with it.

Pure: no files, no Ansible.
"""
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_options import READERS, Wrong, rule_spec
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import (
    EXEMPT,
    KEEP,
    MASQUERADE,
    OF_ONE_FAMILY,
    VERSIONS,
    WITH_PORTS,
    Nat,
    Rule,
    label,
    merged_networks,
)

SPEC = rule_spec()
KINDS = {"str": str, "list": list, "bool": bool}
COMMENT_BYTES = 120  # what nft keeps is 128 with its own end (libnftnl, NFTNL_UDATA_COMMENT_MAXLEN)


def rules(options):
    """Return (Rules, refusals) of the option C(rules); a rule that is wrong is not among the first."""
    found, refusals, seen = [], [], {}
    for number, given in enumerate(map(_usable, _listed(options.get("rules")))):
        path, name = "rules[%d]" % number, given.get("name")
        rule, wrong = _rule(given)
        refusals.extend("%s.%s" % (path, text) for text in wrong)
        if name in seen:
            refusals.append("%s.name: %s is the name of %s as well; each rule needs a name of its own" % (path, name, seen[name]))
        seen.setdefault(name, path)
        found.append(rule)
    return tuple(filter(None, found)), tuple(refusals)


def numbered(options, found):
    """Pairs of a Rule and its number in the option, those that are wrong counted as well."""
    numbers = {given.get("name"): number for number, given in enumerate(map(_usable, _listed(options.get("rules"))))}
    return [(numbers[rule.name], rule) for rule in found]


def _listed(value):
    return value if isinstance(value, list) else []


def _usable(given):
    """What can be read of a rule; arguments of a wrong type have been complained of by the module's frame."""
    given = given if isinstance(given, dict) else {}
    return {name: given[name] for name, row in SPEC.items() if isinstance(given.get(name), KINDS[row["type"]])}


def _rule(given):
    """The Rule that was given, and what is wrong with it."""
    wrong, fields = [], {}
    for name, read in sorted(READERS.items()):
        try:
            fields[name] = read(given.get(name))
        except Wrong as error:
            wrong.append("%s: %s" % (name, error))
    if not wrong:
        wrong = list(_together(given, fields))
    return (None, wrong) if wrong else (_made(given, fields), [])


def _made(given, fields):
    to, first, last = fields["to"]
    return Rule(
        name=fields["name"],
        family=_family(given, fields)[0],
        nat=Nat(to if to else _span(first, last), fields["ports"], given.get("port_selection") or KEEP, bool(given.get("persistent"))),
        out_interface=fields["out_interface"],
        in_interface=fields["in_interface"],
        source=merged_networks(fields["source"]),
        destination=merged_networks(fields["destination"]),
        protocol=tuple(sorted(set(given.get("protocol") or ()))),
        destination_ports=fields["destination_ports"],
        mark=fields["mark"],
        comment=fields["comment"],
    )


def _span(first, last):
    return str(first) if first == last else "%s-%s" % (first, last)


def _family(given, fields):
    """The families that a rule names, sorted; IPv4 where it names none."""
    addresses = fields["source"] + fields["destination"] + [address for address in fields["to"][1:] if address]
    versions = {address.version for address in addresses}
    named = {family for family, version in VERSIONS.items() if version in versions}
    named.update(OF_ONE_FAMILY[protocol] for protocol in given.get("protocol") or () if protocol in OF_ONE_FAMILY)
    named.update([given["family"]] if given.get("family") else [])
    return sorted(named) or ["ipv4"]


def _together(given, fields):
    protocols = given.get("protocol") or []
    portless = [protocol for protocol in protocols if protocol not in WITH_PORTS]
    if len(_family(given, fields)) > 1:
        yield "family: the rule names IPv4 and IPv6 together; write a rule for each"
    for name in ("ports", "destination_ports"):
        if fields[name] and (portless or not protocols):
            yield "%s: only protocols that have ports can have them; say protocol: [tcp, udp]" % name
    size = len(label(Rule(fields["name"], "", Nat(""), comment=fields["comment"])).encode("utf-8", "surrogateescape"))
    if size > COMMENT_BYTES:
        yield "comment: with the name before it, it takes %d bytes, and the kernel's rules hold %d; shorten it" % (size, COMMENT_BYTES)
    yield from _of_target(given, fields)


def _of_target(given, fields):
    to = fields["to"][0]
    if to == EXEMPT:
        for name in ("ports", "persistent"):
            if given.get(name):
                yield "%s: an exempt connection keeps its address and port; leave it out" % name
        if given.get("port_selection", KEEP) not in (None, KEEP):
            yield "port_selection: an exempt connection keeps its address and port; leave it out"
    if to == MASQUERADE and given.get("persistent"):
        yield "persistent: it chooses among several addresses, and masquerade has one; leave it out, or give a range in to"

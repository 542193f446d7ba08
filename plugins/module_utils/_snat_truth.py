# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What users of SNAT rules should know before they are surprised: warnings, each with its remedy.

Pure: no files, no Ansible.
"""
from ipaddress import ip_network

from ansible_collections.netfleet.conntrack.plugins.module_utils._kernel import EXTENSION_BYTES
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_iptables import PRIORITY as IPTABLES_PRIORITY
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_owners import OURS
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_row import NFTABLES
from ansible_collections.netfleet.conntrack.plugins.module_utils._nft import PRIORITY
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import (
    KEEP,
    MASQUERADE,
    RANDOM,
    merged_networks,
    merged_ports,
)

# A TCP connection may be silent for two hours and come back (RFC 5382, REQ-5), as keepalive does (tcp_keepalive_time).
IDLE_SECONDS = 7440
# Since Linux 5.0 a search starts anywhere, and one sweep takes in so many ports (nf_nat_l4proto_unique_tuple).
SWEEP = 128
EQUAL_SINCE = (5, 0)
MEMORY_SHARE = 0.01  # of the memory, from which on it is worth a word


def warnings(state, backend, rules):
    """Yield what is to be known of ``rules`` on the host of ``state`` (_snat.State)."""
    kernel = state.kernel
    for text in state.unread:
        yield "could not read %s" % text
    for number, rule in enumerate(rules):
        for text in _of_rule(kernel, state.links, rule):
            yield "rules[%d] (%s): %s" % (number, rule.name, text)
        hidden = next((other for other in rules[:number] if _covers(other, rule)), None)
        if hidden:
            yield "rules[%d] (%s): it never decides, for %s above it takes all that it matches; put it before that one" % (
                number, rule.name, hidden.name)
    yield from _before_ours(state.rows, backend, rules)
    yield from _short_timeout(kernel, rules)
    yield from _masquerade_memory(kernel, rules)
    for family in sorted({rule.family for rule in rules}.intersection(state.passing)):
        yield ("%s is forwarded here and not tracked yet: connections that pass at the moment when tracking begins are taken for new ones, and "
               "reset where a rule rewrites them; choose a quiet hour" % family)


def _of_rule(kernel, links, rule):
    for name in (rule.out_interface, rule.in_interface):
        if name and not any(_is(name, link) for link in links):
            yield "there is no interface %s now; the rule matches nothing until there is" % name
    if rule.nat.port_selection == RANDOM:
        yield _random(kernel)
    if rule.nat.persistent and "-" not in rule.nat.to:
        yield "persistent chooses among several addresses, and this is one; leave it out"
    if rule.nat.ports:
        yield from _few_ports(*rule.nat.ports)


def _before_ours(rows, backend, rules):
    """Rules of others that decide before ours: in chains of nft that come first."""
    families = {rule.family for rule in rules}.union(["inet"]) if rules else ()
    own = PRIORITY if backend == NFTABLES else IPTABLES_PRIORITY
    for row in rows:
        if row.backend == NFTABLES and row.owner != OURS and row.family in families and row.priority is not None and row.priority <= own:
            # Of two chains with one priority, the kernel asks first the one that was registered last (nf_hook_entries_grow).
            yield "a rule of others %s before ours, so that ours only get what it leaves: table %s, chain %s (priority %s): %s" % (
                "decides" if row.priority < own else "decides, whenever it is loaded after ours,", row.table, row.chain, row.priority, row.text)


def _random(kernel):
    if kernel.version >= EQUAL_SINCE:
        return "random does the same as random_fully since Linux 5.0; say random_fully, which means the same on every kernel"
    return "random draws from few ports in a row on this kernel, so that connections still collide; say random_fully"


def _few_ports(first, last):
    size = last - first + 1
    if size == 1:
        yield ("with the one port %d a second connection to the same destination is dropped as long as the first is remembered; "
               "widen ports" % first)
    elif size < SWEEP:
        yield "%d ports hold so many connections to one destination and no more; widen ports to %d at least, or leave it out" % (size, SWEEP)
    if first < 1024:
        yield "ports below 1024 are those of this router's own services; begin at 1024"


def _is(name, link):
    return link.startswith(name[:-1]) if name.endswith("*") else link == name


def _short_timeout(kernel, rules):
    seconds = kernel.running.get("tcp_timeout_established")
    names = [rule.name for rule in rules if rule.nat.port_selection != KEEP]
    if names and seconds is not None and seconds < IDLE_SECONDS:
        yield ("tcp_timeout_established is %d seconds: a connection silent for longer is forgotten and comes back with another port, since %s "
               "choose ports at random, and its server resets it; raise it to %d" % (seconds, _listed(names), IDLE_SECONDS))


def _masquerade_memory(kernel, rules):
    names = [rule.name for rule in rules if rule.nat.to == MASQUERADE]
    extra = EXTENSION_BYTES * kernel.running.get("max", 0)
    if names and kernel.mem_total and extra > MEMORY_SHARE * kernel.mem_total:
        yield ("masquerade takes %d bytes more a connection than an address does, %d MiB in a full table; where the address does not change, "
               "write it in to (%s)" % (EXTENSION_BYTES, extra >> 20, _listed(names)))


def _listed(names):
    return ", ".join(names)


def _covers(wide, narrow):
    """Tell whether a rule takes every connection that another one matches."""
    return (
        wide.family == narrow.family
        and _interface_covers(wide.out_interface, narrow.out_interface)
        and _interface_covers(wide.in_interface, narrow.in_interface)
        and all(_networks_cover(getattr(wide, name), getattr(narrow, name)) for name in ("source", "destination"))
        and (not wide.protocol or bool(narrow.protocol) and set(narrow.protocol) <= set(wide.protocol))
        and _ports_cover(wide.destination_ports, narrow.destination_ports)
        and wide.mark in (None, narrow.mark)
    )


def _interface_covers(name, other):
    return not name or name == other or name.endswith("*") and other.startswith(name[:-1])


def _networks_cover(networks, others):
    return not networks or bool(others) and merged_networks(map(ip_network, networks + others)) == networks


def _ports_cover(ranges, others):
    return not ranges or bool(others) and merged_ports(ranges + others) == ranges

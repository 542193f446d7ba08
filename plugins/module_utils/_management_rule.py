# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What a rule of others means for the management path: which of its packets fit, and what becomes of them. Pure.

What is not understood is told apart from what is, so that it can be taken for the worst.
"""
import ipaddress
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._management import IN, LOOPBACK
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import VERSIONS, merged_networks, merged_ports

NO, SOME, ALL = range(3)  # of the packets of the path fit
NEW, ESTABLISHED, UNTRACKED, UNKNOWN = "new", "established", "untracked", "unknown"
STATES = frozenset((NEW, ESTABLISHED, UNTRACKED))
# What becomes of a packet that fits: OTHER is not understood, MARK takes a mark out of the connection.
ACCEPT, DROP, RETURN, JUMP, GOTO, GO_ON, NAT, MARK, OTHER = "accept", "drop", "return", "jump", "goto", "", "nat", "mark", "other"

# Where nobody manages a host from who does not say so: addresses that no packet from elsewhere has, and 6to4.
NOWHERE = tuple(map(ipaddress.ip_network, (
    "0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/96", "::ffff:0:0/96", "2002::/16", "ff00::/8")))


class Rule(NamedTuple):
    """A rule, as the path meets it."""

    verdict: str
    target: str = ""  # of jump and goto: the chain
    fits: int = ALL
    steady: bool = True  # packets of one connection fit alike
    states: Any = None  # the states of those that fit; None: whatever the state; with UNKNOWN among them where they are not understood
    where: Any = ()  # (family, table, chain) in the words of nft, or (command, table, chain) of iptables
    handle: Any = None  # of nft
    text: str = ""


class Base(NamedTuple):
    """A chain that a hook leads to."""

    chain: Any  # its key among the chains
    nat: bool
    policy: str  # accept or drop
    insert: str  # what stands before a rule in the command that makes it the first of this chain


class Path(NamedTuple):
    """Packets of the management path in one direction and of one family."""

    direction: str
    family: str
    interfaces: Any  # none: every one but loopback
    networks: Any  # none: all of them
    ports: Any

    @property
    def near(self):
        """What the addresses of the managers are called, and our interfaces."""
        return ("saddr", "iif", "dport") if self.direction == IN else ("daddr", "oif", "sport")


class Fit(NamedTuple):
    """What one condition says of the path."""

    fits: int = SOME
    steady: bool = True
    states: Any = None


VOLATILE = Fit(steady=False)  # not understood, or not the same for all packets of a connection
TRACKED = Fit(states=frozenset((UNKNOWN,)))  # says something of the connection that is not understood


def inverted(fit):
    """What the contrary of a condition says."""
    if fit.states is None:
        return fit._replace(fits=ALL - fit.fits)
    return fit if UNKNOWN in fit.states else fit._replace(states=STATES - fit.states)


def joined(fits):
    """What several conditions of one rule say together."""
    found = Fit(ALL)
    for fit in fits:
        states = found.states if fit.states is None else fit.states if found.states is None else found.states & fit.states | _doubt(found, fit)
        found = Fit(min(found.fits, fit.fits if fit.states is None else ALL), found.steady and fit.steady, states)
    return found


def _doubt(*fits):
    return {UNKNOWN} & frozenset().union(*(fit.states for fit in fits))


def of_states(names):
    """Which states a condition takes, by their names in nft or iptables."""
    return Fit(ALL, True, STATES.intersection(name.lower() for name in names))


def of_interface(path, names):
    """Whether the path goes through one of the interfaces; the names may end in "*"."""
    if not path.interfaces:
        return Fit(NO if set(names) == {LOOPBACK} else SOME)
    return _of_parts([max(_covers(name, other) for name in names) if names else NO for other in path.interfaces])


def _covers(name, other):
    """How much of the interfaces ``other`` the interfaces ``name`` are."""
    if name == other or name.endswith("*") and other.startswith(name[:-1]):
        return ALL
    return SOME if other.endswith("*") and name.startswith(other[:-1]) else NO


def _of_parts(found):
    return Fit(found[0] if len(set(found)) == 1 else SOME)


def of_networks(path, networks):
    """Whether the managers are in one of the networks (of C(ipaddress))."""
    version = VERSIONS[path.family]
    theirs = [network for network in networks if network.version == version and (path.networks or not _is_nowhere(network))]
    ours = [ipaddress.ip_network(text) for text in path.networks] or [ipaddress.ip_network("0.0.0.0/0" if version == 4 else "::/0")]
    if not any(one.overlaps(other) for one in ours for other in theirs):
        return Fit(NO)
    return Fit(ALL if merged_networks(ours + theirs) == merged_networks(theirs) else SOME)


def _is_nowhere(network):
    return any(other.version == network.version and other.prefixlen <= network.prefixlen and network.network_address in other for other in NOWHERE)


def of_ports(path, ranges):
    """Whether the ports of the path are among (first, last) pairs."""
    theirs = merged_ports(ranges)
    inside = [any(first <= port[0] and port[1] <= last for first, last in theirs) for port in path.ports]
    if all(inside):
        return Fit(ALL)
    return Fit(SOME if any(first <= port[1] and port[0] <= last for first, last in theirs for port in path.ports) else NO)

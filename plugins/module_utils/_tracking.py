# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Whether the kernel really tracks packets, for IPv4 and for IPv6, and why.

A loaded nf_conntrack tracks nothing until something in the network namespace asks
for it: a rule that needs tracking, or the module parameter enable_hooks
(nf_conntrack_standalone.c). So the rules are read, and a packet is sent to see.
Pure: what was read comes in as an Evidence, and the packet goes through Host.
"""

import errno
from typing import Dict, NamedTuple, Optional, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import FlowTuple, get
from ansible_collections.netfleet.conntrack.plugins.module_utils._hooks import tracks
from ansible_collections.netfleet.conntrack.plugins.module_utils._tracking_rules import (
    FAMILIES,
    iptables_rules,
    iptables_uses,
    nft_uses,
)

COUNT = "/proc/sys/net/netfilter/nf_conntrack_count"
UDP = 17
ATTEMPTS = 3                                    # packets sent where only the count can tell


class Evidence(NamedTuple):
    """What is known of a host's tracking.

    ``nft``: text of `nft -j list ruleset`; None where the kernel has no nf_tables.
    ``iptables``: texts that save commands printed, by the command's name.
    ``unread``: what should have been read and could not be, each in a few words.
    ``hooks``: names of the functions at PRE_ROUTING by family; a family is missing where unknown.
    ``enable_hooks``: where the module parameter is set, such as "/etc/modprobe.d/x.conf:3", or "".
    ``probe``: by family whether a packet sent over loopback was tracked; None where unknown.
    """

    nft: Optional[str] = None
    iptables: Dict[str, str] = {}
    unread: Tuple[str, ...] = ()
    hooks: Dict[str, Tuple[str, ...]] = {}
    enable_hooks: str = ""
    probe: Dict[str, Optional[bool]] = {}


def tracking(evidence):
    """Return {"ipv4": answer, "ipv6": answer, "because": text}; an answer is "yes", "no" or "unknown"."""
    uses, doubts, unread = _read_rules(evidence)
    verdicts = {}
    for family in FAMILIES:
        rules = [str(use) for use in uses if family in use.families]
        open_ends = unread + [str(use) for use in doubts if family in use.families]
        verdicts[family] = _verdict(family, evidence, rules, open_ends)
    answers = {family: answer for family, (answer, _reason) in verdicts.items()}
    return dict(answers, because=_because({family: reason for family, (_answer, reason) in verdicts.items()}))


def _because(reasons):
    if len(set(reasons.values())) == 1:
        return reasons[FAMILIES[0]]
    return "; ".join("%s: %s" % (family, reasons[family]) for family in FAMILIES)


def _read_rules(evidence):
    """Return (uses of tracking, doubtful uses that no save command settles, what remains unread)."""
    found, unread = _read_nft(evidence)
    shown = set()
    for command, rules in evidence.iptables.items():
        shown.update(place for place, _words in iptables_rules(command, rules))
        found.extend(iptables_uses(command, rules))
    doubts = [use for use in found if not use.sure and use.place not in shown]
    return [use for use in found if use.sure], doubts, unread


def _read_nft(evidence):
    try:
        return list(nft_uses(evidence.nft)) if evidence.nft is not None else [], list(evidence.unread)
    except ValueError:
        return [], list(evidence.unread) + ["the ruleset of nft"]


def _verdict(family, evidence, rules, unread):
    """Return (answer, reason) for one family: the kernel's own word comes first, then rules, then the packet."""
    hooked = tracks(evidence.hooks[family]) if family in evidence.hooks else None
    probed = evidence.probe.get(family)
    parameter = evidence.enable_hooks and "module parameter enable_hooks in " + evidence.enable_hooks
    if hooked is False:
        return "no", "the kernel has no hook for tracking"
    if rules:
        return "yes", rules[0]
    if hooked or probed:
        seen = "the kernel has a hook for tracking" if hooked else "a packet sent over loopback was tracked"
        return "yes", parameter or seen + ", though no rule that was read asks for it"
    return _without_sign(parameter, probed is False, unread)


def _without_sign(parameter, untracked, unread):
    """Return (answer, reason) where no rule, hook or packet shows tracking.

    That a packet was not tracked proves nothing alone: notrack rules may cover loopback.
    """
    packet = "a packet sent over loopback was not tracked"
    if parameter:
        return ("unknown", "%s, but %s" % (parameter, packet)) if untracked else ("yes", parameter)
    if unread:
        return "unknown", "could not read " + ", ".join(unread)
    return "no", "no rule asks for it" + (" and " + packet if untracked else "")


def enable_hooks(words, prefix=""):
    """Return whether the last ``enable_hooks`` among the words sets it; None where none does.

    ``words`` are a module's options, or with the prefix "nf_conntrack." the kernel's command line.
    """
    named = [word.partition("=") for word in words]
    values = [value if equals else "y" for name, equals, value in named if name.replace("-", "_") == prefix + "enable_hooks"]
    return values[-1].lower() in ("1", "y", "on") if values else None


def probe(host, family, netlink=True):
    """Send a packet over loopback; return whether it was tracked, or None where that remains unknown.

    ``family`` is "ipv4" or "ipv6". Where tracking is on, an entry of 30 seconds stays behind.
    A notrack rule that covers loopback gives False. Set ``netlink`` to False where
    nf_conntrack_netlink is neither built in nor loaded, for asking would load it; then
    the count must tell. nf_conntrack itself must be there.
    """
    try:
        if netlink:
            return by_lookup(host, probe_flow(*host.loopback_udp(family)))
        return by_counts([_counts(host, family) for _attempt in range(ATTEMPTS)])
    except OSError:
        return None


def probe_flow(address, source_port, destination_port):
    """Return the tuple of a datagram sent over loopback."""
    return FlowTuple(UDP, address, address, source_port, destination_port)


def by_lookup(host, flow):
    """Return whether the kernel has an entry for ``flow``; raises OSError where it cannot be asked."""
    try:
        return bool(host.netlink(get(flow), dump=False))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise


def _counts(host, family):
    before = host.number(COUNT)
    host.loopback_udp(family)
    return before, host.number(COUNT)


def by_counts(samples):
    """Decide from (count before, count after) of several packets; None where other traffic blurs it."""
    rises = {after - before for before, after in samples}
    return rises == {1} if rises in ({0}, {1}) else None

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Collects what shows whether packets are tracked, without changing anything by looking.

A backend is asked only when it is in the kernel already: asking nft, iptables-legacy or
netlink for something that is not there would load it.
"""
from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _boot_load,
    _hooks,
    _kernelvalues,
    _tracking,
)

LEGACY = (("iptables-legacy-save", "/proc/net/ip_tables_names"), ("ip6tables-legacy-save", "/proc/net/ip6_tables_names"))
TRANSLATED = ("iptables-nft-save", "ip6tables-nft-save")


def in_kernel(host, release, module):
    """Tell whether asking for a module's service cannot load it: it is there, or nothing can be loaded."""
    modules = "/lib/modules/" + release
    if host.exists("/sys/module/" + module) or not host.exists(modules):
        return True
    return "/%s.ko" % module in (host.read(modules + "/modules.builtin") or "")


def read(host, kernel, inputs, probe=False):
    """Return C(tracking): a dict of ipv4, ipv6 (yes, no, unknown) and because."""
    if not kernel.available:
        return {"ipv4": "no", "ipv6": "no", "because": "nf_conntrack is not loaded"}
    nft, unread = _nft(host, kernel)
    iptables, more = _iptables(host, kernel, nft)
    return _tracking.tracking(_tracking.Evidence(
        nft=nft,
        iptables=iptables,
        unread=tuple(unread + more),
        hooks=_hooked(host, kernel),
        enable_hooks=_enable_hooks(inputs),
        probe=_probes(host, kernel) if probe else {},
    ))


def _nft(host, kernel):
    if not in_kernel(host, kernel.release, "nf_tables"):
        return None, []
    status, output, errors = host.run(["nft", "-j", "list", "ruleset"])
    return (output, []) if status == 0 else (None, ["the nftables ruleset (%s)" % _first_line(errors)])


def _first_line(text):
    return (text.strip().splitlines() or ["no reason given"])[0]


def _iptables(host, kernel, nft):
    commands = [command for command, names in LEGACY if (host.read(names) or "").strip()]
    if nft and '"xt"' in nft:
        commands.extend(TRANSLATED)
    rules, unread = {}, []
    for command in commands:
        status, output, errors = host.run([command])
        if status == 0:
            rules[command] = output
        else:
            unread.append("the rules of %s (%s)" % (command, _first_line(errors)))
    return rules, unread


def _hooked(host, kernel):
    if kernel.uid != 0 or not in_kernel(host, kernel.release, "nfnetlink_hook"):
        return {}
    found = {}
    for family in _hooks.FAMILIES:
        try:
            answers = host.netlink(_hooks.get(family), True)
        except OSError:  # EINVAL: the kernel has no such subsystem
            continue
        found[family] = _hooks.functions(answer[3] for answer in answers)
    return found


def _enable_hooks(inputs):
    """Where the module's parameter enable_hooks is set, or ""; the kernel does not show it (its mode is 0)."""
    given = [found for found in _boot_load.loading(inputs).parameters if found.name == "enable_hooks"]
    return given[-1].where if given and _kernelvalues.boolean(given[-1].value or "y") else ""


def _probes(host, kernel):
    netlink = in_kernel(host, kernel.release, "nf_conntrack_netlink")
    return {family: _tracking.probe(host, family, netlink) for family in _hooks.FAMILIES}

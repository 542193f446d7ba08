# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Collects what shows whether packets are tracked, without changing anything by looking.

What is not in the kernel is not asked, for asking would load it.
"""
from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _boot_load,
    _hooks,
    _kernelvalues,
    _rulesets,
    _tracking,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._rulesets import in_kernel


def read(host, kernel, inputs, probe=False, rulesets=None):
    """Return C(tracking): a dict of ipv4, ipv6 (yes, no, unknown) and because."""
    if not kernel.available:
        return {"ipv4": "no", "ipv6": "no", "because": "nf_conntrack is not loaded"}
    rules = rulesets or _rulesets.read(host, kernel.release)
    return _tracking.tracking(_tracking.Evidence(
        nft=rules.nft,
        iptables=rules.iptables,
        unread=rules.unread,
        hooks=_hooked(host, kernel),
        enable_hooks=_enable_hooks(inputs),
        probe=_probes(host, kernel) if probe else {},
    ))


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

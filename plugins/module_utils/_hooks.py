# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Which functions the kernel calls for packets, as netfilter's hook subsystem tells.

It needs Linux 5.14 and CONFIG_NETFILTER_NETLINK_HOOK; elsewhere the answer is the
error EINVAL, which means unknown and not "none". Asking may load the module
nfnetlink_hook. Source: include/uapi/linux/netfilter/nfnetlink_hook.h. Pure.
"""

import struct

from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import (
    DUMP,
    attribute,
    be32,
    body,
    message,
    nested,
    number,
    text,
)

SUBSYSTEM = 12
HOOK_GET = 0
HOOKNUM = 1
PRE_ROUTING = 0                                 # where tracking of forwarded and received packets begins
FAMILIES = {"ipv4": 2, "ipv6": 10}

HOOK = nested({
    HOOKNUM: ("hook", be32),
    2: ("priority", number(">i")),
    3: ("device", text),
    4: ("function", text),
    5: ("module", text),
})


def get(family, hook=PRE_ROUTING):
    """Return the request for the functions at one hook of "ipv4" or "ipv6"; the answer is a dump."""
    return message(SUBSYSTEM, HOOK_GET, DUMP, FAMILIES[family], attribute(HOOKNUM, struct.pack(">I", hook)))


def functions(payloads):
    """Return the function names in the payloads of an answer; "" for one that has none (no CONFIG_KALLSYMS)."""
    return tuple(HOOK(body(payload)[2]).get("function", "") for payload in payloads)


def tracks(names):
    """Return whether tracking is among the functions at PRE_ROUTING; None where ``names`` cannot tell.

    The functions are ipv4_conntrack_in and ipv6_conntrack_in (net/netfilter/nf_conntrack_proto.c).
    """
    if any(name.endswith("conntrack_in") for name in names):
        return True
    return None if "" in names else False

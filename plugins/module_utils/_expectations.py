# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Expected connections as tables: the request for all of them, and what the answers mean.

A helper reads in one connection (FTP, SIP) that another one will come, and
expects it. Names are the kernel's, in small letters, less CTA_EXPECT_. Source:
include/uapi/linux/netfilter/nfnetlink_conntrack.h and, for what is sent,
net/netfilter/nf_conntrack_netlink.c, ctnetlink_exp_dump_expect. Pure.
"""

from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import flow_tuple
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import DUMP, be16, be32, body, message, nested, text

SUBSYSTEM = 2
NEW, GET = 0, 1

# Bits of an expectation's flags (include/uapi/linux/netfilter/nf_conntrack_common.h).
FLAGS = {"permanent": 0x1, "inactive": 0x2, "userspace": 0x4}

# Of the mask, the bits that are set count in the tuple. Timeout: seconds left. Without NAT there is no nat and no fn; zone is of requests.
EXPECTATION = nested({
    1: ("master", flow_tuple),
    2: ("tuple", flow_tuple),
    3: ("mask", flow_tuple),
    4: ("timeout", be32),
    5: ("id", be32),
    6: ("help_name", text),
    7: ("zone", be16),
    8: ("flags", be32),
    9: ("class", be32),
    10: ("nat", nested({1: ("dir", be32), 2: ("tuple", flow_tuple)})),
    11: ("fn", text),
})


def dump():
    """Return the request for all expectations of this namespace; the answer is a dump."""
    return message(SUBSYSTEM, GET, DUMP)


def expectation(payload):
    """Decode the payload of a message that holds one expectation."""
    _family_number, _res_id, data = body(payload)
    return EXPECTATION(data)


def count(answers):
    """Return how many expectations the answers (type, flags, sequence, payload) to dump() hold."""
    return sum(kind == SUBSYSTEM << 8 | NEW for kind, _flags, _sequence, _payload in answers)

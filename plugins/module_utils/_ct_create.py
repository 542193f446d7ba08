# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The request that makes an entry for a TCP connection which began before it was tracked.

Source: net/netfilter/nf_conntrack_netlink.c, ctnetlink_create_conntrack. Pure.
"""
import struct

from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import (
    IPV4,
    IPV6,
    STATUS,
    SUBSYSTEM,
    TCP_STATES,
    TUPLE_ORIG,
    encode,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import ACK, attribute, message, nest

NEW = 0
EXCL, CREATE = 0x200, 0x400  # include/uapi/linux/netlink.h
TUPLE_REPLY, CTA_STATUS, PROTOINFO, TIMEOUT = 2, 3, 4, 7
PROTOINFO_TCP, TCP_STATE, FLAGS_ORIGINAL, FLAGS_REPLY = 1, 1, 4, 5
# What the kernel sets for a connection that it finds under way (tcp_new): selective acknowledgements may have been agreed on, and
# data outside of the window is no fault, because the scale of windows was told in the first packets only. Value, then mask.
FLAGS = struct.pack("BB", 0x02 | 0x08, 0x02 | 0x08)
# The bits of an entry's status. The kernel refuses (EBUSY) a status without `confirmed`.
UNDER_WAY = ("confirmed", "seen_reply", "assured")
BITS = {"SYN_RECV": ("confirmed", "seen_reply")}  # a handshake may still come to nothing: its entry goes first when the table is full


def create(flow, state, timeout):
    """Return the request; it is acknowledged, with EEXIST where the connection has an entry.

    The connection is never translated: NAT decides on an entry's first packet, before it is confirmed.
    """
    status = sum(STATUS[bit] for bit in BITS.get(state, UNDER_WAY))
    answer = flow._replace(
        source=flow.destination, destination=flow.source, source_port=flow.destination_port, destination_port=flow.source_port,
    )
    tcp = nest(
        PROTOINFO_TCP,
        attribute(TCP_STATE, bytes([TCP_STATES.index(state)])),
        attribute(FLAGS_ORIGINAL, FLAGS),
        attribute(FLAGS_REPLY, FLAGS),
    )
    attributes = (
        encode(TUPLE_ORIG, flow),
        encode(TUPLE_REPLY, answer),
        attribute(CTA_STATUS, struct.pack(">I", status)),
        attribute(TIMEOUT, struct.pack(">I", timeout)),
        nest(PROTOINFO, tcp),
    )
    return message(SUBSYSTEM, NEW, CREATE | EXCL | ACK, IPV6 if ":" in flow.source else IPV4, b"".join(attributes))

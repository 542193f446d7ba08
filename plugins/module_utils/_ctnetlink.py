# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""ctnetlink as tables: requests for entries and statistics, and what the answers mean.

A table maps an attribute's number to its name and decoder; names are the
kernel's, in small letters, less CTA_. Numbers within attributes are big-endian.
Source: include/uapi/linux/netfilter/nfnetlink_conntrack.h. Pure: bytes to
values and back; _netlink frames them and Host has the socket.
"""

import ipaddress
import struct
from typing import NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import (
    DUMP,
    NetlinkError,
    attribute,
    be16,
    be32,
    be64,
    body,
    message,
    nest,
    nested,
    text,
    u8,
)

SUBSYSTEM = 1
GET, GET_STATS_CPU, GET_STATS = 1, 4, 5
IPV4, IPV6 = 2, 10

TUPLE_ORIG, ZONE = 1, 18                                # attributes that requests use too
TUPLE_IP, TUPLE_PROTO, PROTO_NUM = 1, 2, 1

# Bits of an entry's status (include/uapi/linux/netfilter/nf_conntrack_common.h).
STATUS = {
    "expected": 0x1, "seen_reply": 0x2, "assured": 0x4, "confirmed": 0x8, "src_nat": 0x10, "dst_nat": 0x20,
    "seq_adjust": 0x40, "src_nat_done": 0x80, "dst_nat_done": 0x100, "dying": 0x200, "fixed_timeout": 0x400,
    "template": 0x800, "nat_clash": 0x1000, "helper": 0x2000, "offload": 0x4000, "hw_offload": 0x8000,
}

# Names of the numbered states (nf_conntrack_tcp.h, nf_conntrack_sctp.h).
TCP_STATES = (
    "NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2",
)
SCTP_STATES = (
    "NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD",
    "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED",
)


class FlowTuple(NamedTuple):
    """One direction of a flow: what the kernel finds an entry by.

    Addresses are texts, ``protocol`` is the IP protocol's number. Fields that a
    protocol lacks are 0.
    """

    protocol: int
    source: str
    destination: str
    source_port: int = 0
    destination_port: int = 0
    icmp_id: int = 0
    icmp_type: int = 0
    icmp_code: int = 0
    zone: int = 0


def named(names):
    """Return a decoder for a numbered state; a number without a name comes as text."""
    def read(payload):
        value = u8(payload)
        return names[value] if value < len(names) else str(value)
    return read


def ipv4(payload):
    """Decode an IPv4 address."""
    if len(payload) != 4:
        raise NetlinkError("an IPv4 address of %d bytes" % len(payload))
    return "%d.%d.%d.%d" % tuple(payload)


def ipv6(payload):
    """Decode an IPv6 address."""
    if len(payload) != 16:
        raise NetlinkError("an IPv6 address of %d bytes" % len(payload))
    return str(ipaddress.IPv6Address(payload))


# Attribute, field of FlowTuple, decoder, layout: what else than addresses a tuple holds, by protocol.
PORTS = ((2, "source_port", be16, ">H"), (3, "destination_port", be16, ">H"))
ICMP = ((4, "icmp_id", be16, ">H"), (5, "icmp_type", u8, ">B"), (6, "icmp_code", u8, ">B"))
ICMPV6 = ((7, "icmp_id", be16, ">H"), (8, "icmp_type", u8, ">B"), (9, "icmp_code", u8, ">B"))
DETAILS = {1: ICMP, 6: PORTS, 17: PORTS, 33: PORTS, 47: PORTS, 58: ICMPV6, 132: PORTS, 136: PORTS}

IP = nested({1: ("source", ipv4), 2: ("destination", ipv4), 3: ("source", ipv6), 4: ("destination", ipv6)})
PROTO = nested(dict(
    [(PROTO_NUM, ("protocol", u8))] + [(kind, (name, read)) for kind, name, read, _layout in PORTS + ICMP + ICMPV6]
))
TUPLE = nested({TUPLE_IP: ("ip", IP), TUPLE_PROTO: ("proto", PROTO), 3: ("zone", be16)})


def flow_tuple(payload):
    """Decode a tuple into a FlowTuple; attributes unknown to it are left out."""
    parts = TUPLE(payload)
    found = dict(parts.get("ip", {}), zone=parts.get("zone", 0))
    found.update(parts.get("proto", {}))
    if not {"protocol", "source", "destination"} <= set(found):
        raise NetlinkError("a tuple without protocol or addresses")
    return FlowTuple(**{name: found[name] for name in FlowTuple._fields if name in found})


COUNTERS = nested({1: ("packets", be64), 2: ("bytes", be64)})
PROTOINFO = nested({
    1: ("tcp", nested({1: ("state", named(TCP_STATES)), 2: ("wscale_original", u8), 3: ("wscale_reply", u8)})),
    3: ("sctp", nested({1: ("state", named(SCTP_STATES)), 2: ("vtag_original", be32), 3: ("vtag_reply", be32)})),
})

# Timeout: seconds left. Timestamps: nanoseconds since 1970. Timeout and protoinfo are absent while a flow is offloaded.
ENTRY = nested({
    TUPLE_ORIG: ("orig", flow_tuple),
    2: ("reply", flow_tuple),
    3: ("status", be32),
    4: ("protoinfo", PROTOINFO),
    5: ("help", nested({1: ("name", text)})),
    7: ("timeout", be32),
    8: ("mark", be32),
    9: ("counters_orig", COUNTERS),
    10: ("counters_reply", COUNTERS),
    11: ("use", be32),
    12: ("id", be32),
    14: ("master", flow_tuple),
    ZONE: ("zone", be16),
    19: ("secctx", nested({1: ("name", text)})),
    20: ("timestamp", nested({1: ("start", be64), 2: ("stop", be64)})),
})

STATS_CPU = nested({
    1: ("searched", be32),
    2: ("found", be32),
    3: ("new", be32),
    4: ("invalid", be32),
    5: ("ignore", be32),
    6: ("delete", be32),
    7: ("delete_list", be32),
    8: ("insert", be32),
    9: ("insert_failed", be32),
    10: ("drop", be32),
    11: ("early_drop", be32),
    12: ("error", be32),
    13: ("search_restart", be32),
    14: ("clash_resolve", be32),
    15: ("chain_toolong", be32),
})

STATS = nested({1: ("entries", be32), 2: ("max", be32)})


def stats_cpu():
    """Return the request for the counters of every CPU; the answer is a dump."""
    return message(SUBSYSTEM, GET_STATS_CPU, DUMP)


def stats():
    """Return the request for this namespace's entries and max; the answer is one message."""
    return message(SUBSYSTEM, GET_STATS)


def get(flow):
    """Return the request for the one entry that has ``flow`` as its original or its reply tuple.

    The answer is one message, or the error ENOENT. Only ``flow.zone`` is searched.
    Raises ValueError where an address is none.
    """
    return message(SUBSYSTEM, GET, family=_family(flow), attributes=encode(TUPLE_ORIG, flow) + _zone(flow))


def _family(flow):
    return IPV6 if ":" in flow.source else IPV4


def _zone(flow):
    return attribute(ZONE, struct.pack(">H", flow.zone)) if flow.zone else b""


def encode(kind, flow):
    """Return a FlowTuple as the attribute ``kind``; its zone is no part of it."""
    first = 3 if _family(flow) == IPV6 else 1
    addresses = (ipaddress.ip_address(flow.source).packed, ipaddress.ip_address(flow.destination).packed)
    details = [
        attribute(number, struct.pack(layout, getattr(flow, name)))
        for number, name, _read, layout in DETAILS.get(flow.protocol, ())
    ]
    return nest(
        kind,
        nest(TUPLE_IP, *(attribute(first + place, packed) for place, packed in enumerate(addresses))),
        nest(TUPLE_PROTO, attribute(PROTO_NUM, struct.pack(">B", flow.protocol)), *details),
    )


def entry(payload):
    """Decode the payload of a message that holds one entry."""
    _family_number, _res_id, data = body(payload)
    return ENTRY(data)


def entries_and_max(payload):
    """Decode the payload of the answer to stats(); kernels before 4.18 do not send ``max``."""
    _family_number, _res_id, data = body(payload)
    return STATS(data)


def counters(payload):
    """Decode the payload of one message of the answer to stats_cpu() into (cpu, counters)."""
    _family_number, cpu, data = body(payload)
    return cpu, STATS_CPU(data)


def cpus(payloads):
    """Return the counters of each CPU as a list, in the order of the CPUs, as _stat.parse does."""
    return [values for _cpu, values in sorted(map(counters, payloads), key=lambda pair: pair[0])]

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of the table that chance makes up, as the bytes in which the kernel tells of them, and the datagrams that bring them."""
import ipaddress
import struct

from ansible_collections.netfleet.conntrack.plugins.module_utils import _ctnetlink, _flow_dump, _netlink
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import IPV4, IPV6, STATUS

SEQUENCE = 0x5EC0DE01
PORTED = (6, 17, 33, 47, 132, 136)
ECHO = {1: (4, b"\x08", b"\x00"), 58: (7, b"\x80", b"\x81")}  # first attribute, type of the question, of the answer
PROTOCOLS = {IPV4: (6, 6, 6, 17, 17, 1, 132, 47, 50, 136, 33), IPV6: (6, 6, 17, 58, 132, 47, 50)}
INNER = (0, STATUS["assured"], STATUS["src_nat"], STATUS["dst_nat"], STATUS["offload"], STATUS["hw_offload"], STATUS["expected"])


def number(layout, value):
    return struct.pack(">" + layout, value)


def address(chance, family, first):
    """One of a few addresses, of which some are in one network."""
    packed = bytes([first, chance.randrange(2), 0, chance.randrange(4)])
    return packed if family == IPV4 else b"\xfd" + bytes(11) + packed


def some(chance, *parts):
    """The attributes in any order."""
    return chance.sample(parts, len(parts))


def part(chance, kind, family, protocol, ends, ports, zone):
    """One direction."""
    first = 1 if family == IPV4 else 3
    ip = some(chance, *(_netlink.attribute(first + place, packed) for place, packed in enumerate(ends)))
    details = [_netlink.attribute(1, bytes([protocol]))]
    if protocol in PORTED:
        details += [_netlink.attribute(2 + place, number("H", port)) for place, port in enumerate(ports)]
    elif protocol in ECHO:
        first, *types = ECHO[protocol]
        details += [_netlink.attribute(first, number("H", ports[0])), _netlink.attribute(first + 1, types[kind - 1]), _netlink.attribute(first + 2, b"\0")]
    inner = [_netlink.nest(1, *ip), _netlink.nest(2, *some(chance, *details))]
    if zone:
        inner.append(_netlink.attribute(3, number("H", zone)))
    return _netlink.nest(kind, *some(chance, *inner))


def state(chance, protocol):
    if protocol == 6:
        told = [_netlink.attribute(1, bytes([chance.randrange(11)])), _netlink.attribute(2, b"\7"), _netlink.attribute(4, b"\x0a\x0a")]
        return [_netlink.nest(4, _netlink.nest(1, *some(chance, *told[:chance.choice((1, 3))])))]
    if protocol == 132:
        told = [_netlink.attribute(1, bytes([chance.randrange(11)])), _netlink.attribute(2, number("I", 7)), _netlink.attribute(3, number("I", 8))]
        return [_netlink.nest(4, _netlink.nest(3, *some(chance, *told)))]
    return []


def extras(chance):
    """What an entry may have or not, a row each."""
    return (
        [_netlink.attribute(8, number("I", chance.choice((0, 1, 0x10, 0x1F, 0xFFFFFFFF))))],
        [_netlink.attribute(18, number("H", chance.choice((1, 2, 65535))))],
        [_netlink.nest(kind, *[_netlink.attribute(inner, number("Q", chance.randrange(9))) for inner in (1, 2)]) for kind in (9, 10)],
        [_netlink.nest(5, _netlink.attribute(1, chance.choice((b"ftp\0", b"sip\0", b"netbios-ns\0"))))],
        [_netlink.nest(19, _netlink.attribute(1, b"system_u:object_r:unlabeled_t:s0\0"))],
        [_netlink.nest(20, _netlink.attribute(1, number("Q", chance.randrange(1 << 60))))],
        [_netlink.attribute(22, bytes(chance.randrange(256) for _byte in range(16)))],
        [_netlink.attribute(chance.choice((30, 31, 99)), bytes(chance.randrange(256) for _byte in range(chance.randrange(9))))],
        [_netlink.nest(77, _netlink.attribute(1, b"news"), _netlink.attribute(2, bytes(4)))],
    )


def payload(chance, shuffled=True, rich=0.3):
    """The payload of an entry: the kernel's order of attributes or any, with some of what it may have beside what it always has."""
    family = chance.choice((IPV4, IPV4, IPV6))
    protocol = chance.choice(PROTOCOLS[family])
    source, destination = address(chance, family, 10), address(chance, family, 192)
    ports = chance.choice((1024, 5000, 65535)), chance.choice((53, 80, 443))
    status = STATUS["confirmed"] | chance.choice((0, STATUS["seen_reply"])) | chance.choice(INNER) | chance.choice(INNER)
    natted = address(chance, family, 198) if status & STATUS["src_nat"] else chance.choice((source, source, address(chance, family, 198)))
    zones = chance.choice(((0, 0), (0, 0), (0, 0), (3, 0), (0, 4)))
    offloaded = status & STATUS["offload"] and chance.random() < 0.5
    tell = [
        part(chance, 1, family, protocol, (source, destination), ports, zones[0]),
        part(chance, 2, family, protocol, (destination, natted), (ports[1], chance.randrange(65536)) if protocol not in ECHO else ports, zones[1]),
        _netlink.attribute(3, number("I", status)),
        _netlink.attribute(12, number("I", chance.randrange(1 << 32))),
        _netlink.attribute(11, number("I", 1)),
    ]
    if not offloaded:
        tell += [_netlink.attribute(7, number("I", chance.choice((0, 9, 10, 29, 30, 299, 300, 431999, 432000, 4294967)))), *state(chance, protocol)]
    tell += [attribute for row in extras(chance) if chance.random() < rich for attribute in row]
    return struct.pack(">BBH", family, 0, 0) + b"".join(some(chance, *tell) if shuffled else tell)


def framed(kind, data=b"", sequence=SEQUENCE, flags=2, port=4321):
    """A message; the padding of the last one in a datagram may be missing."""
    return struct.pack("=IHHII", 16 + len(data), kind, flags, sequence, port) + data + b"\0" * (-len(data) % 4)


def entry(data, **more):
    return framed(_flow_dump.ENTRY, data, **more)


DONE = framed(_netlink.DONE, bytes(4))


def datagrams(chance, messages, most=40):
    """The messages in datagrams of any number of them."""
    found, start = [], 0
    while start < len(messages):
        end = start + chance.randrange(1, most)
        found.append(b"".join(messages[start:end]))
        start = end
    return found


def packed(text):
    return ipaddress.ip_address(text).packed


def plain(data):
    """The fields of an entry by the names of _flow_layout, by the reader that reads one attribute after the other."""
    found = _ctnetlink.entry(data)
    orig, reply = found["orig"], found["reply"]
    told = {
        "source": packed(orig.source), "destination": packed(orig.destination), "protocol": orig.protocol,
        "source_port": orig.source_port, "destination_port": orig.destination_port,
        "reply_source": packed(reply.source), "reply_destination": packed(reply.destination),
        "reply_source_port": number("H", reply.source_port), "reply_destination_port": number("H", reply.destination_port),
        "status": found["status"], "timeout": found.get("timeout"), "mark": found.get("mark"), "id": found.get("id"),
        "zone": found.get("zone"), "reply_zone": reply.zone, "start": found.get("timestamp", {}).get("start"),
        "tcp_state": state_number(found, "tcp", _ctnetlink.TCP_STATES), "sctp_state": state_number(found, "sctp", _ctnetlink.SCTP_STATES),
    }
    told.update((name, tuple_payload(data, kind)) for kind, name in ((1, "orig"), (2, "reply")))
    return told


def tuple_payload(data, wanted):
    return next(value for kind, value in _netlink.attributes(data[4:]) if kind == wanted)


def state_number(found, protocol, names):
    told = found.get("protoinfo", {}).get(protocol, {}).get("state")
    return None if told is None else names.index(told) if told in names else int(told)


def batches(payloads, sequence=SEQUENCE):
    """Batches of these entries, as a dump brings them."""
    dump = _flow_dump.Dump(sequence)
    return list(dump.batches([entry(each, sequence=sequence) for each in payloads] + [framed(_netlink.DONE, bytes(4), sequence)]))

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What is shown of a flow, and of a value that flows have in common. Pure."""
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import IPV4, IPV6, STATUS, TCP_STATES, entry, ipv4, ipv6
from ansible_collections.netfleet.conntrack.plugins.module_utils._flow_layout import ADDRESS4, TAIL
from ansible_collections.netfleet.conntrack.plugins.module_utils._flows import REMAINING
from ansible_collections.netfleet.conntrack.plugins.module_utils._protocols import NAMES

FAMILY_NAMES = {IPV4: "ipv4", IPV6: "ipv6"}
PORTS = ("source_port", "destination_port", "icmp_id", "icmp_type", "icmp_code")


def flow(message):
    """A flow as a dict, from its message in a batch. What the kernel did not tell is not in it."""
    found = entry(message[:-TAIL])
    orig, reply, status = found["orig"], found["reply"], found.get("status", 0)
    row = {"protocol": protocol(orig.protocol), "source": orig.source, "destination": orig.destination}
    row.update((name, getattr(orig, name)) for name in PORTS if getattr(orig, name))
    row.update((name, value["state"]) for name, value in (("state", each) for each in found.get("protoinfo", {}).values()) if "state" in value)
    row["remaining"] = found.get("timeout")
    row["status"] = sorted(name for name, bit in STATUS.items() if status & bit)
    row["mark"], row["zone"] = found.get("mark", 0), found.get("zone", 0)
    if status & STATUS["src_nat"]:
        row["nat_address"] = reply.destination
        row.update((name, value) for name, value in (("nat_port", reply.destination_port), ("nat_id", reply.icmp_id)) if value)
    for side in ("orig", "reply"):
        row.update(("%s_%s" % (name, side), value) for name, value in found.get("counters_" + side, {}).items())
    return row


def protocol(number):
    return NAMES.get(number, str(number))


def address(packed):
    return ipv4(packed) if len(packed) == ADDRESS4 else ipv6(packed)


def network(prefixes, packed):
    """A network, by its first address and the lengths of prefixes for IPv4 and IPv6."""
    return "%s/%d" % (address(packed), prefixes[len(packed) != ADDRESS4])


def port(value):
    """A protocol and port as /etc/services has them."""
    return "%d/%s" % (value[1], protocol(value[0]))


def tcp_state(number):
    return TCP_STATES[number] if number < len(TCP_STATES) else str(number)


def family(number):
    return FAMILY_NAMES.get(number, str(number))


def remaining(number):
    """A class of the remaining time in words."""
    if number is None:
        return "offloaded"
    end = "%d" % (REMAINING[number] - 1) if number < len(REMAINING) else ""
    return "%d-%s" % (REMAINING[number - 1], end)

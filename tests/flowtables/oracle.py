# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a table holds, from the text that `conntrack -L -o extended,id` prints, and by code that shares nothing with our readers.

    flows = oracle.listed(netns)
    oracle.counted(flows, oracle.source).most_common(10)

What the text does not tell: whether an offloaded flow is assured, for [OFFLOAD] stands in the place of [ASSURED]; and the bits of NAT,
which are known by their effect. `conntrack` itself knows them no better: --src-nat compares the tuples, too, and --dst-nat lists
translated pings that have the destination which they asked for.
"""

import bisect
import collections
import ipaddress
import subprocess
from typing import NamedTuple

PORTED = ("tcp", "udp", "udplite", "sctp")
FLAGS = {"[ASSURED]": "assured", "[UNREPLIED]": "unreplied", "[OFFLOAD]": "offload", "[HW_OFFLOAD]": "hw_offload"}


class Half(NamedTuple):
    """One direction. The ports of GRE are keys, those of a ping its id and 0; other protocols have 0."""

    source: str
    destination: str
    source_port: int
    destination_port: int


class Flow(NamedTuple):
    """One line. ``timeout`` is None and ``state`` "" where there is none; ``flags`` are values of FLAGS. ``protocol`` is a name,
    or the number as text where the tool says "unknown"."""

    family: str
    protocol: str
    number: int
    timeout: int
    state: str
    orig: Half
    reply: Half
    flags: frozenset
    mark: int
    zone: int
    zone_orig: int
    zone_reply: int
    helper: str
    age: int
    id: int


def listed(netns=None, *filters):
    """The flows of a namespace; ``filters`` are conntrack's own options."""
    inside = ("ip", "netns", "exec", netns) if netns else ()
    done = subprocess.run([*inside, "conntrack", "-L", "-o", "extended,id", *filters], capture_output=True, text=True, check=True)
    return parse(done.stdout)


def parse(text):
    return [read(line) for line in text.splitlines()]


def read(line):
    family, _number, name, number, *words = line.split()
    halves, rest, flags, bare = ({}, {}), {}, set(), []
    place = -1
    for word in words:
        name_of, equals, value = word.partition("=")
        if not equals:
            (flags.add if word in FLAGS else bare.append)(FLAGS.get(word, word))
            continue
        place += name_of == "src"
        # The last id is the entry's, and those before it the pings'.
        of_half = name_of in HALF and not (name_of == "id" and ("type" not in halves[place] or "id" in halves[place]))
        (halves[place] if of_half else rest)[name_of] = value
    timeout = int(bare.pop(0)) if bare and bare[0].isdigit() else None
    return Flow(
        family, number if name == "unknown" else name, int(number), timeout, " ".join(bare), *map(half, halves), frozenset(flags),
        *(int(rest.get(key, 0)) for key in ("mark", "zone", "zone-orig", "zone-reply")),
        rest.get("helper", ""), int(rest.get("delta-time", 0)), int(rest["id"]),
    )


HALF = frozenset({"src", "dst", "sport", "dport", "srckey", "dstkey", "type", "code", "id"})


def half(told):
    source_port = told.get("sport") or told.get("srckey") or told.get("id") or "0"
    return Half(told["src"], told["dst"], int(source_port, 0), int(told.get("dport") or told.get("dstkey") or "0", 0))


# What flows are counted by: a flow's key, or None where it has none.
def protocol(flow):
    return flow.protocol


def family(flow):
    return flow.family


def zone(flow):
    return flow.zone


def mark(flow):
    return flow.mark


def tcp_state(flow):
    return flow.state if flow.protocol == "tcp" and flow.state else None


def source(flow):
    return flow.orig.source


def destination(flow):
    return flow.orig.destination


def destination_port(flow):
    return f"{flow.orig.destination_port}/{flow.protocol}" if flow.protocol in PORTED else None


def nat_address(flow):
    """What the source is translated to."""
    return flow.reply.destination if flow.reply.destination != flow.orig.source else None


def source_network(ipv4=24, ipv6=64):
    """A key as above, by the lengths of the networks' prefixes."""
    lengths = {"ipv4": ipv4, "ipv6": ipv6}
    return lambda flow: str(ipaddress.ip_network((flow.orig.source, lengths[flow.family]), strict=False))


def counted(flows, key):
    """Key -> number of flows."""
    found = collections.Counter(map(key, flows))
    found.pop(None, None)
    return found


def top(flows, key, number):
    """[(key, count)], the most first; equals in the order of their texts."""
    return sorted(counted(flows, key).items(), key=lambda pair: (-pair[1], str(pair[0])))[:number]


def totals(flows):
    """How many have which protocol, state, flag, family and zone. Replied is what is not unreplied."""
    flags = collections.Counter(flag for flow in flows for flag in flow.flags)
    return {
        "total": len(flows),
        "protocol": counted(flows, protocol), "tcp_state": counted(flows, tcp_state),
        "family": counted(flows, family), "zone": counted(flows, zone),
        "assured": flags["assured"], "unreplied": flags["unreplied"], "offload": flags["offload"] + flags["hw_offload"],
    }


def histogram(flows, edges):
    """Flows with less seconds left than the first edge, from there to less than the second, and so on; the last has no end."""
    found = [0] * (len(edges) + 1)
    for each in flows:
        if each.timeout is not None:
            found[bisect.bisect_right(edges, each.timeout)] += 1
    return found


def longest(flows, number):
    """Those with the most seconds left, the most first."""
    return sorted((flow for flow in flows if flow.timeout is not None), key=lambda flow: (-flow.timeout, flow.id))[:number]


def headroom(flows):
    """(protocol, NAT address, destination, destination port) -> reply tuples taken, by whatever takes them.

    Only of addresses that some source is translated to. Of pings the "port" that is taken is the id, and the destination's is 0.
    """
    addresses = {nat_address(flow) for flow in flows}
    return collections.Counter(
        (flow.protocol, flow.reply.destination, flow.reply.source, flow.reply.source_port if flow.protocol in PORTED else 0)
        for flow in flows if flow.reply.destination in addresses
    )

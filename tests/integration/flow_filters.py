# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What flows `conntrack` tells of, and filters that chance draws, with what they mean."""

import ipaddress

from ansible_collections.netfleet.conntrack.tests.flowtables import oracle

PINGS = ("icmp", "icmpv6")
NAMED = {"4": "4", "50": "esp"}  # conntrack has no name for these


def named(flow):
    return flow._replace(protocol=NAMED.get(flow.protocol, flow.protocol))


def told(netns):
    return [named(flow) for flow in oracle.listed(netns)]


# What the kernel calls translated: the address or the port is another one than before; of pings the id.

def source_translated(flow):
    before, after = (flow.orig.source, flow.orig.source_port), (flow.reply.destination, flow.reply.destination_port)
    if flow.protocol in PINGS:
        after = flow.reply.destination, flow.reply.source_port
    return before != after if flow.protocol in oracle.PORTED + PINGS else before[0] != after[0]


def destination_translated(flow):
    before, after = (flow.orig.destination, flow.orig.destination_port), (flow.reply.source, flow.reply.source_port)
    return before != after if flow.protocol in oracle.PORTED else before[0] != after[0]


def status(flow):
    """The words that `conntrack` tells of; of an offloaded flow it does not say whether it is assured."""
    yield "unreplied" if "unreplied" in flow.flags else "replied"
    yield "assured" if "assured" in flow.flags else "unassured"
    yield "offload" if flow.flags & {"offload", "hw_offload"} else "not_offload"
    if source_translated(flow):
        yield "src_nat"
    if destination_translated(flow):
        yield "dst_nat"


# Parts of a filter that chance draws, with what they mean; ``flows`` gives them values that are met.

def of_protocol(dice, flow):
    return flow.protocol if dice.random() < 0.7 else str(flow.number)


def around(dice, address):
    """A network that an address is in."""
    most = ipaddress.ip_address(address).max_prefixlen
    return str(ipaddress.ip_network((address, dice.choice((most, most, most - 3, 24, 16))), strict=False))


def in_network(address, text):
    network = ipaddress.ip_network(text)
    return ipaddress.ip_address(address).version == network.version and ipaddress.ip_address(address) in network


def around_port(dice, port):
    first, last = max(0, port - dice.randrange(2000)), min(65535, port + dice.randrange(2000))
    return dice.choice((str(port), f"{first}-{last}"))


def in_range(port, text):
    first, _dash, last = text.partition("-")
    return int(first) <= port <= int(last or first)


def has_port(side):
    return lambda flow, words: flow.protocol in (*oracle.PORTED, "gre") and any(in_range(getattr(flow.orig, side), word) for word in words)


# Option: how a value is made of a flow, and whether a flow meets values.
PARTS = {
    "family": (lambda dice, flow: flow.family, lambda flow, words: flow.family in words),
    "protocol": (of_protocol, lambda flow, words: flow.protocol in words or str(flow.number) in words),
    "state": (lambda dice, flow: flow.state or "ESTABLISHED", lambda flow, words: flow.state in words),
    "source": (lambda dice, flow: around(dice, flow.orig.source), lambda flow, words: any(in_network(flow.orig.source, word) for word in words)),
    "destination": (
        lambda dice, flow: around(dice, flow.orig.destination), lambda flow, words: any(in_network(flow.orig.destination, word) for word in words)),
    "source_port": (lambda dice, flow: around_port(dice, flow.orig.source_port), has_port("source_port")),
    "destination_port": (lambda dice, flow: around_port(dice, flow.orig.destination_port), has_port("destination_port")),
    "nat_address": (
        lambda dice, flow: around(dice, flow.reply.destination),
        lambda flow, words: source_translated(flow) and any(in_network(flow.reply.destination, word) for word in words)),
    "zone": (lambda dice, flow: flow.zone, lambda flow, zones: flow.zone in zones),
    "status": (lambda dice, flow: dice.choice(sorted(status(flow))), lambda flow, words: set(words) <= set(status(flow))),
    "mark": (lambda dice, flow: dice.choice((str(flow.mark), hex(flow.mark), f"{flow.mark & 0xf}/0xf")), lambda flow, word: marked(flow.mark, word)),
    "min_remaining": (lambda dice, flow: flow.timeout // 600 * 600 + 60, lambda flow, seconds: flow.timeout >= seconds),
}
SINGLE = ("mark", "min_remaining")


def marked(mark, word):
    value, _slash, mask = word.partition("/")
    mask = int(mask or "0xffffffff", 0)
    return mark & mask == int(value, 0) & mask


def drawn(dice, flows):
    """A filter that some flow meets, mostly."""
    one = dice.choice(flows)
    found = {}
    for name in dice.sample(sorted(PARTS), dice.choice((1, 1, 2, 3))):
        make = PARTS[name][0]
        others = () if name in (*SINGLE, "status") else dice.choices(flows, k=dice.choice((0, 1, 3)))
        found[name] = make(dice, one) if name in SINGLE else [make(dice, flow) for flow in (one, *others)]
    return found


def meet(flows, options):
    return [flow for flow in flows if all(PARTS[name][1](flow, value) for name, value in options.items())]

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What flow tables are made of, as data: a composition is a tuple of kinds of flows, each with its share of the table."""

import functools
import ipaddress
import itertools
import random
from typing import NamedTuple

TCP_STATES = ("SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2")
SCTP_STATES = ("CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT")
UNREPLIED, REPLIED, ASSURED = (), ("seen_reply",), ("seen_reply", "assured")
PORTS = range(1024, 65536)
WEB = (443,) * 12 + (80,) * 4 + (22, 25, 587, 993, 3306, 5432, 8080, 8443)
# Seconds left, ten minutes to five days. No flow comes down to a multiple of ten minutes within three minutes: a histogram with such
# edges is the same now and then.
LONG = tuple(edge + more for edge in range(600, 432000, 600) for more in (180, 300, 420, 540))
SHORT = tuple(edge + more for edge in range(600, 7200, 600) for more in (180, 300, 420, 540))
FLEETING = (25, 26, 55, 110, 280, 550)  # none comes down to 10, 30, 60, 120 or 300 in 15 seconds


class Pool(NamedTuple):
    """Addresses out of a network: ``size`` of them from ``first`` on, the first the most used where ``skew`` is not 0.

    ``skew`` is the exponent of a Zipf distribution. With ``each``, every address comes once before any comes again.
    """

    first: str
    size: int
    skew: float = 0.0
    each: bool = False

    def packed(self, dice):
        """Packed addresses without end."""
        base = ipaddress.ip_address(self.first)
        if self.each:
            return ((int(base) + number).to_bytes(len(base.packed), "big") for number in itertools.cycle(range(self.size)))
        return endless(dice, *weighted(self))


@functools.lru_cache(maxsize=16)
def weighted(pool):
    """A pool's packed addresses, and the sums of their weights as far as each, or None where all weigh the same."""
    base = ipaddress.ip_address(pool.first)
    packed = [(int(base) + number).to_bytes(len(base.packed), "big") for number in range(pool.size)]
    return packed, list(itertools.accumulate(rank ** -pool.skew for rank in range(1, pool.size + 1))) if pool.skew else None


def endless(dice, choices, sums=None):
    """Choices without end; ``sums`` are the sums of weights as far as each."""
    if len(choices) == 1:
        return itertools.repeat(choices[0])
    return itertools.chain.from_iterable(dice.choices(choices, cum_weights=sums, k=4096) for _round in itertools.count())


class Kind(NamedTuple):
    """Flows that differ in addresses, ports and remaining time only.

    ``share`` is of the table, less than or equal to 1. ``state`` is of TCP and SCTP. ``snat`` and ``dnat`` are the addresses that
    flows are translated to, ``nat_ports`` the ports of the NAT addresses. Sources and destinations are as the client sees them.
    A number as ``protocol`` is one that the kernel has no tracker for. ``zone_of`` is 1 or 2 where the zone is of the original or of
    the reply direction only.
    """

    share: float
    protocol: str
    sources: Pool
    destinations: Pool
    state: str = ""
    status: tuple = ASSURED
    source_ports: tuple = PORTS
    ports: tuple = WEB
    timeouts: tuple = LONG
    marks: tuple = (0,)
    zone: int = 0
    zone_of: int = 0
    snat: tuple = ()
    dnat: tuple = ()
    nat_ports: tuple = PORTS
    helper: str = ""
    labels: bytes = b""  # 16 bytes; only in a namespace with a rule that sets labels


NAT = ("198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4")
NAT6 = ("2001:db8:ffff::1", "2001:db8:ffff::2")


def ipv4(share, sources, destinations):
    """What a busy router has of IPv4, as such a share of the table."""
    kinds = (
        Kind(0.37, "tcp", sources, destinations, "ESTABLISHED"),
        Kind(0.13, "tcp", sources, destinations, "ESTABLISHED", snat=NAT),
        Kind(0.11, "tcp", sources, destinations, "TIME_WAIT", timeouts=SHORT, snat=NAT),
        Kind(0.03, "tcp", sources, destinations, "SYN_SENT", UNREPLIED, timeouts=SHORT),
        Kind(0.02, "tcp", sources, destinations, "SYN_RECV", REPLIED, timeouts=SHORT),
        Kind(0.02, "tcp", sources, destinations, "FIN_WAIT", timeouts=SHORT),
        Kind(0.02, "tcp", sources, destinations, "CLOSE_WAIT", timeouts=SHORT),
        Kind(0.02, "tcp", sources, destinations, "LAST_ACK", timeouts=SHORT),
        Kind(0.02, "tcp", sources, destinations, "CLOSE", timeouts=SHORT),
        Kind(0.13, "udp", sources, destinations, status=UNREPLIED, ports=(53,), timeouts=SHORT),
        Kind(0.11, "udp", sources, destinations, ports=(443, 443, 53, 123, 4500), timeouts=SHORT, snat=NAT),
        Kind(0.02, "icmp", sources, destinations, status=REPLIED, timeouts=SHORT),
    )
    return tuple(kind._replace(share=kind.share * share) for kind in kinds)


def ipv6(share):
    sources, destinations = Pool("fd00:1::2", 5000, 1.0), Pool("2a00:1::1", 50000, 0.9)
    kinds = (
        Kind(0.7, "tcp", sources, destinations, "ESTABLISHED"),
        Kind(0.2, "udp", sources, destinations, status=REPLIED, ports=(53, 443), timeouts=SHORT),
        Kind(0.1, "icmpv6", sources, destinations, status=REPLIED, timeouts=SHORT),
    )
    return tuple(kind._replace(share=kind.share * share) for kind in kinds)


WORLD = Pool("20.0.0.1", 200_000, 0.9)
# One source holds 60 % of the table, and another 10 %.
HEAVY = (
    *ipv4(0.6, Pool("10.9.9.9", 1), WORLD), *ipv4(0.1, Pool("10.1.2.3", 1), WORLD), *ipv4(0.24, Pool("10.64.0.1", 60_000, 0.7), WORLD), *ipv6(0.06),
)
# Every IPv4 flow has a destination of its own.
FLAT = (*ipv4(0.94, Pool("10.64.0.1", 1_000_000), Pool("32.0.0.1", 16_000_000, each=True)), *ipv6(0.06))


def mixed(seed, labelled=False, fleeting=False):
    """A composition of everything, by chance, the same for the same seed; with labels as in Kind, with flows that end soon."""
    dice = random.Random(seed)
    kinds = [kind(dice) for kind in MIXED for _again in range(dice.choice((0, 1, 1, 2)))] or [mixed_tcp(dice)]
    weights = [dice.paretovariate(1) for _kind in kinds]
    return tuple(mixed_more(kind, dice, labelled, fleeting)._replace(share=weight / sum(weights)) for kind, weight in zip(kinds, weights, strict=True))


def mixed_more(kind, dice, labelled, fleeting):
    if labelled and dice.random() < 0.5:
        kind = kind._replace(labels=b"\x06".ljust(16, b"\0"))
    return kind._replace(timeouts=FLEETING) if fleeting and dice.random() < 0.3 else kind


def mixed_addresses(dice, family):
    """Sources and destinations, few or many, flat or skewed."""
    sizes = [dice.choice((1, 7, 300, 5000)) for _end in range(2)]
    skews = [dice.choice((0, 0.6, 1.1, 2.0)) for _end in range(2)]
    ends = ("10.{}.0.2", "20.0.{}.1") if family == 4 else ("fd00:{}::2", "2a00:{}::1")
    first = [end.format(dice.randrange(64)) for end in ends]
    return [Pool(*row) for row in zip(first, sizes, skews, strict=True)]


def mixed_rest(dice):
    """What a flow of any protocol may have."""
    marks = dice.choice(((0,), (0,), (0, 1, 2), (7,), (0xffffffff, 0x80000000, 256)))
    return {"marks": marks, "zone": dice.choice((0, 0, 0, 1, 2, 65535)), "zone_of": dice.choice((0, 0, 0, 1, 2)), "timeouts": dice.choice((LONG, SHORT))}


def mixed_nat(dice, family):
    """Translated at one end, at both, or not at all; some by few ports."""
    snat, dnat = (NAT, ("10.200.0.1", "10.200.0.2", "10.200.0.3")) if family == 4 else (NAT6, ("fd00:99::1", "fd00:99::2"))
    told = {"nat_ports": dice.choice((PORTS, range(20000, 28192)))}
    if dice.random() < 0.5:
        told["snat"] = snat[:dice.randint(1, len(snat))]
    if dice.random() < 0.2:
        told["dnat"] = dnat[:dice.randint(1, len(dnat))]
    return told


def with_ports(dice, protocol, state="", status=ASSURED, **more):
    family = dice.choice((4, 4, 6))
    ports = dice.choice((WEB, (53,), tuple(dice.sample(range(1, 65536), 50))))
    return Kind(0, protocol, *mixed_addresses(dice, family), state, status, **{"ports": ports, **mixed_rest(dice), **mixed_nat(dice, family), **more})


def mixed_tcp(dice):
    state = dice.choice(TCP_STATES)
    return with_ports(dice, "tcp", state, UNREPLIED if state == "SYN_SENT" else dice.choice((UNREPLIED, REPLIED, ASSURED, ASSURED)))


def mixed_udp(dice):
    return with_ports(dice, "udp", status=dice.choice((UNREPLIED, REPLIED, ASSURED)))


def mixed_sctp(dice):
    return with_ports(dice, "sctp", dice.choice(SCTP_STATES), dice.choice((UNREPLIED, REPLIED, ASSURED)))


def mixed_udplite(dice):
    return with_ports(dice, "udplite", status=dice.choice((UNREPLIED, REPLIED, ASSURED)))


def mixed_gre(dice):
    """Its ports are the keys of the tunnel."""
    return with_ports(dice, "gre", status=dice.choice((UNREPLIED, REPLIED, ASSURED)), snat=(), dnat=())


def mixed_ftp(dice):
    return with_ports(dice, "tcp", "ESTABLISHED", helper="ftp", ports=(21,), snat=(), dnat=())


def mixed_ping(dice):
    family = dice.choice((4, 6))
    told = {**mixed_rest(dice), **mixed_nat(dice, family), "dnat": ()}
    return Kind(0, "icmp" if family == 4 else "icmpv6", *mixed_addresses(dice, family), status=dice.choice((UNREPLIED, REPLIED)), **told)


def mixed_generic(dice):
    """ESP, IP in IP and a number without a name: there is one flow at most for two addresses."""
    family = dice.choice((4, 6))
    pools = [pool._replace(size=5000, skew=0) for pool in mixed_addresses(dice, family)]
    return Kind(0, dice.choice(("50", "4", "253")), *pools, status=dice.choice((UNREPLIED, REPLIED, ASSURED)), **mixed_rest(dice))


def mixed_router(dice):
    """Flows of the router itself from an address that others are translated to; they hold its ports, too."""
    pools = mixed_addresses(dice, 4)
    sources = Pool(NAT[0], dice.randint(1, len(NAT)))
    return Kind(0, dice.choice(("tcp", "udp")), sources, pools[1], "", source_ports=range(32768, 60999), **mixed_rest(dice))


MIXED = (mixed_tcp,) * 6 + (mixed_udp,) * 3 + (
    mixed_ping, mixed_ping, mixed_sctp, mixed_gre, mixed_udplite, mixed_generic, mixed_ftp, mixed_router)


def composition(name, seed=1):
    """The composition that the command line knows by this name."""
    return {"heavy": HEAVY, "flat": FLAT}.get(name) or mixed(seed)

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""First contact: a router on which nothing was tracked gets tracking and SNAT of random ports, and its own connections live.

Packets decide. The same connections without adoption show that the tests can fail. Needs what lab.py needs, and both iptables.
"""

import concurrent.futures
import contextlib
import errno
import functools
import resource
import socket
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from lab import ADDRESSES, FAR, NEAR, ROUTER, SERVER, laboratory

from ansible_collections.netfleet.conntrack.plugins.module_utils._adopt import adopt
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import STATUS, FlowTuple, entry, get
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host

COUNT = "/proc/sys/net/netfilter/nf_conntrack_count"
MAX = "/proc/sys/net/netfilter/nf_conntrack_max"
TIMEOUT = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_"
ESTABLISHED = 432000
BITS = STATUS["confirmed"] | STATUS["seen_reply"] | STATUS["assured"]
OWN = "own"  # both ends on the router
MEGABYTE = 1 << 20
ATTEMPTS = 5
PATIENCE = 3  # seconds: the first repetition of a lost packet comes after 0.2, of a lost SYN after one

# By backend: what switches tracking on, then what translates whatever leaves. {family} and {tool} differ.
NFT = (
    "table {family} tracking {{ chain c {{ ct state new; }}; }}",
    "table {family} nat {{ chain c {{ type nat hook postrouting priority 99; masquerade fully-random; }}; }}",
)
IPTABLES = (
    "*nat\n:TRACKING - [0:0]\n-A TRACKING -m conntrack --ctstate NEW\nCOMMIT\n",
    "*nat\n-A POSTROUTING -j MASQUERADE --random-fully\nCOMMIT\n",
)
BACKENDS = {
    "nft": (NFT, (("ip", ("nft", "-f", "-")), ("ip6", ("nft", "-f", "-")))),
    "iptables-nft": (IPTABLES, ((None, ("iptables-nft-restore", "--noflush")), (None, ("ip6tables-nft-restore", "--noflush")))),
    "iptables-legacy": (IPTABLES, ((None, ("iptables-legacy-restore", "--noflush")), (None, ("ip6tables-legacy-restore", "--noflush")))),
}
# What many hosts have: only what begins properly may begin, and nothing out of order passes.
FIREWALL = """
table inet firewall {
    chain input { type filter hook input priority 0; jump strict; }
    chain output { type filter hook output priority 0; jump strict; }
    chain strict {
        ct state invalid counter drop
        ct state established,related accept
        tcp flags & (syn | ack) == syn accept
        meta l4proto tcp counter drop
    }
}
"""


MUTE = "table inet mute { chain output { type filter hook output priority 0; meta l4proto tcp drop; }; }"


class Kind(NamedTuple):
    """How the router's sockets are made, and the addresses: of itself, of its peer, of itself over loopback."""

    family: int
    router: str
    server: str
    loopback: str


V4, V6 = ADDRESSES["ipv4"], ADDRESSES["ipv6"]
KINDS = {
    "ipv4": Kind(socket.AF_INET, V4.outer, V4.server, "127.0.0.1"),
    "ipv6": Kind(socket.AF_INET6, V6.outer, V6.server, "::1"),
    "mapped": Kind(socket.AF_INET6, "::ffff:" + V4.outer, "::ffff:" + V4.server, "::ffff:127.0.0.1"),
}
# Who accepts and who connects; of a connection, the end that speaks first.
WAYS = {"in": (ROUTER, SERVER), "out": (SERVER, ROUTER), OWN: (ROUTER, ROUTER)}
SPEAKERS = ("router", "peer")


class Pair(NamedTuple):
    """Both ends of a connection; the router is the first one."""

    router: socket.socket
    peer: socket.socket

    def first(self, speaker):
        return self if speaker == "router" else Pair(self.peer, self.router)


@contextlib.contextmanager
def numbered_laboratory():
    with laboratory() as made:
        made.numbers = iter(range(2000, 60000))
        yield made


@pytest.fixture
def lab():
    with numbered_laboratory() as made:
        yield made


class TooSlow(Exception):
    """This machine had something else to do, so that what a test holds back was sent again by itself."""


def repeated(test):
    """Carry a test out again, in another laboratory, where this machine was too slow for it."""

    @functools.wraps(test)
    def attempts(lab, **given):
        with contextlib.suppress(TooSlow):
            return test(lab=lab, **given)
        for dummy in range(ATTEMPTS):
            with numbered_laboratory() as another, contextlib.suppress(TooSlow):
                return test(lab=another, **given)
        raise TooSlow

    return attempts


def tcp(lab, node, family):
    with lab.inside(node):
        made = lab.stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
    made.settimeout(PATIENCE)
    return made


def listener(lab, way, kind):
    """A listening socket of the node that accepts; on all its addresses if the router's."""
    here = KINDS[kind]
    made = tcp(lab, WAYS[way][0], here.family)
    made.bind(({"in": "::" if kind == "mapped" else here.router, "out": here.server, OWN: here.loopback}[way], next(lab.numbers)))
    made.listen(300)
    return made


def target(accepting, way, kind):
    here = KINDS[kind]
    return {"in": here.router, "out": here.server, OWN: here.loopback}[way], accepting.getsockname()[1]


def connect(lab, accepting, way, kind):
    made = tcp(lab, WAYS[way][1], KINDS[kind].family)
    made.connect(target(accepting, way, kind))
    accepted, dummy = accepting.accept()
    accepted.settimeout(PATIENCE)
    lab.stack.enter_context(accepted)
    return Pair(accepted, made) if way == "in" else Pair(made, accepted)


def open_all(lab):
    """One connection of each kind, way and first speaker."""
    found = {}
    for kind in KINDS:
        for way in WAYS:
            accepting = listener(lab, way, kind)
            found.update(((kind, way, speaker), connect(lab, accepting, way, kind)) for speaker in SPEAKERS)
    return found


def load(lab, backend, step):
    texts, tools = BACKENDS[backend]
    for family, argv in tools:
        lab.command(ROUTER, *argv, data=texts[step].format(family=family))


def adopted(lab):
    with lab.inside(ROUTER):
        return adopt(Host())


def count(lab):
    with lab.inside(ROUTER):
        return Host().number(COUNT)


def entry_of(lab, flow):
    """The entry of a flow, or None."""
    with lab.inside(ROUTER):
        try:
            ((dummy, _flags, _sequence, payload),) = Host().netlink(get(flow), dump=False)
        except OSError as error:
            assert error.errno == errno.ENOENT
            return None
    return entry(payload)


def set_timeout(lab, state, seconds):
    with lab.inside(ROUTER):
        Host().write_value(TIMEOUT + state, str(seconds))


def flows_of(opened):
    return [flow_of(pair) for pair in opened.values()]


def states(lab, flows):
    entries = [entry_of(lab, flow) for flow in flows]
    return {each and each["protoinfo"]["tcp"]["state"] for each in entries}


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def flow_of(pair):
    """The tuple of what the router sends."""
    (source, source_port), (destination, destination_port) = (
        (address[0].replace("::ffff:", ""), address[1]) for address in (pair.router.getsockname(), pair.router.getpeername())
    )
    return FlowTuple(6, source, destination, source_port, destination_port)


def hears(end, text):
    """Whether an end hears just this."""
    heard = bytearray()
    try:
        while len(heard) < len(text):
            part = end.recv(1 << 20)
            if not part:
                return False
            heard += part
    except OSError:
        return False
    return heard == text


def says(end, text):
    try:
        return end.sendall(text) is None
    except OSError:
        return False


def talks(pair, rounds=20):
    """Whether both ends hear each other, again and again; the first one begins."""
    words = ((b"word %d" % number, first, second) for number in range(rounds) for first, second in (pair, pair[::-1]))
    return all(says(first, word) and hears(second, word) for word, first, second in words)


def transfers(pair, size):
    """Whether so much gets through in both directions at the same time."""
    data = b"0123456789abcdef" * (size // 16)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        done = [pool.submit(act, end, data) for act in (says, hears) for end in pair]
    return all(one.result() for one in done)


def is_translated(lab, kind):
    """Whether a new connection of the router reaches its peer from another port."""
    with contextlib.closing(listener(lab, "out", kind)) as accepting:
        pair = connect(lab, accepting, "out", kind)
    return talks(pair) and pair.router.getsockname()[1] != pair.peer.getpeername()[1]


def survivors(opened):
    """Which connections live, after those have spoken who speak first."""
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        lives = {name: pool.submit(talks, pair.first(name[2]), 3) for name, pair in opened.items()}
    return {name for name, life in lives.items() if life.result()}


def switch_on(lab, backend="nft", is_adopting=True):
    """The procedure: adoption, tracking without NAT, adoption of what began meanwhile, NAT."""
    number = adopted(lab) if is_adopting else 0
    load(lab, backend, 0)
    number += adopted(lab) if is_adopting else 0
    load(lab, backend, 1)
    return number


@pytest.mark.parametrize("backend", BACKENDS)
def test_connections_live(backend, lab):
    opened = open_all(lab)
    assert count(lab) == 0
    load(lab, backend, 0)
    assert count(lab) == 0 and adopted(lab) == len(opened) == count(lab)
    assert adopted(lab) == 0
    load(lab, backend, 1)
    lab.command(ROUTER, "nft", "-f", "-", data=FIREWALL)
    assert survivors(opened) == set(opened)
    assert [name for name, pair in opened.items() if not transfers(pair, 8 * MEGABYTE)] == []
    assert [name for name, pair in opened.items() if not talks(pair)] == []
    assert all(is_translated(lab, kind) for kind in KINDS)


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_adoption_the_router_loses_those_in_which_it_speaks_first(backend, lab):
    opened = open_all(lab)
    switch_on(lab, backend, is_adopting=False)
    assert survivors(opened) == {name for name in opened if name[1] != OWN and name[2] == "peer"}


def test_entries_are_what_they_would_have_been(lab):
    opened = open_all(lab)
    load(lab, "nft", 0)
    adopted(lab)
    for (kind, way, dummy), pair in opened.items():
        seen = entry_of(lab, flow_of(pair))
        assert (seen["status"], seen["protoinfo"]["tcp"]["state"]) == (BITS, "ESTABLISHED"), (kind, way)
        assert ESTABLISHED - 10 < seen["timeout"] <= ESTABLISHED
        assert seen["orig" if way != "in" else "reply"] == flow_of(pair)


def test_adopting_before_tracking_begins_serves_as_well(lab):
    opened = open_all(lab)
    assert adopted(lab) == len(opened)
    load(lab, "nft", 0)
    assert adopted(lab) == 0
    load(lab, "nft", 1)
    lab.command(ROUTER, "nft", "-f", "-", data=FIREWALL)
    assert survivors(opened) == set(opened)
    assert all(transfers(pair, MEGABYTE) for pair in opened.values())


def one_way(speaker, hearer):
    """Whether one end is heard, and answered by nothing but acknowledgements."""
    return says(speaker, b"more" * 5000) and hears(hearer, b"more" * 5000)


def half_close(speaker, hearer):
    speaker.shutdown(socket.SHUT_WR)
    assert hearer.recv(1) == b""


def end(first, second):
    """Close one end, hear the other one still, close that as well."""
    half_close(first, second)
    assert one_way(second, first)
    half_close(second, first)


@pytest.mark.parametrize("who", SPEAKERS)
def test_entries_end_with_their_connections(who, lab):
    opened = open_all(lab)
    flows = flows_of(opened)
    set_timeout(lab, "time_wait", 2)
    assert switch_on(lab) == len(opened)
    for pair in opened.values():
        end(*pair.first(who))
    assert states(lab, flows) == {"TIME_WAIT"}
    wait_until(lambda: states(lab, flows) == {None})


def half_closed(lab, who):
    opened = open_all(lab)
    for pair in opened.values():
        half_close(*pair.first(who))
    time.sleep(0.1)  # for acknowledgements, which may wait for 40 ms: what passes once tracking is on has its entry already
    return opened


@pytest.mark.parametrize("who", SPEAKERS)
def test_what_is_half_closed_goes_on(who, lab):
    opened = half_closed(lab, who)
    assert switch_on(lab) == len(opened)
    assert states(lab, flows_of(opened)) == {"CLOSE_WAIT"}
    lab.command(ROUTER, "nft", "-f", "-", data=FIREWALL)
    for pair in opened.values():
        first, second = pair.first(who)
        assert one_way(second, first)
        half_close(second, first)


def test_without_adoption_the_half_closed_are_lost(lab):
    opened = half_closed(lab, "peer")
    switch_on(lab, is_adopting=False)
    with concurrent.futures.ThreadPoolExecutor(len(opened)) as pool:
        assert not any(pool.map(lambda pair: one_way(*pair), opened.values()))


# What a node sends waits as long as it does not know the hardware address of the wire's other end: address, interface, hardware address.
ENDS = {ROUTER: (V4.server, "outer", FAR), SERVER: (V4.outer, "eth0", NEAR)}


@contextlib.contextmanager
def held(lab, node, seconds=2.7):
    """Packets that the node sends over IPv4 between router and server wait until the end.

    That is so many seconds away: after one a SYN is sent again, after three the packets are thrown away.
    """
    for each, (_address, interface, _hardware) in ENDS.items():
        with lab.inside(each):
            Host().write_value("/proc/sys/net/ipv4/conf/%s/arp_ignore" % interface, "8")
    address, interface, hardware = ENDS[node]
    lab.command(node, "ip", "neighbour", "del", address, "dev", interface)
    since = time.monotonic()
    yield
    lab.command(node, "ip", "neighbour", "replace", address, "lladdr", hardware, "dev", interface)
    if time.monotonic() - since >= seconds:
        raise TooSlow


def begun(lab, way):
    """(listening socket, socket that connects) of connections whose SYN is on its way."""
    found = []
    for kind in ("ipv4", "mapped"):
        accepting, made = listener(lab, way, kind), tcp(lab, WAYS[way][1], KINDS[kind].family)
        made.setblocking(False)
        assert made.connect_ex(target(accepting, way, kind)) == errno.EINPROGRESS
        found.append((accepting, made))
    return found


def completed(lab, way, some):
    found = []
    for accepting, made in some:
        accepted, dummy = accepting.accept()
        lab.stack.enter_context(accepted)
        for each in (accepted, made):
            each.settimeout(PATIENCE)
        found.append(Pair(accepted, made) if way == "in" else Pair(made, accepted))
    return found


# The way, the node whose answers wait, the state of the router's socket.
HANDSHAKES = {"SYN_SENT": ("out", SERVER), "SYN_RECV": ("in", ROUTER)}


@pytest.mark.parametrize("state", HANDSHAKES)
@repeated
def test_a_handshake_under_way_is_completed(state, lab):
    way, node = HANDSHAKES[state]
    with held(lab, node):
        some = begun(lab, way)
        time.sleep(0.05)
        assert switch_on(lab) == len(some)
        lab.command(ROUTER, "nft", "-f", "-", data=FIREWALL)
    assert all(talks(pair) and transfers(pair, MEGABYTE) for pair in completed(lab, way, some))


@repeated
def test_a_handshake_that_is_answered_after_adoption_and_before_tracking_is_completed(lab):
    with held(lab, SERVER):
        some = begun(lab, "out")
        time.sleep(0.05)
        assert adopted(lab) == len(some)
    pairs = completed(lab, "out", some)
    assert switch_on(lab) == 0
    lab.command(ROUTER, "nft", "-f", "-", data=FIREWALL)
    assert all(talks(pair) for pair in pairs)


def test_one_packet_before_adoption_does_not_shorten_what_was_adopted_before(lab):
    opened = {name: pair for name, pair in open_all(lab).items() if name[1] != OWN}
    assert adopted(lab) >= len(opened)
    load(lab, "nft", 0)
    lab.command(SERVER, "nft", "-f", "-", data=MUTE)
    assert all(says(pair.router, b"word") for pair in opened.values())
    assert adopted(lab) == 0
    load(lab, "nft", 1)
    lab.command(SERVER, "nft", "delete", "table", "inet", "mute")
    lab.command(ROUTER, "nft", "-f", "-", data=FIREWALL)
    assert all(hears(pair.peer, b"word") for pair in opened.values()) and survivors(opened) == set(opened)
    assert {entry_of(lab, flow)["status"] for flow in flows_of(opened)} == {BITS}


@repeated
def test_without_adoption_a_handshake_under_way_is_lost(lab):
    with held(lab, SERVER, 0.9):
        some = begun(lab, "out")
        time.sleep(0.05)
        switch_on(lab, is_adopting=False)
    with pytest.raises(OSError, match="timed out"):
        completed(lab, "out", some)


# The state of the router's socket whose FIN waits: what its peer does before and meanwhile, the state in the table.
CLOSED = {"FIN_WAIT1": ("", "FIN_WAIT"), "LAST_ACK": ("before", "LAST_ACK"), "CLOSING": ("meanwhile", "LAST_ACK")}


@pytest.mark.parametrize("state", CLOSED)
@repeated
def test_a_connection_that_is_being_closed_is_closed(state, lab):
    opened = {name: pair for name, pair in open_all(lab).items() if name[0] != "ipv6" and name[1] != OWN}
    flows = flows_of(opened)
    when, expected = CLOSED[state]
    for pair in opened.values() if when == "before" else ():
        half_close(pair.peer, pair.router)
    with held(lab, ROUTER):
        for pair in opened.values():
            pair.router.shutdown(socket.SHUT_WR)
        for pair in opened.values() if when == "meanwhile" else ():
            half_close(pair.peer, pair.router)
        assert switch_on(lab) >= len(opened)
        assert states(lab, flows) <= {expected, "TIME_WAIT"}  # where acknowledgements of what was sent again have passed already
        lab.command(ROUTER, "nft", "-f", "-", data=FIREWALL)
    for pair in opened.values():
        assert pair.peer.recv(1) == b""
        if not when:
            assert one_way(pair.peer, pair.router)
            half_close(pair.peer, pair.router)
    wait_until(lambda: states(lab, flows) <= {"TIME_WAIT", "CLOSE"})  # CLOSE: what was sent again meets no socket any more


def test_what_speaks_before_there_is_nat_needs_no_adoption(lab):
    opened = open_all(lab)
    load(lab, "nft", 0)
    for pair in opened.values():
        assert says(pair.router, b"first") and hears(pair.peer, b"first")
    assert adopted(lab) == 0
    load(lab, "nft", 1)
    lab.command(ROUTER, "nft", "-f", "-", data=FIREWALL)
    assert survivors(opened) == set(opened)


def test_connections_that_begin_meanwhile_live(lab):
    resource.setrlimit(resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE)[1:] * 2)
    opened, is_over = {}, threading.Event()

    def open_many(kind, way):
        accepting = listener(lab, way, kind)
        for number in range(1000):
            pair = connect(lab, accepting, way, kind)
            assert talks(pair, 1)
            time.sleep(0.005)  # lets the procedure go on
            opened[kind, way, SPEAKERS[number % 2], number] = pair
            if is_over.is_set() and number > 40:
                break

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        done = [pool.submit(open_many, kind, way) for kind in ("ipv4", "ipv6") for way in WAYS]
        wait_until(lambda: len(opened) > 60)
        number = switch_on(lab)
        after = len(opened)
        wait_until(lambda: len(opened) > after + 60)
        is_over.set()
        for each in done:
            each.result()
    assert 60 < number < len(opened) and len(opened) >= 200
    assert survivors(opened) == set(opened)


def test_a_full_table_is_named(lab):
    opened = open_all(lab)
    before = Path(MAX).read_text()
    try:
        Path(MAX).write_text("5")
        words = "^cannot keep 13 of 18 open connections, such as from .* port .*: the table of connections is full: raise table.max"
        with pytest.raises(ConntrackError, match=words):
            adopted(lab)
    finally:
        Path(MAX).write_text(before)
    assert adopted(lab) == len(opened) - 5

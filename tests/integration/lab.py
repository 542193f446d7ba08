# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client, a router and a server in network namespaces, and a queue that holds packets on the router.

One process plays all three: a socket stays in the namespace in which it was made, whoever uses it later.

    client eth0 ---- inner router outer ---- eth0 server

Needs root, iproute2, nft, and a kernel with nfnetlink_queue for the queue.
"""

import collections
import contextlib
import ctypes
import itertools
import os
import select
import socket
import struct
import subprocess
import threading
import time
import uuid
from typing import NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _netlink, _stat

CLONE_NEWNET = 0x40000000
CLIENT, ROUTER, SERVER = NODES = ("client", "router", "server")
FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
NEAR, FAR = "02:00:00:00:00:01", "02:00:00:00:00:02"  # hardware addresses of a wire's ends
LIBC = ctypes.CDLL(None, use_errno=True)


class Addresses(NamedTuple):
    """Who has which address; the router has ``spare`` beside ``outer``, for rules that name one."""

    clients: tuple
    inner: str
    outer: str
    spare: str
    server: str
    length: int


ADDRESSES = {
    "ipv4": Addresses(("192.0.2.2", "192.0.2.3"), "192.0.2.1", "198.51.100.1", "198.51.100.9", "198.51.100.2", 24),
    "ipv6": Addresses(("2001:db8:1::2", "2001:db8:1::3"), "2001:db8:1::1", "2001:db8:2::1", "2001:db8:2::9", "2001:db8:2::2", 64),
}
# Written in every namespace before there are interfaces: packets go on, and no address waits until nobody else has it.
SETTINGS = {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1, "ipv6/conf/default/accept_dad": 0, "ipv6/conf/all/accept_dad": 0}


def command(*argv, data=None):
    """The output of a command that must succeed."""
    done = subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 0, "%s: %s%s" % (" ".join(argv), done.stdout, done.stderr)
    return done.stdout


def enter(handle):
    assert LIBC.setns(handle, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())


class Lab:
    """The three namespaces; made by C(laboratory)."""

    def __init__(self, stack):
        self.stack = stack  # what is put away at the end
        self.names = {}
        self.handles = {}

    def make(self):
        mark = uuid.uuid4().hex[:12]
        for node in NODES:
            self._namespace(node, "netfleet-%s-%s" % (mark, node))
        every = ADDRESSES.values()
        inner, outer, clients, servers = (
            [(address, here.length) for here in every for address in some(here)]
            for some in (lambda here: [here.inner], lambda here: [here.outer, here.spare], lambda here: here.clients, lambda here: [here.server])
        )
        self._wire("inner", inner, CLIENT, clients)
        self._wire("outer", outer, SERVER, servers)

    def _namespace(self, node, name):
        command("ip", "netns", "add", name)
        self.stack.callback(command, "ip", "netns", "del", name)
        self.names[node] = name
        self.handles[node] = os.open("/run/netns/" + name, os.O_RDONLY)
        self.stack.callback(os.close, self.handles[node])
        with self.inside(node):
            for key, value in SETTINGS.items():
                with open("/proc/sys/net/" + key, "w") as setting:
                    setting.write("%d" % value)

    def _ip(self, node, *lines):
        command("ip", "-netns", self.names[node], "-batch", "-", data="\n".join(lines))

    def _wire(self, interface, ours, node, theirs):
        """Wire the router to another, with the addresses of both ends, where nobody has to ask for hardware addresses."""
        self._ip(ROUTER, "link add %s address %s type veth peer name eth0 address %s netns %s" % (interface, NEAR, FAR, self.names[node]))
        self._up(ROUTER, interface, ours, [(address, FAR) for address, dummy in theirs])
        self._up(node, "eth0", theirs, [(address, NEAR) for address, dummy in ours])
        self._ip(node, *("route add default via " + (here.inner if node == CLIENT else here.outer) for here in ADDRESSES.values()))

    def _up(self, node, interface, addresses, neighbours):
        lines = ["address add %s/%d dev %s" % (address, length, interface) for address, length in addresses]
        lines += ["link set lo up", "link set %s up" % interface]
        self._ip(node, *lines, *("neighbour replace %s lladdr %s dev %s" % (address, hardware, interface) for address, hardware in neighbours))

    @contextlib.contextmanager
    def inside(self, node):
        """This thread, the sockets that it makes and the commands that it starts are in the namespace."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            enter(self.handles[node])
            yield
        finally:
            enter(home)
            os.close(home)

    def command(self, node, *argv, data=None):
        with self.inside(node):
            return command(*argv, data=data)

    def socket(self, node, family, kind, source=None):
        """A socket that does not wait, bound to (address, port) if ``source`` is given; closed at the end."""
        with self.inside(node):
            made = self.stack.enter_context(socket.socket(FAMILIES[family], kind))
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if source:
            made.bind(source)
        return made

    def listener(self, family, port=80):
        """A socket of the server to which everybody can connect."""
        made = self.socket(SERVER, family, socket.SOCK_STREAM, (ADDRESSES[family].server, port))
        made.listen(4096)
        return made

    def connect(self, node, family, source, port=80):
        """A socket that has sent its SYN to the server, from ``source``."""
        made = self.socket(node, family, socket.SOCK_STREAM, source)
        made.connect_ex((ADDRESSES[family].server, port))
        return made

    def statistics(self):
        """What the router has counted of each statistic of conntrack, on all processors."""
        with self.inside(ROUTER), open("/proc/thread-self/net/stat/nf_conntrack") as table:
            rows = _stat.parse(table.read())
        return {name: sum(row[name] for row in rows) for name in rows[0]}


@contextlib.contextmanager
def laboratory():
    with contextlib.ExitStack() as stack:
        lab = Lab(stack)
        lab.make()
        yield lab


@contextlib.contextmanager
def counted(lab, *names):
    """A dictionary that at the end says by how much the router's statistics rose."""
    before, risen = lab.statistics(), {}
    yield risen
    after = lab.statistics()
    risen.update((name, after[name] - before[name]) for name in names)


def connected(sockets, seconds):
    """Those that get connected in so many seconds; it ends early when all are."""
    poll, waiting, found = select.poll(), {each.fileno(): each for each in sockets}, set()
    for number in waiting:
        poll.register(number, select.POLLOUT)
    while len(found) < len(waiting):
        ready = poll.poll(seconds * 1000)
        if not ready:
            break
        for number, dummy in ready:
            poll.unregister(number)
            found.add(number)
    return [waiting[number] for number in found if not waiting[number].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)]


class Traffic(threading.Thread):
    """New flows without end: datagrams from one new source port each. Beside them one old TCP connection, with data to and fro."""

    def __init__(self, lab, family):
        super().__init__(daemon=True)
        self.lab, self.family, self.here = lab, family, ADDRESSES[family]
        with lab.inside(ROUTER), open("/proc/sys/net/netfilter/nf_conntrack_udp_timeout", "w") as setting:
            setting.write("1")  # a port that comes round again is a new flow again
        self.server = lab.socket(SERVER, family, socket.SOCK_DGRAM, (self.here.server, 9))
        listener = lab.listener(family)
        self.near = lab.connect(CLIENT, family, (self.here.clients[0], 0))
        assert connected([self.near], 5)
        self.far = lab.stack.enter_context(listener.accept()[0])
        for each in (self.near, self.far):
            each.settimeout(3)
        self.sent = self.talked = 0
        self.broken = None  # what became of the old connection
        self.seen = collections.Counter()  # source address at the server: datagrams
        self.ended = threading.Event()

    def run(self):
        with self.lab.inside(CLIENT):
            for port in itertools.cycle(range(1024, 65536)):
                self._datagram(port)
                self._talk()
                self._look()
                if self.ended.wait(0.0001):
                    return

    def _datagram(self, port):
        with socket.socket(FAMILIES[self.family], socket.SOCK_DGRAM) as made:
            made.bind((self.here.clients[0], port))
            made.sendto(b"x", (self.here.server, 9))
        self.sent += 1

    def _talk(self):
        """One number to the server, and back."""
        if self.broken:
            return
        try:
            number = struct.pack(">Q", self.talked)
            self.near.sendall(number)
            self.far.sendall(self.far.recv(8, socket.MSG_WAITALL))
            assert self.near.recv(8, socket.MSG_WAITALL) == number
            self.talked += 1
        except (OSError, AssertionError) as error:
            self.broken = error

    def _look(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.seen[self.server.recvfrom(9)[1][0]] += 1

    def wait(self, flows):
        """Until so many more flows have begun."""
        goal = self.sent + flows
        while self.sent < goal:
            assert self.is_alive(), "the traffic has ended"
            time.sleep(0.0005)

    @contextlib.contextmanager
    def flowing(self):
        self.start()
        try:
            yield
        finally:
            alive = self.is_alive()
            self.ended.set()
            self.join(20)
        assert alive, "the traffic has ended"
        deadline = time.monotonic() + 5
        while self.seen.total() < self.sent and time.monotonic() < deadline:
            self._look()


# include/uapi/linux/netfilter/nfnetlink_queue.h
QUEUE = 3                                            # NFNL_SUBSYS_QUEUE
PACKET, VERDICT, CONFIG = 0, 1, 2                    # messages
CFG_CMD, CFG_PARAMS = 1, 2                           # attributes of CONFIG
PACKET_HDR, VERDICT_HDR, PAYLOAD = 1, 2, 10          # attributes of PACKET and VERDICT
BIND, COPY_PACKET = 1, 2
DROP, ACCEPT = 0, 1
# The tool and the family's name in nft. The queue is iptables' own, for not every kernel has that of nftables; the chain that comes
# after SNAT (priority 100) is of nftables, for iptables has none there.
HOLDING = {"ipv4": ("iptables-nft", "ip"), "ipv6": ("ip6tables-nft", "ip6")}
SYNS_TO_QUEUE = "*mangle\n:LABORATORY - [0:0]\n-A LABORATORY -o outer -p tcp --syn -j NFQUEUE --queue-num 0\nCOMMIT\n"
AFTER_SNAT = "table %s mangle { chain laboratory { type filter hook postrouting priority 150; jump LABORATORY; }; }"


def first_bytes(packet):
    """Ports and sequence number of a packet of IP (without options) and TCP: the same only when a SYN is sent again."""
    start = 20 if packet[0] >> 4 == 4 else 40
    return packet[start:start + 8]


class Held:
    """The SYNs that the router sends to the server: between SNAT, which chose their ports, and the confirmation of that."""

    def __init__(self, lab, family):
        with lab.inside(ROUTER):
            self.socket = lab.stack.enter_context(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12))
        self.socket.settimeout(10)
        self._configure(_netlink.attribute(CFG_CMD, struct.pack(">BBH", BIND, 0, 0)))
        self._configure(_netlink.attribute(CFG_PARAMS, struct.pack(">IB", 0xFFFF, COPY_PACKET)))
        tool, nft_family = HOLDING[family]
        lab.command(ROUTER, tool + "-restore", "--noflush", data=SYNS_TO_QUEUE)
        lab.command(ROUTER, "nft", "-f", "-", data=AFTER_SNAT % nft_family)
        self.seen = set()

    def _configure(self, attributes):
        _netlink.exchange(self.socket, _netlink.message(QUEUE, CONFIG, _netlink.ACK, attributes=attributes), dump=False)

    def _decide(self, number, verdict):
        attributes = _netlink.attribute(VERDICT_HDR, struct.pack(">II", verdict, number))
        self.socket.send(_netlink.message(QUEUE, VERDICT, attributes=attributes))

    def _packets(self):
        """The number and the first bytes of each packet, as they come."""
        while True:
            for dummy, _flags, _sequence, payload in _netlink.messages(self.socket.recv(_netlink.BUFFER)):
                fields = dict(_netlink.attributes(_netlink.body(payload)[2]))
                yield struct.unpack_from(">I", fields[PACKET_HDR])[0], first_bytes(fields[PAYLOAD])

    def release(self, flows):
        """Hold the first packets of so many flows until all are here. A SYN that is sent again is dropped: what was lost stays lost."""
        held = []
        for number, syn in self._packets():
            if syn in self.seen:
                self._decide(number, DROP)
                continue
            self.seen.add(syn)
            held.append(number)
            if len(held) == flows:
                break
        for number in held:
            self._decide(number, ACCEPT)

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each router's client and server: sockets of this process in two network namespaces, wired to the guest's eth1 and eth2."""

import contextlib
import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

VM = Path(__file__).parents[3] / "tests" / "vm"
CLIENT, ROUTER, SPARE, SERVER = "192.0.2.2", "198.51.100.1", "198.51.100.9", "198.51.100.2"
# A node's address, its gateway, and the router's interface to it.
NODES = {"client": (CLIENT, "192.0.2.1", "eth1"), "server": (SERVER, ROUTER, "eth2")}
HARDWARE = "02:00:00:00:00:02"  # the same in each run, for the guest remembers it

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
# include/uapi/linux/if_tun.h
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x2, 0x1000
FRAME = 65536


def succeeded(status):
    assert status == 0, os.strerror(ctypes.get_errno())


class Node:
    """A network namespace whose interface is a thread that carries frames between it and the guest's socket."""

    def __init__(self, stack, wires, guest, address, gateway, interface):
        self.stack = stack
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        stack.callback(os.close, home)
        try:
            succeeded(LIBC.unshare(CLONE_NEWNET))
            self.namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            stack.callback(os.close, self.namespace)
            self.tap = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(self.tap, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NO_PI))
            lines = (f"link set eth0 address {HARDWARE}", f"address add {address}/24 dev eth0", "link set eth0 up", f"route add default via {gateway}")
            subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
        finally:
            succeeded(LIBC.setns(home, CLONE_NEWNET))
        self.home, self.ended = home, os.eventfd(0)
        self.here, self.there = wires / f"{guest}.peer.{interface}", wires / f"{guest}.{interface}"
        self.here.unlink(missing_ok=True)
        self.wire = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.wire.bind(str(self.here))
        thread = threading.Thread(target=self._carry, daemon=True)
        stack.callback(self._end, thread)
        thread.start()

    def _carry(self):
        while True:
            ready = select.select([self.tap, self.wire, self.ended], [], [])[0]
            if self.ended in ready:
                return
            with contextlib.suppress(OSError):  # a frame for a guest that is not there is lost
                if self.tap in ready:
                    self.wire.sendto(os.read(self.tap, FRAME), str(self.there))
                if self.wire in ready:
                    os.write(self.tap, self.wire.recv(FRAME))

    def _end(self, thread):
        os.eventfd_write(self.ended, 1)
        thread.join()
        self.wire.close()
        self.here.unlink()
        os.close(self.tap)
        os.close(self.ended)

    def socket(self, source):
        """A TCP socket of this node, bound to (address, port)."""
        succeeded(LIBC.setns(self.namespace, CLONE_NEWNET))
        try:
            made = self.stack.enter_context(socket.socket())
        finally:
            succeeded(LIBC.setns(self.home, CLONE_NEWNET))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.settimeout(30)
        made.bind(source)
        return made


class Lan:
    """A router's client and server."""

    def __init__(self, stack, guest):
        sys.path.insert(0, str(VM))
        from vm_common import cache_dir
        wires = cache_dir("wires")
        self.client, self.server = (Node(stack, wires, guest, *NODES[name]) for name in ("client", "server"))
        self.listeners = {}
        self.ports = iter(range(10000, 20000))

    def listener(self, port):
        if port not in self.listeners:
            self.listeners[port] = self.server.socket((SERVER, port))
            self.listeners[port].listen(100)
        return self.listeners[port]

    def accept(self, port):
        """A connection as the server has it, and the (address, port) from which it sees it come."""
        accepted, source = self.listener(port).accept()
        accepted.settimeout(30)
        return accepted, source

    def source(self, port, source_port=None):
        """From where the server sees a connection come that the client opens."""
        self.listener(port)
        made = self.client.socket((CLIENT, source_port or next(self.ports)))
        made.connect((SERVER, port))
        return self.accept(port)[1]


@pytest.fixture(scope="session")
def guests():
    inventory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "inventory", "guests.yml").read_text()
    return [name for suite in yaml.safe_load(inventory)["all"]["children"].values() for name in suite["hosts"]]


@pytest.fixture(scope="session")
def lans(guests):
    with contextlib.ExitStack() as stack:
        yield {guest: Lan(stack, guest) for guest in guests}


@pytest.fixture
def lan(host, lans):
    return lans[host.backend.hostname]

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rates of the counters, and what they are said to mean, while a router in a namespace has that trouble and no other.

Needs root, conntrack-tools, nft, iproute2, and a kernel with the helper ftp.
"""

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys

import pytest
from lab import ADDRESSES, CLIENT, ROUTER, SERVER, connected

from ansible_collections.netfleet.conntrack.plugins.module_utils import _facts
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host

FACTS = "ansible_collections.netfleet.conntrack.plugins.modules.conntrack_facts"
MAX = "/proc/sys/net/netfilter/nf_conntrack_max"
TRACKING = "table inet tracking { chain never { ct state new; }; }"
SNAT = "table ip nat { chain post { type nat hook postrouting priority 100; oifname outer ip protocol tcp %s; }; }"
HERE = ADDRESSES["ipv4"]


@pytest.fixture
def limited():
    """A context in which the limit is low: only for a moment, as it is one number for all namespaces, and set in the first one."""
    handle = os.open(MAX, os.O_RDWR)

    @contextlib.contextmanager
    def limit(most):
        before = os.pread(handle, 99, 0)
        os.pwrite(handle, b"%d" % most, 0)
        try:
            yield
        finally:
            os.pwrite(handle, before, 0)

    try:
        yield limit
    finally:
        os.close(handle)


def run(argv, data):
    done = subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


class Watched(Host):
    """This machine; while it pauses, something happens."""

    def __init__(self, happens):
        super().__init__(run=run)
        self.happens = happens

    def pause(self, seconds):
        super().pause(seconds)
        self.happens()


def while_watched(lab, happens):
    """The counters as the facts have them, of the router, and by how much each rose while that happened."""
    before = lab.statistics()
    with lab.inside(ROUTER):
        found = _facts.facts(Watched(happens), {"interval": 0.1})["ansible_facts"]["netfleet_conntrack"]
    after = lab.statistics()
    assert (found["available"], found["error"]) == (True, "")
    counters, rates = found["counters"], found["counters"]["rates"]
    risen = {name: after[name] - before[name] for name in before}
    # Those that nothing else on the way raises.
    for name in ("drop", "insert_failed", "early_drop", "invalid"):
        assert counters["total"][name] == after[name] and sum(cpu[name] for cpu in counters["cpus"]) == after[name]
        assert rates["total"][name] * rates["seconds"] == pytest.approx(risen[name], rel=0.01, abs=0.01)
        assert sum(cpu[name] for cpu in rates["cpus"]) == pytest.approx(rates["total"][name], abs=0.01)
    assert rates["seconds"] >= 0.1
    return counters, risen


def ids(counters):
    return [found["id"] for found in counters["patterns"]]


def evidence(counters, name):
    (found,) = [found["evidence"] for found in counters["patterns"] if found["id"] == name]
    return found


def connections(lab, number, first=20000):
    """So many connections of the client; which of them were made."""
    return connected([lab.connect(CLIENT, "ipv4", (HERE.clients[0], port)) for port in range(first, first + number)], 0.5)


def test_healthy_traffic_means_nothing(lab):
    lab.command(ROUTER, "nft", "-f", "-", data=SNAT % "masquerade")
    lab.listener("ipv4")
    made = []
    counters, dummy = while_watched(lab, lambda: made.extend(connections(lab, 50)))
    assert (len(made), counters["patterns"]) == (50, [])
    assert counters["rates"]["count"] * counters["rates"]["seconds"] == pytest.approx(50, rel=0.01)
    for name in ("drop", "insert_failed", "early_drop", "invalid", "chain_toolong"):
        assert counters["rates"]["total"][name] == 0


# The ports of a rule, and what is said of the connections for which there is none. Of a single port the kernel does not ask whether it
# is free, and a search of few ports is not counted by newer kernels.
ROOM = {
    "one_port": (1, "", {"snat_collisions"}),
    "ten_ports": (10, "", {"snat_collisions", "snat_ports_exhausted"}),
    "hundred_ports": (100, "", {"snat_ports_exhausted"}),
    "hundred_ports_at_random": (100, "fully-random", {"snat_ports_exhausted"}),
}


@pytest.mark.parametrize("room, flag, names", ROOM.values(), ids=ROOM)
def test_snat_without_room(lab, room, flag, names):
    lab.command(ROUTER, "nft", "-f", "-", data=SNAT % ("snat to %s:40000-%d %s" % (HERE.outer, 39999 + room, flag)))
    lab.listener("ipv4")
    made = []
    counters, risen = while_watched(lab, lambda: made.extend(connections(lab, room + 20)))
    (name,) = ids(counters)
    assert len(made) == room and name in names
    shown = evidence(counters, name)
    assert shown["insert_failed"] == shown["drop"] == risen["drop"] >= 20
    assert (shown["found"] > 8 * shown["drop"]) is (name == "snat_ports_exhausted")


def datagrams(lab, address, number, first=1000):
    """Send to so many ports; how many the table had no room for."""
    refused = 0
    sender = lab.socket(ROUTER, "ipv4", socket.SOCK_DGRAM)
    for port in range(first, first + number):
        try:
            sender.sendto(b"x", (address, port))
        except PermissionError as error:
            assert error.errno == errno.EPERM
            refused += 1
    return refused


def test_full_table(lab, limited):
    """Full of connections that may not be deleted to make room, so each packet of another one is dropped."""
    lab.command(ROUTER, "nft", "-f", "-", data=TRACKING)
    for port in range(10):
        flow = ("-p", "udp", "-s", "192.0.2.77", "-d", "192.0.2.78", "--sport", "%d" % (20000 + port), "--dport", "9")
        lab.command(ROUTER, "conntrack", "-I", *flow, "-t", "120", "-u", "ASSURED,SEEN_REPLY")
    refused = []

    def happens():
        with limited(10):
            refused.append(datagrams(lab, HERE.server, 100))

    counters, risen = while_watched(lab, happens)
    assert (refused, ids(counters)) == ([100], ["table_full"])
    shown = evidence(counters, "table_full")
    assert (shown["drop"], shown["insert_failed"], shown["early_drop"], shown["count"]) == (100, 0, 0, 10)
    assert risen["drop"] == 100 and counters["rates"]["count"] == 0


def test_table_that_makes_room(lab, limited):
    """Full of connections that nobody answers; which of them are deleted is chance, as the kernel looks at a few chains."""
    lab.command(ROUTER, "nft", "-f", "-", data=TRACKING)
    filled = 8000
    assert datagrams(lab, HERE.server, filled) == 0
    refused = []

    def happens():
        with limited(filled):
            refused.append(datagrams(lab, HERE.server, 200, first=1000 + filled))

    counters, risen = while_watched(lab, happens)
    assert risen["early_drop"] >= 1 and evidence(counters, "table_filling")["early_drop"] == risen["early_drop"]
    assert ids(counters) == (["table_full"] if refused[0] else []) + ["table_filling"]
    assert risen["drop"] == refused[0]


def test_invalid_packets(lab):
    """Segments that are no beginning of a connection and belong to none, with a checksum that is wrong."""
    lab.command(ROUTER, "nft", "-f", "-", data=TRACKING)
    with lab.inside(CLIENT):
        sender = lab.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))

    def happens():
        for dummy in range(50):
            sender.sendto(b"\x4e\x20\x00\x50" + bytes(8) + b"\x50" + bytes(7), (HERE.server, 0))

    counters, risen = while_watched(lab, happens)
    assert (ids(counters), risen["invalid"], evidence(counters, "invalid_packets")["invalid"]) == (["invalid_packets"], 50, 50)


def module(lab, options, node=ROUTER):
    """The facts by the module itself."""
    output = lab.command(node, sys.executable, "-m", FACTS, data=json.dumps({"ANSIBLE_MODULE_ARGS": options}))
    return json.loads(output)["ansible_facts"]["netfleet_conntrack"]


def test_module_waits_and_tells(lab):
    lab.command(ROUTER, "nft", "-f", "-", data=TRACKING)
    found = module(lab, {"interval": 0.2})
    assert found["error"] == "" and found["counters"]["rates"]["seconds"] >= 0.2 and found["counters"]["patterns"] == []
    assert set(found["counters"]["rates"]["total"]) == set(found["counters"]["total"])
    found = module(lab, {"interval": 300.5})
    assert found["available"] and found["error"].startswith("interval: 300.5 is not between") and "rates" not in found["counters"]


HELPER = """
table inet helpers {
    ct helper ftp { type "ftp" protocol tcp; };
    chain forward { type filter hook forward priority 0; tcp dport 21 ct helper set "ftp"; };
}
"""


def announce(lab, family, text):
    """A connection of FTP through the router, in which the client says where it waits for data."""
    listener = lab.listener(family, 21)
    client = lab.connect(CLIENT, family, (ADDRESSES[family].clients[0], 0), 21)
    assert connected([client], 5)
    server = lab.stack.enter_context(listener.accept()[0])
    client.settimeout(5)
    server.settimeout(5)
    for line in (b"USER x\r\n", text):
        client.sendall(line)
        assert server.recv(99) == line


def test_expected_connections(lab):
    lab.command(ROUTER, "nft", "-f", "-", data=HELPER)
    assert module(lab, {})["expect_count"] == 0
    announce(lab, "ipv4", b"PORT %s,156,64\r\n" % HERE.clients[0].replace(".", ",").encode())
    assert module(lab, {})["expect_count"] == 1
    announce(lab, "ipv6", b"EPRT |2|%s|40001|\r\n" % ADDRESSES["ipv6"].clients[0].encode())
    listed = [lab.command(ROUTER, "conntrack", "-L", "expect", "-f", family) for family in ("ipv4", "ipv6")]
    assert module(lab, {})["expect_count"] == sum(len(text.splitlines()) for text in listed) == 2
    assert module(lab, {}, SERVER)["expect_count"] == 0

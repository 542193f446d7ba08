# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Incidents made with real packets in network namespaces: each is the first finding, and gone after the cure that the finding prints.

Needs root, nft, iptables of both kinds, iproute2, conntrack-tools, and a kernel with nfnetlink_queue. Every load is bounded; the limit of the table,
which is one for all namespaces, is low only while a diagnosis runs.
"""

import contextlib
import signal
import socket
import subprocess
import sys
import time

import pytest
from lab import ADDRESSES, CLIENT, ROUTER, SERVER, Held, command
from test_adopt import adopted, load, numbered_laboratory, open_all
from test_flow_act import KINDS, create
from test_rates import MAX, SNAT, TRACKING, Watched, connections, datagrams

from ansible_collections.netfleet.conntrack.plugins.module_utils import _diagnosis
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import STATUS
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host

HERE = ADDRESSES["ipv4"]
ASSURED = STATUS["confirmed"] | STATUS["seen_reply"] | STATUS["assured"]
DAYS = 300000  # seconds: an hour and more below the timeout of established flows
HOLDER = """
import socket, struct, sys, time
from ansible_collections.netfleet.conntrack.plugins.module_utils import _netlink
channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
for attribute in ((1, struct.pack(">BBH", 1, 0, 0)), (2, struct.pack(">IB", 0xFFFF, 2))):
    channel.send(b"".join(struct.pack("=IHHII", 20 + 4 + len(attribute[1]) + (-len(attribute[1]) % 4), 0x302, 5, 1, 0)
                 + struct.pack(">BBH", 0, 0, 7) + struct.pack("=HH", 4 + len(attribute[1]), attribute[0])
                 + attribute[1] + bytes(-len(attribute[1]) % 4) for dummy in (0,)))
    channel.recv(999)
print("ready", flush=True)
time.sleep(60)
"""


def nothing():
    """What happens while a host is diagnosed on which nothing goes on."""


class Once(Watched):
    """This machine; in the first pause of a diagnosis something happens."""

    def pause(self, seconds):
        happens, self.happens = self.happens, nothing
        time.sleep(seconds)
        happens()


def diagnosed(lab, happens=nothing, node=ROUTER):
    """The findings, and the seconds that it took beside the interval."""
    with lab.inside(node):
        found = _diagnosis.diagnosis_info(Once(happens), {"interval": 0.3})
    assert found["warnings"] == [] and found["changed"] is False
    return found["findings"]


@contextlib.contextmanager
def limited(most):
    """The limit is low: it is one number for all namespaces, and set in the first one."""
    with open(MAX) as limit:
        before = limit.read()
    with open(MAX, "w") as limit:
        limit.write("%d" % most)
    try:
        yield
    finally:
        with open(MAX, "w") as limit:
            limit.write(before)


def ids(findings):
    return [found["id"] for found in findings]


def carry_out(finding, lab=None):
    """The commands of a finding, as printed: on the router, or in the first namespace, where sizes are set."""
    assert finding["evidence"]["commands"]
    for line in finding["evidence"]["commands"]:
        assert line in finding["cure"]
        if lab:
            lab.command(ROUTER, "sh", "-ec", line)
        else:
            assert "initial network namespace" in finding["cure"] and finding["policy"].get("table") is None
            command("sh", "-ec", line)


def insert(lab, kinds, seconds):
    """Put entries into the router's table."""
    with lab.inside(ROUTER):
        assert set(Host().netlink_batch([create(kind, seconds) for kind in kinds])) == {0}


def many(number, source, kind="tcp"):
    flow = KINDS[kind].orig._replace(source=source)
    return [
        KINDS[kind]._replace(orig=flow._replace(source_port=1024 + each % 60000, destination_port=80 + each // 60000), status=ASSURED)
        for each in range(number)
    ]


def act(lab, options, wanted):
    """What the module flow does with a finding's filter."""
    from ansible_collections.netfleet.conntrack.plugins.module_utils._flow import flow

    with lab.inside(ROUTER):
        return flow(Host(), dict(options, filter=wanted, limit=None, own_connection="include"), False, nothing_said)


def nothing_said(*dummy):
    """What the module flow tells of long work."""


def room():
    """So many entries that the hash table of this machine fits them."""
    return Host().number(BY_NAME["buckets"].path) // 8


def test_idle_connections_of_one_host_fill_the_table(lab):
    lab.command(ROUTER, "nft", "-f", "-", data=TRACKING)
    most = room()
    idle = most - most // 20
    insert(lab, many(idle, "192.0.2.50"), DAYS)
    insert(lab, many(most - idle, "192.0.2.51"), 432000)
    refused = []
    with limited(most):
        found = diagnosed(lab, lambda: refused.append(datagrams(lab, HERE.server, 20)))
    assert refused == [20] and ids(found) == ["table_full", "idle_flows_hold_table"]
    assert [each["severity"] for each in found] == ["critical"] * 2
    for each in found:
        assert each["evidence"]["source"] == "192.0.2.50" and 0.9 < each["evidence"]["share"] < 1 and each["evidence"]["destinations"][0][0] == "198.51.100.2"
    assert (found[0]["evidence"]["dropped"], found[0]["evidence"]["assured_share"]) == (20, 1)
    assert found[0]["evidence"]["log_lines"] >= 1 and found[0]["evidence"]["log_seconds_ago"] <= 60
    left = found[1]["evidence"]["remaining"]
    assert DAYS - 60 < left["least"] <= left["median"] <= left["most"] <= DAYS
    assert found[1]["policy"]["timeouts"] == {"tcp_timeout_established": 7440}

    acted = act(lab, {"state": "capped", "remaining": 60}, found[1]["evidence"]["filter"])
    assert (acted["matched"], acted["acted"]) == (idle, idle)
    with limited(most):
        assert ids(diagnosed(lab)) == ["table_full"]
        carry_out(found[0])
        with open(MAX) as limit:
            assert int(limit.read()) >= 2 * most
        assert diagnosed(lab) == []


@contextlib.contextmanager
def silent_queue(lab):
    """A program that takes packets from a queue and never decides about them; its number."""
    with lab.inside(ROUTER):
        held = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True)
    try:
        assert held.stdout.readline() == "ready\n"
        yield held
    finally:
        held.kill()
        held.wait()
        held.stdout.close()


def test_packets_held_by_a_queue(lab):
    lab.command(ROUTER, "nft", "-f", "-", data=TRACKING)
    lab.command(ROUTER, "iptables-nft", "-t", "mangle", "-A", "OUTPUT", "-p", "udp", "--dport", "1000:1004", "-j", "NFQUEUE", "--queue-num", "7")
    with silent_queue(lab) as holder:
        assert datagrams(lab, HERE.server, 5) == 0
        (found,) = diagnosed(lab)
        evidence = found["evidence"]
        assert (found["id"], found["severity"], evidence["cause"]) == ("count_mismatch", "critical", "queue")
        assert (evidence["count"], evidence["listed"], evidence["hidden"]) == (5, 0, 5)
        assert evidence["queues"] == [{"queue": 7, "waiting": 5, "dropped": 0, "process": holder.pid, "program": evidence["queues"][0]["program"]}]
        assert "python" in evidence["queues"][0]["program"] and evidence["commands"] == ["kill %d" % holder.pid]
        carry_out(found, lab)
        assert holder.wait(5) == -signal.SIGTERM
        assert diagnosed(lab) == []


def test_a_queue_that_is_worked_on_is_no_finding(lab):
    lab.command(ROUTER, "nft", "-f", "-", data=SNAT % "masquerade fully-random")
    lab.listener("ipv4")
    held, made = Held(lab, "ipv4"), []

    def happens():
        made.append(lab.connect(CLIENT, "ipv4", (HERE.clients[0], 20000 + len(made))))
        held.release(1)
        made.append(lab.connect(CLIENT, "ipv4", (HERE.clients[0], 20000 + len(made))))

    made.append(lab.connect(CLIENT, "ipv4", (HERE.clients[0], 20000)))
    time.sleep(0.1)
    assert diagnosed(lab, happens) == []


RULES = {
    "nft": ("nft", "-f", "-"), "iptables-nft": ("iptables-nft-restore",), "iptables-legacy": ("iptables-legacy-restore",),
}
TEN_PORTS = {
    "nft": SNAT % ("snat to %s:40000-40009" % HERE.outer),
    "iptables-nft": "*nat\n-A POSTROUTING -o outer -p tcp -j SNAT --to-source %s:40000-40009\nCOMMIT\n" % HERE.outer,
    "iptables-legacy": "*nat\n-A POSTROUTING -o outer -p tcp -m comment --comment \"a b\" -j MASQUERADE --to-ports 40000-40009\nCOMMIT\n",
}


@pytest.mark.parametrize("backend", sorted(RULES))
def test_a_range_of_ports_that_is_used_up(lab, backend):
    lab.command(ROUTER, *RULES[backend], data=TEN_PORTS[backend])
    lab.listener("ipv4")
    made = []
    found = diagnosed(lab, lambda: made.extend(connections(lab, 30)))
    assert (len(made), ids(found)) == (10, ["snat_ports_exhausted"])
    evidence = found[0]["evidence"]
    assert (found[0]["severity"], evidence["used"], evidence["available"], evidence["share"]) == ("critical", 10, 10, 1)
    assert (evidence["nat_address"], evidence["destination"], evidence["destination_port"]) == (HERE.outer, HERE.server, 80)
    assert evidence["insert_failed"] == evidence["drop"] >= 20
    assert [(row["ports"], row["match"].count("outer")) for row in evidence["rules"]] == [("40000-40009", 1)]
    carry_out(found[0], lab)
    assert diagnosed(lab, lambda: made.extend(connections(lab, 30, first=30000))) == []
    assert len(made) == 40


def test_the_race_of_source_nat(lab):
    """Pairs of connections with equal source ports, both past SNAT before either is confirmed."""
    lab.command(ROUTER, "nft", "-f", "-", data=SNAT % "masquerade")
    lab.listener("ipv4")

    def happens():
        held = Held(lab, "ipv4")
        for port in range(20000, 20400):
            for client in HERE.clients:
                lab.connect(CLIENT, "ipv4", (client, port))
            held.release(2)

    (found,) = diagnosed(lab, happens)
    assert (found["id"], found["severity"], found["policy"]) == ("snat_collisions", "critical", {"snat": {"foreign": "randomize"}})
    assert found["evidence"]["rules"][0]["table"] == "nat" and found["evidence"]["insert_failed"] == found["evidence"]["drop"] >= 2


def test_a_flushed_ruleset(lab):
    lab.command(ROUTER, "nft", "-f", "-", data=SNAT % "masquerade")
    assert ids(diagnosed(lab)) == []
    lab.listener("ipv4")
    assert len(connections(lab, 5)) == 5
    lab.command(ROUTER, "nft", "flush", "ruleset")
    (found,) = diagnosed(lab)
    assert (found["id"], found["severity"], found["evidence"]["entries"]) == ("not_tracking", "critical", 5)
    carry_out(found, lab)
    assert diagnosed(lab) == []


def test_so_many_chains_that_nothing_is_evicted(lab):
    lab.command(ROUTER, "nft", "-f", "-", data=TRACKING)
    assert datagrams(lab, HERE.server, 100) == 0
    refused = []
    with limited(100):
        found = diagnosed(lab, lambda: refused.append(datagrams(lab, HERE.server, 50, first=2000)))
        assert refused[0] >= 40 and ids(found) == ["hash_too_large", "table_full"]
        assert found[0]["severity"] == "critical" and found[0]["evidence"]["evictable_share"] == 1 and found[0]["evidence"]["dropped"] == refused[0]
        carry_out(found[0])
        assert diagnosed(lab, lambda: refused.append(datagrams(lab, HERE.server, 50, first=2000))) == []
    assert refused[1] == 0


def test_connections_older_than_tracking():
    with numbered_laboratory() as lab:
        opened = open_all(lab)
        load(lab, "nft", 0)
        load(lab, "nft", 1)
        found = diagnosed(lab)
        assert ids(found) == ["late_load"] and 0 < found[0]["evidence"]["sockets"] <= len(opened) and found[0]["policy"] == {"early_load": {}}
        adopted(lab)
        assert diagnosed(lab) == []


QUESTIONS = """table ip nat {
    chain pre { type nat hook prerouting priority -100; udp dport 53 udp length 9 dnat to %(server)s:53; udp dport 53 udp length 10 dnat to %(server)s:54; };
    chain post { type nat hook postrouting priority 100; oifname outer masquerade fully-random; };
}
"""


def test_pairs_of_questions_are_no_finding_on_kernels_that_let_them_pass(lab):
    """Two questions of one socket, sent to different servers by NAT, both past NAT before either is confirmed."""
    lab.command(ROUTER, "nft", "-f", "-", data=QUESTIONS % {"server": HERE.server})
    servers = [lab.socket(SERVER, "ipv4", socket.SOCK_DGRAM, (HERE.server, port)) for port in (53, 54)]
    held, heard = Held(lab, "ipv4"), []
    lab.command(ROUTER, "iptables-nft", "-t", "mangle", "-A", "LABORATORY", "-p", "udp", "--dport", "53:54", "-j", "NFQUEUE", "--queue-num", "0")

    def happens():
        for dummy in range(20):
            client = lab.socket(CLIENT, "ipv4", socket.SOCK_DGRAM, (HERE.clients[0], 0))
            for question in (b"A", b"AA"):
                client.sendto(question, (HERE.inner, 53))
            held.release(2)
        time.sleep(0.1)
        for server in servers:
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard.append(server.recv(9))

    assert diagnosed(lab, happens) == [] and len(heard) == 40


def test_timeouts_below_what_their_protocols_need(machine, lab):
    lab.command(ROUTER, "nft", "-f", "-", data=SNAT % "masquerade")
    with lab.inside(ROUTER), open(BY_NAME["tcp_timeout_established"].path, "w") as setting:
        setting.write("300")
    (found,) = diagnosed(lab)
    assert (found["id"], found["severity"], found["policy"]) == ("timeouts_too_short", "warning", {"timeouts": {"tcp_timeout_established": 7440}})
    machine.run("settings", dict(found["policy"], at_boot=False), netns=lab.names[ROUTER])
    assert diagnosed(lab) == []


def test_long_timeouts_of_a_flood_of_udp(machine, lab):
    lab.command(ROUTER, "nft", "-f", "-", data=TRACKING)
    with lab.inside(ROUTER), open(BY_NAME["udp_timeout_stream"].path, "w") as setting:
        setting.write("600")
    most = room()
    insert(lab, many(most, "192.0.2.50", "udp"), 500)
    with limited(most):
        found = diagnosed(lab)
    assert ids(found) == ["table_full", "timeouts_too_long"]
    assert found[1]["evidence"]["timeout"] == "udp_timeout_stream" and found[1]["evidence"]["held_share"] == 1
    machine.run("settings", {"timeouts": {"udp_timeout_stream": 120}, "at_boot": False}, netns=lab.names[ROUTER])
    assert diagnosed(lab) == []


def test_a_healthy_router_under_load(lab):
    lab.command(ROUTER, "nft", "-f", "-", data=SNAT % "masquerade fully-random")
    lab.listener("ipv4")
    made = []

    def happens():
        made.extend(connections(lab, 300))
        assert datagrams(lab, HERE.server, 500) == 0

    assert diagnosed(lab, happens) == [] and len(made) == 300
    assert diagnosed(lab, node=SERVER) == diagnosed(lab, node=CLIENT) == []


def test_the_module(machine, lab):
    lab.command(ROUTER, "nft", "-f", "-", data=TRACKING)
    found = machine.run("diagnosis_info", {"interval": 0.1}, netns=lab.names[ROUTER])
    assert (found["changed"], found["findings"], found["facts"]["namespace"]) == (False, [], "other") and found["interval"] >= 0.1
    assert "interval: -1.0 is not between" in machine.answer(machine.start("diagnosis_info", {"interval": -1}))["msg"]
    found = machine.run("diagnosis_info", {"interval": 0.1}, netns=lab.names[ROUTER], user="nobody")
    assert found["findings"] == [] and "not root" in str(found["warnings"])

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What source NAT does to real packets: a client, a router with our rules and a server, each in a network namespace.

Needs root, nft, iptables of both kinds, iproute2, and a kernel with conntrack and nfnetlink_queue.
"""

import socket

import pytest
from lab import ADDRESSES, CLIENT, FAMILIES, ROUTER, SERVER, Held, Traffic, connected, counted, laboratory

from ansible_collections.netfleet.conntrack.plugins.module_utils import _snat_backends, _snat_wanted

BACKENDS = ("nftables", "iptables-nft", "iptables-legacy")
TOOLS = _snat_backends.PROGRAM
TRACKING = "table inet tracking { chain never { ct state new; }; }"
SEEN = ("insert_failed", "drop")  # a clash at the confirmation counts in both


def loading(backend, rules):
    """The commands and inputs by which the module puts these rules of a family in the place of ours; the jump is there already."""
    wanted, refusals = _snat_wanted.rules({"rules": rules})
    assert not refusals, refusals
    family, held = wanted[0].family, _snat_backends.Held(there=True, jumps=1)
    name = _snat_backends.suited(backend, family) if backend != "nftables" else ""
    return _snat_backends.command(backend, family, {name: name}), _snat_backends.replacing(backend, family, held, wanted)


def nat(lab, rules, backend="nftables"):
    """Have these rules on a router that has none of ours, by the module's own inputs, and without the care that it takes."""
    argv, text = loading(backend, rules)
    lab.command(ROUTER, *argv, data=text)
    if backend != "nftables":
        lab.command(ROUTER, *argv, data=_snat_backends.jumping(_snat_backends.Held()))


def run(machine, lab, rules, backend="nftables"):
    """The module itself, on a host whose `iptables` is of that flavour."""
    flavour = backend[len("iptables"):] or "-nft"
    for program in TOOLS.values():
        for suffix in ("", "-save", "-restore"):
            link = machine.place("/etc/alternatives/" + program + suffix)
            link.unlink()
            link.symlink_to("/usr/sbin/" + program + flavour + suffix)
    options = {"rules": rules, "backend": backend.partition("-")[0], "at_boot": False}
    return machine.run("snat", options, netns=lab.names[ROUTER])


def masquerade(family="ipv4", **more):
    return dict({"name": "all", "family": family, "out_interface": "outer", "to": "masquerade"}, **more)


def lost_pairs(lab, family, pairs=900):
    """How many pairs of flows lose one: equal source ports, one destination, both past SNAT before either is confirmed."""
    held, flows = Held(lab, family), []
    for port in range(20000, 20000 + pairs):
        flows.append([lab.connect(CLIENT, family, (client, port)) for client in ADDRESSES[family].clients])
        held.release(2)
    arrived = set(connected([flow for pair in flows for flow in pair], 0.5))
    return sum(not arrived.issuperset(pair) for pair in flows)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_port_race(backend, family):
    lost, risen = {}, {}
    for selection in ("keep", "random_fully"):
        with laboratory() as lab:
            nat(lab, [masquerade(family, port_selection=selection)], backend)
            lab.listener(family)
            with counted(lab, *SEEN) as risen[selection]:
                lost[selection] = lost_pairs(lab, family)
    assert lost["keep"] >= 20 and lost["random_fully"] <= 1
    assert risen == {selection: dict.fromkeys(SEEN, number) for selection, number in lost.items()}


@pytest.mark.parametrize("backend", BACKENDS)
def test_exhaustion(lab, backend):
    lab.listener("ipv4")

    def flows(ports, first):
        nat(lab, [masquerade(protocol=["tcp"], ports=ports)], backend)
        with counted(lab, *SEEN) as risen:
            made = [lab.connect(CLIENT, "ipv4", (ADDRESSES["ipv4"].clients[0], port)) for port in range(first, first + 20)]
            arrived = connected(made, 1.5)
        return len(arrived), risen

    arrived, risen = flows("40000-40000", 20000)
    assert arrived == 1
    assert risen["insert_failed"] == risen["drop"] >= 2 * 19  # every SYN, and every one that was sent again
    assert flows("1024-65535", 21000) == (20, dict.fromkeys(SEEN, 0))


# How the rules come to a router that has a connection of its own, how they choose ports, and whether that connection lives on. What
# is not tracked loses its port to a newcomer (keep), or is itself taken for a new flow and gets another port (random_fully).
OWN_CONNECTION = {
    "late_keep": ("late", "keep", False),
    "late_random_fully": ("late", "random_fully", False),
    "tracked_before_keep": ("early", "keep", True),
    "tracked_before_random_fully": ("early", "random_fully", True),
    "module_keep": ("module", "keep", True),
    "module_random_fully": ("module", "random_fully", True),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("how, selection, lives", OWN_CONNECTION.values(), ids=OWN_CONNECTION)
def test_own_connection(request, lab, how, selection, lives, family):
    """A connection of the router, and a client's with the same source port to the same destination."""
    listener, rules = lab.listener(family), [masquerade(family, port_selection=selection)]
    here, there = ADDRESSES[family].outer, ADDRESSES[family].clients[0]
    if how == "early":
        lab.command(ROUTER, "nft", "-f", "-", data=TRACKING)
    own = lab.connect(ROUTER, family, (here, 40000))
    assert connected([own], 5)
    accepted = lab.stack.enter_context(listener.accept()[0])
    if how == "module":
        run(request.getfixturevalue("machine"), lab, rules)
    else:
        nat(lab, rules)
    assert connected([lab.connect(CLIENT, family, (there, 40000))], 5)
    own.settimeout(5)
    accepted.settimeout(5)
    own.send(b"still here")
    if lives:
        assert accepted.recv(99) == b"still here"
    else:
        with pytest.raises(ConnectionResetError):
            own.recv(1)


# Two lists of rules that do the same to the traffic, so that each replacement changes something.
LISTS = [[masquerade(name="unused-%d" % number, source=["203.0.113.%d/32" % number]) for number in range(count)] + [masquerade()] for count in (1, 20)]
DELETING = {
    "nftables": ("nft", "delete", "table", "ip", "netfleet_conntrack"),
    "iptables-nft": ("iptables-nft", "-w", "-t", "nat", "-F", "NETFLEET_SNAT"),
    "iptables-legacy": ("iptables-legacy", "-w", "-t", "nat", "-F", "NETFLEET_SNAT"),
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_replacing_leaves_no_moment_without_nat(machine, lab, backend):
    nat(lab, LISTS[0], backend)
    traffic = Traffic(lab, "ipv4")
    with traffic.flowing():
        for number in range(1, 101):
            argv, text = loading(backend, LISTS[number % 2])
            lab.command(ROUTER, *argv, data=text)
            traffic.wait(1)
        assert [run(machine, lab, rules, backend)["changed"] for rules in reversed(LISTS)] == [True, True]
    assert traffic.seen == {ADDRESSES["ipv4"].outer: traffic.sent}
    assert traffic.broken is None and traffic.talked >= 100


@pytest.mark.parametrize("backend", BACKENDS)
def test_deleting_before_adding_would_be_seen(lab, backend):
    nat(lab, LISTS[0], backend)
    traffic = Traffic(lab, "ipv4")
    with traffic.flowing():
        lab.command(ROUTER, *DELETING[backend])
        traffic.wait(2)  # one may have been under way
        argv, text = loading(backend, LISTS[1])
        lab.command(ROUTER, *argv, data=text)
    assert traffic.seen[ADDRESSES["ipv4"].clients[0]] >= 1


def foreign_chain(family, priority):
    chain = "chain post { type nat hook postrouting priority %d; oifname outer masquerade; }" % priority
    return ("nft", "-f", "-"), "table %s foreign { %s; }" % (family, chain)


def foreign_rule(backend, *where):
    return (backend, "-w", "-t", "nat", *where, "-o", "outer", "-j", "MASQUERADE"), None


# Who masquerades beside us, and whether we decide: always, never, or only where theirs was loaded before ours. The chain of the
# lower priority decides (ours: 99 of nftables, 100 of iptables), and of two with the same priority the one that came last.
ALWAYS, LAST, NEVER = {True, False}, {True}, set()
FOREIGN = {
    "nft_90": (foreign_chain("ip", 90), (NEVER, NEVER, NEVER)),
    "nft_99": (foreign_chain("ip", 99), (LAST, NEVER, NEVER)),
    "nft_100": (foreign_chain("ip", 100), (ALWAYS, LAST, LAST)),
    "nft_inet_100": (foreign_chain("inet", 100), (ALWAYS, LAST, LAST)),
    "nft_101": (foreign_chain("ip", 101), (ALWAYS, ALWAYS, ALWAYS)),
    "iptables_nft_appended": (foreign_rule("iptables-nft", "-A", "POSTROUTING"), (ALWAYS, ALWAYS, LAST)),
    "iptables_nft_inserted": (foreign_rule("iptables-nft", "-I", "POSTROUTING"), (ALWAYS, LAST, LAST)),
    "iptables_legacy_appended": (foreign_rule("iptables-legacy", "-A", "POSTROUTING"), (ALWAYS, LAST, ALWAYS)),
    "iptables_legacy_inserted": (foreign_rule("iptables-legacy", "-I", "POSTROUTING"), (ALWAYS, LAST, LAST)),
}
HERE = ADDRESSES["ipv4"]
UDP = {"out_interface": "outer", "protocol": ["udp"]}
ORDERED = [
    dict(UDP, name="free", to="exempt", destination_ports=["1001"]),
    dict(UDP, name="spare", to=HERE.spare, destination_ports=["1000-1001"]),
    dict(UDP, name="rest", to="exempt", destination_ports=["1000-1002"]),
]
# Which source address the server sees at each port; at the last there is no rule of ours.
OURS = {1000: HERE.spare, 1001: HERE.clients[0], 1002: HERE.clients[0], 1003: HERE.outer}


def sources_seen(lab, ports):
    seen = {}
    for port in ports:
        server = lab.socket(SERVER, "ipv4", socket.SOCK_DGRAM, (HERE.server, port))
        server.settimeout(5)
        lab.socket(CLIENT, "ipv4", socket.SOCK_DGRAM, (HERE.clients[0], 0)).sendto(b"x", (HERE.server, port))
        seen[port] = server.recvfrom(9)[1][0]
    return seen


@pytest.mark.parametrize("are_last", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("foreign, we_decide", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("backend", BACKENDS)
def test_beside_foreign_masquerade(lab, backend, foreign, we_decide, are_last):
    """Our rules, exemptions and order decide, or nothing of ours does."""
    argv, text = foreign
    loads = [lambda: lab.command(ROUTER, *argv, data=text), lambda: nat(lab, ORDERED, backend)]
    for load in loads if are_last else reversed(loads):
        load()
    decide = are_last in we_decide[BACKENDS.index(backend)]
    assert sources_seen(lab, OURS) == (OURS if decide else dict.fromkeys(OURS, HERE.outer))


@pytest.mark.parametrize("name", ["nft_100", "iptables_nft_appended", "iptables_legacy_appended"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_module_beside_foreign_masquerade(machine, lab, backend, name):
    """The flavours of iptables are not mixed: the foreign one is taken."""
    (argv, text), dummy = FOREIGN[name]
    lab.command(ROUTER, *argv, data=text)
    mixed = backend != "nftables" and name != "nft_100"
    assert run(machine, lab, ORDERED, backend)["backend"] == (argv[0] if mixed else backend)
    assert sources_seen(lab, OURS) == OURS

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Named starting values for the document, a reason for every value; what the document says itself overrides them.

Data only: no files, no Ansible. A value that no row gives is the kernel's own, or whatever the host's other files say.
"""
from typing import Any, NamedTuple, Tuple


class Row(NamedTuple):
    """One value of a profile."""

    section: str  # of the document: table, timeouts, tracking, early_load
    name: str
    value: Any
    reason: str


class Left(NamedTuple):
    """What a profile says nothing about on purpose."""

    option: str
    reason: str


class Profile(NamedTuple):
    """A partial document with its reasons."""

    name: str
    title: str
    suits: str  # for whom it is
    unfit: str  # for whom it is not, and what they take instead
    rows: Tuple[Row, ...]
    left: Tuple[Left, ...]


def _table(share, reason_of_share, reason_of_max):
    return (Row("table", "max", "auto", reason_of_max), Row("table", "memory_share", share, reason_of_share))


def _seconds(name, value, reason):
    return Row("timeouts", name, value, reason)


def _early_load(reason_of_hooks):
    return (
        Row("early_load", "module", True, "The sysctl keys exist only while nf_conntrack is loaded, and at boot systemd-sysctl passes over "
            "a key that is missing without a word: a host that was right until its reboot is then at its defaults."),
        Row("early_load", "hooks", True, reason_of_hooks),
    )


_HOOKS_NAT = ("A connection of the router's own (VPN, SSH, DNS over TLS) that is older than the first NAT rule has no entry. SNAT takes its "
              "port for free, gives it to a client that talks to the same destination, and one of the two is reset.")
_NO_RULES = Left("snat.rules", "Only you know your networks and addresses. Where many clients talk to one destination say port_selection: "
                 "random_fully: of two new connections with one source port on two CPUs one is otherwise lost (insert_failed).")
_TIME_WAIT_NAT = ("64512 ports at 60 seconds carry 1075 new connections a second from one address to one destination; the kernel's 120 "
                  "carry 537. Not less, because Linux servers stay in TIME-WAIT for 60 seconds and may reset an earlier reuse of the port.")
_ICMP = "RFC 5508 REQ-1: a NAT must not forget an ICMP query before 60 seconds are over; the kernel does after 30."
_UDP = ("The kernel's own value, held against systems that raise it to 60. A DNS lookup is over within 2 seconds and so counts as "
        "unanswered: 1000 lookups a second are 30000 entries at 30 seconds.")

HOME_ROUTER = Profile(
    "home_router", "A home or small office router",
    "One NAT address, a few dozen devices and BitTorrent among them, 64 MiB of memory or more.",
    "Gateways with servers behind them, or hundreds of users: take nat_gateway.",
    _table(
        0.17,
        "16384 connections on what a router of 64 MiB has left for Linux (54 MiB and more), 65536 on 256 MiB. Full, with entries of 384 "
        "bytes, they take 6 or 25 MiB. At the 0.05 of other hosts 64 MiB would give 4096, and one DHT crawler was seen to hold over 13000.",
        "Since Linux 5.15 a machine of up to 128 MiB starts with 1024 connections, which one BitTorrent client fills in seconds.",
    ) + (
        _seconds("tcp_timeout_syn_sent", 60, "BitTorrent calls many peers that are gone, and each call holds an entry for the kernel's 120 "
                 "seconds. Linux repeats a SYN after 1, 3, 7, 15, 31 and 63 seconds; only the last finds its entry gone, and makes a new "
                 "one."),
        _seconds("tcp_timeout_established", 7440, "Peers that vanish without a FIN hold their entry for the kernel's 5 days. RFC 5382 REQ-5 "
                 "allows 2 hours 4 minutes, into which a keepalive every 2 hours fits, and no less."),
        _seconds("tcp_timeout_time_wait", 60, "As long as Linux itself stays in TIME-WAIT (TCP_TIMEWAIT_LEN); at the kernel's 120 closed "
                 "connections hold entries and ports twice as long."),
        _seconds("udp_timeout", 30, "The kernel's own value, held against systems that raise it to 60: unanswered DHT queries are most of a "
                 "home router's table."),
        _seconds("udp_timeout_stream", 120, "RFC 4787 REQ-5 forbids a NAT less than 2 minutes. Kernels before 5.0 have 180, at which each "
                 "DHT and uTP peer stays half as long again."),
    ) + _early_load(_HOOKS_NAT),
    (_NO_RULES,),
)

NAT_GATEWAY = Profile(
    "nat_gateway", "A gateway that translates a network's connections",
    "Offices, sites, clouds: hundreds to thousands of clients behind a few addresses, memory that is there for the purpose.",
    "Providers that share addresses among subscribers, where ports are the scarce thing: take cgnat.",
    _table(
        0.1,
        "524288 connections on 4 GiB, 8388608 on 64 GiB. That is twice what other hosts are given, since holding it is what the machine "
        "is for; nine tenths of the memory stay for packets, logs and whatever else runs.",
        "The kernel stops at 262144 connections on anything above 4 GiB, which 2200 new connections a second fill if each stays 2 minutes.",
    ) + (
        _seconds("icmp_timeout", 60, _ICMP),
        _seconds("udp_timeout_stream", 300, "RFC 4787 REQ-5 recommends 5 minutes or more; at the kernel's 120 a VPN or a phone with a "
                 "keepalive every 3 minutes loses its address and port between two of them."),
        _seconds("tcp_timeout_established", 7440, "RFC 5382 REQ-5 allows no less than 2 hours 4 minutes, and keepalive starts after 2 "
                 "hours. At the kernel's 5 days every laptop that was closed leaves its connections in the table until the next week."),
        _seconds("tcp_timeout_fin_wait", 240, "RFC 5382 REQ-5 asks for 4 minutes in which a connection is partly closed: the other side may "
                 "still be sending. The kernel waits 120 seconds."),
        _seconds("tcp_timeout_close_wait", 240, "RFC 5382 REQ-5, the same 4 minutes: a server that thinks for over the kernel's 60 seconds "
                 "about a request that ended with a FIN (rsync, nc, old HTTP) would answer into the void."),
        _seconds("tcp_timeout_time_wait", 60, _TIME_WAIT_NAT),
    ) + _early_load(_HOOKS_NAT),
    (_NO_RULES, Left("tracking.tcp_be_liberal", "It lets forged packets keep an entry alive. Say true where packets of one connection take "
     "two ways and come out of order.")),
)

CGNAT = Profile(
    "cgnat", "A provider's NAT, addresses shared among subscribers",
    "Machines that do nothing else, with thousands of subscribers, a log of translations, and ports that are scarce.",
    "Gateways of one organisation: nat_gateway is kinder to idle UDP and to half-closed connections.",
    _table(
        0.3,
        "The table is what this machine is for. At 384 bytes an entry 64 GiB give 33554432 connections, the ports of 520 addresses; seven "
        "tenths stay for packets and for the program that logs.",
        "The kernel stops at 262144 connections, which is 4 addresses' worth of 64512 ports, however much memory there is.",
    ) + (
        _seconds("icmp_timeout", 60, _ICMP),
        _seconds("udp_timeout", 30, _UDP),
        _seconds("udp_timeout_stream", 120, "The least that RFC 4787 REQ-5 allows; RFC 6888 REQ-1 binds a provider's NAT to it. At the 5 "
                 "minutes that it recommends every idle flow holds its port two and a half times as long."),
        _seconds("tcp_timeout_syn_sent", 60, "One infected subscriber that scans with 15000 SYNs a second holds 1800000 entries, and a port "
                 "of every destination, at the kernel's 120 seconds; at 60 it is half. Linux repeats a SYN after 1, 3, 7, 15, 31 and 63 "
                 "seconds."),
        _seconds("tcp_timeout_established", 7440, "RFC 6888 REQ-1 binds a provider's NAT to RFC 5382 REQ-5: no less than 2 hours 4 minutes. "
                 "Each second more is a port held for phones that lost their signal."),
        _seconds("tcp_timeout_time_wait", 60, _TIME_WAIT_NAT + " RFC 6888 REQ-8 would let a NAT that follows TCP's states reuse a port at once."),
        Row("tracking", "events", 1, "A log needs the end of every translation. At 2, the default since Linux 5.19, entries made while the "
            "program that logs was down never tell theirs. The price is 128 bytes an entry, which the budget counts in any case."),
    ) + _early_load(_HOOKS_NAT),
    (_NO_RULES, Left("timeouts.tcp_timeout_close_wait", "The kernel's 60 seconds stay, although RFC 5382 asks for 4 minutes: connections "
     "that phones never close after the server's FIN would hold their ports four times as long.")),
)

KUBERNETES_NODE = Profile(
    "kubernetes_node", "A node of a Kubernetes cluster with kube-proxy",
    "Nodes on which kube-proxy (iptables, ipvs or nftables mode) or something that sets the same four values is in charge.",
    "Nodes without kube-proxy (Cilium in its place, for one), where hooks would switch on tracking that nobody needs: take server, or say "
    "hooks: false.",
    (
        _seconds("udp_timeout", 30, _UDP),
        _seconds("udp_timeout_stream", 120, "The kernel's value since 5.0, held for older ones, which have 180: entries to a pod that is "
                 "gone lead clients astray for as long. kube-proxy touches it only where udpStreamTimeout is set."),
        _seconds("tcp_timeout_time_wait", 60, "What pods send outside the cluster is masqueraded behind the node's one address: " + _TIME_WAIT_NAT),
        Row("tracking", "tcp_be_liberal", True, "A packet of a service's connection that lies outside the window is invalid, is not "
            "translated back, and the client answers a stranger with a reset (kubernetes issue 74839). kube-proxy's own switch for it, "
            "tcpBeLiberal, is off by default and only ever turns it on."),
    ) + _early_load("kube-proxy makes its rules minutes after the kubelet's first connections. Those would have no entry, and masquerading "
                    "could give their ports to a pod that talks to the same API server."),
    (
        Left("table.max", "kube-proxy sets it at each start: 32768 for each CPU, 131072 at least (maxPerCore, min). With maxPerCore: 0 it "
             "leaves it alone; then say table.max: auto and table.per_cpu here."),
        Left("table.buckets", "kube-proxy raises it to a quarter of max when it sets max."),
        Left("timeouts.tcp_timeout_established", "kube-proxy sets 86400 at each start (tcpEstablishedTimeout)."),
        Left("timeouts.tcp_timeout_close_wait", "kube-proxy sets 3600 at each start (tcpCloseWaitTimeout)."),
    ),
)

LOAD_BALANCER = Profile(
    "load_balancer", "A host that spreads connections over servers",
    "Many short connections from the Internet, translated (DNAT, IPVS) or ended by a proxy on the host.",
    "Balancers that answer past themselves (direct return): they see half of each connection, which is best not tracked at all.",
    _table(
        0.1,
        "A full table takes a tenth of the memory at most: 524288 connections on 4 GiB. A proxy on the host needs the rest for buffers.",
        "The kernel stops at 262144 connections; 10000 a second that live for 10 seconds and stay in TIME-WAIT for 30 are 400000.",
    ) + (
        _seconds("udp_timeout", 30, _UDP),
        _seconds("udp_timeout_stream", 120, "The least that RFC 4787 REQ-5 allows, and four times the 30 seconds after which QUIC "
                 "connections usually idle out. Once forgotten, a client's next packet may go to another server."),
        _seconds("tcp_timeout_syn_recv", 30, "Floods of SYNs arrive here first: 10000 a second hold 600000 entries at the kernel's 60 "
                 "seconds, 300000 at 30. Servers repeat a SYN/ACK after 1, 3, 7 and 15 seconds, then once more after 31."),
        _seconds("tcp_timeout_established", 7440, "Once forgotten, an idle connection's next packet is new and may be sent to another "
                 "server, which resets it. 2 hours 4 minutes (RFC 5382 REQ-5) let a keepalive every 2 hours prevent that."),
        _seconds("tcp_timeout_fin_wait", 60, "Clients that leave without closing are the rule on the Internet; at the kernel's 120 seconds "
                 "each holds its entry twice as long. Not less, because a download goes on after the client's FIN."),
        _seconds("tcp_timeout_time_wait", 30, "10000 connections a second hold 1200000 entries at the kernel's 120 seconds, 300000 at 30. "
                 "Ports are the clients' own, so none is given out anew; packets live for seconds, not minutes."),
        Row("tracking", "tcp_be_liberal", True, "A server's packet that lies outside the window is invalid and leaves with the server's own "
            "address, at which the client resets the connection (kubernetes issue 74839 is this). What it costs: forged packets can keep an "
            "entry alive."),
    ) + _early_load("Servers that speak first on a connection older than the rules would be heard from an address that the client does not "
                    "know; and SNAT could give a port to a client that the balancer's own health check holds."),
    (Left("snat.rules", "Whether servers see the client's address or yours is your design. With SNAT each server is one destination: 64512 "
     "ports at 30 seconds carry 2150 new connections a second to it from one address."),),
)

SERVER = Profile(
    "server", "A server with a stateful firewall and no NAT",
    "Web, mail, database and name servers whose own rules ask for ct state.",
    "Anything that forwards or translates. Servers without stateful rules track nothing and need no profile.",
    _table(
        0.05,
        "A full table takes a twentieth of the memory at most, for the machine has other work: 65536 connections on 1 GiB, 2097152 on 32 GiB.",
        "The kernel's 65536 connections on up to 4 GiB are full at 546 new connections a second that each stay for 2 minutes.",
    ) + (
        _seconds("tcp_timeout_established", 86400, "A day instead of the kernel's 5: sessions and pools that sleep over night without a "
                 "keepalive live on, and clients that vanished are forgotten the next day. kube-proxy sets the same."),
        _seconds("tcp_timeout_time_wait", 60, "As long as the server's own sockets stay in TIME-WAIT (TCP_TIMEWAIT_LEN); an entry of the "
                 "kernel's 120 seconds outlives what it stands for."),
        _seconds("udp_timeout_stream", 120, "The kernel's value since 5.0, held for older ones, which have 180: name servers are asked by "
                 "thousands of resolvers that use one port for longer than 2 seconds."),
    ),
    (Left("early_load", "The server's own rules switch tracking on when they are loaded. Connections older than that are its own, and no "
     "NAT can take their ports."),),
)

PROFILES = (HOME_ROUTER, NAT_GATEWAY, CGNAT, KUBERNETES_NODE, LOAD_BALANCER, SERVER)
BY_NAME = {profile.name: profile for profile in PROFILES}

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Every setting of connection tracking, one row each; all else is derived from these rows.

Data only: no files, no Ansible. Rows stand in the order in which values are
written and shown. A kernel that has a key which no row knows fails a test.
"""
from typing import NamedTuple, Optional, Tuple

INT_MAX = 2147483647
# The largest hash array is INT_MAX bytes of 8-byte heads, in whole pages; 64 KiB pages are the
# largest in use (nf_ct_alloc_hashtable, net/netfilter/nf_conntrack_core.c).
BUCKETS_MAX = INT_MAX // 8 // 8192 * 8192
# proc_dointvec_jiffies refuses more than INT_MAX / HZ, and HZ is 1000 at the most.
SECONDS_MAX = INT_MAX // 1000

Version = Tuple[int, int]


class Setting(NamedTuple):
    """One thing that a user can set; the field texts are reused by every document."""

    name: str  # the kernel's name less "nf_conntrack_"
    summary: str
    low: str  # what breaks when the value is too low
    high: str  # what breaks when the value is too high
    group: str  # the option that holds it: table, timeouts or tracking
    type: str = "int"  # as Ansible names types
    unit: str = ""
    bounds: Tuple[int, int] = (0, INT_MAX)  # right on every kernel
    defaults: Tuple[Tuple[Version, Optional[int]], ...] = ()  # (first kernel, value); None: worked out by the kernel
    key: str = ""  # the sysctl; empty for what only a module parameter sets
    parameter: str = ""  # the parameter of the module that sets it when the module loads
    since: Optional[Version] = None  # first kernel that has the key
    until: Optional[Version] = None  # first kernel that no longer has it
    scope: str = "netns"  # "netns": each network namespace; "global": writable in the initial one only
    access: str = "rw"  # "rw", "ro" (the kernel's own figure) or "boot" (when the module loads)
    module: str = "nf_conntrack"
    config: str = ""  # the kernel configuration that it needs
    floor: int = 0  # below this a value is warned about
    reason: str = ""  # why the floor is where it is

    def default(self, version):
        """Return the value that a kernel of this version, (major, minor), starts with; None where it is worked out."""
        found = None
        for since, value in self.defaults:
            if version >= since:
                found = value
        return found

    def exists_in(self, version):
        """Tell whether a mainline kernel of this version can have the setting; distributions backport."""
        return (self.since is None or version >= self.since) and (self.until is None or version < self.until)

    def shown(self, value):
        """A number of the kernel's as users know it: a switch is true or false."""
        return bool(value) if self.type == "bool" and value is not None else value

    @property
    def path(self):
        """Where the running kernel shows the value."""
        if self.key:
            return "/proc/sys/" + self.key.replace(".", "/")
        return "/sys/module/%s/parameters/%s" % (self.module, self.parameter)


def _key(name):
    return name if name.startswith("nf_") else "nf_conntrack_" + name


def _row(name, group, default, texts, **fields):
    defaults = default if isinstance(default, tuple) else (((0, 0), default),)
    fields.setdefault("key", "net.netfilter." + _key(name))
    return Setting(name, texts[0], texts[1], texts[2], group, defaults=defaults, **fields)


def _table(name, default, texts, **fields):
    return _row(name, "table", default, texts, scope="global", **fields)


def _seconds(name, default, texts, **fields):
    return _row(name, "timeouts", default, texts, unit="seconds", bounds=(1, SECONDS_MAX), **fields)


def _switch(name, default, texts, **fields):
    return _row(name, "tracking", default, texts, type="bool", bounds=(0, 1), **fields)


def _number(name, default, texts, **fields):
    return _row(name, "tracking", default, texts, **fields)


def _sctp(name, default, texts, **fields):
    return _seconds("sctp_timeout_" + name, default, texts, config="CONFIG_NF_CT_PROTO_SCTP", **fields)


def _dccp(name, default, texts):
    return _seconds("dccp_timeout_" + name, default, texts, config="CONFIG_NF_CT_PROTO_DCCP", until=(6, 17))


def _gre(name, default, texts, **fields):
    return _seconds(name, default, texts, config="CONFIG_NF_CT_PROTO_GRE", since=(5, 4), **fields)


def _flowtable(name, texts):
    return _seconds(name, 30, texts, config="CONFIG_NF_FLOW_TABLE", since=(5, 14))


_GONE = "Entries of finished connections stay longer than anybody needs them and hold table space and NAT ports."
_EARLY = "Entries vanish under connections that are still open; with NAT these then hang or are reset."

CATALOGUE = (
    _table(
        "buckets", None,
        ("Chains of the hash table.",
         "Chains grow long: every packet costs more, and new connections are refused as C(chain_toolong).",
         "Memory is wasted, and a full table finds nothing to evict because it looks at eight chains only."),
        unit="chains", bounds=(1, BUCKETS_MAX), parameter="hashsize",
    ),
    _table(
        "max", None,
        ("Most connections that the table may hold, in each network namespace.",
         "The table fills: new connections are dropped, local programs see EPERM.",
         "A flood can take all memory, and entries cannot be swapped out."),
        unit="entries", bounds=(1, INT_MAX),
    ),
    _table(
        "expect_hashsize", None,
        ("Chains of the hash table of expectations.",
         "Looking up expected connections of FTP, SIP and the like becomes slow.",
         "Memory is wasted."),
        key="", unit="chains", bounds=(1, BUCKETS_MAX), parameter="expect_hashsize", access="boot",
    ),
    _table(
        "expect_max", None,
        ("Most expected connections (of FTP, SIP and the like) that may be waited for.",
         "Data channels of helpers are refused.",
         "Helpers can be made to hold memory."),
        unit="expectations", bounds=(1, INT_MAX),
    ),
    _table(
        "count", None,
        ("Connections in the table now, in this network namespace.", "", ""),
        unit="entries", access="ro",
    ),
    _seconds(
        "generic_timeout", 600,
        ("Silence after which a flow of a protocol without a tracker of its own is forgotten (ESP, IPIP).",
         "Tunnels with rare traffic are forgotten between two packets.",
         _GONE),
        floor=60, reason="tunnels send a keepalive about once a minute",
    ),
    _seconds(
        "icmp_timeout", 30,
        ("Silence after which an ICMP query is forgotten.",
         "Late echo replies are dropped.",
         "Ping sweeps fill the table."),
        floor=30, reason="RFC 5508 REQ-1 asks for 60 seconds, and 30 is what Linux gives",
    ),
    _seconds(
        "icmpv6_timeout", 30,
        ("Silence after which an ICMPv6 query is forgotten.",
         "Late echo replies are dropped.",
         "Ping sweeps fill the table."),
        floor=30, reason="RFC 5508 REQ-1 asks for 60 seconds, and 30 is what Linux gives",
    ),
    _seconds(
        "udp_timeout", 30,
        ("Silence after which a UDP flow is forgotten that has seen no reply or is under two seconds old.",
         "Slow DNS answers are dropped.",
         "Scans and DNS lookups fill the table."),
        floor=30, reason="resolvers wait up to 30 seconds in all for an answer",
    ),
    _seconds(
        "udp_timeout_stream", (((0, 0), 180), ((5, 0), 120)),
        ("Silence after which a UDP flow with traffic in both directions is forgotten.",
         "VPN, voice and game sessions lose their NAT mapping between two keepalives.",
         "Trackers, DNS servers and games fill the table."),
        floor=120, reason="RFC 4787 REQ-5 forbids less than 2 minutes for a NAT",
    ),
    _seconds(
        "udplite_timeout", 30,
        ("Silence after which an unanswered UDP-Lite flow is forgotten.", "Late answers are dropped.", _GONE),
        until=(5, 0), config="CONFIG_NF_CT_PROTO_UDPLITE",
    ),
    _seconds(
        "udplite_timeout_stream", 180,
        ("Silence after which an answered UDP-Lite flow is forgotten.", _EARLY, _GONE),
        until=(5, 0), config="CONFIG_NF_CT_PROTO_UDPLITE",
    ),
    _seconds(
        "tcp_timeout_syn_sent", 120,
        ("Time that a connection may wait for the answer to its SYN.",
         "Slow servers answer into the void; the client tries for 127 seconds.",
         "Port scans and SYN floods fill the table."),
        floor=30, reason="a Linux client repeats its SYN for up to 127 seconds",
    ),
    _seconds(
        "tcp_timeout_syn_recv", 60,
        ("Time that a connection may wait for the last step of the handshake.",
         "Handshakes over lossy paths fail.",
         "SYN floods fill the table."),
        floor=30, reason="a Linux server repeats its SYN/ACK for 63 seconds",
    ),
    _seconds(
        "tcp_timeout_established", 432000,
        ("Silence after which an open TCP connection is forgotten.",
         "Idle connections break: their next packet has lost its NAT mapping and is reset or dropped.",
         "Connections whose peers vanished without FIN hold their entry for days and fill the table."),
        floor=7440, reason="RFC 5382 REQ-5 forbids less than 2 hours 4 minutes; keepalive starts after 2 hours",
    ),
    _seconds(
        "tcp_timeout_fin_wait", 120,
        ("Silence after which a connection is forgotten of which one side has sent FIN.",
         "Transfers that go on in one direction break.", _GONE),
        floor=60, reason="half-closed transfers go on; RFC 7857 asks for 240 seconds",
    ),
    _seconds(
        "tcp_timeout_close_wait", 60,
        ("Silence after which a connection is forgotten whose first FIN was acknowledged.",
         "A server that still sends is cut off.", _GONE),
        floor=30, reason="the server may still be sending; RFC 7857 asks for 240 seconds",
    ),
    _seconds(
        "tcp_timeout_last_ack", 30,
        ("Time that a connection may wait for the last acknowledgement.",
         "Repeated FINs are seen as new and answered by resets.", _GONE),
        floor=15, reason="a lost last acknowledgement is asked for again within seconds",
    ),
    _seconds(
        "tcp_timeout_time_wait", 120,
        ("Time for which a closed connection still holds its ports.",
         "Late packets of an old connection meet a new one.",
         "SNAT ports come back slowly: 64512 ports at 120 seconds allow 537 connections a second to one destination."),
        floor=30, reason="packets live for up to a minute, and servers that count on TIME-WAIT reset early reuse",
    ),
    _seconds(
        "tcp_timeout_close", 10,
        ("Time for which a connection that was reset is remembered.",
         "The repeated reset of a lost one is invalid.", _GONE),
        floor=5, reason="resets are lost as other packets are",
    ),
    _seconds(
        "tcp_timeout_max_retrans", 300,
        ("Silence after which a connection is forgotten that has repeated RV(tcp_max_retrans) packets.",
         "Connections do not survive a short outage.", _GONE),
        floor=120, reason="RFC 1122 lets TCP repeat for at least 100 seconds",
    ),
    _seconds(
        "tcp_timeout_unacknowledged", 300,
        ("Silence after which a connection with unacknowledged data, or picked up in its middle, is forgotten.",
         "Connections do not survive a short outage.", _GONE),
        floor=120, reason="RFC 1122 lets TCP repeat for at least 100 seconds",
    ),
    _sctp("closed", 10, ("Time for which a closed SCTP association is remembered.", "Late packets are invalid.", _GONE)),
    _sctp("cookie_wait", 3, ("Time that an SCTP association may wait for its cookie.", "Slow handshakes fail.", _GONE)),
    _sctp("cookie_echoed", 3, ("Time that an SCTP cookie may wait for its answer.", "Slow handshakes fail.", _GONE)),
    _sctp(
        # Linux 6.2, and the stable updates from 5.10 on (a44b7651489f); it also took heartbeat_acked away.
        "established", (((0, 0), 432000), ((5, 10), 210)),
        ("Silence after which an open SCTP association is forgotten.", _EARLY, _GONE),
        floor=60, reason="SCTP sends a heartbeat every 30 seconds",
    ),
    _sctp("shutdown_sent", (((0, 0), 0), ((5, 0), 3)),
          ("Time that an SCTP shutdown may wait for its answer.", "Late answers are invalid.", _GONE)),
    _sctp("shutdown_recd", (((0, 0), 0), ((5, 0), 3)),
          ("Time that a received SCTP shutdown may wait.", "Late answers are invalid.", _GONE)),
    _sctp("shutdown_ack_sent", 3, ("Time that the end of an SCTP shutdown may take.", "Late answers are invalid.", _GONE)),
    _sctp("heartbeat_sent", 30, ("Silence after which an SCTP path is forgotten that only heartbeats have used.",
                                 "Second paths of an association are lost.", _GONE)),
    _sctp("heartbeat_acked", 210, ("Silence after which an SCTP path with answered heartbeats is forgotten.",
                                   "Second paths of an association are lost.", _GONE), until=(5, 10)),
    _dccp("request", 240, ("Time that a DCCP request may wait for its answer.", "Slow handshakes fail.", _GONE)),
    _dccp("respond", 480, ("Time that a DCCP answer may wait.", "Slow handshakes fail.", _GONE)),
    _dccp("partopen", 480, ("Time for which a DCCP connection may be half open.", "Slow handshakes fail.", _GONE)),
    _dccp("open", 43200, ("Silence after which an open DCCP connection is forgotten.", _EARLY, _GONE)),
    _dccp("closereq", 64, ("Time that a DCCP close request may wait.", "Late answers are invalid.", _GONE)),
    _dccp("closing", 64, ("Time that a DCCP close may take.", "Late answers are invalid.", _GONE)),
    _dccp("timewait", 240, ("Time for which a closed DCCP connection still holds its ports.", "Late packets meet a new connection.", _GONE)),
    _gre("gre_timeout", 30, ("Silence after which an unanswered GRE flow is forgotten.", "PPTP connections fail to open.", _GONE),
         floor=30, reason="PPTP's own keepalive takes up to 60 seconds to fail"),
    _gre("gre_timeout_stream", 180, ("Silence after which an answered GRE flow is forgotten.", "Idle tunnels are forgotten.", _GONE),
         floor=180, reason="tunnels with rare traffic"),
    _flowtable("nf_flowtable_tcp_timeout",
               ("Silence after which an offloaded TCP flow goes back to connection tracking.",
                "Flows move in and out of the flowtable all the time.",
                "A flow handed back after RV(tcp_timeout_established) is dropped at once.")),
    _flowtable("nf_flowtable_udp_timeout",
               ("Silence after which an offloaded UDP flow goes back to connection tracking.",
                "Flows move in and out of the flowtable all the time.",
                "A flow handed back after RV(udp_timeout_stream) is dropped at once.")),
    _seconds(
        "frag6_timeout", 60,
        ("Time for which fragments of an IPv6 packet wait for the rest.",
         "Fragmented packets over slow paths are lost.",
         "Fragments of broken packets hold memory."),
        module="nf_defrag_ipv6",
    ),
    _switch(
        "acct", 0,
        ("Count packets and bytes of each connection.",
         "", "Every new entry takes 128 bytes more."),
        parameter="acct",
    ),
    _switch(
        "checksum", 1,
        ("Check the checksums of incoming packets.",
         "Packets with wrong checksums enter the table and may confuse it.",
         "Each packet costs a little more where the network card does not check."),
    ),
    _switch(
        "dccp_loose", 1,
        ("Adopt DCCP connections whose start was not seen.", "Connections older than the table are invalid.", ""),
        config="CONFIG_NF_CT_PROTO_DCCP", until=(6, 17),
    ),
    _number(
        "events", (((0, 0), 1), ((5, 19), 2)),
        ("Tell listeners of new and ended connections; 0 never, 1 always, 2 (from Linux 5.19) only for entries made while somebody listens.",
         "C(conntrack -E), conntrackd and network plugins see nothing.",
         "At 1 every new entry takes 128 bytes more."),
        bounds=(0, 2), config="CONFIG_NF_CONNTRACK_EVENTS",
    ),
    _switch(
        "helper", 0,
        ("Assign helpers (FTP, SIP) by port without a rule.", "", "Anybody behind the router can open holes in the firewall."),
        until=(6, 0),
    ),
    _number(
        "log_invalid", 0,
        ("Log invalid packets of this IP protocol number; 255 all, 0 none.", "", "The kernel's log is flooded."),
        bounds=(0, 255),
    ),
    _switch(
        "tcp_be_liberal", 0,
        ("Call only resets outside the window invalid, not every packet outside it.",
         "Asymmetric routing and broken devices make packets invalid.",
         "Forged packets can keep an entry alive."),
    ),
    _switch(
        "tcp_ignore_invalid_rst", 0,
        ("Leave a connection's state alone at a reset outside its window.",
         "", "Entries of connections that were really reset live on."),
        since=(5, 14),
    ),
    _switch(
        "tcp_loose", 1,
        ("Adopt TCP connections whose start was not seen.",
         "Connections older than the table, or than its last flush, are invalid.",
         "Stray packets make entries."),
    ),
    _number(
        "tcp_max_retrans", 3,
        ("Repeated packets after which RV(tcp_timeout_max_retrans) holds.",
         "Lossy connections are forgotten early.", "Dead connections are remembered longer."),
        unit="packets", bounds=(0, 255),
    ),
    _switch(
        "timestamp", 0,
        ("Note when each connection began and ended.", "", "Every new entry takes 128 bytes more."),
        parameter="tstamp", config="CONFIG_NF_CONNTRACK_TIMESTAMP",
    ),
    _number(
        "frag6_high_thresh", 4194304,
        ("Memory that fragments of IPv6 packets may take.",
         "Fragmented packets are lost under load.", "A flood of fragments takes memory."),
        unit="bytes", bounds=(1, INT_MAX), module="nf_defrag_ipv6",
    ),
    _number(
        "frag6_low_thresh", 3145728,
        ("Memory of fragments below which the kernel stops dropping them; at most RV(frag6_high_thresh).",
         "", ""),
        unit="bytes", bounds=(0, INT_MAX), module="nf_defrag_ipv6",
    ),
)

BY_NAME = {setting.name: setting for setting in CATALOGUE}
BY_KEY = {setting.key: setting for setting in CATALOGUE if setting.key}
# An older name of the same variable; it exists in the initial network namespace only.
ALIASES = {"net.nf_conntrack_max": "max"}

# Keys beside ours that belong to others, and why no row knows them.
NOT_OURS = {
    "nf_hooks_lwtunnel": "lightweight tunnels; can be switched on only once",
    "nf_log_all_netns": "packet logging",
}


def settable(group):
    """The settings that users may give in the option ``group``, in the order of the table."""
    return tuple(s for s in CATALOGUE if s.group == group and s.access != "ro")

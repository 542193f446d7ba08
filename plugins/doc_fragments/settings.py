# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


class ModuleDocFragment:
    # Rendered from the catalogue by tools/render.py.
    DOCUMENTATION = r"""
options:
# BEGIN catalogue
  table:
    description:
      - How many connections are tracked, and at what cost in memory.
    type: dict
    suboptions:
      buckets:
        description:
          - Chains of the hash table.
          - V(auto) follows O(table.max) by O(table.load_factor), and is what you get when only O(table.max) is given.
          - 'Too low: Chains grow long: every packet costs more, and new connections are refused as C(chain_toolong).'
          - 'Too high: Memory is wasted, and a full table finds nothing to evict because it looks at eight chains only.'
          - From 1 to 268427264 chains, or V(auto).
          - The kernel works it out from the memory.
          - It can be set in the initial network namespace only.
        type: str
      max:
        description:
          - Most connections that the table may hold, in each network namespace.
          - V(auto) fills four fifths of O(table.memory_share), rounded down to a power of two, and stays with its
            answer while that fits. With O(table.per_cpu) or O(table.connections_per_second) it is what the larger of
            them needs, rounded up to a multiple of 1024, and refused where that exceeds O(table.memory_share).
          - 'Too low: The table fills: new connections are dropped, local programs see EPERM.'
          - 'Too high: A flood can take all memory, and entries cannot be swapped out.'
          - From 1 to 2147483647 entries, or V(auto).
          - The kernel works it out from the memory.
          - It can be set in the initial network namespace only.
        type: str
      expect_hashsize:
        description:
          - Chains of the hash table of expectations.
          - V(auto) is one for every 256 of O(table.buckets), as the kernel has it.
          - 'Too low: Looking up expected connections of FTP, SIP and the like becomes slow.'
          - 'Too high: Memory is wasted.'
          - From 1 to 268427264 chains, or V(auto).
          - The kernel works it out from the memory.
          - The kernel takes it only while it loads the module, so it holds from the next boot on.
        type: str
      expect_max:
        description:
          - Most expected connections (of FTP, SIP and the like) that may be waited for.
          - V(auto) is four for each chain, as the kernel has it.
          - 'Too low: Data channels of helpers are refused.'
          - 'Too high: Helpers can be made to hold memory.'
          - From 1 to 2147483647 expectations, or V(auto).
          - The kernel works it out from the memory.
          - It can be set in the initial network namespace only.
        type: str
      memory_share:
        description:
          - The share of the memory that a full table may take, entries at their dearest. It is the budget that V(auto)
            fills, and that neither a number nor what a target needs may exceed.
          - From 0.0001 to 0.9.
          - By default V(0.05).
        type: float
      load_factor:
        description:
          - Connections for each chain that O(table.buckets=auto) aims at. One is what kernels since 5.15 choose.
          - From 0.125 to 8.0.
          - By default V(1.0).
        type: float
      never_lower:
        description:
          - Leave O(table.max), O(table.buckets) and O(table.expect_max) alone where the host already has more.
          - By default V(false).
        type: bool
      per_cpu:
        description:
          - Connections for each CPU that is online. With it O(table.max=auto) is as many as that needs, and not what
            the memory holds.
          - From 1 to 2147483647.
        type: int
      connections_per_second:
        description:
          - New connections a second, at the peak. With it O(table.max=auto) is as many as are in the table at the same
            time at that rate, each for O(table.mean_life), and a quarter more.
          - From 1 to 2147483647.
        type: int
      mean_life:
        description:
          - Seconds that a connection is in the table on average, for O(table.connections_per_second). The timeout after
            its last packet counts, such as O(timeouts.tcp_timeout_time_wait) after the connection itself.
          - From 1 to 2147483.
        type: int
  timeouts:
    description:
      - Seconds of silence after which a connection is forgotten, by protocol and state. A new timeout holds for an
        existing entry from its next packet on.
    type: dict
    suboptions:
      generic_timeout:
        description:
          - Silence after which a flow of a protocol without a tracker of its own is forgotten (ESP, IPIP).
          - 'Too low: Tunnels with rare traffic are forgotten between two packets.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 600.
          - Below 60 you are warned, because tunnels send a keepalive about once a minute.
        type: int
      icmp_timeout:
        description:
          - Silence after which an ICMP query is forgotten.
          - 'Too low: Late echo replies are dropped.'
          - 'Too high: Ping sweeps fill the table.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 30.
          - Below 30 you are warned, because RFC 5508 REQ-1 asks for 60 seconds, and 30 is what Linux gives.
        type: int
      icmpv6_timeout:
        description:
          - Silence after which an ICMPv6 query is forgotten.
          - 'Too low: Late echo replies are dropped.'
          - 'Too high: Ping sweeps fill the table.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 30.
          - Below 30 you are warned, because RFC 5508 REQ-1 asks for 60 seconds, and 30 is what Linux gives.
        type: int
      udp_timeout:
        description:
          - Silence after which a UDP flow is forgotten that has seen no reply or is under two seconds old.
          - 'Too low: Slow DNS answers are dropped.'
          - 'Too high: Scans and DNS lookups fill the table.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 30.
          - Below 30 you are warned, because resolvers wait up to 30 seconds in all for an answer.
        type: int
      udp_timeout_stream:
        description:
          - Silence after which a UDP flow with traffic in both directions is forgotten.
          - 'Too low: VPN, voice and game sessions lose their NAT mapping between two keepalives.'
          - 'Too high: Trackers, DNS servers and games fill the table.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 180, 120 from Linux 5.0 on.
          - Below 120 you are warned, because RFC 4787 REQ-5 forbids less than 2 minutes for a NAT.
        type: int
      udplite_timeout:
        description:
          - Silence after which an unanswered UDP-Lite flow is forgotten.
          - 'Too low: Late answers are dropped.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 30.
          - It was removed in Linux 5.0 and needs C(CONFIG_NF_CT_PROTO_UDPLITE).
        type: int
      udplite_timeout_stream:
        description:
          - Silence after which an answered UDP-Lite flow is forgotten.
          - 'Too low: Entries vanish under connections that are still open; with NAT these then hang or are reset.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 180.
          - It was removed in Linux 5.0 and needs C(CONFIG_NF_CT_PROTO_UDPLITE).
        type: int
      tcp_timeout_syn_sent:
        description:
          - Time that a connection may wait for the answer to its SYN.
          - 'Too low: Slow servers answer into the void; the client tries for 127 seconds.'
          - 'Too high: Port scans and SYN floods fill the table.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 120.
          - Below 30 you are warned, because a Linux client repeats its SYN for up to 127 seconds.
        type: int
      tcp_timeout_syn_recv:
        description:
          - Time that a connection may wait for the last step of the handshake.
          - 'Too low: Handshakes over lossy paths fail.'
          - 'Too high: SYN floods fill the table.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 60.
          - Below 30 you are warned, because a Linux server repeats its SYN/ACK for 63 seconds.
        type: int
      tcp_timeout_established:
        description:
          - Silence after which an open TCP connection is forgotten.
          - 'Too low: Idle connections break: their next packet has lost its NAT mapping and is reset or dropped.'
          - 'Too high: Connections whose peers vanished without FIN hold their entry for days and fill the table.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 432000.
          - Below 7440 you are warned, because RFC 5382 REQ-5 forbids less than 2 hours 4 minutes; keepalive starts
            after 2 hours.
        type: int
      tcp_timeout_fin_wait:
        description:
          - Silence after which a connection is forgotten of which one side has sent FIN.
          - 'Too low: Transfers that go on in one direction break.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 120.
          - Below 60 you are warned, because half-closed transfers go on; RFC 7857 asks for 240 seconds.
        type: int
      tcp_timeout_close_wait:
        description:
          - Silence after which a connection is forgotten whose first FIN was acknowledged.
          - 'Too low: A server that still sends is cut off.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 60.
          - Below 30 you are warned, because the server may still be sending; RFC 7857 asks for 240 seconds.
        type: int
      tcp_timeout_last_ack:
        description:
          - Time that a connection may wait for the last acknowledgement.
          - 'Too low: Repeated FINs are seen as new and answered by resets.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 30.
          - Below 15 you are warned, because a lost last acknowledgement is asked for again within seconds.
        type: int
      tcp_timeout_time_wait:
        description:
          - Time for which a closed connection still holds its ports.
          - 'Too low: Late packets of an old connection meet a new one.'
          - 'Too high: SNAT ports come back slowly: 64512 ports at 120 seconds allow 537 connections a second to one
            destination.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 120.
          - Below 30 you are warned, because packets live for up to a minute, and servers that count on TIME-WAIT reset
            early reuse.
        type: int
      tcp_timeout_close:
        description:
          - Time for which a connection that was reset is remembered.
          - 'Too low: The repeated reset of a lost one is invalid.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 10.
          - Below 5 you are warned, because resets are lost as other packets are.
        type: int
      tcp_timeout_max_retrans:
        description:
          - Silence after which a connection is forgotten that has repeated O(tracking.tcp_max_retrans) packets.
          - 'Too low: Connections do not survive a short outage.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 300.
          - Below 120 you are warned, because RFC 1122 lets TCP repeat for at least 100 seconds.
        type: int
      tcp_timeout_unacknowledged:
        description:
          - Silence after which a connection with unacknowledged data, or picked up in its middle, is forgotten.
          - 'Too low: Connections do not survive a short outage.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 300.
          - Below 120 you are warned, because RFC 1122 lets TCP repeat for at least 100 seconds.
        type: int
      sctp_timeout_closed:
        description:
          - Time for which a closed SCTP association is remembered.
          - 'Too low: Late packets are invalid.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 10.
          - It needs C(CONFIG_NF_CT_PROTO_SCTP).
        type: int
      sctp_timeout_cookie_wait:
        description:
          - Time that an SCTP association may wait for its cookie.
          - 'Too low: Slow handshakes fail.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 3.
          - It needs C(CONFIG_NF_CT_PROTO_SCTP).
        type: int
      sctp_timeout_cookie_echoed:
        description:
          - Time that an SCTP cookie may wait for its answer.
          - 'Too low: Slow handshakes fail.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 3.
          - It needs C(CONFIG_NF_CT_PROTO_SCTP).
        type: int
      sctp_timeout_established:
        description:
          - Silence after which an open SCTP association is forgotten.
          - 'Too low: Entries vanish under connections that are still open; with NAT these then hang or are reset.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 432000, 210 from Linux 5.10 on.
          - Below 60 you are warned, because SCTP sends a heartbeat every 30 seconds.
          - It needs C(CONFIG_NF_CT_PROTO_SCTP).
        type: int
      sctp_timeout_shutdown_sent:
        description:
          - Time that an SCTP shutdown may wait for its answer.
          - 'Too low: Late answers are invalid.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 0, 3 from Linux 5.0 on.
          - It needs C(CONFIG_NF_CT_PROTO_SCTP).
        type: int
      sctp_timeout_shutdown_recd:
        description:
          - Time that a received SCTP shutdown may wait.
          - 'Too low: Late answers are invalid.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 0, 3 from Linux 5.0 on.
          - It needs C(CONFIG_NF_CT_PROTO_SCTP).
        type: int
      sctp_timeout_shutdown_ack_sent:
        description:
          - Time that the end of an SCTP shutdown may take.
          - 'Too low: Late answers are invalid.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 3.
          - It needs C(CONFIG_NF_CT_PROTO_SCTP).
        type: int
      sctp_timeout_heartbeat_sent:
        description:
          - Silence after which an SCTP path is forgotten that only heartbeats have used.
          - 'Too low: Second paths of an association are lost.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 30.
          - It needs C(CONFIG_NF_CT_PROTO_SCTP).
        type: int
      sctp_timeout_heartbeat_acked:
        description:
          - Silence after which an SCTP path with answered heartbeats is forgotten.
          - 'Too low: Second paths of an association are lost.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 210.
          - It was removed in Linux 5.10 and needs C(CONFIG_NF_CT_PROTO_SCTP).
        type: int
      dccp_timeout_request:
        description:
          - Time that a DCCP request may wait for its answer.
          - 'Too low: Slow handshakes fail.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 240.
          - It was removed in Linux 6.17 and needs C(CONFIG_NF_CT_PROTO_DCCP).
        type: int
      dccp_timeout_respond:
        description:
          - Time that a DCCP answer may wait.
          - 'Too low: Slow handshakes fail.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 480.
          - It was removed in Linux 6.17 and needs C(CONFIG_NF_CT_PROTO_DCCP).
        type: int
      dccp_timeout_partopen:
        description:
          - Time for which a DCCP connection may be half open.
          - 'Too low: Slow handshakes fail.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 480.
          - It was removed in Linux 6.17 and needs C(CONFIG_NF_CT_PROTO_DCCP).
        type: int
      dccp_timeout_open:
        description:
          - Silence after which an open DCCP connection is forgotten.
          - 'Too low: Entries vanish under connections that are still open; with NAT these then hang or are reset.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 43200.
          - It was removed in Linux 6.17 and needs C(CONFIG_NF_CT_PROTO_DCCP).
        type: int
      dccp_timeout_closereq:
        description:
          - Time that a DCCP close request may wait.
          - 'Too low: Late answers are invalid.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 64.
          - It was removed in Linux 6.17 and needs C(CONFIG_NF_CT_PROTO_DCCP).
        type: int
      dccp_timeout_closing:
        description:
          - Time that a DCCP close may take.
          - 'Too low: Late answers are invalid.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 64.
          - It was removed in Linux 6.17 and needs C(CONFIG_NF_CT_PROTO_DCCP).
        type: int
      dccp_timeout_timewait:
        description:
          - Time for which a closed DCCP connection still holds its ports.
          - 'Too low: Late packets meet a new connection.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 240.
          - It was removed in Linux 6.17 and needs C(CONFIG_NF_CT_PROTO_DCCP).
        type: int
      gre_timeout:
        description:
          - Silence after which an unanswered GRE flow is forgotten.
          - 'Too low: PPTP connections fail to open.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 30.
          - Below 30 you are warned, because PPTP's own keepalive takes up to 60 seconds to fail.
          - It came with Linux 5.4 and needs C(CONFIG_NF_CT_PROTO_GRE).
        type: int
      gre_timeout_stream:
        description:
          - Silence after which an answered GRE flow is forgotten.
          - 'Too low: Idle tunnels are forgotten.'
          - 'Too high: Entries of finished connections stay longer than anybody needs them and hold table space and NAT
            ports.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 180.
          - Below 180 you are warned, because tunnels with rare traffic.
          - It came with Linux 5.4 and needs C(CONFIG_NF_CT_PROTO_GRE).
        type: int
      nf_flowtable_tcp_timeout:
        description:
          - Silence after which an offloaded TCP flow goes back to connection tracking.
          - 'Too low: Flows move in and out of the flowtable all the time.'
          - 'Too high: A flow handed back after O(timeouts.tcp_timeout_established) is dropped at once.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 30.
          - It came with Linux 5.14 and needs C(CONFIG_NF_FLOW_TABLE).
        type: int
      nf_flowtable_udp_timeout:
        description:
          - Silence after which an offloaded UDP flow goes back to connection tracking.
          - 'Too low: Flows move in and out of the flowtable all the time.'
          - 'Too high: A flow handed back after O(timeouts.udp_timeout_stream) is dropped at once.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 30.
          - It came with Linux 5.14 and needs C(CONFIG_NF_FLOW_TABLE).
        type: int
      frag6_timeout:
        description:
          - Time for which fragments of an IPv6 packet wait for the rest.
          - 'Too low: Fragmented packets over slow paths are lost.'
          - 'Too high: Fragments of broken packets hold memory.'
          - From 1 to 2147483 seconds.
          - The kernel starts with 60.
        type: int
  tracking:
    description:
      - How connections are tracked.
    type: dict
    suboptions:
      acct:
        description:
          - Count packets and bytes of each connection.
          - 'On: Every new entry takes 128 bytes more.'
          - The kernel starts with false.
        type: bool
      checksum:
        description:
          - Check the checksums of incoming packets.
          - 'Off: Packets with wrong checksums enter the table and may confuse it.'
          - 'On: Each packet costs a little more where the network card does not check.'
          - The kernel starts with true.
        type: bool
      dccp_loose:
        description:
          - Adopt DCCP connections whose start was not seen.
          - 'Off: Connections older than the table are invalid.'
          - The kernel starts with true.
          - It was removed in Linux 6.17 and needs C(CONFIG_NF_CT_PROTO_DCCP).
        type: bool
      events:
        description:
          - Tell listeners of new and ended connections; 0 never, 1 always, 2 (from Linux 5.19) only for entries made
            while somebody listens.
          - 'Too low: C(conntrack -E), conntrackd and network plugins see nothing.'
          - 'Too high: At 1 every new entry takes 128 bytes more.'
          - From 0 to 2.
          - The kernel starts with 1, 2 from Linux 5.19 on.
          - It needs C(CONFIG_NF_CONNTRACK_EVENTS).
        type: int
      helper:
        description:
          - Assign helpers (FTP, SIP) by port without a rule.
          - 'On: Anybody behind the router can open holes in the firewall.'
          - The kernel starts with false.
          - It was removed in Linux 6.0.
        type: bool
      log_invalid:
        description:
          - Log invalid packets of this IP protocol number; 255 all, 0 none.
          - 'Too high: The kernel''s log is flooded.'
          - From 0 to 255.
          - The kernel starts with 0.
        type: int
      tcp_be_liberal:
        description:
          - Call only resets outside the window invalid, not every packet outside it.
          - 'Off: Asymmetric routing and broken devices make packets invalid.'
          - 'On: Forged packets can keep an entry alive.'
          - The kernel starts with false.
        type: bool
      tcp_ignore_invalid_rst:
        description:
          - Leave a connection's state alone at a reset outside its window.
          - 'On: Entries of connections that were really reset live on.'
          - The kernel starts with false.
          - It came with Linux 5.14.
        type: bool
      tcp_loose:
        description:
          - Adopt TCP connections whose start was not seen.
          - 'Off: Connections older than the table, or than its last flush, are invalid.'
          - 'On: Stray packets make entries.'
          - The kernel starts with true.
        type: bool
      tcp_max_retrans:
        description:
          - Repeated packets after which O(timeouts.tcp_timeout_max_retrans) holds.
          - 'Too low: Lossy connections are forgotten early.'
          - 'Too high: Dead connections are remembered longer.'
          - From 0 to 255 packets.
          - The kernel starts with 3.
        type: int
      timestamp:
        description:
          - Note when each connection began and ended.
          - 'On: Every new entry takes 128 bytes more.'
          - The kernel starts with false.
          - It needs C(CONFIG_NF_CONNTRACK_TIMESTAMP).
        type: bool
      frag6_high_thresh:
        description:
          - Memory that fragments of IPv6 packets may take.
          - 'Too low: Fragmented packets are lost under load.'
          - 'Too high: A flood of fragments takes memory.'
          - From 1 to 2147483647 bytes.
          - The kernel starts with 4194304.
        type: int
      frag6_low_thresh:
        description:
          - Memory of fragments below which the kernel stops dropping them; at most O(tracking.frag6_high_thresh).
          - From 0 to 2147483647 bytes.
          - The kernel starts with 3145728.
        type: int
# END catalogue
"""

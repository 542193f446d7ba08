# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


class ModuleDocFragment:
    # What flow_info and flow share.
    DOCUMENTATION = r"""
options:
  filter:
    description:
      - Which flows are meant. A flow has to meet every part, and of a list one of its members; an empty list is an error.
      - Addresses and ports are those of the original direction, that of the first packet, before NAT.
      - It is looked at in the module and not in the kernel, which keeps a processor from everything else while it looks for what fits.
    type: dict
    suboptions:
      family:
        description: Address families.
        type: list
        elements: str
        choices: [ipv4, ipv6]
      protocol:
        description:
          - Protocols above IP, by number or by one of the names V(ah), V(dccp), V(esp), V(gre), V(icmp), V(icmpv6), V(sctp), V(tcp), V(udp),
            V(udplite).
        type: list
        elements: str
      state:
        description: States of TCP and SCTP, as conntrack has them. Other protocols have none, and an offloaded flow shows none.
        type: list
        elements: str
        choices:
          - CLOSE
          - CLOSED
          - CLOSE_WAIT
          - COOKIE_ECHOED
          - COOKIE_WAIT
          - ESTABLISHED
          - FIN_WAIT
          - HEARTBEAT_ACKED
          - HEARTBEAT_SENT
          - LAST_ACK
          - NONE
          - SHUTDOWN_ACK_SENT
          - SHUTDOWN_RECD
          - SHUTDOWN_SENT
          - SYN_RECV
          - SYN_SENT
          - SYN_SENT2
          - TIME_WAIT
      source:
        description: Addresses, or networks such as V(10.0.0.0/8).
        type: list
        elements: str
      destination:
        description: Addresses, or networks.
        type: list
        elements: str
      source_port:
        description: Ports, or ranges such as V(1024-65535).
        type: list
        elements: str
      destination_port:
        description: Ports, or ranges.
        type: list
        elements: str
      nat_address:
        description: Addresses, or networks, that SNAT gave the flow as its source.
        type: list
        elements: str
      mark:
        description: A mark, decimal or such as V(0x10), with a mask as in V(0x10/0xf0). A flow that nobody marked has the mark 0.
        type: str
      zone:
        description: Zones. A flow without one is in zone 0.
        type: list
        elements: int
      status:
        description:
          - What all have to be. V(unreplied) flows have seen packets of one direction only; those that are not V(assured) go first
            when the table is full. V(offload) flows are in a flowtable, and have no remaining time of their own.
        type: list
        elements: str
        choices: [assured, dst_nat, expected, not_offload, offload, replied, src_nat, unassured, unreplied]
      min_remaining:
        description: Seconds that they have left at least, until they are forgotten if no packet comes.
        type: int
"""

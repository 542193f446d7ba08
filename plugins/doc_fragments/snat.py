# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


class ModuleDocFragment:
    # The options of SNAT, which are also those of the role's document: tools/render.py copies them into its argument specs.
    DOCUMENTATION = r"""
options:
  rules:
    description:
      - The rules, in the order in which they decide; the first that matches a new connection does. What is not named matches everything.
      - The list is the whole of what is wanted. What is ours on the host and not in it goes away.
      - Rules act on new connections. One that is known keeps its address and port until it is forgotten.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - What the rule is known by, from 1 to 64 of the letters A-Z and a-z, digits, and C(_.-). Each rule has its own.
        type: str
        required: true
      comment:
        description:
          - A remark that stands with the rule in the kernel. With the name it may take 120 bytes, and it may hold no double quote and
            no control character, because a ruleset that was saved with one could not be loaded again.
        type: str
        default: ''
      family:
        description:
          - V(ipv4) or V(ipv6). Needed only where nothing else in the rule tells; without it such a rule is one of IPv4.
        type: str
        choices: [ipv4, ipv6]
      out_interface:
        description:
          - The interface by which packets leave. A V(*) at its end stands for any further letters, whatever the backend writes there.
        type: str
        default: ''
      in_interface:
        description:
          - The interface by which packets came in. The kernel knows it where SNAT is done since Linux 5.5; a rule with it does not match
            what this host sends itself.
        type: str
        default: ''
      source:
        description:
          - Addresses and networks that connections come from, such as V(10.0.0.0/8).
        type: list
        elements: str
        default: []
      destination:
        description:
          - Addresses and networks that connections go to.
        type: list
        elements: str
        default: []
      protocol:
        description:
          - Protocols above IP.
        type: list
        elements: str
        choices: [ah, dccp, esp, gre, icmp, icmpv6, sctp, tcp, udp, udplite]
        default: []
      destination_ports:
        description:
          - Ports and ranges of ports that connections go to, such as V(443) and V(1000-2000).
            Needs a O(rules[].protocol) that has ports.
        type: list
        elements: str
        default: []
      mark:
        description:
          - The mark of the packet, perhaps with a mask, such as V(0x10) or V(0x10/0xff).
        type: str
        default: ''
      to:
        description:
          - The address that connections get as their source, or a range of addresses such as V(192.0.2.1-192.0.2.9).
          - V(masquerade) means the address of the interface by which they leave. It takes 128 bytes more of memory a connection.
          - V(exempt) leaves address and port as they are, and neither a later rule nor one of others changes them.
        type: str
        required: true
      ports:
        description:
          - The ports to choose from, such as V(1024-65535). Needs a O(rules[].protocol) that has ports.
            Connections to one destination cannot be more than there are ports and addresses.
        type: str
        default: ''
      port_selection:
        description:
          - With V(keep) a connection keeps its port where that is free. Two that begin at the same moment may both find it free,
            and one of them is then dropped.
          - V(random_fully) draws a free port each time, which ends those collisions. A connection that was silent for longer than its timeout
            then comes back with another port, and is reset; so do not shorten C(tcp_timeout_established) with it.
          - V(random) is the same as V(random_fully) since Linux 5.0, and weaker before.
        type: str
        choices: [keep, random, random_fully]
        default: keep
      persistent:
        description:
          - Give a client the same address for all its destinations, where O(rules[].to) is a range.
        type: bool
        default: false
  backend:
    description:
      - What holds the rules. V(nftables) is an own table that decides before the NAT of all others. V(iptables) is an own chain that the first
        rule of C(POSTROUTING) leads to, in the flavour that this host uses, C(iptables-nft) or C(iptables-legacy); they are never mixed.
      - V(auto) stays with what holds our rules already, else takes what others do NAT with on this host, else V(nftables).
    type: str
    choices: [auto, nftables, iptables]
    default: auto
  foreign:
    description:
      - What becomes of the SNAT rules of others. V(leave) does nothing, and V(report) returns them and warns of those that keep ports.
      - V(randomize) gives them V(random_fully) in place, and leaves everything else of them as it is. It is refused for rules that a program
        writes again and again, such as firewalld and Docker, with that program's own switch named. The files of others stay as they
        are, so those rules have it until they are loaded again.
    type: str
    choices: [leave, report, randomize]
    default: leave
"""

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


class ModuleDocFragment:
    # What the document has besides the settings; rendered from the fragments of its parts, and from the profiles.
    DOCUMENTATION = r"""
options:
# BEGIN catalogue (rendered by tools/render.py)
  profile:
    description:
      - Named starting values. What the document says itself overrides them, option by option.
      - 'V(home_router): a home or small office router.'
      - 'V(nat_gateway): a gateway that translates a network''s connections.'
      - 'V(cgnat): a provider''s NAT, addresses shared among subscribers.'
      - 'V(kubernetes_node): a node of a Kubernetes cluster with kube-proxy.'
      - 'V(load_balancer): a host that spreads connections over servers.'
      - 'V(server): a server with a stateful firewall and no NAT.'
    type: str
    choices: [home_router, nat_gateway, cgnat, kubernetes_node, load_balancer, server]
  early_load:
    description:
      - How tracking is switched on before the network is. Give an empty dictionary for the defaults; leave it out and
        nothing of ours does so.
    type: dict
    suboptions:
      module:
        description:
          - Load C(nf_conntrack) at every boot. Means nothing where it is built into the kernel.
          - By default V(true).
        type: bool
      hooks:
        description:
          - Load a rule that switches tracking on, now and at every boot.
          - By default V(true).
        type: bool
      backend:
        description:
          - What holds the rules. V(auto) takes nftables where it is installed, else iptables.
          - By default V(auto).
        type: str
        choices: [auto, nftables, iptables]
      initramfs:
        description:
          - Whether the initramfs loads the module. V(auto) does so where the root file system needs the network.
            Works with C(initramfs-tools) and C(dracut).
          - By default V(auto).
        type: str
        choices: [auto, always, never]
  snat:
    description:
      - Rules of source NAT. Leave it out and there are none of ours.
    type: dict
    suboptions:
      rules:
        description:
          - The rules, in the order in which they decide; the first that matches a new connection does. What is not named matches everything.
          - The list is the whole of what is wanted. What is ours on the host and not in it goes away.
          - Rules act on new connections. One that is known keeps its address and port until it is forgotten.
        type: list
        elements: dict
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
                Needs a O(snat.rules[].protocol) that has ports.
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
              - The ports to choose from, such as V(1024-65535). Needs a O(snat.rules[].protocol) that has ports.
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
              - Give a client the same address for all its destinations, where O(snat.rules[].to) is a range.
            type: bool
            default: false
      backend:
        description:
          - What holds the rules. V(nftables) is an own table that decides before the NAT of all others. V(iptables) is an own chain that the first
            rule of C(POSTROUTING) leads to, in the flavour that this host uses, C(iptables-nft) or C(iptables-legacy); they are never mixed.
          - V(auto) stays with what holds our rules already, else takes what others do NAT with on this host, else V(nftables).
          - By default V(auto).
        type: str
        choices: [auto, nftables, iptables]
      foreign:
        description:
          - What becomes of the SNAT rules of others. V(leave) does nothing, and V(report) returns them and warns of those that keep ports.
          - V(randomize) gives them V(random_fully) in place, and leaves everything else of them as it is. It is refused for rules that a program
            writes again and again, such as firewalld and Docker, with that program's own switch named. The files of others stay as they
            are, so those rules have it until they are loaded again.
          - By default V(leave).
        type: str
        choices: [leave, report, randomize]
  management:
    description:
      - The path by which this host is managed. TCP packets that come in to O(management.ports) of this host, and those that
        leave from these ports, are not tracked. They need no entry, so a full table does not drop them.
      - Give O(management.interfaces), O(management.networks) or both. Where both are given, packets have to match both.
      - Connections that are forwarded, that this host makes to others, and that it makes to itself, are tracked as before.
      - Packets that are not tracked are never C(established), and never rewritten by NAT. So the rules of others are looked at first.
        Where a stateful rule or one of NAT would be met, or what is there is not understood, the path stays tracked. A warning says which
        rule that is, and how to let the path pass it. Everything else is done.
    type: dict
    suboptions:
      interfaces:
        description:
          - Names of the interfaces through which management comes in. A V(*) at the end stands for every name that begins so.
            Empty means every interface but loopback.
        type: list
        elements: str
        default: []
      networks:
        description:
          - Networks (or addresses) of IPv4 and IPv6 from which management comes in. Empty means every network. Where there are only
            networks of one family, the path is of that family alone.
        type: list
        elements: str
        default: []
      ports:
        description:
          - TCP ports of this host.
        type: list
        elements: int
        default: [22]
      force:
        description:
          - Do not track the path although rules of others would be met. They are told all the same. B(This can lock you out.)
        type: bool
        default: false
# END catalogue
"""

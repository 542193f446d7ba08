# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What every finding says whatever the host: its title, what it means, and what users notice. Data only."""

TEXTS = {
    "table_full": (
        "The table of connections is full",
        "No new connection finds room, and its packets are dropped. Connections that are in the table live on. The kernel makes room only by "
        "deleting entries that are not assured, near the place where the new one belongs; assured connections are never deleted for that.",
        "New connections time out, and programs on the router itself get EPERM (ping and DHCP among them), while open sessions and tunnels go on."),
    "table_filling": (
        "The table of connections is nearly full",
        "There is little room left. From 95 % on the kernel deletes unanswered and closing connections, and then new ones are dropped.",
        "Nothing yet, or now and then a connection that does not come up."),
    "idle_flows_hold_table": (
        "Idle connections hold the table",
        "Most entries are established TCP connections that nobody has used for long: their ends have vanished without closing them. They are "
        "assured, so the kernel deletes none of them to make room, and each stays until its timeout ends.",
        "The table stays full although little goes on; restarting the router helps until it has filled again."),
    "hash_too_small": (
        "The hash table is far too small for its entries",
        "Every packet is looked up by walking a chain of entries. With few chains for many entries each is long: packets cost more, "
        "and from some length on the kernel refuses new connections (chain_toolong).",
        "High load of softirqs, latency that rises with the number of connections, new connections that are refused far below max."),
    "hash_too_large": (
        "The hash table is far too large for max",
        "A full table makes room by looking at eight chains only. With many more chains than entries those are empty, nothing is found "
        "to delete, and new connections are dropped although unanswered ones could go.",
        "A scan or a flood that a table of the same max would survive ends all new connections."),
    "snat_ports_exhausted": (
        "Source NAT has no ports left towards a destination",
        "Every connection from one NAT address to the same address and port needs a source port of its own, and the rule has too few, "
        "or they are kept too long after connections end. What finds no port is dropped.",
        "Connections to one destination time out (SYNs are repeated) while all others work."),
    "snat_collisions": (
        "Source NAT gives two connections the same port",
        "Two connections chose the same source port at the same time, before either was confirmed, and one lost its packet. Ports are free: "
        "it is a race, which rules lose that try to keep the client's port.",
        "Some new connections take 1, 3 or 7 seconds longer, as long as TCP waits to repeat a SYN."),
    "dns_pair_race": (
        "Pairs of DNS questions lose one",
        "A resolver asks for A and AAAA at the same time from one socket. Both packets make an entry, NAT sends them to a server, and one of the "
        "two is dropped as a clash. Random ports do not help, for there is one socket only.",
        "Names take 5 seconds, or a multiple, to resolve now and then."),
    "count_mismatch": (
        "More entries count than can be listed",
        "An entry counts from its packet's arrival until its memory is free. Those in no list belong to packets that wait in a queue, are being "
        "deleted, are twins of a clash that live for a second, or have leaked in the kernel.",
        "The table is full by nf_conntrack_count while conntrack -L shows few connections; packets of new connections are held or dropped."),
    "late_load": (
        "Connections are older than tracking",
        "The router has TCP connections that the table does not know: they were there before tracking was on. SNAT takes "
        "their ports for free, and can give one to a client that talks to the same destination.",
        "A VPN, BGP, SSH or DNS-over-TLS session of the router is reset out of the blue after a boot or a reload of the firewall."),
    "not_tracking": (
        "Conntrack is loaded and tracks nothing",
        "A kernel tracks packets only while some rule of the network namespace asks for it. None does: no NAT happens, no stateful rule can "
        "match, and what is in the table is left from before.",
        "After the ruleset was flushed or the firewall stopped: connections through NAT break at once, and the count no longer changes."),
    "lost_at_boot": (
        "Values do not survive the next boot",
        "The next boot does not give what a file asks for, or what the kernel has now: the keys do not exist yet when the "
        "files are read, or nothing sets the value but a command that somebody typed.",
        "All is well until the next reboot, and then the table is small again."),
    "bad_boot_file": (
        "A file that the next boot reads is wrong",
        "A line of a file that sets up connection tracking does not do what it says. A parameter that is no number even keeps the module, and "
        "with it every rule that needs it, from loading.",
        "Nothing until the next boot; then values are missing, or there are no rules and no NAT at all."),
    "legacy_names": (
        "Settings have names that the kernel no longer knows",
        "The names ip_conntrack_* are gone since Linux 4.9, and are passed over without a word. What the lines ask for is not so.",
        "The file looks right and has for years, and the value is not what it says."),
    "timeouts_too_short": (
        "Connections are forgotten while they are open",
        "A timeout is below what its protocol needs. An idle connection loses its entry, and with NAT its mapping: its next "
        "packet is dropped or answered by a reset.",
        "SSH sessions, connection pools, VPNs and calls break after a pause, always after the same number of minutes."),
    "timeouts_too_long": (
        "Finished connections fill the table",
        "Most of a table that is nearly full are entries of one kind that are under a longer timeout than that kind needs.",
        "The table fills although the number of users has not changed; the count is the rate of new connections times the timeout."),
    "foreign_owner": (
        "Another program owns values of connection tracking",
        "A program or file that does not know of your document writes other values, at its start or whenever it is reloaded.",
        "Values change by themselves, after an update or a restart of that program."),
}

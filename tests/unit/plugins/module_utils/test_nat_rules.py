# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SNAT rules of others as rows, out of recorded rulesets."""
import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _nat_iptables, _nat_nft, _nat_rules
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_row import facts, stateless, untouchable
from ansible_collections.netfleet.conntrack.plugins.module_utils._rulesets import Rulesets
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import foreign_rules

MANY = 5000
UFW = "# NAT\n*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o eth0 -s 10.16.1.0/24 -j MASQUERADE\nCOMMIT\n"

# Recorded ruleset: how many rules of whom are in which chain.
OWNED = {
    "docker-20.10": {("docker", "POSTROUTING"): 8},
    "documented-docker-29-nftables": {
        ("docker", "nat-postrouting-in__docker0"): 1, ("docker", "nat-postrouting-out__docker0"): 1,
        ("docker", "nat-postrouting-in__bridge1"): 2, ("docker", "nat-postrouting-out__bridge1"): 1,
    },
    "documented-libvirt-nftables": {("libvirt", "LIBVIRT_PRT"): 3},
    "documented-nftables": {
        ("kube-proxy", "masquerading"): 1, ("flannel", "postrtg"): 2, ("cni", "masq_checks"): 1, ("netavark", "POSTROUTING"): 1,
        ("incus", "pstrt.incusbr0"): 1, ("networkmanager", "nat_postrouting"): 1, ("systemd-networkd", "postrouting"): 1,
    },
    "firewalld-1.3-iptables": {
        ("", "POSTROUTING_direct"): 1, ("firewalld", "POST_external_allow"): 3, ("firewalld", "POST_public_allow"): 1,
    },
    "firewalld-1.3-nftables": {("", "POSTROUTING"): 1, ("firewalld", "nat_POST_external_allow"): 3, ("firewalld", "nat_POST_public_allow"): 1},
    "libvirt-9.0": {("libvirt", "LIBVIRT_PRT"): 3},
    "netavark-1.4": {("netavark", "NETAVARK-644E8F9942FA5"): 2, ("netavark", "NETAVARK-HOSTPORT-MASQ"): 2},
    "ufw-0.36": {("", "POSTROUTING"): 1},
    "kinds": {("", "POSTROUTING"): 24, ("", "SUB"): 12, ("", "by_map"): 1, ("", "post"): 24, ("", "sub"): 2},
}
OWNED["kinds-randomized"] = OWNED["kinds"]


@pytest.mark.parametrize("name", foreign_rules.NAMES)
def test_every_rule_and_its_owner(name):
    found = {}
    for row in foreign_rules.rows(name):
        found[row.owner, row.chain] = found.get((row.owner, row.chain), 0) + 1
        assert row.text and row.priority in (100, 101, 102, 110)
    assert found == OWNED[name]


def test_all_that_facts_say():
    found = [facts(row) for row in foreign_rules.rows("kinds")]
    (ranged,) = [row for row in found if row["match"].startswith("tcp dport")]
    assert ranged == {
        "backend": "nftables", "family": "ipv4", "table": "office", "chain": "post", "handle": 19, "owner": "",
        "match": "tcp dport { 80, 443-500 } ip dscp ef meta mark & 0x000000ff == 0x00000012 ct state related,new",
        "to": "192.0.2.5", "ports": "5000-5000", "port_selection": "keep", "persistent": False, "comment": "", "packets": None, "priority": 100,
    }
    first = [row for row in found if row["backend"] == "iptables-legacy" and row["family"] == "ipv4"][0]
    assert first == {
        "backend": "iptables-legacy", "family": "ipv4", "table": "nat", "chain": "POSTROUTING", "number": 1, "owner": "",
        "match": "-o out0 -p udp", "to": "masquerade", "ports": "", "port_selection": "keep", "persistent": False,
        "comment": 'a "q" b\\c $(reboot) `id` -j SNAT --to-source', "packets": first["packets"], "priority": 100,
    }
    assert any(row["packets"] for row in found)


@pytest.mark.parametrize("comment, match, to", [
    ("$(reboot) `id` \\ -j ACCEPT # handle 3", "ip daddr @lan", "masquerade"),
    ("a   b\tc", 'oifname "ppp*" ip saddr != 10.0.0.0/8 ip daddr 192.0.2.0/24', "masquerade"),
    ("two\n\tlines # handle 5", 'oifname "out0"', "masquerade"),
])
def test_odd_comments(comment, match, to):
    (row,) = [row for row in foreign_rules.rows("kinds") if row.comment == comment]
    assert (row.match, row.nat.to) == (match, to)
    assert row.text.endswith(' comment "%s"' % comment)


def test_addresses_out_of_maps():
    found = {row.nat.to for row in foreign_rules.rows("kinds") if row.backend == "nftables" and "map" in row.nat.to}
    assert found == {
        "ip saddr map @public",
        "ip saddr map { 10.0.0.9 : 192.0.2.3, 10.0.0.10 : 192.0.2.4 }",
        "ip saddr map { 10.4.0.0/31 : 192.0.2.1, 10.5.0.0/16 : 192.0.2.2 }",
        "ip saddr map { 10.0.0.1 : 192.0.2.1-192.0.2.5 }",
        'oifname map { "snat to" : 192.0.2.4, "masquerade" : 192.0.2.3 }',
        "numgen inc mod 2 map { 0 : 192.0.2.3, 1 : 192.0.2.4 }",
        "ip saddr map { 10.7.0.0/24 : 192.0.2.0/24 }",
    }


def test_what_is_never_given_random_ports():
    assert [row.text for row in foreign_rules.rows("kinds") if untouchable(row)] == [
        "ip saddr 10.9.0.2 snat to ip saddr",
        "snat ip prefix to ip saddr map { 10.7.0.0/24 : 192.0.2.0/24 }",
    ]


def test_rules_that_old_nft_cannot_replace():
    moving = [row for row in foreign_rules.rows("kinds") if row.moves]
    assert len(moving) == 6 and all(any(sign in row.text.partition("{")[2] for sign in "-/") for row in moving)
    found = foreign_rules.document("kinds")
    for version, moves in (("0.9.8", False), ("1.0.2", False), ("1.0.3", True), ("1.0.9", True), ("1.1.0", False), ("", False)):
        objects = [{"metainfo": {"version": version}}] + found["objects"][1:]
        assert any(row.moves for row in _nat_nft.rows(objects, {})) == moves


@pytest.mark.parametrize("text, words", [
    ('[12:3456] -o a -m comment --comment "[1:2] counter packets 1 bytes 2" -j MASQUERADE',
     '-o a -m comment --comment "[1:2] counter packets 1 bytes 2" -j MASQUERADE'),
    ('counter packets 5 bytes 6 masquerade comment "counter packets 5 bytes 6"', 'counter masquerade comment "counter packets 5 bytes 6"'),
    ("quota over 10 mbytes used 3 kbytes last used 4s120ms masquerade", "quota over 10 mbytes last masquerade"),
    ("masquerade", "masquerade"),
])
def test_words_without_what_packets_change(text, words):
    assert stateless(text) == words


def listing(*lines, header="table ip x { # handle 7"):
    return "\n".join((header, "\tchain c { # handle 1", *lines, "\t}", "}", ""))


def test_table_that_a_program_holds():
    found = _nat_nft.listing(listing("\t\tmasquerade # handle 2", header="table ip x { # handle 7 progname my daemon\n\tflags owner,persist\n"))
    assert (found.epoch, found.held, found.rules) == (7, "my daemon", {("c", 2): "masquerade"})
    assert _nat_nft.listing(listing(header="table ip x { # handle 7\n\tflags dormant,owner\n")).held == "another program"
    assert _nat_nft.listing(listing(header="table ip x { # handle 7\n\tflags dormant\n")).held == ""


def rule(comment=None, expr=({"masquerade": None},), table="x", chain="c"):
    thing = {"family": "ip", "table": table, "chain": chain, "handle": 2, "expr": list(expr)}
    return {"rule": dict(thing, comment=comment) if comment else thing}


@pytest.mark.parametrize("comment, line", [
    ('a" b', '\t\tmasquerade comment "a" b" # handle 2'),
    ("other", '\t\tmasquerade comment "a" # handle 2'),
    (None, ""),
], ids=["quotation_mark", "changed_meanwhile", "gone_meanwhile"])
def test_words_that_are_not_the_rule_are_not_taken_for_it(comment, line):
    (row,) = _nat_nft.rows([rule(comment)], {("ip", "x"): _nat_nft.listing(listing(line))})
    assert (row.text, row.match, row.comment) == ("", "", comment or "")


@pytest.mark.parametrize("name", ["x; flush ruleset", "x y", "", "-f", "{"])
def test_names_that_would_be_commands_are_not_run(name):
    door = foreign_rules.Door()
    found, unread = _nat_rules.read(door, Rulesets(objects=(rule(table=name),)))
    assert door.ran == [] and len(unread) == 1
    assert [row.text for row in found] == [""]


def test_chain_whose_name_would_be_a_command():
    (row,) = _nat_nft.rows([rule(chain="c; flush")], {("ip", "x"): _nat_nft.Listing(rules={("c; flush", 2): "masquerade"})})
    assert row.text == ""


def test_table_that_cannot_be_listed_is_told():
    found, unread = _nat_rules.read(foreign_rules.Door(), Rulesets(objects=(rule(),), unread=("something else",)))
    assert unread == ("something else", "the words of table ip x (Error: no such table)")
    assert [(row.nat.to, row.text) for row in found] == [("masquerade", "")]


def test_no_rule_no_command():
    door = foreign_rules.Door()
    assert _nat_rules.read(door, Rulesets(objects=({"table": {"family": "ip", "name": "x"}},))) == ((), ())
    assert door.ran == []


def test_priorities():
    chains = [{"chain": {"family": "ip", "table": "x", "name": name, "prio": prio}} for name, prio in (("a", 1), ("b", 2))]
    jumps = [rule(expr=[{"jump": {"target": target}}], chain=chain) for chain, target in (("a", "two"), ("b", "two"), ("one", "one"))]
    jumps.append(rule(expr=[{"vmap": {"key": 1, "data": {"set": [[1, {"goto": {"target": "one"}}]]}}}], chain="a"))
    ends = [rule(chain=name) for name in ("a", "one", "two", "three")]
    assert [row.priority for row in _nat_nft.rows(chains + jumps + ends, {})] == [1, 1, None, None]


def test_comment_with_an_end_of_line_in_iptables():
    text = '*nat\n:POSTROUTING ACCEPT [0:0]\n[0:0] -A POSTROUTING -m comment --comment "a\nb" -j MASQUERADE\n[0:0] -A POSTROUTING -j MASQUERADE\nCOMMIT\n'
    assert [(row.place, row.comment, row.text) for row in _nat_iptables.rows("iptables-nft-save", text)] == [(1, "a\nb", ""), (2, "", "[0:0] -j MASQUERADE")]


def test_what_is_no_snat_rule():
    text = "*filter\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n*nat\n:X - [0:0]\n-A X -m comment --comment \"-j SNAT\" -j ACCEPT\n" \
        "-A X -j NETMAP --to 10.0.0.0/8\n-A X -j DNAT --to-destination 10.0.0.1\n-A X -p tcp -j REDIRECT\n-A X -j SNAT2\nCOMMIT\n"
    assert list(_nat_iptables.rows("ip6tables-legacy-save", text)) == []


def test_our_own_rules():
    saved = "*nat\n:NETFLEET_SNAT - [0:0]\n[0:0] -A POSTROUTING -j NETFLEET_SNAT\n[0:0] -A POSTROUTING -j MASQUERADE\n" \
        "[0:0] -A NETFLEET_SNAT -j MASQUERADE\nCOMMIT\n"
    found = list(_nat_iptables.rows("iptables-legacy-save", saved)) + list(_nat_nft.rows([rule(table="netfleet_conntrack")], {}))
    assert [(row.owner, row.place, row.behind) for row in found] == [("", 2, ""), ("netfleet.conntrack", 1, ""), ("netfleet.conntrack", 2, "")]


def test_who_reads_the_file_with_a_rule():
    (row,) = foreign_rules.rows("ufw-0.36", {"/etc/ufw/before.rules": UFW})
    assert row.owner == "ufw"
    (row,) = foreign_rules.rows("ufw-0.36", {"/etc/ufw/before.rules": UFW.replace("eth0", "eth1"), "/etc/iptables/rules.v4": UFW})
    assert row.owner == "netfilter-persistent"
    assert {row.owner for row in foreign_rules.rows("docker-20.10", {"/etc/ufw/before.rules": UFW})} == {"docker"}


def test_only_root_reads_files():
    door = foreign_rules.Door(files={"/etc/ufw/before.rules": UFW, "/etc/wireguard/wg0.conf": ""})
    assert sorted(_nat_rules.boot_files(door)) == ["/etc/ufw/before.rules", "/etc/wireguard/wg0.conf"]
    door.uid = 1000
    assert _nat_rules.boot_files(door) == {}


def test_many_rules_are_read():
    numbers = range(MANY)
    match = {"match": {"op": "==", "left": {"meta": {"key": "oifname"}}, "right": "eth0"}}
    objects = [rule("number %d" % number, [match, {"masquerade": None}]) for number in numbers]
    for number, item in enumerate(objects):
        item["rule"]["handle"] = number
    text = listing(*('\t\toifname "eth0" masquerade comment "number %d" # handle %d' % (number, number) for number in numbers))
    saved = "*nat\n%s\nCOMMIT\n" % "\n".join('[0:0] -A X -o eth0 -m comment --comment "number %d" -j MASQUERADE' % number for number in numbers)
    found = list(_nat_nft.rows(objects, {("ip", "x"): _nat_nft.listing(text)})) + list(_nat_iptables.rows("iptables-nft-save", saved))
    assert [row.comment for row in found] == ["number %d" % number for number in numbers] * 2

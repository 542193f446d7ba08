# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Findings about NAT: ports used up, clashes, connections older than tracking. Pure: as _findings_table."""
import ipaddress
import shlex

from ansible_collections.netfleet.conntrack.plugins.module_utils import _headroom
from ansible_collections.netfleet.conntrack.plugins.module_utils._findings_row import CRITICAL, NEARLY, SHOWN, WARNING, finding
from ansible_collections.netfleet.conntrack.plugins.module_utils._findings_table import ENOUGH, HOLDS
from ansible_collections.netfleet.conntrack.plugins.module_utils._foreign_words import NFT_WORDS
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_owners import OURS
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_row import NFTABLES, stateless
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import KEEP

SPENT = 0.95  # share of a range of ports from which on searches fail: 248 of a wide range are tried
LOSSES = ("insert_failed", "drop", "found", "seconds")
TIME_WAIT = "tcp_timeout_time_wait"
# Kernels that let one of two entries for the same flow in, where NAT sends them to different servers (6a757c07e51f, nf_ct_resolve_clash_harder).
PAIRS_PASS_SINCE = (5, 7)
RESOLVER = "options single-request-reopen"


def _worst(e):
    """The row of headroom with the least left, where that is little. A rule of one port is for one connection: it has none left by design."""
    losing = e.lost("snat_ports_exhausted", "drop") or e.lost("snat_collisions", "drop")
    rows = [row for row in e.headroom if row["share"] >= NEARLY and (row["available"] > 1 or losing)]
    return rows[0] if rows else None


def _spent(e):
    worst = _worst(e)
    return worst is not None and worst["share"] >= SPENT


def snat_ports_exhausted(e):
    worst, searched = _worst(e), e.lost("snat_ports_exhausted", "drop")
    if not worst and not searched:
        return None
    losing = searched or _spent(e) and e.lost("snat_collisions", "drop")
    evidence = dict(worst or {}, **{name: (losing or {}).get(name) for name in LOSSES})
    rules = _giving(e, worst) if worst else list(e.rules)
    commands = [_widened(row) for row in rules if row.nat.ports and row.owner != OURS]
    evidence.update(rules=[_told(row) for row in rules[:SHOWN]], commands=commands)
    policy = {}
    if worst and worst["protocol"] == "tcp" and not commands and e.running(TIME_WAIT) > ENOUGH[TIME_WAIT][0]:
        policy = {"timeouts": {TIME_WAIT: ENOUGH[TIME_WAIT][0]}}
    severity = CRITICAL if losing or worst["share"] >= 1 else WARNING
    return finding("snat_ports_exhausted", severity, evidence, _ports_cure(e, rules, commands, policy), policy)


def _ports_cure(e, rules, commands, policy):
    ours = [row.comment for row in rules if row.owner == OURS and row.nat.ports]
    parts = ["Let the rule choose from all ports: %s, and the same in the file that loads it." % "; ".join(commands)] if commands else []
    parts += ["Widen or leave out ports of snat.rules %s in the document." % ", ".join(ours)] if ours else []
    if not parts:
        parts = ["All ports are in use: give the rule more NAT addresses, or send clients to more destination addresses."]
    if policy:
        parts.append("Let ports of connections that are over go sooner: %s from %d to %d seconds." % (TIME_WAIT, e.running(TIME_WAIT), ENOUGH[TIME_WAIT][0]))
    return " ".join(parts)


def _giving(e, worst):
    """The rules that give the address which has no ports left, those that name ports first."""
    address = ipaddress.ip_address(worst["nat_address"])
    return sorted((row for row in e.rules if _headroom.gives(row, address)), key=lambda row: not row.nat.ports)


def _told(row):
    place = "%s %s %s %s %d" % (row.backend, row.family, row.table, row.chain, row.place)
    return {"rule": place, "match": row.match, "to": row.nat.to, "ports": _ports(row), "port_selection": row.nat.port_selection, "owner": row.owner}


def _ports(row):
    return "-".join("%d" % port for port in row.nat.ports)


def _widened(row):
    """The command that gives a rule of others all ports, in the words of its backend."""
    text = stateless(row.text)
    for ports in (_ports(row), "%d" % row.nat.ports[0]):
        text = text.replace(" to :" + ports, "", 1).replace(" --to-ports " + ports, "", 1).replace(":" + ports, "", 1)
    if row.backend != NFTABLES:
        program = ("ip6tables" if row.family == "ipv6" else "iptables") + row.backend[len("iptables"):]
        return "%s -t nat -R %s %d %s" % (program, row.chain, row.place, text)
    place = "%s %s %s handle %d" % (NFT_WORDS[row.family], row.table, row.chain, row.place)
    words = "add rule {0} {1}; delete rule {0}" if row.moves else "replace rule {0} {1}"
    return "nft " + shlex.quote(words.format(place, text))


def _keeping(e):
    return [row for row in e.translated() if row["port_selection"] == KEEP]


def _is_dns(e):
    """Tell whether clashes are those of questions: most flows of NAT are, and the kernel loses them, or no rule is there that could."""
    mostly = bool(e.flows) and e.flows.dns > 0 and e.flows.dns >= HOLDS * e.flows.natted
    return mostly and (e.kernel.version < PAIRS_PASS_SINCE or not _keeping(e))


def _clashes(e):
    """What the counters say of clashes that are not for want of ports."""
    return None if _spent(e) else e.lost("snat_collisions", "drop")


def snat_collisions(e):
    lost = _clashes(e)
    if not lost or _is_dns(e):
        return None
    keeping = _keeping(e)
    evidence = {name: lost.get(name) for name in LOSSES}
    evidence["rules"] = [{name: row[name] for name in ("backend", "family", "table", "chain", "match", "to", "owner")} for row in keeping[:SHOWN]]
    if e.headroom:
        evidence["headroom"] = e.headroom[0]
    if any(row["owner"] != OURS for row in keeping):
        cure, policy = "Have the rules of others choose ports at random: snat.foreign: randomize in the document.", {"snat": {"foreign": "randomize"}}
    else:
        cure, policy = "Say port_selection: random_fully of every rule in snat.rules.", {}
    return finding("snat_collisions", CRITICAL, evidence, cure, policy)


def dns_pair_race(e):
    lost = _clashes(e)
    if not lost or not _is_dns(e):
        return None
    evidence = {name: lost.get(name) for name in LOSSES}
    share = round(e.flows.dns / float(e.flows.natted), 4)
    evidence.update(dns_flows=e.flows.dns, natted_flows=e.flows.natted, dns_share=share, line=RESOLVER, ports=e.flows.lists.get("by_destination_port", [])[:3])
    cure = (
        "Have clients ask one question after the other: the line '%s' in their /etc/resolv.conf (dnsConfig.options of a pod); musl has no such "
        "option. Or give each node a caching resolver that is reached without NAT, or exempt port 53 from tracking. Random ports do not help." % RESOLVER)
    return finding("dns_pair_race", CRITICAL, evidence, cure)


def late_load(e):
    if not e.sockets or not e.sockets.older or not e.translated() or e.exempting:
        return None
    evidence = {
        "sockets": len(e.sockets.older), "checked": e.sockets.checked, "examples": list(e.sockets.older[:SHOWN]),
        "timeout": e.running("tcp_timeout_established"), "loaded_by": e.boot.loaded_by}
    cure = (
        "Switch tracking on before the network is up: early_load in the document, then reboot. Until then a connection enters the table with its next "
        "packet, or at once with netfleet.conntrack.snat, which takes all of them in before its rules are loaded.")
    return finding("late_load", WARNING, evidence, cure, {"early_load": {}})

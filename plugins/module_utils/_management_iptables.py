# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Rules that iptables-save printed, as the management path meets them. Pure."""
import ipaddress

from ansible_collections.netfleet.conntrack.plugins.module_utils import _iptables_save, _tracking_rules
from ansible_collections.netfleet.conntrack.plugins.module_utils._management import IN
from ansible_collections.netfleet.conntrack.plugins.module_utils._management_rule import (
    ACCEPT,
    ALL,
    DROP,
    GO_ON,
    GOTO,
    JUMP,
    MARK,
    NAT,
    NO,
    OTHER,
    RETURN,
    SOME,
    TRACKED,
    VOLATILE,
    Base,
    Fit,
    Rule,
    inverted,
    joined,
    of_interface,
    of_networks,
    of_ports,
    of_states,
)

# Direction: (table, chain) that the path passes where tracking has begun. What NAT does to a connection is decided on its way in.
BASES = {
    "in": (("mangle", "PREROUTING"), ("nat", "PREROUTING"), ("mangle", "INPUT"), ("filter", "INPUT"), ("security", "INPUT"), ("nat", "INPUT")),
    "out": (("mangle", "OUTPUT"), ("filter", "OUTPUT"), ("security", "OUTPUT"), ("mangle", "POSTROUTING")),
}
VERDICTS = dict.fromkeys(("DNAT", "REDIRECT", "NETMAP", "SNAT", "MASQUERADE"), NAT)
VERDICTS.update(ACCEPT=ACCEPT, DROP=DROP, REJECT=DROP, RETURN=RETURN)
VERDICTS.update(dict.fromkeys((
    "", "AUDIT", "CHECKSUM", "CLASSIFY", "CONNMARK", "CONNSECMARK", "CT", "DSCP", "ECN", "HL", "IDLETIMER", "LED", "LOG", "MARK", "NFLOG", "NOTRACK",
    "RATEEST", "SECMARK", "SET", "TCPMSS", "TCPOPTSTRIP", "TEE", "TOS", "TRACE", "TTL", "ULOG"), GO_ON))
# Matches whose options are understood below; others say something that is not, or what is not the same for all packets.
PLAIN = ("addrtype", "comment", "conntrack", "mac", "multiport", "set", "state", "tcp")
NOT_TCP = ("udp", "udplite", "icmp", "icmp6", "sctp", "dccp", "esp", "ah")


def chains(command, text, path):
    """Return (Bases, dict: chain -> Rules) of what a save command printed; raises ValueError where it makes no sense."""
    table, names, found = "", {}, {}
    for line in text.split("\n"):
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            name, policy = line[1:].split()[:2]
            names[table, name] = policy
            found[table, name] = []
    for (dummy, table, name), words in _iptables_save.rules(command, text):
        found.setdefault((table, name), []).append(_rule(command, (table, name), words, names, path))
    return [_base(command, place, names[place]) for place in BASES[path.direction] if place in names], found


def _base(command, place, policy):
    program = command[:-len("-save")]
    return Base(place, place[0] == "nat", DROP if policy == "DROP" else ACCEPT, "%s -t %s -I %s" % ((program,) + place))


def _rule(command, place, words, names, path):
    cut = next((number for number, word in enumerate(words) if word in ("-j", "-g")), len(words))
    target, options = (words[cut + 1:cut + 2] or [""])[0], words[cut + 2:]
    fit = joined(_fits(words[:cut], path))
    verdict = VERDICTS.get(target, OTHER)
    if target == "CONNMARK" and "--restore-mark" in options:
        verdict = MARK
    if (place[0], target) in names:
        verdict, target = GOTO if words[cut] == "-g" else JUMP, (place[0], target)
    return Rule(verdict, target, fit.fits, fit.steady, fit.states, (command,) + place, None, "-A %s %s" % (place[1], _iptables_save.line(words)))


def _fits(words, path):
    """Yield what each condition says."""
    contrary, rest = False, list(words)
    while rest:
        option = rest.pop(0)
        if option == "!":
            contrary = True
            continue
        values = []
        while rest and rest[0] != "!" and not rest[0].startswith("-"):
            values.append(rest.pop(0))
        fit = _fit(option, values, path)
        if fit:
            yield inverted(fit) if contrary else fit
        contrary = False


def _fit(option, values, path):
    """What an option says; None where it says nothing."""
    if option == "--comment" or option == "-m" and values[0] in PLAIN:
        return None
    if option == "-m":
        return Fit(NO) if values[0] in NOT_TCP else TRACKED if values[0] in _tracking_rules.MATCHES else VOLATILE
    read = READERS.get(option)
    return read(path, values) if read else TRACKED if option.startswith("--ct") else VOLATILE


def _interface(direction):
    def read(path, values):
        name = values[0][:-1] + "*" if values[0].endswith("+") else values[0]
        return of_interface(path, [name]) if path.direction == direction else Fit()
    return read


def _network(direction):
    def read(path, values):
        return of_networks(path, [ipaddress.ip_network(values[0], strict=False)]) if path.direction == direction else Fit()
    return read


def _ports(direction):
    def read(path, values):
        ranges = [_iptables_save.span(part, ":") for part in values[0].split(",")]
        return of_ports(path, ranges) if direction in (path.direction, "") else Fit()
    return read


def _protocol(dummy, values):
    return Fit(ALL if values[0] in ("tcp", "6", "all", "0") else NO)


def _type(ours):
    def read(path, values):
        if path.direction != ours or values[0].startswith("UNICAST"):
            return Fit(NO if path.direction == ours else SOME)
        return Fit(ALL if "LOCAL" in values[0].split(",") else NO)
    return read


def _states(dummy, values):
    return of_states(values[0].split(","))


# option: what reads its values
READERS = {
    "-i": _interface(IN), "-o": _interface("out"),
    "-s": _network(IN), "-d": _network("out"),
    "-p": _protocol,
    "--dport": _ports(IN), "--dports": _ports(IN), "--sport": _ports("out"), "--sports": _ports("out"),
    "--ports": lambda path, values: Fit(),
    "--ctstate": _states, "--state": _states,
    "--dst-type": _type(IN), "--src-type": _type("out"),
    "--match-set": lambda path, values: Fit(), "--mac-source": lambda path, values: Fit(),
}

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The path by which this host is managed: what the option C(management) means, and the rules that keep it untracked.

Untracked packets need no entry in the table, so a full one does not drop them. They come in from the managers to
ports of this host, and go out from these ports. Pure: no files, no Ansible.
"""
import itertools
from typing import Any, NamedTuple, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._management_spec import OPTION, SSH
from ansible_collections.netfleet.conntrack.plugins.module_utils._option_readers import Wrong, interface, networks
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import FAMILIES, VERSIONS, in_lines, merged_networks, merged_ports

IN, OUT = DIRECTIONS = ("in", "out")
LOOPBACK = "lo"


class Management(NamedTuple):
    """The path. Where interfaces and networks are given, packets have to match both."""

    interfaces: Tuple[str, ...]  # with "*" at its end, every interface whose name begins so; none: every one but loopback
    networks: Any  # dict: family -> its networks, sorted and merged, none of them where it is all of them; None: every network
    ports: Tuple[Tuple[int, int], ...]  # (first, last) of TCP, sorted and merged
    force: bool = False  # also where rules of others would drop what is not tracked


class Line(NamedTuple):
    """Packets of the path that one rule can match. An empty field matches everything that is no loopback."""

    direction: str  # in or out
    family: str  # ipv4, ipv6; of nftables also "": both
    interface: str
    networks: Tuple[str, ...]
    ports: Tuple[Tuple[int, int], ...]


def wanted(options):
    """Return (Management or None, refusals) of the option C(management)."""
    given = options.get(OPTION)
    if not isinstance(given, dict):
        return None, ()
    found, wrong = {}, []
    for name, read in READERS:
        try:
            found[name] = read(given.get(name))
        except Wrong as error:
            wrong.append("%s.%s: %s" % (OPTION, name, error))
    if not wrong and not found["interfaces"] and found["networks"] is None:
        wrong.append("%s: say through which interfaces or from which networks this host is managed, at least one of the two" % OPTION)
    return (None if wrong else Management(force=bool(given.get("force")), **found)), tuple(wrong)


def _listed(value):
    """The items of a list; a value of another type has been complained of by the module's frame."""
    return value if isinstance(value, (list, tuple)) else []


def _interfaces(texts):
    found = tuple(sorted({interface(text) for text in _listed(texts) if isinstance(text, str)} - {""}))
    for name in found:
        if name == LOOPBACK or name.endswith("*") and LOOPBACK.startswith(name[:-1]):
            raise Wrong("%s takes in the loopback interface, and what this host sends to itself stays tracked; name the interfaces" % name)
    return found


def _networks(texts):
    found = networks([text for text in _listed(texts) if isinstance(text, str)])
    families = {family: [network for network in found if network.version == VERSIONS[family]] for family in FAMILIES}
    return {family: merged_networks(some) for family, some in families.items() if some} or None


def _ports(numbers):
    found = [SSH] if numbers is None else _listed(numbers)
    for number in found:
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 65535:
            raise Wrong("%r is no TCP port; give numbers from 1 to 65535" % (number,))
    if not found:
        raise Wrong("there is none; name the ports that this host is managed by, such as [22], or leave the option out")
    return merged_ports((number, number) for number in found)


READERS = (("interfaces", _interfaces), ("networks", _networks), ("ports", _ports))


def refusals(management, backend):
    """Yield what of it a backend cannot hold."""
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _iptables, _nft

    table = _nft.INTERFACES if backend == "nftables" else _iptables.INTERFACES
    for is_wrong, text in table:
        for name in filter(is_wrong, management.interfaces):
            yield "%s.%s" % (OPTION, text % ("interfaces", name))


def families(management):
    """The families that the path has packets of."""
    return FAMILIES if management.networks is None else tuple(sorted(management.networks))


# The rules of nftables


def nft_lines(management, direction):
    """The rules of one direction in a table of the family inet."""
    groups = [("", ())] if management.networks is None else sorted(management.networks.items())
    return tuple(Line(direction, family, name, some, management.ports)
                 for name in management.interfaces or ("",) for family, some in groups)


def nft_text(line, verdict="notrack"):
    """A rule in nft's words."""
    way = ("iifname", "saddr", "dport") if line.direction == IN else ("oifname", "daddr", "sport")
    found = ['%s "%s"' % (way[0], line.interface) if line.interface else '%s != "%s"' % (way[0], LOOPBACK)]
    if line.networks:
        found.append("%s %s %s" % ("ip" if line.family == "ipv4" else "ip6", way[1], _set(line.networks)))
    elif line.family:
        found.append("meta nfproto %s" % line.family)
    found.append("tcp %s %s" % (way[2], _set("%d-%d" % ports if ports[0] != ports[1] else "%d" % ports[0] for ports in line.ports)))
    if line.direction == IN:
        found.append("fib daddr type local")
    return " ".join(found + [verdict])


def _set(texts):
    found = list(texts)
    return found[0] if len(found) == 1 else "{ %s }" % ", ".join(found)


# The rules of iptables


def iptables_lines(management, direction, family):
    """The rules of one direction for a family."""
    if family not in families(management):
        return ()
    some = ((network,) for network in (management.networks or {}).get(family) or [""])
    parts = itertools.product(management.interfaces or ("",), some, in_lines(management.ports))
    return tuple(Line(direction, family, name, tuple(filter(None, network)), ports) for name, network, ports in parts)


def iptables_text(line, verdict="CT --notrack"):
    """A rule in the words of iptables, in the order in which iptables-save prints them."""
    way = ("-s", "-i", "--dports") if line.direction == IN else ("-d", "-o", "--sports")
    found = ["%s %s" % (way[0], line.networks[0])] if line.networks else []
    name = line.interface[:-1] + "+" if line.interface.endswith("*") else line.interface
    found.append("%s %s" % (way[1], name) if name else "! %s %s" % (way[1], LOOPBACK))
    found.append("-p tcp -m multiport %s %s" % (way[2], ",".join("%d:%d" % ports if ports[0] != ports[1] else "%d" % ports[0] for ports in line.ports)))
    if line.direction == IN:
        found.append("-m addrtype --dst-type LOCAL")
    return " ".join(found + ["-j %s" % verdict])


# The rules that nft shows


def nft_line(rule, direction):
    """The Line that a decoded rule of ours is, with the verdict notrack; None where it says anything else."""
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _nft_json

    try:
        return _read(rule["expr"], direction, _nft_json.PAYLOAD)
    except (AttributeError, LookupError, TypeError, ValueError):  # something else is where a rule of ours has what is read
        return None


def _read(statements, direction, readers):
    way = ("iifname", "saddr", "dport") if direction == IN else ("oifname", "daddr", "sport")
    found = {"family": "", "networks": ()}
    rest = [part for part in statements if "counter" not in part]
    for key, op, right in map(_condition, rest[:-1]):
        if key == (way[0],) and (op == "==" or (op, right) == ("!=", LOOPBACK)):
            found["interface"] = right if op == "==" else ""
        elif op in ("==", "in") and key in (("ip", way[1]), ("ip6", way[1])):
            found.update(family={"ip": "ipv4", "ip6": "ipv6"}[key[0]], networks=readers[way[1]][1](right))
        elif op in ("==", "in") and key == ("tcp", way[2]):
            found["ports"] = readers["dport"][1](right)
        elif (key, op, right) == (("nfproto",), "==", "ipv4") or (key, op, right) == (("nfproto",), "==", "ipv6"):
            found["family"] = found["family"] or right
        elif (key, op, right) == (("fib",), "==", "local") and direction == IN:
            found["local"] = True
        elif (key, op, right) not in ((("l4proto",), "==", "tcp"), (("l4proto",), "==", 6)):
            return None
    local = found.pop("local", direction == OUT)
    return Line(direction=direction, **found) if local and rest[-1] == {"notrack": None} else None


def _condition(part):
    """What a condition is about, how it is compared, and with what."""
    left, right = part["match"]["left"], part["match"]["right"]
    if "meta" in left:
        return (left["meta"]["key"],), part["match"]["op"], right
    if "fib" in left and left["fib"]["result"] == "type" and left["fib"]["flags"] in (["daddr"], "daddr"):
        return ("fib",), part["match"]["op"], right
    return (left["payload"]["protocol"], left["payload"]["field"]), part["match"]["op"], right

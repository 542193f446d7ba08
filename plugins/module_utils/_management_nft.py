# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Rules of nft in its JSON, as the management path meets them. Pure."""
import ipaddress

from ansible_collections.netfleet.conntrack.plugins.module_utils._management import IN
from ansible_collections.netfleet.conntrack.plugins.module_utils._management_iptables import VERDICTS as VERDICTS_OF_IPTABLES
from ansible_collections.netfleet.conntrack.plugins.module_utils._management_rule import (
    ACCEPT,
    ALL,
    DROP,
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
from ansible_collections.netfleet.conntrack.plugins.module_utils._snat_rule import between
from ansible_collections.netfleet.conntrack.plugins.module_utils._tracking_rules import MATCHES

FAMILIES = {"ip": ("ipv4",), "ip6": ("ipv6",), "inet": ("ipv4", "ipv6")}
HOOKS = {"in": ("prerouting", "input"), "out": ("output", "postrouting")}
TRACKING = -200  # where tracking begins (NF_IP_PRI_CONNTRACK); rules before it see no state of anything
# Statement: what becomes of a packet. What is in none of these tables is not understood.
VERDICTS = dict.fromkeys(("dnat", "snat", "masquerade", "redirect"), NAT)
VERDICTS.update({"accept": ACCEPT, "drop": DROP, "reject": DROP, "return": RETURN, "jump": JUMP, "goto": GOTO})
NEUTRAL = ("continue", "counter", "ct expectation", "ct helper", "ct timeout", "dup", "flow", "last", "log", "map", "notrack", "secmark", "set")
CONDITIONS = ("limit", "quota", "meter")
CT_MARK = {"ct": {"key": "mark"}}
PROTOCOLS = ("tcp", 6)
THEIRS = ("udp", "udplite", "icmp", "icmpv6", "sctp", "dccp", "esp", "ah", "comp", "igmp", "arp")


class Sets:
    """What named sets hold; None where that can change at any time."""

    def __init__(self, objects):
        found = [thing for item in objects for kind, thing in item.items() if kind in ("set", "map")]
        self.known = {(thing["family"], thing["table"], "@" + thing["name"]): thing for thing in found}

    def items(self, place, value):
        """The items of a set by its name, or of one that is written in a rule; None where they are not known."""
        if isinstance(value, str) and value.startswith("@"):
            found = self.known.get(place[:2] + (value,), {})
            flags = found.get("flags", ())
            moves = {"dynamic", "timeout"}.intersection([flags] if isinstance(flags, str) else flags) or not found
            return None if moves else [_bare(item) for item in found.get("elem", ())]
        if isinstance(value, dict) and "set" in value:
            return self.items(place, value["set"]) if isinstance(value["set"], str) else [_bare(item) for item in value["set"]]
        return value if isinstance(value, list) else [value]


def _bare(item):
    """An item without what nft notes of it; of a map, it is a pair."""
    if isinstance(item, list):
        return [_bare(item[0]), item[1]]
    return item["elem"]["val"] if isinstance(item, dict) and "elem" in item else item


def chains(objects, path, but):
    """Return (Bases, dict: chain -> Rules) of decoded objects; tables in ``but`` are left out. Raises ValueError where they make no sense."""
    sets, found, bases = Sets(objects), {}, []
    asleep = {(item["table"]["family"], item["table"]["name"]) for item in objects if "dormant" in (item.get("table", {}).get("flags") or ())}
    for kind, thing in (pair for item in objects for pair in item.items() if pair[0] in ("chain", "rule")):
        if path.family not in FAMILIES.get(thing["family"], ()) or (thing["family"], thing["table"]) in asleep.union(but):
            continue
        place = (thing["family"], thing["table"], thing["name" if kind == "chain" else "chain"])
        rules = found.setdefault(place, [])
        if kind == "rule":
            rules.extend(_rules(thing, place, path, sets))
        elif _meets(thing, path):
            bases.append(Base(place, thing["type"] == "nat", thing.get("policy", ACCEPT), "nft insert rule %s %s %s" % place))
    return bases, found


def _meets(chain, path):
    late = chain.get("prio", 0) > TRACKING or chain.get("hook") in ("input", "postrouting")
    return chain.get("hook") in HOOKS[path.direction] and late and (chain["type"] != "nat" or path.direction == IN)


def _rules(thing, place, path, sets):
    """Yield the Rules that one rule is: a verdict map is several."""
    fits, here = [], {"where": place, "handle": thing.get("handle")}
    for part in thing.get("expr", ()):
        key, value = list(part.items())[0]
        if key == "match":
            fits.append(_match(value["left"], value["op"], value["right"], place, path, sets))
        elif key in CONDITIONS or key == "ct count":
            fits.append(TRACKED if key == "ct count" else VOLATILE)
        elif key == "vmap":
            yield from _of_map(value, fits, here, path, sets)
        elif key == "xt":
            fits.append(_extension(value))
            yield from _end(VERDICTS_OF_IPTABLES.get((value or {}).get("name"), OTHER), fits, here) if _is_target(value) else ()
        elif key == "mangle":
            yield from _end(MARK, fits, here) if "meta" in value["key"] and _takes_mark(value["value"]) else ()
        elif key not in NEUTRAL:
            yield _verdict(key, value, joined(fits), here)


def _is_target(value):
    """Tell whether an extension of iptables decides; of one that old versions of nft show nothing of, that is not known."""
    return (value or {}).get("type") != "match"


def _extension(value):
    """What an extension of iptables says as a condition; nft shows no more than its name."""
    if value and _is_target(value):
        return Fit(ALL)
    return TRACKED if (value or {}).get("name") in MATCHES else VOLATILE


def _end(verdict, fits, here):
    fit = joined(fits)
    return (Rule(verdict, "", fit.fits, fit.steady, fit.states, **here),)


def _takes_mark(part):
    """Tell whether an expression has the mark of a connection in it."""
    if isinstance(part, dict):
        return part == CT_MARK or any(map(_takes_mark, part.values()))
    return isinstance(part, list) and any(map(_takes_mark, part))


def _verdict(key, value, fit, here):
    verdict = VERDICTS.get(key, OTHER)
    target = here["where"][:2] + (value["target"],) if verdict in (JUMP, GOTO) else ""
    return Rule(verdict, target, fit.fits, fit.steady, fit.states, **here)


def _of_map(value, fits, here, path, sets):
    items = sets.items(here["where"], value["data"])
    if items is None:
        yield _verdict("vmap", {}, joined(fits), here)
        return
    for item in items:
        wanted, verdict = item
        fit = Fit(ALL) if wanted == "*" else _match(value["key"], "==", wanted, here["where"], path, sets)
        key, inner = list(verdict.items())[0]
        if key not in NEUTRAL:
            yield _verdict(key, inner, joined(fits + [fit]), here)


def _match(left, op, right, place, path, sets):
    """What a condition says."""
    items = sets.items(place, right)
    try:
        fit = _fit(left, items, path)
    except (KeyError, TypeError, ValueError, AttributeError):
        return VOLATILE
    if op in ("==", "in"):
        return fit
    return inverted(fit) if op == "!=" else Fit(SOME, fit.steady, fit.states and TRACKED.states)


def _fit(left, items, path):
    if not isinstance(left, dict):
        return VOLATILE
    kind, value = next(iter(left.items()))
    if kind == "concat":
        found = joined(_fit(part, None, path) for part in value)
        return found._replace(fits=min(found.fits, SOME))
    return OF_KIND.get(kind, _of_others)(value, items, path)


def _of_others(dummy_value, dummy_items, dummy_path):
    return VOLATILE


def _of_ct(value, items, dummy_path):
    if value.get("key") == "state" and items is not None:
        return of_states(str(item) for item in items)
    # What is on its way to an address of this host was not rewritten, or a rule of NAT is told.
    return Fit(NO) if value.get("key") == "status" and items is not None and set(items) <= {"dnat", "snat"} else TRACKED


def _of_meta(value, items, path):
    key = value["key"]
    if key in ("l4proto", "protocol", "nfproto"):
        known = PROTOCOLS if key == "l4proto" else {"ipv4": ("ip", "ipv4", 2), "ipv6": ("ip6", "ipv6", 10)}[path.family]
        return Fit(SOME) if items is None else Fit(ALL if any(item in known for item in items) else NO)
    if key in ("iifname", "iif", "oifname", "oif"):
        return of_interface(path, items) if key[:3] == path.near[1] and items is not None else Fit()
    if key == "pkttype":
        return Fit(NO if items is not None and not {"host", "unicast"} & set(items) else SOME)
    return VOLATILE


def _of_payload(value, items, path):
    protocol, field = value["protocol"], value["field"]
    if protocol in THEIRS or protocol in ("ip", "ip6") and FAMILIES[protocol] != (path.family,):
        return Fit(NO)
    if field in ("saddr", "daddr"):
        return of_networks(path, [network for item in items for network in _networks(item)]) if field == path.near[0] and items is not None else Fit()
    if field in ("sport", "dport") and protocol in ("tcp", "th"):
        return of_ports(path, map(_span, items)) if field == path.near[2] and items is not None else Fit()
    if (protocol, field) in (("ip", "protocol"), ("ip6", "nexthdr")) and items is not None:
        return Fit(ALL if any(item in PROTOCOLS for item in items) else NO)
    return VOLATILE


def _networks(item):
    if isinstance(item, dict) and "prefix" in item:
        return [ipaddress.ip_network("%s/%d" % (item["prefix"]["addr"], item["prefix"]["len"]), strict=False)]
    return list(between(*(item["range"] if isinstance(item, dict) else (item, item))))


def _span(item):
    first, last = item["range"] if isinstance(item, dict) else (item, item)
    return int(first), int(last)


def _of_fib(value, items, path):
    flags = [value["flags"]] if isinstance(value["flags"], str) else value["flags"]
    if value["result"] == "type" and "daddr" in flags and path.direction == IN and items is not None:
        return Fit(ALL if "local" in items else NO)
    return Fit()


OF_KIND = {"ct": _of_ct, "meta": _of_meta, "payload": _of_payload, "fib": _of_fib}

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""What the HTML page tells of one host: what is odd stands in the page, all else is data that a script shows when asked. Pure."""
from __future__ import annotations

import json

from ansible_collections.netfleet.conntrack.plugins.module_utils._drift_kinds import KINDS
from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_page_text import count, first, number, percent, shown, size, span

# The tables that a script makes: title, heads of the columns.
TABLES = {
    "compared": ("As wanted", ("value", "wanted and running", "at boot", "decided by")),
    "unread": ("Not known", ("value", "wanted", "running", "at boot")),
    "counters": ("Counters", ("counter", "since it began", "since the last report", "a second")),
    "headroom": ("Ports left to source NAT", ("NAT address", "towards", "used", "of", "share")),
    "rules": ("Rules of source NAT", ("comment", "match", "to", "ports", "port selection", "backend", "owner", "packets")),
    "owners": ("Other programs", ("program", "where", "effect")),
}
LAYERS = {"running": "Running", "boot": "At boot"}


def is_odd(host):
    """Whether there is something about a host that a reader has to see without asking."""
    return host["status"] != "clean" or any(host[name] for name in ("gone", "problems", "warnings"))


def odd(index, host, matrix):
    """What stands in the page of an odd host."""
    cards = _cards(index, host, matrix)
    new = sum(row["new"] for row in host["differences"])
    lists = [(title, *first(host[name])) for title, name in (("Problems", "problems"), ("Warnings", "warnings")) if host[name]]
    gone, more_gone = first(host["gone"])
    shown_cards, more = first(cards)
    return {
        "index": index, "name": host["name"], "status": host["status"], "message": host["message"], "facts": facts(host), "new": new,
        "differences": len(host["differences"]), "cards": shown_cards, "more": more, "lists": lists, "owners": _owners(host),
        "gone": [_gone(row) for row in gone], "more_gone": more_gone,
    }


def _cards(index, host, matrix):
    """A card for each value that differs, with everything that is known of it."""
    by_key = {}
    for row in host["differences"]:
        by_key.setdefault((row["part"], row["name"]), []).append(row)
    values = {(row["part"], row["name"]): row for row in host["compared"]}
    for key, value in values.items():
        if value["differs"] and key not in by_key:
            by_key[key] = [_difference(value, layer) for layer in value["differs"]]
    found, named = [], set()
    for key, rows in by_key.items():
        place = matrix.place(rows[0])
        found.append(dict(_card(values.get(key), rows), id="" if place in named else "h%dv%d" % (index, place)))
        named.add(place)
    return found


def _difference(value, layer):
    """The difference of a value of which no more is said."""
    return dict({name: value[name] for name in ("part", "name", "wanted", "source")}, layer=layer, found=value[layer], kind="", why="", new=False)


def _card(value, rows):
    differs = {row["layer"] for row in rows} | set(value["differs"] if value else ())
    layers = dict({layer: value[layer] for layer in LAYERS} if value else {}, **{row["layer"]: row["found"] for row in rows if not value})
    return {
        "part": rows[0]["part"], "name": rows[0]["name"], "new": any(row["new"] for row in rows), "wanted": shown(rows[0]["wanted"]),
        "layers": [(layer, LAYERS[layer], shown(layers.get(layer)), layer in differs) for layer in LAYERS],
        "why": [{"layer": LAYERS.get(row["layer"], row["layer"]), "kind": row["kind"], "words": KINDS.get(row["kind"], ""), "why": row["why"],
                 "source": row["source"], "found": "" if value and value.get(row["layer"]) == row["found"] else shown(row["found"])} for row in rows],
        "source": value["source"] if value else "", "reason": value["reason"] if value else "",
        "writers": _writers(value) if value else [],
    }


def _writers(value):
    """Foreign programs that write this value too."""
    return ["%s writes %s %s (%s)" % (row["name"], shown(row["value"]), shown(row["when"]), shown(row["source"])) for row in first(value["writers"])[0]]


def _gone(row):
    return {"what": "%s %s" % (row["part"], row["name"]), "layer": LAYERS.get(row["layer"], row["layer"]), "words": KINDS.get(row["kind"], row["kind"]),
            "found": shown(row["found"])}


def facts(host):
    """Pairs of a word and a text: what kind of machine this is."""
    module = {True: ", conntrack built in", False: ", conntrack a module"}.get(host["builtin"], "")
    table, tracking = host["table"], host["tracking"]
    return [(word, text) for word, text in (
        ("kernel", host["kernel"] + module if host["kernel"] else ""),
        ("machine", ", ".join(filter(None, [count(host["cpus"], "CPU") if host["cpus"] else "", size(host["mem_total"]) if host["mem_total"] else ""]))),
        ("namespace", host["namespace"] if host["namespace"] not in ("", "initial") else ""),
        ("table", "%s of %s" % (number(table["count"]), number(table["max"])) if table else ""),
        ("buckets", "%s, load factor %s" % (number(table["buckets"]), number(table["load_factor"])) if table else ""),
        ("tracking", "IPv4 %s, IPv6 %s" % (shown(tracking["ipv4"]), shown(tracking["ipv6"])) if tracking else ""),
    ) if text]


def _owners(host):
    return ["%s: %s (%s)" % tuple(shown(row.get(name)) for name in ("name", "effect", "where")) for row in first(host["owners"])[0]]


class Store:
    """Tables of all hosts as data. Rows that many hosts share are kept once, for most have the same values."""

    def __init__(self):
        self._pool = {}
        self._hosts = []

    def add(self, host):
        tables = {name: [self._keep(row) for row in first(rows)[0]] for name, rows in _tables(host) if rows}
        self._hosts.append({"facts": [self._keep(pair) for pair in facts(host)], "tables": tables, "since": _since(host)})

    def _keep(self, row):
        return self._pool.setdefault(tuple(row), len(self._pool))

    def text(self, **more):
        """The data as JSON that may stand inside a script element: no <, no >, no &, nothing but ASCII."""
        kept = dict(more, heads=TABLES, pool=list(self._pool), hosts=self._hosts)
        text = json.dumps(kept, separators=(",", ":"), allow_nan=False)
        return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _since(host):
    return span(host["rates"]["seconds"]) if host["rates"] else ""


def _tables(host):
    fine = [row for row in host["compared"] if not row["differs"]]
    unread = [row["running"] is None and row["boot"] is None and row["wanted"] is not None for row in fine]
    yield "unread", [(_called(row), shown(row["wanted"]), shown(row["running"]), shown(row["boot"])) for row, so in zip(fine, unread, strict=True) if so]
    yield "headroom", [_ports(row) for row in host["snat"]["headroom"] or ()]
    yield "counters", _counters(host)
    yield "rules", [_rule(row) for row in host["snat"]["rules"] or ()]
    yield "owners", [tuple(shown(row.get(name)) for name in ("name", "where", "effect")) for row in host["owners"]]
    read = [row for row, so in zip(fine, unread, strict=True) if not so]
    yield "compared", [(_called(row), shown(row["running"]), _same(row), "; ".join([shown(row["source"])] + _writers(row))) for row in read]


def _called(row):
    return row["name"] if row["part"] == "settings" else "%s %s" % (row["part"], row["name"])


def _same(row):
    return "the same" if row["boot"] == row["running"] else shown(row["boot"])


def _ports(row):
    return (shown(row.get("nat_address")), towards(row), number(row.get("used")), number(row.get("available")), percent(row.get("share")))


def towards(row):
    """The other end of what takes up ports: protocol, address and port, and the zone where it is not 0."""
    port = row.get("destination_port")
    address = shown(row.get("destination"))
    ended = ("[%s]:%s" if ":" in address else "%s:%s") % (address, port) if port is not None else address
    return "%s %s%s" % (shown(row.get("protocol")), ended, ", zone %s" % row["zone"] if row.get("zone") else "")


def _counters(host):
    rates = host["rates"] or {"changes": {}, "per_second": {}}
    return [(name, number(value), number(rates["changes"].get(name)), number(rates["per_second"].get(name)))
            for name, value in (host["counters"] or {}).items()]


def _rule(row):
    place = "%s, table %s, chain %s" % tuple(shown(row.get(name)) for name in ("backend", "table", "chain"))
    words = (shown(row.get(name)) for name in ("comment", "match", "to", "ports", "port_selection"))
    return (*words, place, shown(row.get("owner")), number(row.get("packets")))

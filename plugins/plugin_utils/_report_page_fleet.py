# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""What the HTML page tells of all hosts side by side: how full their tables are, what rose, what source NAT has left. Pure."""
from __future__ import annotations

from collections import Counter

from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_page_host import towards
from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_page_text import clean, count, number, percent, shown, size, span, until

FULL, FILLING = 0.9, 0.75
WIDTH, HEIGHT, POINTS = 120, 24, 30  # of the line of a history
MOST_PORTS, MOST_RULES, MOST_RISEN, NAMED = 200, 100, 200, 3
# Packets are lost when these rise; of the others some do on a healthy router.
LOSING = ("drop", "insert_failed", "early_drop", "chain_toolong")


def _by(hosts, get):
    return [(index, host, get(host)) for index, host in enumerate(hosts) if get(host)]


def level(share):
    """The word for the colour of a bar, which tells no more than the number beside it."""
    return "full" if share >= FULL else "filling" if share >= FILLING else "fine"


def tables(hosts):
    """How full each table is: first the one that is full first, then the fullest."""
    rows = [_table(index, host, table) for index, host, table in _by(hosts, lambda host: host["table"])]
    return sorted(rows, key=lambda row: (row["days"] is None, row["days"] or 0, -row["usage"]))


def _table(index, host, table):
    usage = table["usage"] or 0
    memory = size(table["table_bytes"]) + (" (%s)" % percent(table["memory_share"]) if table["memory_share"] is not None else "")
    return {
        "index": index, "name": host["name"], "usage": usage, "share": percent(usage), "level": level(usage), "bar": _bar(usage),
        "count": number(table["count"]), "max": number(table["max"]), "memory": memory, "days": host["days_until_full"],
        "until": until(host["days_until_full"]),
        "line": _line(host["history"]),
    }


def _bar(share):
    return max(0, min(100, round(100 * share)))


def _line(history):
    """The history as a path in a box of WIDTH by HEIGHT, with its words; None of fewer than two points."""
    points = [point for point in history if point[1] is not None]
    if len(points) < 2:
        return None
    step = max(1, -(-len(points) // POINTS))
    kept = points[::-1][::step][::-1]  # the last is always one of them
    start, length = kept[0][0], max(1, kept[-1][0] - kept[0][0])
    top = max([point[1] for point in kept]) or 1
    dots = ["%d %d" % (round((at - start) * WIDTH / length), round(HEIGHT - 2 - value * (HEIGHT - 4) / top)) for at, value, *dummy in kept]
    words = "from %s to %s in %s, at most %s" % (number(kept[0][1]), number(kept[-1][1]), span(length), number(top))
    return {"path": "M" + "L".join(dots), "end": dots[-1].split(), "words": words}


def findings(hosts):
    """What has been found, by its id: its meaning once, and each host's evidence in columns. The rarest first."""
    found = {}
    for index, host in enumerate(hosts):
        for each in host["findings"]:
            found.setdefault(each["id"], []).append((index, host["name"], each))
    return sorted((_finding(name, rows) for name, rows in found.items()), key=lambda group: len(group["rows"]))


def _finding(name, rows):
    heads = list(dict.fromkeys(key for dummy, dummy_name, each in rows for key in each["evidence"]))
    meanings = {each["meaning"] for dummy, dummy_name, each in rows}
    same = len(meanings) == 1
    return {
        "id": name, "meaning": meanings.pop() if same else "", "heads": heads + ([] if same else ["meaning"]),
        "hosts": count(len({index for index, dummy, dummy_each in rows}), "router"),
        "rows": [{"index": index, "name": host, "cells": [_evidence(key, each["evidence"].get(key)) for key in heads] + ([] if same else [each["meaning"]])}
                 for index, host, each in rows],
    }


def _evidence(key, value):
    if key == "share" and isinstance(value, (int, float)):
        return percent(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not key.endswith("port"):
        return number(value)
    return clean(shown(value))


def rates(hosts):
    """What rose since the last report, a column for each counter that did anywhere; those who lose most packets first."""
    told = _by(hosts, lambda host: host["rates"])
    risen = Counter()
    for row in told:
        risen.update({name: change or 0 for name, change in row[-1]["changes"].items()})
    heads = [name for name in LOSING if risen.get(name)] + sorted(name for name, sum_ in risen.items() if sum_ and name not in LOSING)
    rows = [_risen(index, host, found, heads) for index, host, found in told if any(found["changes"].get(name) for name in heads)]
    rows.sort(key=lambda row: -row["lost"])
    return {
        "heads": [(name, name in LOSING) for name in heads], "rows": rows[:MOST_RISEN], "all": len(rows), "quiet": len(told) - len(rows),
        "untold": len(hosts) - len(told),
    }


def _risen(index, host, found, heads):
    changes, per_second = found["changes"], found["per_second"]
    return {
        "index": index, "name": host["name"], "lost": sum(changes.get(name) or 0 for name in LOSING), "seconds": span(found["seconds"]),
        "cells": [(number(changes[name]), number(per_second.get(name)), name in LOSING) if changes.get(name) else None for name in heads],
    }


def ports(hosts):
    """What has the fewest ports left, and how many rows there are in all."""
    rows = [(row.get("share") or 0, index, host["name"], row) for index, host in enumerate(hosts) for row in host["snat"]["headroom"] or ()]
    rows.sort(key=lambda row: (-row[0], row[1]))
    return {"rows": [_ports(*row) for row in rows[:MOST_PORTS]], "all": len(rows)}


def _ports(share, index, name, row):
    return {
        "index": index, "name": name, "address": shown(row.get("nat_address")), "towards": towards(row), "share": percent(share), "level": level(share),
        "bar": _bar(share), "used": number(row.get("used")), "available": number(row.get("available")), "rate": number(row.get("flows_per_second")),
    }


def rules(hosts):
    """Rules of source NAT that read alike, and who has them: those that the fewest have come first, for they are the odd ones."""
    found = {}
    for index, host in enumerate(hosts):
        for row in host["snat"]["rules"] or ():
            key = tuple(shown(row.get(name)) for name in ("owner", "backend", "match", "to", "ports", "port_selection"))
            found.setdefault(key, {})[index] = host["name"]
    rows = [{"cells": key, "hosts": list(who), "who": _who(list(who.values()), len(hosts))} for key, who in found.items()]
    rows.sort(key=lambda row: len(row["hosts"]))
    return {"rows": rows[:MOST_RULES], "all": len(rows)}


def _who(names, among):
    return ", ".join(names) if len(names) <= NAMED else "%s of %s" % (number(len(names)), count(among, "router"))

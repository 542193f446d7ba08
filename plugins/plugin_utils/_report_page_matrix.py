# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""The matrix of the HTML page: a row for each host, a column for each value that any document asks for. Pure."""
from __future__ import annotations

from typing import NamedTuple

from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_page_text import count, shown

SETTINGS = "settings"
MANY_NAMES = 12  # of a part other than the settings, whose names users choose: more of them share one column
MANY_CELLS = 3000  # from which on a host that is as wanted gets one cell across all columns
MANY_COLUMNS = 16  # from which on only those that differ are seen at first
OK, ABSENT, UNKNOWN, RUNNING, BOOT, BOTH = "ok", "absent", "unknown", "running", "boot", "both"
RANK = (ABSENT, OK, UNKNOWN, BOOT, RUNNING, BOTH)
WORDS = {
    OK: "as wanted", ABSENT: "not asked for", UNKNOWN: "not known", RUNNING: "running differs", BOOT: "next boot differs",
    BOTH: "running and next boot differ",
}


class Cell(NamedTuple):
    state: str
    title: str = ""
    new: bool = False
    target: str = ""  # id of what tells more


class Column:
    """A value's place in the matrix; ``name`` is empty where a whole part has only one."""

    def __init__(self, part, name, place):
        self.part, self.name, self.place, self.hosts = part, name, place, 0

    @property
    def title(self):
        return "%s %s" % (self.part, self.name) if self.name else self.part


class Matrix:
    """Columns, and cells by host. ``hosts`` are those of the report."""

    def __init__(self, hosts):
        names = _names(hosts)
        self._folded = {part for part, inside in names.items() if part != SETTINGS and len(inside) > MANY_NAMES}
        keys = [(part, name) for part, inside in names.items() for name in ([""] if part in self._folded else inside)]
        self.columns = [Column(*key, place) for place, key in enumerate(keys)]
        self._places = {key: place for place, key in enumerate(keys)}
        self._cheap = len(hosts) * len(keys) > MANY_CELLS
        self.rows = [self._row(index, host) for index, host in enumerate(hosts)]
        self.only_differing = len(keys) > MANY_COLUMNS and any(column.hosts for column in self.columns)

    def parts(self):
        """Each part with how many columns it has."""
        found = {}
        for column in self.columns:
            found[column.part] = found.get(column.part, 0) + 1
        return list(found.items())

    def place(self, row):
        """The number of the column to which a value or a difference belongs."""
        return self._places[row["part"], "" if row["part"] in self._folded else row["name"]]

    def _row(self, index, host):
        cells = self._cells(index, host)
        odd = sorted(place for place, cell in cells.items() if cell.state in (RUNNING, BOOT, BOTH))
        for place in odd:
            self.columns[place].hosts += 1
        plain = not odd and (self._cheap or not cells)
        absent = Cell(ABSENT)
        return {"cells": None if plain else [cells.get(place, absent) for place in range(len(self.columns))], "differing": odd, "asked": len(host["compared"])}

    def _cells(self, index, host):
        layers, new = {}, set()
        for row in host["differences"]:
            layers.setdefault((row["part"], row["name"]), {}).setdefault(row["layer"], row)
            if row["new"]:
                new.add((row["part"], row["name"]))
        found = {}
        for value in host["compared"] + _without_value(host):
            key = value["part"], value["name"]
            place, state = self.place(value), _state(value, layers.get(key, ()))
            if place not in found or RANK.index(state) > RANK.index(found[place].state):
                told = "" if state == OK else _title(value, state, key in new)
                found[place] = Cell(state, told, key in new, "h%dv%d" % (index, place))
        return found


def _names(hosts):
    """Names by part, in the order in which documents have them, each after the one that it follows there."""
    found, seen = {}, set()
    for host in hosts:
        keys = tuple((row["part"], row["name"]) for row in host["compared"] + host["differences"])
        if keys in seen:
            continue
        seen.add(keys)
        last = {}
        for part, name in keys:
            inside = found.setdefault(part, [])
            if name not in inside:
                inside.insert(inside.index(last[part]) + 1 if part in last else len(inside), name)
            last[part] = name
    return found


def _without_value(host):
    """What differs and is no value of the document, such as a run that was killed, in the form of a value."""
    known = {(row["part"], row["name"]) for row in host["compared"]}
    rows = [row for row in host["differences"] if (row["part"], row["name"]) not in known]
    return [_as_value(row) for row in rows]


def _as_value(row):
    return dict({"running": None, "boot": None, "reason": "", "differs": [], "writers": []},
                part=row["part"], name=row["name"], wanted=row["wanted"], source=row["source"], **{row["layer"]: row["found"]})


def _state(value, layers):
    differs = {*value["differs"], *layers} & {RUNNING, BOOT}
    if differs:
        return BOTH if len(differs) == 2 else differs.pop()
    return UNKNOWN if value["running"] is None and value["boot"] is None and value["wanted"] is not None else OK


def _title(value, state, new):
    """Everything on one value in a line, for who points at its cell or hears its link."""
    told = "%s: %s%s" % (value["name"], WORDS[state], ", new" if new else "")
    values = ["%s %s" % (word, _short(value[layer])) for word, layer in (("wanted", "wanted"), ("running", RUNNING), ("at boot", BOOT))]
    source = ["decided by %s" % _short(value["source"])] if value["source"] else []
    writers = [count(len(value["writers"]), "foreign writer")] if value["writers"] else []
    return "%s \u2013 %s" % (told, "; ".join(values + source + writers))


def _short(value):
    text = shown(value)
    return text if len(text) <= 60 else text[:59] + "\u2026"

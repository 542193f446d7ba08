# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""One host of a report, from what C(drift_info) gave on it, or from what Ansible says why it gave nothing.

A host is C(clean) only where the module said so and no row differs: whatever cannot be understood is C(unknown). Pure.
"""
from __future__ import annotations

from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_clean import Misshapen, listed, mapped, number, switch, whole

CLEAN, DRIFT, UNKNOWN, UNREACHABLE = STATUSES = ("clean", "drift", "unknown", "unreachable")
KNOWN_SCHEMA = 1  # of the module's result
LAYERS = ("running", "boot")
NO_RESULT = "no result: the host was not asked, or its answer was not registered"
NO_REASON = "it gives no reason"
UNEXPLAINED = "unexplained"  # the kind of a difference that only the row of a value tells of
ANOTHER_SCHEMA = "schema_version %s of its result is not known here; use the same version of the collection for looking and for reporting"
SAID_DRIFT = "it says that something is not as wanted, and does not say what"
MISSHAPEN = "its result is not what drift_info gives: %s"
TABLE = ("count", "max", "usage", "buckets", "load_factor")
NOTHING = {
    "kernel": "", "builtin": None, "namespace": "", "mem_total": None, "cpus": None, "page_size": None, "table": None, "tracking": None,
    "compared": (), "differences": (), "gone": (), "problems": (), "warnings": (), "owners": (), "counters": None, "rates": None, "findings": (),
    "snat": {"rules": (), "headroom": ()}, "history": (), "days_until_full": None,
}
WRITER = {"name": "text", "source": "text", "value": "scalar", "when": "text"}
DIFFERENCE = {"part": "text", "name": "text", "layer": "text", "kind": "text", "wanted": "scalar", "found": "scalar", "source": "text", "why": "text"}


def host(cleaner, name, looked, applied=None):
    """Return the host of this name, not yet compared with anything.

    ``looked``: what the module gave, a failure, or None. ``applied``: the result of applying before, whose failure the host bears.
    """
    failure = "" if applied is None else failed(applied)
    if looked is None and failure:
        looked, failure = applied, ""
    cleaner.begin()
    named = cleaner.text(name)
    try:
        found = _told(cleaner, looked) if not failed(looked) else _lost(cleaner, looked)
    except Misshapen as error:
        found = {"status": UNKNOWN, "message": MISSHAPEN % error}
    if failure:
        cleaner.begin()
        _bear(found, cleaner.text(failure))
    found.update({key: _copy(value) for key, value in NOTHING.items() if key not in found})
    return dict({"name": named, "status": "", "message": ""}, **found)


def failed(result):
    """Why there is nothing to be read from a result; an empty text where there is something."""
    if result is None:
        return NO_RESULT
    if not isinstance(result, dict):
        return MISSHAPEN % "it is no mapping"
    if result.get("failed") or result.get("unreachable") or result.get("skipped"):
        return result.get("msg") or result.get("skip_reason") or NO_REASON
    return ""


def _lost(cleaner, looked):
    away = isinstance(looked, dict) and looked.get("unreachable") is True
    return {"status": UNREACHABLE if away else UNKNOWN, "message": cleaner.text(failed(looked))}


def _bear(found, failure):
    """Have a host bear that the document could not be applied to it."""
    found["problems"] = [failure] + found.get("problems", [])
    if found["status"] == CLEAN:
        found.update(status=UNKNOWN, message=failure)


def _copy(value):
    if isinstance(value, dict):
        return {key: _copy(each) for key, each in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _told(cleaner, looked):
    if looked.get("schema_version") != KNOWN_SCHEMA:
        raise Misshapen(ANOTHER_SCHEMA % cleaner.text(looked.get("schema_version")))
    facts = mapped(looked.get("facts") or {}, "facts")
    found = {
        "compared": _values(cleaner, looked),
        "differences": cleaner.rows(looked.get("differences"), DIFFERENCE, "differences"),
        "problems": cleaner.texts(looked.get("problems"), "problems"),
        "warnings": cleaner.texts(looked.get("warnings"), "warnings"),
        "snat": {
            "rules": [cleaner.scalars(row) for row in listed(facts.get("snat_rules"), "facts.snat_rules")],
            "headroom": [cleaner.scalars(row) for row in listed(looked.get("headroom"), "headroom")],
        },
    }
    found["differences"] = found["differences"] or unexplained(found["compared"], ())
    found.update(_facts(cleaner, facts), table=_table(facts, looked.get("memory")))
    found["status"], found["message"] = _verdict(looked.get("status"), found)
    return found


def _values(cleaner, looked):
    fields = {
        "part": "text", "name": "text", "wanted": "scalar", "running": "scalar", "boot": "scalar", "source": "text", "reason": "text",
        "differs": lambda layers: [layer for layer in LAYERS if layer in listed(layers, "differs")],
        "writers": lambda rows: cleaner.rows(rows, WRITER, "writers"),
    }
    return cleaner.rows(looked.get("compared"), fields, "compared")


def unexplained(values, differences):
    """Differences that only the rows of values tell of, such as a rule that is not loaded at boot because the unit that loads it is gone."""
    told = {(row["part"], row["name"], row["layer"]) for row in differences}
    return [
        {"part": row["part"], "name": row["name"], "layer": layer, "kind": UNEXPLAINED, "wanted": row["wanted"], "found": row[layer],
         "source": row["source"] if layer == "boot" else "", "why": row["reason"]}
        for row in values
        for layer in row["differs"]
        if (row["part"], row["name"], layer) not in told
    ]


def _verdict(said, found):
    """The status of a host that answered, and where that is unknown the reason."""
    if found["differences"]:
        return DRIFT, ""
    if said == CLEAN:
        return CLEAN, ""
    return UNKNOWN, SAID_DRIFT if said == DRIFT else "; ".join(found["problems"][:3]) or NO_REASON


def _facts(cleaner, facts):
    counters = facts.get("counters")
    tracking = facts.get("tracking")
    return {
        "kernel": cleaner.text(facts.get("kernel")),
        "builtin": switch(facts.get("builtin")),
        "namespace": cleaner.text(facts.get("namespace")),
        "mem_total": whole(facts.get("mem_total")),
        "cpus": whole(facts.get("cpus")),
        "page_size": whole(facts.get("page_size")),
        "tracking": {key: cleaner.text(tracking.get(key)) for key in ("ipv4", "ipv6", "because")} if isinstance(tracking, dict) else None,
        "owners": [_owner(cleaner, row) for row in listed(facts.get("owners"), "facts.owners")],
        "counters": cleaner.numbers(counters.get("total")) or None if isinstance(counters, dict) else None,
    }


def _owner(cleaner, row):
    found = cleaner.row(row, {"name": "text", "where": "text", "effect": "text"}, "facts.owners")
    settings = row.get("settings") if isinstance(row.get("settings"), dict) else {}
    return dict(found, settings={cleaner.text(name): cleaner.scalars(each) for name, each in settings.items()})


def _table(facts, memory):
    """How full the table is; None where there is none."""
    if not facts.get("available") or whole(facts.get("count")) is None or not whole(facts.get("max")):
        return None
    cost = facts.get("memory") or memory
    cost = cost if isinstance(cost, dict) else {}
    return dict({name: number(facts.get(name)) for name in TABLE}, table_bytes=whole(cost.get("table_bytes")), memory_share=number(cost.get("share")))

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Drift: a plan that nobody applied, told three ways: what is wanted, what is running, and what the next boot gives.

Nothing is changed by looking. What keeps a plan from being carried out is no error here: it is told among the problems,
and everything that can be compared is compared.
"""
from collections import OrderedDict

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _drift_rules,
    _drift_settings,
    _facts,
    _journal,
    _planning,
    _policy,
    _transaction,
    _view,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import BOOT, ConntrackError, together
from ansible_collections.netfleet.conntrack.plugins.module_utils._drift_row import DRIFT, difference

SCHEMA_VERSION = 1
CLEAN, UNKNOWN = "clean", "unknown"
TELLERS = (_drift_settings, _drift_rules)
SPEC = {
    "document": {"type": "dict", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "headroom": {"type": "bool", "default": False},
}


def drift_info(host, options):
    """Return the module's result. Raises ConntrackError where the document is no document, or nothing can be read."""
    given, faults = _policy.opened(dict(options["document"] or {}, state=options["state"]))
    if faults:
        raise ConntrackError("; ".join(faults))
    return compared(host, given, options["headroom"])


def compared(host, given, headroom=False):
    """The result for the options C(given) of the module C(policy). Raises ConntrackError where nothing can be read."""
    view = _view.View(host)
    facts = _facts.of(view, {})
    rows = _planning.rows(view, _policy.PART, given)
    plan = together([row.plan for row in rows])
    values = [value for row in rows for teller in TELLERS for value in teller.values(view, row)]
    differences = [each for row in rows for teller in TELLERS for each in teller.differences(view, row)] + _unfinished(host, view)
    returned = {}
    for row in rows:
        returned.update(row.plan.returns or {})
    told = _policy.tell(given, returned)
    return {
        "schema_version": SCHEMA_VERSION,
        "status": DRIFT if differences else UNKNOWN if plan.refusals else CLEAN,
        "compared": [dict(value._asdict()) for value in values],
        "differences": [dict(each._asdict()) for each in _told_once(differences)],
        "problems": list(plan.refusals),
        "policy": told["policy"],
        "memory": told.get("memory"),
        "facts": facts,
        "headroom": _headroom(host, facts) if headroom else None,
        "warnings": list(plan.warnings),
    }


def _told_once(differences):
    """The unit and a file can be missed by two parts; one of them says so."""
    found = OrderedDict()
    for each in differences:
        found.setdefault((each.name, each.layer, each.kind), each)
    return list(found.values())


def _unfinished(host, view):
    """The journal that a run left: it was killed, or it awaits its confirmation."""
    path = _journal.path(view.kernel.namespace)
    if not host.exists(path):
        return []
    why = _transaction.waiting(host, path) or "the next run of ours puts right what this one left half done"
    return [difference(_policy.NAME, path, BOOT, "unfinished_run", wanted="absent", found="present", source=path, why=why)]


def _headroom(host, facts):
    """How many ports SNAT has left; None where nothing does SNAT, or the table cannot be read."""
    if not facts["snat_rules"] or not facts.get("count"):
        return None
    # Imported here because most runs do without, and imports cost time.
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _flow_info

    options = {name: row.get("default") for name, row in _flow_info.SPEC.items()}
    options.update(show=[_flow_info.HEADROOM], source_network={name: row[0] for name, row in _flow_info.PREFIXES.items()})
    try:
        return _flow_info.flow_info(host, options)["flows"][_flow_info.HEADROOM]
    except ConntrackError:
        return None

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""A document checked without its host: the parts plan it as they would there, on what was recorded of the host.

Pure: no files, no Ansible.
"""
from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _document, _obstacles, _policy, _settings, _spec, _wanted
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME, CATALOGUE
from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _offline_host

NO_DOCUMENT = "conntrack_policy: %s is no document; give a mapping of its sections, such as {profile: nat_gateway}"
UNDEFINED = "conntrack_policy: it is not defined for this host; define it, such as in group_vars"
SHOWN = 60  # characters of what is no document
WORKED_OUT = ("max", "buckets", "expect_hashsize", "expect_max")


class Plans(NamedTuple):
    """What the parts make of a document."""

    refusals: Any
    warnings: Any
    returns: Any


def check(document, known=None):
    """Return what is wrong with a document, what should be known of it, and the document completed as far as that can be told.

    ``known`` is a _offline_host.Known of the host, or None.
    """
    if not isinstance(document, dict):
        return _result([no_document(document)])
    known = known or _offline_host.Known()
    options, faults = _policy.opened(document)
    found = _plans(_settled(options, known), known)
    problems = list(faults) + list(found.refusals)
    problems += [text for text in _spec.problems(_document.complete(options)[0]) if text not in problems]
    warnings = list(found.warnings) + [text for text in _perhaps_lacking(options, known) if text not in problems]
    result = _result(problems, warnings, known.source)
    return result if problems else dict(result, **_told(options, known, found.returns))


def no_document(value):
    """What is wrong with something that is no document."""
    text = repr(value)
    return NO_DOCUMENT % (text if len(text) <= SHOWN else text[:SHOWN] + "...")


def _result(problems, warnings=(), source=""):
    return {"problems": problems, "warnings": list(warnings), "facts_from": source}


def _plans(options, known):
    """What the parts find; warnings that begin with a path are about files of a host that nobody looked at."""
    asked = {name: value for name, value in _spec.requested(_document.complete(options)[0]).items() if isinstance(value, int)}
    states = _offline_host.states(known, _surely(known), asked)
    plans = [part.plan(states[part.name](given), given) for part, given in _policy.rows(options)]
    returns = {name: value for plan in plans for name, value in (plan.returns or {}).items()}
    return Plans(
        tuple(dict.fromkeys(text for plan in plans for text in plan.refusals)),
        tuple(dict.fromkeys(text for plan in plans for text in plan.warnings if not text.startswith("/"))),
        returns,
    )


# What cannot be worked out without the host


def _unsettled(options, known):
    """Tell whether C(max: auto) cannot be worked out from what is known."""
    document = _document.complete(options)[0]
    sizing = _spec.sizing(document)
    if _spec.requested(document).get("max") != _spec.AUTO:
        return False
    if sizing["per_cpu"]:
        return known.cpus is None
    return known.mem_total is None and not (sizing["connections_per_second"] and sizing["mean_life"])


def _settled(options, known):
    """The options without a hash size that could only be compared with a number that is not known."""
    table = _document.complete(options)[0].get("table")
    if not isinstance(table, dict) or not _unsettled(options, known) or "buckets" not in table:
        return options
    return dict(options, table=dict(options.get("table") or {}, buckets=_spec.AUTO))


def _told(options, known, returned):
    """The completed document, and what its table can cost."""
    document = _policy.tell(options, returned)["policy"]
    memory = returned.get("memory")
    if not _unsettled(options, known):
        return {"policy": document, "memory": memory and dict(memory, share=memory["share"] if known.mem_total else None)}
    asked = _spec.requested(_document.complete(options)[0])
    table = {name: value for name, value in document["table"].items() if name not in WORKED_OUT}
    table.update({name: asked[name] for name in WORKED_OUT if name in asked})
    return {"policy": dict(document, table=table), "memory": None}


# Settings that a kernel lacks


def _surely(known):
    """The settings that the kernel may have. Distributions bring back what is new, and never what was taken out."""
    if known.names is not None:
        return known.names
    return frozenset(s.name for s in CATALOGUE if s.until is None or known.version < s.until or not known.kernel)


def _perhaps_lacking(options, known):
    """Yield why settings may be lacking in a kernel of which only the version is known."""
    if not known.kernel or known.names is not None:
        return
    running = dict(known.running)
    there = frozenset(s.name for s in CATALOGUE if s.exists_in(known.version) or s.name in running)
    document = _document.complete(options)[0]
    state = _offline_host.states(known, there)[_settings.NAME](document)
    values = {name: value for name, value in _wanted.wanted(state, document).values.items() if not BY_NAME[name].exists_in(known.version)}
    yield from _obstacles.obstacles(state, values, document.get("at_boot", True))

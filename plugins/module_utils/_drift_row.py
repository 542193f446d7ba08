# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The nouns of drift: a Value three ways, and a Difference. Pure."""
from typing import Any, NamedTuple, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import BOOT, RUNNING
from ansible_collections.netfleet.conntrack.plugins.module_utils._drift_kinds import FILES, KINDS

DRIFT = "drift"


class Value(NamedTuple):
    """Something that the document asks for, three ways. Names of the fields are those of results and reports."""

    part: str
    name: str
    wanted: Any
    running: Any  # None: not there
    boot: Any  # None: not there, or nothing is asked for at boot
    source: str  # what decides about the boot: file:line, or words
    reason: str = ""  # why a file asks in vain for another value
    differs: Tuple[str, ...] = ()  # layers
    writers: Tuple[Any, ...] = ()  # dicts: name, source, value, when, of programs of others that write another value


class Difference(NamedTuple):
    """One thing that is not as wanted."""

    part: str
    name: str
    layer: str  # running or boot
    kind: str  # of _drift_kinds.KINDS
    wanted: Any
    found: Any
    source: str  # what decides, or has to be put right: file:line, the name of a table, or words
    why: str  # what the kind means, and what else is known


def difference(part, name, layer, kind, wanted=None, found=None, source="", why=""):
    """A Difference; ``why`` is what is known besides what its kind means."""
    return Difference(part, name, layer, kind, wanted, found, source, "; ".join(filter(None, (KINDS[kind], why))))


def of_change(part, change, kind, source="", name=None):
    """The Difference that a Change is."""
    return difference(part, name or change.name, change.layer, kind, change.after, change.before, source, change.why)


def of_file(part, host, change):
    """The Difference that another text of an own file is."""
    fates = {"absent": "missing", "outdated": "masked" if host.link(change.name) == "/dev/null" else "edited"}
    fate = "left" if change.after == "absent" else fates[change.before]
    return difference(part, change.name, BOOT, "%s_%s" % (FILES[change.name], fate), change.after, change.before, change.name)


def layers(running, boot):
    """The layers that differ."""
    return tuple(layer for layer, differs in ((RUNNING, running), (BOOT, boot)) if differs)

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Read and plan: what of every part differs on a host from what is wanted. Whether anybody carries that out is none of its business."""
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _memo
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import Plan


class Row(NamedTuple):
    """A part of what a run has to do."""

    part: Any  # _change.Part
    options: Any
    state: Any  # what the part has read
    plan: Plan


def rows(view, part, options):
    """The rows of a Part, or of the parts that it is made of, as a _view.View sees the host."""
    pairs = part.rows(options) if part.rows else ((part, options),)
    states = [each.read(view, given) for each, given in pairs]
    plans = [each.plan(state, given) for (each, given), state in zip(pairs, states)]
    found = [Row(each, given, state, plan) for (each, given), state, plan in zip(pairs, states, plans)]
    if len(found) > 1 and not any(plan.refusals for plan in plans):
        return [_beside(found, row) for row in found]
    return found


def _beside(found, row):
    """A row that counts with what the other plans want, which may differ from what their parts wanted so far."""
    others = _memo.wants(each.plan.memo for each in found if each is not row)
    if row.state.others == others:
        return row
    state = row.state._replace(others=others)
    return row._replace(state=state, plan=row.part.plan(state, row.options))

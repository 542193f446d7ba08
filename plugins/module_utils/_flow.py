# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Acting on flows: the options of the module flow, and what it does."""
import contextlib
from itertools import islice, repeat

from ansible_collections.netfleet.conntrack.plugins.module_utils import _flow_act, _flow_dump, _flow_filter, _flow_read, _flow_row
from ansible_collections.netfleet.conntrack.plugins.module_utils._own_connection import own_connection

ACTIONS = {"absent": "delete", "capped": "cap"}
SPARE, INCLUDE = "spare", "include"
SHOWN = 10  # flows that are returned as a sample
MOST_SECONDS = 2147483  # the kernel counts in ticks of up to a thousandth of a second, in 31 bits
RESIZED = "the hash table was resized while it was read: some flows may have been missed; run it again"

SPEC = {
    "state": {"type": "str", "choices": list(ACTIONS), "required": True},
    "filter": {"type": "dict", "options": _flow_filter.SPEC, "required": True},
    "remaining": {"type": "int"},
    "limit": {"type": "int"},
    "own_connection": {"type": "str", "choices": [SPARE, INCLUDE], "default": SPARE},
}


def problems(options):
    """Yield what is wrong with the options, less what their types tell."""
    capped, remaining, limit = options["state"] == "capped", options["remaining"], options["limit"]
    if capped and remaining is None:
        yield "remaining: state=capped needs it, the most seconds that flows are to have left"
    if not capped and remaining is not None:
        yield "remaining: %d; it is for state=capped; leave it out, or choose flows by filter.min_remaining" % remaining
    if capped and remaining is not None and not 1 <= remaining <= MOST_SECONDS:
        yield "remaining: %d; give seconds, 1 to %d" % (remaining, MOST_SECONDS)
    if limit is not None and limit < 1:
        yield "limit: %d; give a number of flows, from 1 on" % limit
    if not any(value is not None for value in options["filter"].values()):
        yield "filter: it has no condition; say which flows are meant, and where all are, family: [ipv4, ipv6]"
    yield from _flow_filter.problems(options["filter"])


def flow(host, options, rehearse, say):
    """Return the module's result; ``rehearse``: change nothing and say what would be done. ``say`` takes a line for the log.

    Raises ConntrackError where the table cannot be read or written.
    """
    _flow_read.count(host)  # says why where there is nothing to read
    own = own_connection(host) if options["own_connection"] == SPARE else None
    task = _flow_act.Task(
        ACTIONS[options["state"]], options["remaining"], options["limit"], _flow_act.sparing(own.flows) if own else _flow_act.nobody)
    chosen, reporter = Chosen(host, _flow_filter.read(options["filter"]), task), _flow_act.Reporter(say, host.clock, task)
    buckets = host.read(_flow_read.BUCKETS)
    with contextlib.closing(chosen.matches()) as matches, _flow_read.reading():
        found = _flow_act.rehearse(matches, task) if rehearse else _flow_act.apply(host, matches, task, reporter)
    warnings = _flow_act.complaints(task, found) + [text for text in [own and own.warning] if text]
    if host.read(_flow_read.BUCKETS) != buckets:
        warnings.append(RESIZED)
    return dict(_result(found, chosen, reporter), warnings=warnings)


def _result(found, chosen, reporter):
    acted = found.pop("changed")
    return dict(found, changed=acted > 0, acted=acted, matched=chosen.matched, sample=chosen.sample, rate=reporter.rate())


class Chosen:
    """The flows that are meant, as they come from the table. ``matched`` is how many have come, ``sample`` some of those that are acted on."""

    def __init__(self, host, chooser, task):
        self.matched = 0
        self.sample = []
        self._host, self._chooser, self._task = host, chooser, task

    def matches(self):
        """Yield each flow as a Match."""
        dump = _flow_dump.Dump(_flow_read.random_number(), self._chooser.needles)
        with contextlib.closing(_flow_read.batches(self._host, dump)) as batches:
            for batch in filter(None, map(self._chooser.chosen, batches)):
                yield from self._noted(batch)

    def _noted(self, batch):
        self.matched += len(batch)
        if len(self.sample) < SHOWN:
            acted_on = (message for match, message in zip(matches(batch), batch.messages) if not _flow_act.exempt(match, self._task))
            self.sample.extend(_flow_row.flow(message) for message in islice(acted_on, SHOWN - len(self.sample)))
        return matches(batch)


def matches(batch):
    """Return an iterator over the flows of a batch as Matches."""
    columns = batch.columns(("orig", "reply", "zone", "id", "timeout", "status"))
    return map(
        _flow_act.Match, repeat(batch.layout.family), columns["orig"], columns["reply"], columns.get("zone") or repeat(0),
        columns.get("id") or repeat(None), columns.get("timeout") or repeat(None), columns.get("status") or repeat(0),
    )

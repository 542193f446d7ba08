# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a playbook of the collection, and takes the modules' results out of it."""

import json
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

from .progress import RunError, say

CALLBACKS = Path(__file__).parent / "callbacks"
CHANGES, LOOKS = "netfleet.conntrack.policy", "netfleet.conntrack.drift_info"
ANY = range(256)


class Outcome(NamedTuple):
    """What a playbook brought about."""

    status: int
    changes: dict  # host -> list of the changes that were made, or in a check run would be
    facts: dict  # host -> the facts
    odd: dict  # host -> texts: what is not as wanted, or why that cannot be told


def play(name, arguments, folded=None, fine=ANY):
    """Run a playbook; its output is shown as it comes or, ``folded`` into a file, as one line a task.

    Raises RunError where it ends with another status than those that are ``fine``.
    """
    reading, writing = os.pipe()
    command = ["ansible-playbook", f"netfleet.conntrack.{name}", *arguments]
    with open(reading, encoding="utf-8") as events, open(folded or os.devnull, "wb") as log:
        output = {"stdout": log, "stderr": log} if folded else {}
        with subprocess.Popen(command, env=environment(writing), pass_fds=[writing], **output) as process:
            os.close(writing)
            outcome = Outcome(0, {}, {}, {})
            for line in events:
                take(outcome, json.loads(line), say if folded else quiet)
        outcome = outcome._replace(status=process.returncode)
    if outcome.status not in fine:
        raise RunError(f"{' '.join(command)}: exit status {outcome.status}\n{Path(folded).read_text(errors='replace') if folded else ''}")
    return outcome


def environment(writing):
    """Nothing but our callback is added to what the user has set."""
    callbacks = os.pathsep.join(filter(None, [str(CALLBACKS), os.environ.get("ANSIBLE_CALLBACK_PLUGINS")]))
    return {**os.environ, "ANSIBLE_CALLBACK_PLUGINS": callbacks, "NETFLEET_RUN_EVENTS": str(writing)}


def quiet(_text):
    pass


def take(outcome, event, tell):
    """Keep what an event brings, and tell of it."""
    if event["event"] == "task":
        if event["action"].startswith("netfleet."):
            tell(f"  {event['name']}")
        return
    host, result = event["host"], event["result"]
    if event["action"] == CHANGES and event["status"] in ("failed", "unreachable"):
        outcome.odd.setdefault(host, []).append(f"{event['status']}: {result.get('msg', '')}")
    elif event["action"] == CHANGES:
        outcome.changes.setdefault(host, []).extend(result.get("changes", []))
        tell(f"    {event['status']}{count(result.get('changes', []))}")
    elif event["action"] == LOOKS:
        outcome.odd.setdefault(host, []).extend(odd(event["status"], result))
        outcome.facts.update({host: result["facts"]} if result.get("facts") else {})


def odd(status, result):
    """Yield what a look at a host finds not to be as wanted, or why nothing was found."""
    if status in ("failed", "unreachable"):
        yield f"{status}: {result.get('msg', '')}"
    for row in result.get("differences", []):
        yield f"{row['part']} {row['name']} ({row['layer']}): {row['why']}"
    yield from result.get("problems", [])


def count(changes):
    layers = {"running": "in the running kernel", "boot": "for the next boot"}
    words = [f"{sum(change['layer'] == layer for change in changes)} {text}" for layer, text in layers.items()]
    return f": {', '.join(words)}" if changes else ""

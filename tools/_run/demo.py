# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A virtual router: booted, tuned, rebooted, and its values compared."""

import os
import tempfile
from pathlib import Path

import yaml

from . import facts, playbook
from .progress import say, table
from .router import Router

LOADED = "nf_conntrack is not loaded yet, so none of these keys exists before"


def run(args, policy):
    """Show the whole job on a throw-away router; return 0 when every value holds after the reboot."""
    names = settings(policy)
    with Router(args.suite, args.keep) as router, tempfile.TemporaryDirectory(prefix="netfleet-run-") as folder:
        say("reading its values by sysctl")
        values = [router.values()]
        inventory = Path(folder, "inventory.yml")
        inventory.write_text(router.inventory())
        report_to = ["--extra-vars", f"conntrack_drift_directory={folder}/report"]
        ansible = ["--inventory", str(inventory), "--extra-vars", f"@{policy}", *report_to, *args.arguments]
        say(f"tuning it: ansible-playbook netfleet.conntrack.tune, with {min(str(policy), os.path.relpath(policy), key=len)}")
        playbook.play("tune", ansible, Path(folder, "tune.log"), fine=[0])
        values.append(router.values())
        say("rebooting it")
        router.reboot()
        values.append(router.values())
        say("looking whether anything is left to do: ansible-playbook netfleet.conntrack.plan")
        plan = playbook.play("plan", ansible, Path(folder, "plan.log"), fine=[0, 2])
    return report(names, values, plan)


def settings(policy):
    """Names of the settings that a policy names, as sysctl and the module know them."""
    document = yaml.safe_load(policy.read_text())["conntrack_policy"]
    named = [name for group in ("timeouts", "tracking") for name in document.get(group) or {}]
    return ["max", "buckets", "hashsize", *(name for name in document.get("table") or {} if name.startswith("expect_")), *named]


def report(names, values, plan):
    rows = [row(name, [found.get(name) for found in values]) for name in names]
    lost = [cells[0] for cells in rows if cells[-1]]
    print(f"\n{table(('setting', 'before', 'after', 'after reboot', ''), rows)}\n")
    if not values[0]:
        print(f"{LOADED}.")
    left = [change["name"] for changes in plan.changes.values() for change in changes]
    left += [text for texts in plan.odd.values() for text in texts]
    print(f"After the reboot {verdict(lost, left)}.\n")
    print("\n".join(map(facts.text, plan.facts.values())))
    return 1 if lost or left or plan.status else 0


def row(name, values):
    before, after, again = values
    return (name, before, after, again, "" if after == again else "LOST")


def verdict(lost, left):
    if lost:
        return f"these are lost: {', '.join(lost)}"
    if left:
        return f"every value holds, and yet there is something to change: {', '.join(left)}"
    return "every value holds, and nothing is left to change"

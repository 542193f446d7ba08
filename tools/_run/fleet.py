# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The routers of an inventory."""

from . import facts, playbook
from .progress import table


def run(args):
    """Apply the policy, or with --check say what it would change; return ansible-playbook's status."""
    policy = ["--extra-vars", f"@{args.policy}"] if args.policy else []
    outcome = playbook.play("plan" if args.check else "tune", ["--inventory", args.inventory, *policy, *args.arguments])
    for host in sorted({*outcome.changes, *outcome.facts, *outcome.odd}):
        print(f"\n== {host}\n")
        if host in outcome.changes:
            print(changes(outcome.changes[host], args.check))
        if outcome.odd.get(host):
            print("\n".join(["not as wanted, or not to be told:", *dict.fromkeys(outcome.odd[host])]))
        if host in outcome.facts:
            print(f"\n{facts.text(outcome.facts[host])}")
    return outcome.status


def changes(found, check):
    if not found:
        return "nothing to change" if check else "nothing had to be changed"
    # In a check run each module announces what both need.
    rows = dict.fromkeys((change["name"], change["layer"], change["before"], change["after"]) for change in found)
    return table(("would change" if check else "changed", "layer", "before", "after"), list(rows))

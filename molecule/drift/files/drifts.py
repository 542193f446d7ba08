# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drift made by hand on a guest, one after the other: what the module's code says of it, and whether a run puts it right.

Reads one JSON object. `policies`: name -> document. `cases`: rows of name, policy, shell command that makes the drift, and one that takes
away what is not ours. Prints a line of JSON for each case.
"""

import json
import subprocess
import sys
import time

from drive import command, filled

from ansible_collections.netfleet.conntrack.plugins.module_utils import _drift, _policy, _transaction
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host

SPEC = _policy.spec()


class Router:
    """This guest under a policy."""

    def __init__(self, policies):
        self.policy = None
        self.options = {name: filled(SPEC, document) for name, document in policies.items()}

    def looked(self, policy):
        found = _drift.compared(Host(run=command), self.options[policy])
        return {"status": found["status"], "kinds": sorted({(row["kind"], row["name"]) for row in found["differences"]}),
                "sources": sorted({row["source"] for row in found["differences"] if row["source"]}), "problems": found["problems"]}

    def tuned(self, policy):
        try:
            return _transaction.execute(Host(run=command), _policy.PART, self.options[policy], False)["changed"]
        except ConntrackError as error:
            return str(error)

    def tried(self, case):
        """What the drift looks like, what a run says of it that it cannot put right, and what is left after one that can."""
        policy = case["policy"]
        if self.policy != policy:
            self.tuned(policy)
        self.policy = policy
        shell(case["make"])
        moment = time.monotonic()
        found = self.looked(policy)
        seconds = time.monotonic() - moment
        refused = self.tuned(policy) if case["refused"] else None
        shell(case["clean"])
        self.tuned(policy)
        return {"name": case["name"], "found": found, "seconds": round(seconds, 2), "refused": refused, "after": self.looked(policy)}


def shell(text):
    subprocess.run(["sh", "-euc", text], check=True, stdout=subprocess.DEVNULL)


def main():
    asked = json.load(sys.stdin)
    router = Router(asked["policies"])
    for case in asked["cases"]:
        print(json.dumps(router.tried(case)), flush=True)


if __name__ == "__main__":
    main()

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The routers, and what was seen of each drift.

Each is made on one of the routers; NETFLEET_DRIFTS=all makes each on all of them.
"""

import json
import os
import sys
from pathlib import Path

import pytest
import yaml
from drifts import DRIFTS

SCENARIOS = Path(__file__).parents[2]
sys.path.insert(0, str(SCENARIOS / "shared/tests"))
FILES = (SCENARIOS / "confirm/files/drive.py", SCENARIOS / "drift/files/drifts.py")
POLICIES = yaml.safe_load((SCENARIOS / "drift/vars/policies.yml").read_text())


@pytest.fixture(scope="session")
def routers():
    from routers import Routers
    found = Routers()
    found.each(lambda router: router.push(FILES))
    return found


@pytest.fixture(scope="session")
def seen(routers):
    """Name of a drift -> (router -> what was seen of it); made one after the other, on the routers side by side."""
    step = 1 if os.environ.get("NETFLEET_DRIFTS") == "all" else len(routers)
    shares = {name: DRIFTS[number % step::step] for number, name in enumerate(routers)}

    def tried(router):
        cases = [{**each._asdict(), "found": None} for each in shares[router.name]]
        done = router.run("cd /root && python3 drifts.py", seconds=1500, text=json.dumps({"policies": POLICIES, "cases": cases}))
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 0, f"after {rows[-1]['name'] if rows else 'nothing'}: {done.stderr}"
        return {row["name"]: row for row in rows}

    found = routers.each(tried)
    return {drift.name: {router: rows[drift.name] for router, rows in found.items() if drift.name in rows} for drift in DRIFTS}

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A quick run tries some of the cases of every test that has many; ``make test`` tries them all.

ansible-test hands no variables on, so a file says that the run is a quick one (tools/_dev/checks.py).
"""
import os

QUICK = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "output", "quick")
LEAST, SHARE = 3, 6  # so many cases of a test, or one in so many


def pytest_collection_modifyitems(config, items):
    """Keep some cases of each test, spread over all of them."""
    if not os.path.exists(QUICK):
        return
    cases = {}
    for item in items:
        cases.setdefault((str(item.fspath), item.name.partition("[")[0]), []).append(item)
    kept = {item for found in cases.values() for item in spread(found)}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def spread(found):
    """The first of every so many."""
    count = max(LEAST, len(found) // SHARE)
    return found if len(found) <= count else [found[number * len(found) // count] for number in range(count)]

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cases, done on each router side by side, before the tests judge them."""

import os

import pytest
from cases import CASES, TRACES


@pytest.fixture(scope="session")
def seen(routers):
    """Name of a case -> what was seen of it, on each router where it was done; `begun` is what Ansible's own confirmed runs left."""
    def do(router):
        everything, begun = os.environ.get("NETFLEET_RESETS") == "all", {"begun": router.out(TRACES)}
        return {**begun, **{case.__name__: case(router) for case, suite in CASES.items() if everything or suite in router.name}}

    done = routers.each(do).values()
    names = ["begun", *(case.__name__ for case in CASES)]
    return {name: [each[name] for each in done if name in each] for name in names}

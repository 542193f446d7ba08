# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The routers, with what these tests run on them."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "shared/tests"))


@pytest.fixture(scope="session")
def routers():
    from routers import Router, Routers
    files = sorted((HERE.parent / "files").glob("*.py"))
    found = Routers()
    found.each(lambda router: Router.push(router, files))
    return found

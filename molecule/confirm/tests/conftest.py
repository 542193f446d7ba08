# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The routers, with what these tests run on them."""

import os
from pathlib import Path

import pytest
import yaml
from routers import Router, Routers


@pytest.fixture(scope="session")
def routers():
    inventory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "inventory", "guests.yml").read_text()
    names = [name for suite in yaml.safe_load(inventory)["all"]["children"].values() for name in suite["hosts"]]
    found = Routers((name, Router(name)) for name in names)
    found.each(Router.push)
    return found

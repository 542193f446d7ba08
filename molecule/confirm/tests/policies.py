# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policies of this scenario, by name."""

from pathlib import Path

import yaml

POLICIES = yaml.safe_load((Path(__file__).parents[1] / "vars/policies.yml").read_text())

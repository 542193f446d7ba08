# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The option C(management). It is apart from what it means because every run needs its spec, and imports cost time. Pure."""

OPTION = "management"
SSH = 22


def management_spec():
    """The argument spec of the option."""
    return {"type": "dict", "options": {
        "interfaces": {"type": "list", "elements": "str", "default": []},
        "networks": {"type": "list", "elements": "str", "default": []},
        "ports": {"type": "list", "elements": "int", "default": [SSH]},
        "force": {"type": "bool", "default": False},
    }}

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The whole document: what its profile says, below what it says itself.

Pure: no files, no Ansible.
"""
from ansible_collections.netfleet.conntrack.plugins.module_utils._profiles import BY_NAME, PROFILES


def profile_spec():
    """The argument spec of the option C(profile)."""
    return {"type": "str", "choices": [profile.name for profile in PROFILES]}


def complete(document):
    """Return (the document with its profile's values and nothing that is not set, problems).

    None is what AnsibleModule has for an option that was not given; a section that was given stays, be it empty.
    """
    found = {name: _given(value) for name, value in document.items() if value is not None}
    profile = found.get("profile")
    if profile is not None and profile not in BY_NAME:
        return found, ("profile: %s is none of %s; use one of them, or leave it out" % (profile, ", ".join(p.name for p in PROFILES)),)
    for row in BY_NAME[profile].rows if profile else ():
        section = found.setdefault(row.section, {})
        if isinstance(section, dict):
            section.setdefault(row.name, row.value)
    return found, ()


def _given(value):
    if isinstance(value, dict):
        return {name: _given(inner) for name, inner in value.items() if inner is not None}
    return [_given(each) for each in value] if isinstance(value, list) else value

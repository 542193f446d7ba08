# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a guest tells of itself, by its own programs."""

from pathlib import Path

import pytest
import yaml

PATTERN = "'^net[.]netfilter[.]nf_(conntrack|flowtable)_'"
COUNT = "/proc/sys/net/netfilter/nf_conntrack_count"


def values(host, command):
    """Path -> value, of what sysctl or grep -H printed."""
    found = {}
    for line in host.check_output(command).splitlines():
        if " = " in line:
            key, dummy, value = line.partition(" = ")
            found["/proc/sys/" + key.replace(".", "/")] = value
        else:
            path, dummy, value = line.partition(":")
            found[path] = value
    found.pop(COUNT, None)
    return found


@pytest.fixture(scope="module")
def first(host):
    """What a freshly loaded module gave before anything was done."""
    return values(host, "cat /root/first-values /root/first-parameters")


@pytest.fixture(scope="module")
def now(host):
    return values(host, f"sysctl --all --pattern {PATTERN} 2>/dev/null; grep -H . /sys/module/nf_conntrack/parameters/*")


@pytest.fixture(scope="module")
def asked(first):
    """The settings that this kernel has, and the values that they were given."""
    text = (Path(__file__).parents[1] / "vars/every_setting.yml").read_text()
    return {row["path"]: row["value"] for row in yaml.safe_load(text)["every_setting"] if row["path"] in first}

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue is whole, and agrees with every kernel that was recorded."""
import re

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _catalogue, _spec
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_KEY, CATALOGUE, NOT_OURS
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded

NETFILTER = "/proc/sys/net/netfilter/"
PARAMETERS = "/sys/module/nf_conntrack/parameters/"
# Parameters that no option sets, and why.
OTHER_PARAMETERS = {"nf_conntrack_helper": "the sysctl helper does the same", "enable_hooks": "early_load switches tracking on by a rule"}
LOADED = [name for name in recorded.names() if not name.endswith(recorded.UNLOADED)]


def keys(name):
    """Key -> number of every file that a recorded kernel shows for connection tracking."""
    files = recorded.document(name)["files"]
    found = {path[len(NETFILTER):]: entry.get("text") for path, entry in files.items() if path.startswith(NETFILTER)}
    return {"net.netfilter." + key: text for key, text in found.items() if "/" not in key and key not in NOT_OURS}


def release(name):
    found = re.match(r"(\d+)\.(\d+)", recorded.document(name)["files"]["/proc/sys/kernel/osrelease"]["text"])
    return int(found.group(1)), int(found.group(2))


def test_there_are_kernels_to_compare_with():
    assert len(LOADED) >= 5 and all(len(keys(name)) > 30 for name in LOADED)


@pytest.mark.parametrize("name", LOADED)
def test_every_key_of_a_kernel_is_known(name):
    assert sorted(set(keys(name)) - set(BY_KEY)) == []


@pytest.mark.parametrize("name", LOADED)
def test_every_parameter_of_a_kernel_is_known(name):
    known = {s.parameter for s in CATALOGUE if s.parameter} | set(OTHER_PARAMETERS)
    files = recorded.document(name)["files"]
    assert sorted({path[len(PARAMETERS):] for path in files if path.startswith(PARAMETERS)} - known) == []


@pytest.mark.parametrize("name", LOADED)
def test_a_kernel_has_what_its_version_says(name):
    """Configuration may take a key away, but a key that is there must be expected."""
    version, found = release(name), keys(name)
    assert [s.name for s in CATALOGUE if s.key in found and not s.exists_in(version)] == []
    assert [s.name for s in CATALOGUE if s.key and not s.config and s.exists_in(version) and s.key not in found] == []


@pytest.mark.parametrize("name", [name for name in LOADED if not name.endswith("-late")])
def test_a_fresh_kernel_starts_with_the_defaults(name):
    version, found = release(name), keys(name)
    expected = {s.key: s.default(version) for s in CATALOGUE if s.key in found and s.default(version) is not None}
    assert {key: int(found[key]) for key in expected} == expected


@pytest.mark.parametrize("name", LOADED)
def test_writable_is_what_the_kernel_lets_be_written(name):
    files, initial = recorded.document(name)["files"], not name.endswith("-netns")
    for setting in CATALOGUE:
        entry = files.get(setting.path, {})
        if "mode" in entry and setting.key:
            writable = int(entry["mode"], 8) & 0o200 != 0
            assert writable == (setting.access == "rw" and (initial or setting.scope == "netns")), setting.name


def test_names_are_the_kernels():
    for setting in CATALOGUE:
        if setting.key:
            assert setting.key in ("net.netfilter.nf_conntrack_" + setting.name, "net.netfilter." + setting.name)
    assert len({s.name for s in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize("setting", CATALOGUE, ids=lambda setting: setting.name)
def test_a_row_is_sound(setting):
    low, high = setting.bounds
    assert low <= high and setting.group in _spec.GROUPS and setting.type in ("int", "bool")
    assert setting.key or setting.parameter
    assert setting.summary.endswith(".") and (not setting.floor or setting.reason)
    # Zero is what old kernels have for two SCTP states; it is no value to ask for.
    assert all(value is None or value == 0 or low <= value <= high for dummy, value in setting.defaults)
    assert [since for since, dummy in setting.defaults] == sorted(since for since, dummy in setting.defaults)
    assert setting.low or setting.high or setting.access == "ro" or setting.name == "frag6_low_thresh"


def test_bounds_hold_on_every_kernel():
    assert _catalogue.SECONDS_MAX * 1000 <= _catalogue.INT_MAX < (_catalogue.SECONDS_MAX + 1) * 1000
    # Rounded up to the largest pages, the most buckets still fit (64 KiB pages hold 8192 heads).
    assert _catalogue.BUCKETS_MAX % 8192 == 0 and _catalogue.BUCKETS_MAX * 8 <= _catalogue.INT_MAX


def test_order_is_the_order_of_groups():
    groups = [setting.group for setting in CATALOGUE]
    assert groups == sorted(groups, key=_spec.GROUPS.index)

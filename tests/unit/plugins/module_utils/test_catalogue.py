# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of settings: its shape, and every recorded kernel against it."""
import os
import re

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _catalogue
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import ALIASES, BY_NAME, CATALOGUE, NOT_OURS, settable
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded

GROUPS = ("table", "timeouts", "tracking")
NETFILTER = "/proc/sys/net/netfilter/"
PARAMETERS = "/sys/module/nf_conntrack/parameters/"
# Parameters that no option sets, and why.
OTHER_PARAMETERS = {"nf_conntrack_helper": "the sysctl helper does the same", "enable_hooks": "early_load switches tracking on by a rule"}
KERNEL = "/proc/sys/kernel/osrelease"
FIRST, LAST = (4, 10), (7, 0)
LOADED = [name for name in recorded.names() if not name.endswith(recorded.UNLOADED)]
# Hosts on which nobody has set anything.
FRESH = [name for name in LOADED if not name.endswith("-late")]


def test_rows_stand_by_group():
    groups = [setting.group for setting in CATALOGUE]
    assert groups == sorted(groups, key=GROUPS.index)
    assert [setting for group in GROUPS for setting in settable(group)] == [s for s in CATALOGUE if s.access != "ro"]


def test_what_limits_another_value_is_raised_before_it_and_lowered_after_it():
    names = [setting.name for setting in CATALOGUE]
    assert names.index("buckets") < names.index("max")
    assert names.index("expect_hashsize") < names.index("expect_max")
    assert names.index("frag6_high_thresh") < names.index("frag6_low_thresh")


def test_names_and_keys_are_given_once():
    assert len(BY_NAME) == len(CATALOGUE)
    assert len(_catalogue.BY_KEY) == len([setting for setting in CATALOGUE if setting.key])


def test_the_key_is_the_name():
    for setting in CATALOGUE:
        keys = ("net.netfilter.nf_conntrack_" + setting.name, "net.netfilter." + setting.name)
        assert setting.key in keys if setting.key else setting.parameter
        assert setting.path.startswith("/proc/sys/net/netfilter/nf_" if setting.key else "/sys/module/nf_conntrack/parameters/")


def test_bounds_and_defaults_agree():
    for setting in CATALOGUE:
        low, high = setting.bounds
        assert 0 <= low < high <= _catalogue.INT_MAX
        assert setting.type in ("int", "bool") and (setting.type != "bool" or (low, high) == (0, 1))
        assert not setting.floor or low < setting.floor < high and setting.reason
        starts = [since for since, dummy in setting.defaults]
        assert starts == sorted(starts) and starts[0] == (0, 0)
        # SCTP's shutdown timeouts started at 0 once, which no user may ask for.
        assert all(value in (None, 0) or low <= value <= high for dummy, value in setting.defaults)


def test_times_begin_at_a_second_and_fit_every_clock():
    for setting in CATALOGUE:
        if setting.unit == "seconds":
            assert setting.bounds == (1, (2 ** 31 - 1) // 1000)


def test_the_most_chains_fit_when_they_are_rounded_up_to_the_largest_pages():
    assert _catalogue.BUCKETS_MAX % 8192 == 0 and _catalogue.BUCKETS_MAX * 8 <= _catalogue.INT_MAX


def test_texts_are_there():
    for setting in CATALOGUE:
        assert re.match(r"[A-Z].*\.$", setting.summary)
        assert setting.low or setting.high or setting.access == "ro" or setting.name == "frag6_low_thresh"
        assert all(text == "" or re.match(r"[A-Z].*\.$", text) for text in (setting.low, setting.high))
        references = re.findall(r"RV\((\w+)\)", setting.summary + setting.low + setting.high)
        assert all(name in BY_NAME for name in references)


def test_a_setting_lives_from_its_first_kernel_to_its_last():
    for setting in CATALOGUE:
        assert setting.exists_in(setting.since or FIRST)
        assert setting.since is None or not setting.exists_in((setting.since[0], setting.since[1] - 1))
        assert setting.until is None or not setting.exists_in(setting.until) and setting.exists_in((setting.until[0], setting.until[1] - 1))
        assert setting.exists_in(LAST) or setting.until


def keys_of(name):
    return [path for path in recorded.document(name)["files"] if path.startswith(NETFILTER + "nf_") and path.count("/") == 5]


def version_of(name):
    release = recorded.document(name)["files"][KERNEL]["text"]
    return tuple(int(number) for number in re.findall(r"\d+", release)[:2])


@pytest.mark.parametrize("name", recorded.names())
def test_every_key_of_a_recorded_kernel_is_known(name):
    known = {setting.path for setting in CATALOGUE} | {NETFILTER + key for key in NOT_OURS}
    entries = recorded.document(name)["files"]
    assert [path for path in keys_of(name) if path not in known and not entries[path].get("dir")] == []


@pytest.mark.parametrize("name", LOADED)
def test_every_parameter_of_a_recorded_kernel_is_known(name):
    known = {s.parameter for s in CATALOGUE if s.parameter} | set(OTHER_PARAMETERS)
    files = recorded.document(name)["files"]
    assert sorted({path[len(PARAMETERS):] for path in files if path.startswith(PARAMETERS)} - known) == []


@pytest.mark.parametrize("name", LOADED)
def test_a_recorded_kernel_has_what_its_version_says(name):
    """Its configuration may take a key away, but a key that is there must be expected."""
    version, paths = version_of(name), keys_of(name)
    assert [s.name for s in CATALOGUE if s.path in paths and not s.exists_in(version)] == []
    assert [s.name for s in CATALOGUE if s.key and not s.config and s.exists_in(version) and s.path not in paths] == []


@pytest.mark.parametrize("name", LOADED)
def test_what_may_be_written_is_what_a_recorded_kernel_lets_be_written(name):
    files, initial = recorded.document(name)["files"], not name.endswith("-netns")
    shown = [s for s in CATALOGUE if s.key and "mode" in files.get(s.path, {})]
    writable = {s.name for s in shown if int(files[s.path]["mode"], 8) & 0o200}
    assert writable == {s.name for s in shown if s.access == "rw" and (initial or s.scope == "netns")}


@pytest.mark.parametrize("name", FRESH)
def test_a_recorded_kernel_starts_with_the_defaults(name):
    files, version = recorded.document(name)["files"], version_of(name)
    there = [s for s in CATALOGUE if s.path in files and s.default(version) is not None and s.access != "ro"]
    assert {s.name: int(files[s.path]["text"]) for s in there} == {s.name: s.default(version) for s in there}
    assert len(there) > 35


@pytest.mark.parametrize("name", LOADED)
def test_an_alias_is_the_same_variable(name):
    files = recorded.document(name)["files"]
    for alias, other in ALIASES.items():
        path = "/proc/sys/" + alias.replace(".", "/")
        assert path not in files or files[path]["text"] == files[BY_NAME[other].path]["text"]


def test_hosts_are_recorded_of_each_kernel_that_is_promised():
    found = {version_of(name) for name in recorded.names()}
    assert {(5, 10), (6, 1), (6, 12), (6, 18)} <= found
    assert all(os.path.getsize(os.path.join(recorded.HOSTS, name + ".json")) for name in recorded.names())


# (value of the kernel, as users see it)
SHOWN = {"acct": (1, True), "tcp_loose": (0, False), "events": (2, 2), "max": (65536, 65536)}


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_a_switch_is_shown_as_true_or_false(name):
    value, shown = SHOWN[name]
    assert BY_NAME[name].shown(value) is shown or BY_NAME[name].shown(value) == shown
    assert BY_NAME[name].shown(None) is None


@pytest.mark.parametrize("version, value", [((4, 19), 180), ((5, 0), 120), ((6, 18), 120)])
def test_a_default_depends_on_the_kernel(version, value):
    assert BY_NAME["udp_timeout_stream"].default(version) == value

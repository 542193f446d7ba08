# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be had: one clear error with every fault in it, and nothing touched, neither a value nor a file."""

from pathlib import Path

import pytest

KEY = "net.netfilter.nf_conntrack_"
NO_ROOT = "this needs root; run it with become: true"
NO_SYSTEMD = "at_boot: rules are loaded at boot by a systemd unit, and this host does not run systemd; say at_boot: false"
READ_ONLY = "/proc/sys is mounted read-only, so udp_timeout cannot be set here; run this on the host, or mount it read-write"
NOTHING_TRACKED = "is not between 1 and 2147483 seconds (the kernel would accept it and track nothing in that state)"
TABLE = {"max": 1000, "buckets": 1024, "expect_max": 5}
# Options, what the error says.
REFUSED = {
    "timeout_zero": ({"timeouts": {"udp_timeout": 0}}, ["timeouts.udp_timeout: 0 " + NOTHING_TRACKED]),
    "timeout_negative": ({"timeouts": {"udp_timeout": -1}}, ["timeouts.udp_timeout: -1 " + NOTHING_TRACKED]),
    "timeout_too_large": ({"timeouts": {"udp_timeout": 2 ** 31}}, ["timeouts.udp_timeout: 2147483648 is not between 1 and 2147483 seconds"]),
    "unknown_key": ({"timeouts": {"udp_timeuot": 30}}, ["no such option: timeouts.udp_timeuot"]),
    "unknown_group": ({"timeout": {"udp_timeout": 30}}, ["no such option: timeout"]),
    "key_of_older_kernels": (
        {"timeouts": {"udplite_timeout": 30}}, ["timeouts.udplite_timeout: kernel ", "has no %sudplite_timeout: it was removed in Linux 5.0" % KEY],
    ),
    "max_zero": ({"table": {"max": 0}}, ["table.max: 0 is not between 1 and 2147483647 entries (0 means no limit on older kernels"]),
    "max_hexadecimal": ({"table": {"max": "0x100"}}, ["table.max: 0x100 is not a whole number or auto"]),
    "max_fraction": ({"table": {"max": 1000.5}}, ["table.max: 1000.5 is not a whole number or auto"]),
    "over_budget": ({"table": {"max": 200000000, "buckets": 25000000}}, ["table.max: 200000000 connections can take ", "and the budget is 5.0 %"]),
    "too_few_buckets": ({"table": {"max": 65536, "buckets": 512}}, ["table.buckets: 512 chains for 65536 connections are 128.0 a chain", "use at least 8192"]),
    "too_many_buckets": ({"table": {"max": 1000, "buckets": 262144}}, ["262144 chains for 1000 connections are so many", "use at most 64000, or auto"]),
    "buckets_without_max": ({"table": {"buckets": 262144}}, ["table.buckets: ", "say table.max as well (now "]),
    "auto_buckets_without_max": ({"table": {"buckets": "auto"}}, ["table.buckets: auto is worked out from table.max, which is missing"]),
    "memory_share_zero": ({"table": {"max": "auto", "memory_share": 0}}, ["table.memory_share: 0.0 is not between 0.0001 and 0.9"]),
    "memory_share_two": ({"table": {"max": "auto", "memory_share": 2}}, ["table.memory_share: 2.0 is not between 0.0001 and 0.9"]),
    "load_factor_zero": ({"table": {"max": "auto", "load_factor": 0}}, ["table.load_factor: 0.0 is not between 0.125 and 8.0"]),
    "timeout_no_number": ({"timeouts": {"udp_timeout": "soon"}}, ["'udp_timeout'", "convert to int"]),
    "switch_no_boolean": ({"tracking": {"acct": "perhaps"}}, ["'acct'", "perhaps"]),
    "group_no_dict": ({"table": "auto"}, ["'table'", "convert to dict"]),
    "state_unknown": ({"state": "gone"}, ["value of state must be one of: present, absent, got: gone"]),
    "out_of_bounds": ({"tracking": {"events": 3}}, ["tracking.events: 3 is not between 0 and 2"]),
    "thresholds_crossed": (
        {"tracking": {"frag6_high_thresh": 1000, "frag6_low_thresh": 1001}}, ["tracking.frag6_low_thresh: it must not be above tracking.frag6_high_thresh"],
    ),
    "many_at_once": (
        {
            "table": {"max": "0x10", "buckets": "auto", "bukets": 1, "memory_share": 2},
            "timeouts": {"udp_timeout": 0, "icmp_timeout": "soon", "udplite_timeout": 5},
            "tracking": {"events": 3, "acct": "perhaps"},
            "state": "gone",
        },
        [
            "no such option: table.bukets", "value of state must be one of", "'icmp_timeout'", "'acct'", "table.max: 0x10 is not", "table.buckets: auto is",
            "timeouts.udp_timeout: 0 is not", "tracking.events: 3 is not", "table.memory_share: 2.0 is not", "has no %sudplite_timeout" % KEY,
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("options, phrases", REFUSED.values(), ids=REFUSED)
def test_refused(machine, options, phrases):
    error = machine.refused("settings", options)
    assert [phrase for phrase in phrases if phrase not in error] == []


def test_key_that_this_kernel_lacks(machine):
    if "dccp_timeout_open" in machine.first:
        pytest.skip("this kernel has DCCP")
    error = machine.refused("settings", {"timeouts": {"dccp_timeout_open": 43200, "udp_timeout": 0}})
    assert "timeouts.dccp_timeout_open: kernel " in error and "has no %sdccp_timeout_open: " % KEY in error
    assert "timeouts.udp_timeout: 0 " in error


def test_truth_is_no_number_of_seconds(machine):
    assert "timeouts.udp_timeout: " in machine.refused("settings", {"timeouts": {"udp_timeout": True}})


def test_more_buckets_than_any_kernel_takes(machine):
    error = machine.refused("settings", {"table": {"max": 2147483647, "memory_share": 0.9}})
    assert "table.max: 2147483647 connections can take " in error
    assert "remove that line" not in error


def test_max_below_the_present_count(machine, connections):
    connections(40)
    # Others may be left of an hour in which this machine tracked its own.
    there = int(Path("/proc/sys/net/netfilter/nf_conntrack_count").read_text())
    assert there >= 40
    told = "table.max: %d is below the %d connections in the table now" % (there - 1, there)
    assert told in machine.refused("settings", {"table": {"max": there - 1}})
    machine.settings({"table": {"max": there}})
    assert machine.now()["max"] == there


@pytest.mark.parametrize(
    "module, options, error",
    [
        ("settings", {"timeouts": {"udp_timeout": 61}}, NO_ROOT),
        ("settings", {"timeouts": {"udp_timeout": 0}}, "timeouts.udp_timeout: 0 %s; %s" % (NOTHING_TRACKED, NO_ROOT)),
        ("settings", {"state": "absent"}, NO_ROOT),
        ("early_load", {}, "%s; %s" % (NO_ROOT, NO_SYSTEMD)),
        ("early_load", {"state": "absent"}, NO_ROOT),
    ],
    ids=["settings", "settings_wrong", "settings_absent", "early_load", "early_load_absent"],
)
def test_without_root(machine, module, options, error):
    assert machine.refused(module, options, user="nobody") == error


def test_table_belongs_to_the_initial_namespace(machine, netns):
    error = machine.refused("settings", {"table": TABLE, "timeouts": {"udp_timeout": 61}, "at_boot": False}, netns=netns)
    for name in TABLE:
        assert "table.%s: only the initial network namespace may set it; run this on the host that owns this namespace" % name in error
        assert error.count("table.%s: " % name) == 1
    assert "udp_timeout" not in error


def test_no_boot_of_another_namespace(machine, netns):
    error = machine.refused("settings", {"timeouts": {"udp_timeout": 61}}, netns=netns)
    assert error == "at_boot: the next boot sets up another network namespace than this one; say at_boot: false"


def test_timeouts_of_another_namespace(machine, netns):
    first = machine.now(netns)
    options = {"timeouts": {"udp_timeout": 61}, "tracking": {"acct": True}, "at_boot": False}
    machine.settings(options, netns=netns)
    assert machine.now(netns) == dict(first, udp_timeout=61, acct=1)
    assert machine.now() == machine.first
    assert machine.settings(options, netns=netns)["changed"] is False
    machine.settings({"state": "absent"}, netns=netns)
    assert (machine.now(netns), machine.files()) == (first, machine.fresh)


@pytest.mark.parametrize("options", [{"timeouts": {"icmp_timeout": 62}, "at_boot": False}, {"state": "absent"}], ids=["present", "absent"])
def test_another_namespace_leaves_what_is_of_the_initial_one(machine, netns, options):
    machine.settings({"timeouts": {"udp_timeout": 61}})
    before = machine.now(), {path: text for path, text in machine.files().items() if path.startswith("/etc")}
    machine.answer(machine.start("settings", options, netns=netns))  # whether it works or is refused
    assert (machine.now(), {path: text for path, text in machine.files().items() if path.startswith("/etc")}) == before
    machine.settings({"state": "absent"})
    assert machine.now() == machine.first


def test_read_only_proc(machine):
    machine.settings({"timeouts": {"udp_timeout": 61}})
    machine.command("mount", "--bind", "/proc/sys", "/proc/sys")
    machine.command("mount", "-o", "remount,bind,ro", "/proc/sys")
    assert machine.refused("settings", {"timeouts": {"udp_timeout": 62}}) == READ_ONLY
    assert machine.refused("settings", {"state": "absent"}) == READ_ONLY
    assert machine.settings({"timeouts": {"udp_timeout": 61}})["changed"] is False


def test_read_only_sys_does_not_matter(machine):
    machine.command("mount", "-o", "remount,bind,ro", "/sys")
    machine.settings({"table": {"max": 40000, "buckets": 40960}, "timeouts": {"udp_timeout": 61}, "tracking": {"acct": True}})
    assert machine.now() == machine.with_first(max=40000, buckets=40960, udp_timeout=61, acct=1)


def test_early_load_without_systemd(machine):
    assert machine.refused("early_load", {}) == NO_SYSTEMD
    error = machine.refused("early_load", {"backend": "ipchains", "initramfs": "perhaps", "moduel": True})
    for phrase in ("no such option: moduel", "value of backend must be one of", "value of initramfs must be one of", NO_SYSTEMD):
        assert phrase in error

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After the reboot: every value holds, and tracking is on and stays on."""

import json

import pytest

FILES = (
    "/etc/modprobe.d/zz-netfleet-conntrack.conf",
    "/etc/modules-load.d/zz-netfleet-conntrack.conf",
    "/etc/netfleet-conntrack/hooks.nft",
    "/etc/netfleet-conntrack/load",
    "/etc/sysctl.d/zz-netfleet-conntrack.conf",
    "/etc/systemd/system/netfleet-conntrack.service",
    "/etc/udev/rules.d/zz-netfleet-conntrack.rules",
)
ROUNDED = ("buckets", "hashsize")  # to whole pages of 8-byte heads
TRACKED = """
    conntrack -F 2>/dev/null
    ping -q -c 1 -W 5 127.0.0.1 >/dev/null
    ping -q -c 1 -W 5 ::1 >/dev/null
    conntrack -L -f ipv4 -p icmp -s 127.0.0.1 2>/dev/null | grep -c .
    conntrack -L -f ipv6 -p icmpv6 -s ::1 2>/dev/null | grep -c .
"""
NO_JOBS = 'until [ -z "$(systemctl list-jobs --no-legend)" ]; do sleep 0.1; done'


def as_kernel_gives(path, value):
    return -(-value // 512) * 512 if path.endswith(ROUNDED) else value


def test_no_setting_is_left_out(first, asked):
    """What the kernel has and nobody set is nothing that can be set: parameters that stand behind a key."""
    left = [path for path in first if path not in asked]
    assert sorted(path.rpartition("/")[2] for path in left) == ["acct", "hashsize", "tstamp"]


def test_every_value_holds(now, asked):
    assert {path: int(now[path]) for path in asked} == {path: as_kernel_gives(path, value) for path, value in asked.items()}


def test_every_value_is_not_the_kernels_own(first, asked):
    assert [path for path, value in asked.items() if first[path] == str(as_kernel_gives(path, value))] == []


def test_hash_size_is_the_modules_too(now):
    assert now["/sys/module/nf_conntrack/parameters/hashsize"] == "10240"


def test_files_are_there(host):
    assert host.check_output("find /etc -type f -path '*netfleet-conntrack*' | sort").splitlines() == list(FILES)


def test_unit_ran_before_the_network(host):
    told = host.check_output("systemctl show -p UnitFileState,ActiveState,ActiveEnterTimestampMonotonic netfleet-conntrack.service network-pre.target")
    ours, network = (dict(line.split("=") for line in block.splitlines()) for block in told.split("\n\n"))
    assert (ours["UnitFileState"], ours["ActiveState"]) == ("enabled", "active")
    assert int(ours["ActiveEnterTimestampMonotonic"]) <= int(network["ActiveEnterTimestampMonotonic"])


@pytest.mark.parametrize("verbs", [[], ["restart"], ["reload"], ["stop", "start"]], ids=lambda verbs: "-".join(verbs) or "boot")
def test_tracking_is_on_after(host, verbs):
    for verb in verbs:
        host.check_output(f"systemctl {verb} nftables")
    host.check_output(NO_JOBS)  # ours follows nftables, and systemctl does not wait for it
    assert host.run(TRACKED).stdout.split() == ["1", "1"]


@pytest.fixture(scope="module")
def said(host):
    """What the check run and the run itself said."""
    return [json.loads(host.check_output(f"cat /root/{name}.json")) for name in ("check", "run")]


def test_check_run_announced_the_changes_of_the_run(said):
    check, run = said
    assert check["changes"] == run["changes"]
    assert {change["part"] for change in run["changes"]} == {"settings", "early_load"}


def test_diff_shows_before_and_after_of_each_layer(said):
    for layer in ("running", "boot"):
        shown = next(diff for diff in said[1]["diff"] if diff["before_header"] == layer)
        assert "\ntcp_timeout_established = 432001\n" in shown["after"]
        assert "\ntcp_timeout_established = " in shown["before"] and shown["before"] != shown["after"]

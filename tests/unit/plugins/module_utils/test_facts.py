# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of recorded hosts: the names that others rely on, what they hold, and that looking changes nothing."""
import errno
import os

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _facts
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded

ALWAYS = {
    "schema_version", "available", "error", "builtin", "kernel", "namespace", "settings", "loaded_by", "boot_problems", "tracking", "snat_rules", "owners",
    "counters", "mem_total", "cpus", "page_size",
}
OF_A_TABLE = {"count", "max", "usage", "buckets", "load_factor", "expect_max", "expect_count", "memory"}
LOADED, UNLOADED, LATE, LIVE, NETNS = "bookworm-6.1", "bookworm-6.1-unloaded", "bookworm-6.1-late", "live-6.18", "live-6.18-netns"


def facts(host, probe=False):
    result = _facts.facts(host, {"probe": probe})
    assert list(result) == ["ansible_facts"] and list(result["ansible_facts"]) == ["netfleet_conntrack"]
    return result["ansible_facts"]["netfleet_conntrack"]


@pytest.mark.parametrize("probe", [False, True], ids=["looking", "probing"])
@pytest.mark.parametrize("name", recorded.names())
def test_names(name, probe, tmp_path):
    host = recorded.machine(name, tmp_path)
    before = recorded.snapshot(host)
    found = facts(host, probe)
    assert set(found) == ALWAYS | (OF_A_TABLE if found["available"] else set())
    assert (found["schema_version"], found["error"]) == (1, "")
    assert found["available"] is not name.endswith(recorded.UNLOADED)
    assert found["namespace"] == ("other" if name.endswith("-netns") else "initial")
    assert (recorded.snapshot(host), host.log) == (before, [])


@pytest.mark.parametrize("name", recorded.names())
def test_every_setting_says_what_it_is_and_will_be(name, tmp_path):
    host = recorded.machine(name, tmp_path)
    for setting, row in facts(host)["settings"].items():
        assert set(row) == {"running", "boot", "source", "reason"}
        text = host.read(BY_NAME[setting].path)
        assert row["running"] == (None if text is None else BY_NAME[setting].shown(int(text.split()[0])))
        assert row["boot"] is None or row["source"]


def test_a_table(tmp_path):
    host = recorded.machine(LOADED, tmp_path)
    host.overwrite("/proc/sys/net/netfilter/nf_conntrack_count", "1024\n")
    found = facts(host)
    told = {name: found[name] for name in sorted(OF_A_TABLE)}
    assert told == {
        "count": 1024, "max": 4096, "usage": 0.25, "buckets": 4096, "load_factor": 1.0, "expect_max": 64, "expect_count": None,
        "memory": {"entry_bytes": 384, "table_bytes": 4096 * (384 + 16), "share": round(4096 * 400 / (481284 * 1024.0), 4)},
    }


def test_a_table_without_a_limit(tmp_path):
    host = recorded.machine(LIVE, tmp_path)
    host.overwrite(BY_NAME["max"].path, "0\n")
    assert (facts(host)["max"], facts(host)["usage"]) == (0, 0.0)


def test_counters_are_those_of_the_file(tmp_path):
    host = recorded.machine(LIVE, tmp_path)
    lines = [line.split() for line in host.read(_facts.STAT).splitlines()]
    counters = facts(host)["counters"]
    assert len(counters["cpus"]) == len(lines) - 1
    found = lines[0].index("found")
    assert counters["total"]["found"] == sum(int(line[found], 16) for line in lines[1:])


def test_counters_come_by_netlink_where_there_is_no_file(tmp_path):
    class Asked(recorded.Machine):
        def netlink(self, request, dump, timeout=5.0):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    host = recorded.machine(LIVE, tmp_path, Asked)
    os.unlink(host.root + _facts.STAT)
    assert facts(host)["error"] == "cannot read the counters by netlink: Operation not permitted"
    host.uid = 1000
    assert (facts(host)["error"], facts(host)["counters"]) == ("", {"total": {}, "cpus": []})


def test_a_module_that_is_not_loaded_is_no_failure(tmp_path):
    found = facts(recorded.machine(UNLOADED, tmp_path))
    assert (found["available"], found["builtin"], found["counters"]) == (False, False, {"total": {}, "cpus": []})
    assert found["tracking"] == {"ipv4": "no", "ipv6": "no", "because": "nf_conntrack is not loaded"}
    assert found["settings"]["max"]["running"] is None


def test_a_host_without_conntrack_is_no_failure(tmp_path):
    recorded.unpack({"/proc/sys/kernel/osrelease": {"text": "6.1.0\n"}}, str(tmp_path))
    found = facts(recorded.Machine(str(tmp_path), {"page_size": 4096}))
    assert (found["available"], found["error"]) == (False, "")


def test_a_host_that_cannot_be_read_says_why(tmp_path):
    class Closed(recorded.Machine):
        def read_bytes(self, path):
            raise ConntrackError("cannot read %s: Permission denied" % path)

    found = facts(recorded.machine(LIVE, tmp_path, Closed))
    assert found["available"] is False and found["error"].endswith("Permission denied")


def test_a_value_that_is_lost_at_boot_says_by_whom_it_is_asked_for(tmp_path):
    row = facts(recorded.machine(LATE, tmp_path))["settings"]["tcp_timeout_established"]
    assert row == {
        "running": 432000, "boot": 432000, "source": "kernel default",
        "reason": "/etc/sysctl.d/60-conntrack.conf:2 asks for tcp_timeout_established = 4321, but nothing loads nf_conntrack before the sysctls are written",
    }


def test_only_a_line_of_sysctl_d_is_lost_at_boot(tmp_path):
    host = recorded.machine(UNLOADED, tmp_path)
    host.write_file("/etc/sysctl.d/50-router.conf", "net.netfilter.nf_conntrack_max = 131072\n")
    found = facts(host)
    row = found["settings"]["max"]
    assert (row["boot"], found["loaded_by"]) == (4096, "")
    assert row["reason"].startswith("/etc/sysctl.d/50-router.conf:1 asks for max = 131072, but nothing loads nf_conntrack")


def test_in_another_namespace_the_sizes_are_told_too(tmp_path):
    found = facts(recorded.machine(NETNS, tmp_path))
    assert (found["max"], found["buckets"], found["namespace"]) == (262144, 262144, "other")

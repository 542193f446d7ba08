# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that cannot be tuned as asked: the reason and the remedy, one text for each."""
import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _boot, _obstacles, _settings
from ansible_collections.netfleet.conntrack.plugins.module_utils._view import View
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.requests import options

NO_MODULE = ("there is no connection tracking in kernel %s: no module nf_conntrack in /lib/modules/%s, and it is not built in; "
             "install the kernel's modules package")


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosts")
    return {name: _settings.read(View(recorded.machine(name, folder)), {}) for name in recorded.names()}


def kernel(state, **fields):
    return state._replace(kernel=state.kernel._replace(**fields))


def keyless(state, *keys):
    return state._replace(inputs=state.inputs._replace(keys=state.inputs.keys - set(keys)))


LIVE, NETNS, LOADED, UNLOADED = "live-6.18", "live-6.18-netns", "bookworm-6.1", "bookworm-6.1-unloaded"
RELEASES = {"bookworm-6.1-unloaded": "6.1.0-56-cloud-amd64"}

# What is asked, host, what is different there: what stands in the way
CASES = {
    "nothing does": ({"udp_timeout": 30}, LIVE, {}, []),
    "not root": ({"udp_timeout": 30}, LIVE, {"uid": 1000}, ["this needs root; run it with become: true"]),
    "not root, and nothing asked": ({}, LIVE, {"uid": 1000}, ["this needs root; run it with become: true"]),
    "no module to load": ({"udp_timeout": 30, "max": 1}, UNLOADED, {"loadable": False}, [NO_MODULE % ((RELEASES[UNLOADED],) * 2)]),
    "a key that was removed": (
        {"helper": 1}, LIVE, {}, ["tracking.helper: kernel 6.18.44-fc-v669 has no net.netfilter.nf_conntrack_helper: it was removed in Linux 6.0; "
                                  "leave the option out on this host"]),
    "a key that is to come": (
        {"gre_timeout": 30}, UNLOADED, {"version": (5, 3)}, []),
    "a key of another configuration": (
        {"nf_flowtable_tcp_timeout": 30}, LIVE, {}, ["timeouts.nf_flowtable_tcp_timeout: kernel 6.18.44-fc-v669 has no "
                                                     "net.netfilter.nf_flowtable_tcp_timeout: it needs CONFIG_NF_FLOW_TABLE; "
                                                     "leave the option out on this host"]),
    "global keys in another namespace": (
        {"max": 9, "buckets": 512, "udp_timeout": 30}, NETNS, {"boots": True},
        ["table.max: only the initial network namespace may set it; run this on the host that owns this namespace",
         "table.buckets: only the initial network namespace may set it; run this on the host that owns this namespace"]),
    "a boot that sets up another namespace": (
        {"udp_timeout": 30}, NETNS, {}, ["at_boot: the next boot sets up another network namespace than this one; say at_boot: false"]),
    "a boot parameter of a built-in module": (
        {"expect_hashsize": 512}, LIVE, {}, ["table.expect_hashsize: connection tracking is built into this kernel, so only its command line can set "
                                             "this: nf_conntrack.expect_hashsize="]),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_obstacles(name, states):
    values, host, fields, expected = CASES[name]
    found = _obstacles.obstacles(kernel(states[host], **fields), values, values)
    assert sorted(found) == sorted(expected)


def test_a_key_that_came_later_says_when(states):
    state = keyless(kernel(states[LIVE], version=(5, 3)), "net.netfilter.nf_conntrack_gre_timeout")
    text, = _obstacles.obstacles(state, {"gre_timeout": 30}, {})
    assert ": it came with Linux 5.4; leave the option out" in text


def test_what_holds_at_boot_only_needs_a_boot(states):
    state = states[LOADED]
    assert list(_obstacles.obstacles(state, {"expect_hashsize": 512}, {"expect_hashsize": 512})) == []
    text, = _obstacles.obstacles(state, {"expect_hashsize": 512}, {})
    assert text == "table.expect_hashsize: the kernel takes it only while its module loads; say at_boot: true"


def test_every_obstacle_is_said(states):
    state = kernel(states[NETNS], uid=1000)
    found = list(_obstacles.obstacles(state, {"max": 9, "helper": 0, "udp_timeout": 30}, {"max": 9}))
    assert [text.split(":")[0] for text in found] == ["this needs root; run it with become", "table.max", "tracking.helper", "at_boot"]


# Mounts read-only, files without a write bit, what changes: how it is refused
WRITES = {
    "all is writable": ((), (), ["max"], []),
    "/proc/sys": (("/proc/sys",), (), ["max", "udp_timeout"],
                  ["/proc/sys is mounted read-only, so max, udp_timeout cannot be set here; run this on the host, or mount it read-write"]),
    "/proc": (("/proc", "/sys"), (), ["acct"],
              ["/proc is mounted read-only, so acct cannot be set here; run this on the host, or mount it read-write"]),
    "/proc/sys, and nothing changes": (("/proc/sys",), (), [], []),
    "/sys hinders nothing": (("/sys",), (), ["max", "buckets"], []),
    "a file": ((), ("max",), ["max", "acct"], ["table.max: the kernel does not let it be written here"]),
    "chains, which go through /sys": ((), ("buckets",), ["buckets"], []),
    "chains, where /sys is no way either": (("/sys",), ("buckets",), ["buckets"], ["table.buckets: the kernel does not let it be written here"]),
}


@pytest.mark.parametrize("name", sorted(WRITES))
def test_writing(name, states):
    mounts, files, changing, expected = WRITES[name]
    state = kernel(states[LIVE], read_only_mounts=mounts, read_only=frozenset(files))
    assert list(_obstacles.write_obstacles(state, changing)) == expected


def test_the_hash_size_goes_through_sysfs_where_its_sysctl_is_read_only(states):
    state = kernel(states[LIVE], read_only=frozenset(["buckets", "max"]))
    assert _obstacles.value_path(state, "buckets") == "/sys/module/nf_conntrack/parameters/hashsize"
    assert _obstacles.value_path(state, "max") == "/proc/sys/net/netfilter/nf_conntrack_max"
    assert _obstacles.value_path(states[LIVE], "buckets") == "/proc/sys/net/netfilter/nf_conntrack_buckets"
    elsewhere = kernel(states[NETNS], read_only=frozenset(["buckets"]))
    assert _obstacles.value_path(elsewhere, "buckets") == "/proc/sys/net/netfilter/nf_conntrack_buckets"


# Files of others, the kernel's command line: what keeps our values from the next boot
FOREIGN = {
    "nothing": ({}, "", []),
    "a file that is read later": (
        {"/etc/sysctl.d/zzz.conf": "net.netfilter.nf_conntrack_udp_timeout = 31\n"}, "",
        ["timeouts.udp_timeout: the next boot would give 31, not 40, because of /etc/sysctl.d/zzz.conf:1; remove that line, or say at_boot: false"]),
    "a blacklist, for the rule of udev serves whoever loads it late": (
        {"/etc/modprobe.d/no.conf": "blacklist nf_conntrack\n"}, "", []),
    "an install line": (
        {"/etc/modprobe.d/no.conf": "install nf_conntrack /bin/false\n"}, "",
        "/etc/modprobe.d/no.conf:1 install nf_conntrack /bin/false keeps nf_conntrack from loading"),
    "a module that is forbidden": ({}, "module_blacklist=nf_conntrack", "module_blacklist=nf_conntrack"),
}


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_foreign_files(name, states):
    files, cmdline, expected = FOREIGN[name]
    inputs = _boot.with_files(states[LOADED].inputs, files)
    state = states[LOADED]._replace(inputs=inputs._replace(cmdline=cmdline))
    refusals = _settings.plan(state, options(timeouts={"udp_timeout": 40})).refusals
    if isinstance(expected, list):
        assert list(refusals) == expected
    else:
        assert refusals and all("say at_boot: false" in text for text in refusals)
        assert expected in refusals[0]
    assert _settings.plan(state, options(timeouts={"udp_timeout": 40}, at_boot=False)).refusals == ()

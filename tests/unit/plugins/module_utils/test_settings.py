# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part settings on recorded hosts: what holds for every host and request, and cases."""
import os

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _early_load, _own, _settings
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._memo import FOLDER
from ansible_collections.netfleet.conntrack.plugins.module_utils._memo import read as memo
from ansible_collections.netfleet.conntrack.plugins.module_utils._transaction import execute
from ansible_collections.netfleet.conntrack.plugins.module_utils._view import View
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.requests import ABSENT, Dice, options
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.share import half

SEEDS = range(12)
PART = _settings.PART


def run(host, request, check=False):
    del host.log[:]
    return execute(host, PART, request, check)


def refused(host, request):
    """Whether a request is refused; whatever comes of it, nothing is touched."""
    before = recorded.snapshot(host)
    try:
        run(host, request, check=True)
        return False
    except ConntrackError:
        with pytest.raises(ConntrackError):
            run(host, request)
        return True
    finally:
        assert recorded.snapshot(host) == before
        assert host.log == []


def holds(host, request):
    """A check run announces what the run then makes, and after that there is nothing to do."""
    announced = run(host, request, check=True)
    assert announced == run(host, request, check=True), "a plan depends on nothing but the host and the request"
    made = run(host, request)
    assert (made["changes"], made["diff"], made["changed"]) == (announced["changes"], announced["diff"], announced["changed"])
    again = run(host, request)
    assert (again["changed"], again["changes"], host.log) == (False, [], [])


@pytest.mark.parametrize("seed", half(SEEDS))
@pytest.mark.parametrize("name", recorded.names())
def test_whatever_is_asked_of_a_recorded_host(name, seed, tmp_path):
    host = recorded.machine(name, tmp_path)
    dice = Dice("%s %d" % (name, seed), host, PART.read(View(host), {}))
    before, values = recorded.settled(host), (host.values(), recorded.fresh_values(host, tmp_path))
    for dummy in range(3):
        request = dice.request()
        if not refused(host, request):
            holds(host, request)
    holds(host, ABSENT)
    assert recorded.settled(host) == before
    assert host.values() in values
    assert not host.exists(FOLDER)


def test_most_requests_that_are_tried_are_carried_out(tmp_path):
    tried = []
    for name in recorded.names():
        host = recorded.machine(name, tmp_path)
        state = PART.read(View(host), {})
        tried += [PART.plan(state, Dice("%s %d" % (name, seed), host, state).request()).refusals == () for seed in SEEDS]
    assert tried.count(True) > len(tried) / 2
    assert tried.count(False) > len(tried) / 20


# Cases

LIVE, LOADED, UNLOADED, LATE = "live-6.18", "bookworm-6.1", "bookworm-6.1-unloaded", "bookworm-6.1-late"
EACH = 0.9                                      # of the memory: these cases are about something else


def planned(host, **request):
    return PART.plan(PART.read(View(host), {}), options(**request))


def steps(host, **request):
    """What a request does to a host, in order: (what, the last word of its name, value)."""
    found = planned(host, **request)
    assert found.refusals == ()
    return [(step.action, step.target.split("/")[-1].replace("nf_conntrack_", ""), step.value) for step in found.steps]


def values_written(host, **request):
    return [(name, value) for action, name, value in steps(host, **request) if action == "value"]


# Values of now, request: what is written, in this order
ORDER = {
    "a larger table gets its chains first": (
        {}, {"table": {"max": "524288"}}, [("buckets", "524288"), ("max", "524288")]),
    "a smaller table gets its limit first": (
        {}, {"table": {"max": "65536"}}, [("max", "65536"), ("buckets", "65536")]),
    "more connections on fewer chains": (
        {"buckets": 524288}, {"table": {"max": "300000"}}, [("buckets", "300032"), ("max", "300000")]),
    "thresholds go up from above": (
        {}, {"tracking": {"frag6_low_thresh": 5000000, "frag6_high_thresh": 6000000}},
        [("frag6_high_thresh", "6000000"), ("frag6_low_thresh", "5000000")]),
    "thresholds go down from below": (
        {}, {"tracking": {"frag6_low_thresh": 100, "frag6_high_thresh": 200}},
        [("frag6_low_thresh", "100"), ("frag6_high_thresh", "200")]),
    "a hash size that rounds to what is there is not written": (
        {"buckets": 65536, "max": 65536}, {"table": {"max": "65500"}}, [("max", "65500")]),
    "what is so already is not written": (
        {}, {"timeouts": {"icmp_timeout": 30}}, []),
    "switches are written as numbers": (
        {}, {"tracking": {"acct": True, "tcp_loose": False}}, [("acct", "1"), ("tcp_loose", "0")]),
}


@pytest.mark.parametrize("name", sorted(ORDER))
def test_order_of_writes(name, tmp_path):
    now, request, expected = ORDER[name]
    host = recorded.machine(LIVE, tmp_path)
    for setting, value in now.items():
        host.overwrite(BY_NAME[setting].path, "%d\n" % value)
    assert values_written(host, **request) == expected


def test_the_module_loads_with_the_sizes_of_the_next_boot(tmp_path):
    found = planned(recorded.machine(UNLOADED, tmp_path), table={"max": "65536", "memory_share": EACH, "expect_hashsize": "512"})
    assert [(step.action, step.target.split("/")[-1]) for step in found.steps] == [
        ("load", "loading nf_conntrack"), ("value", "nf_conntrack_buckets"), ("value", "nf_conntrack_max"),
    ]
    assert found.steps[0].value == ["modprobe", "nf_conntrack", "hashsize=65536", "expect_hashsize=512"]
    assert [(step.action, step.target.split("/")[-1]) for step in found.boot_steps] == [
        ("reread", "telling udev of its new rule"),
        ("file", "zz-netfleet-conntrack.conf"), ("file", "zz-netfleet-conntrack.conf"), ("file", "zz-netfleet-conntrack.rules"),
        ("file", "zz-netfleet-conntrack.conf"),
        ("run", "telling udev of its new rule"),
    ]


def test_what_is_built_in_needs_one_file_and_the_command_line(tmp_path):
    found = planned(recorded.machine(LIVE, tmp_path), table={"max": "65536"})
    assert [path for path, dummy, text in found.files if text] == [_own.SYSCTL]
    assert found.returns["kernel_command_line"] == "nf_conntrack.hashsize=65536"
    assert planned(recorded.machine(LIVE, tmp_path / "2"), timeouts={"icmp_timeout": 31}).returns["kernel_command_line"] == ""
    assert planned(recorded.machine(LOADED, tmp_path), table={"max": "65536", "memory_share": EACH}).returns["kernel_command_line"] == ""


def test_nothing_for_the_boot_where_none_is_wanted(tmp_path):
    host = recorded.machine(LOADED, tmp_path)
    done = run(host, options(at_boot=False, timeouts={"icmp_timeout": 31}))
    assert [(change["name"], change["layer"]) for change in done["changes"]] == [("icmp_timeout", "running")]
    assert not any(host.exists(path) for path in _settings.OWN)
    run(host, options(timeouts={"icmp_timeout": 31}))
    assert host.exists(_own.SYSCTL)
    run(host, options(at_boot=False, timeouts={"icmp_timeout": 31}))
    assert not any(host.exists(path) for path in _settings.OWN)
    assert host.number(BY_NAME["icmp_timeout"].path) == 31


def test_openmptcprouter(tmp_path):
    """Set while nothing loads the module before the sysctls are written, and still there after a boot."""
    host = recorded.machine(LATE, tmp_path)
    wanted = {"max": 524288, "buckets": 131072, "tcp_timeout_established": 86400}
    boot = PART.read(View(host), {}).boot
    assert {loss.name for loss in boot.lost} >= {"max", "tcp_timeout_established"}
    request = options(table={"max": "524288", "buckets": "131072", "memory_share": EACH}, timeouts={"tcp_timeout_established": 86400})
    done = run(host, request)
    assert {name: done["boot"][name]["value"] for name in wanted} == wanted
    after = PART.read(View(host), {})
    assert {name: after.boot.values[name].value for name in wanted} == wanted
    assert {name: after.kernel.running[name] for name in wanted} == wanted
    assert after.boot.loaded_by.startswith(_own.MODULES_LOAD)


def test_what_is_no_longer_named_goes_back(tmp_path):
    host = recorded.machine(LOADED, tmp_path)
    run(host, options(timeouts={"icmp_timeout": 31, "udp_timeout": 32}))
    done = run(host, options(timeouts={"icmp_timeout": 31}))
    assert [(c["name"], c["layer"], c["before"], c["after"], c["why"]) for c in done["changes"] if c["layer"] == "running"] == [
        ("udp_timeout", "running", 32, 30, "as before the first run")]
    assert host.number(BY_NAME["udp_timeout"].path) == 30


def test_first_values_are_those_of_the_first_run(tmp_path):
    host = recorded.machine(LOADED, tmp_path)
    host.overwrite(BY_NAME["icmp_timeout"].path, "77\n")
    for value in (31, 32, 33):
        run(host, options(timeouts={"icmp_timeout": value}))
    run(host, ABSENT)
    assert host.number(BY_NAME["icmp_timeout"].path) == 77


def test_what_somebody_else_changes_is_put_back(tmp_path):
    host = recorded.machine(LOADED, tmp_path)
    request = options(timeouts={"icmp_timeout": 31})
    run(host, request)
    host.overwrite(BY_NAME["icmp_timeout"].path, "99\n")
    host.overwrite(_own.SYSCTL, "# nothing\n")
    done = run(host, request)
    assert {(c["name"], c["layer"], c["before"], c["after"]) for c in done["changes"]} == {
        ("icmp_timeout", "running", 99, 31), ("icmp_timeout", "boot", 30, 31), (_own.SYSCTL, "boot", "outdated", "current")}


def test_an_answer_of_auto_is_remembered_though_nothing_else_changes(tmp_path):
    host = recorded.machine(LIVE, tmp_path)
    run(host, options(table={"max": "1048576", "memory_share": 0.04}))
    done = run(host, options(table={"max": "auto", "memory_share": 0.04}))
    assert (done["changed"], memo(host, "settings")["auto"]["max"]) == (False, 1048576)
    again = run(host, options(table={"max": "auto", "memory_share": 0.04}))
    assert (again["changed"], host.log) == (False, [])


def test_a_key_that_the_next_kernel_has_no_more_does_no_harm(tmp_path):
    """Debian 12 to a kernel without DCCP: the module was not loaded before the first run."""
    host = recorded.machine(UNLOADED, tmp_path)
    run(host, options(timeouts={"dccp_timeout_open": 40000, "icmp_timeout": 31}))
    for name in host.list(recorded.NETFILTER):
        if "dccp" in name:
            os.unlink(host.root + recorded.NETFILTER + name)
    run(host, options(timeouts={"icmp_timeout": 31}))
    run(host, ABSENT)
    assert host.number(BY_NAME["icmp_timeout"].path) == 30
    assert not host.exists(FOLDER)


def test_the_module_stays_for_the_other_part(tmp_path):
    host = recorded.machine(LOADED, tmp_path)
    early = {"module": True, "hooks": False, "backend": "auto", "initramfs": "never", "state": "present"}
    for first, second in ((PART, _early_load.PART), (_early_load.PART, PART)):
        wanted = {PART.name: (options(timeouts={"icmp_timeout": 31}), ABSENT), "early_load": (early, dict(early, state="absent"))}
        for part in (first, second):
            execute(host, part, wanted[part.name][0], False)
        for part in (first, second):
            assert host.exists(_own.MODULES_LOAD)
            execute(host, part, wanted[part.name][1], False)
        assert not host.exists(_own.MODULES_LOAD)


def test_each_fault_is_said_and_nothing_is_touched(tmp_path):
    host = recorded.machine("bookworm-6.1-netns", tmp_path)
    before = recorded.snapshot(host)
    request = options(table={"max": "0", "buckets": "70000"}, timeouts={"udp_timeout": 0, "nf_flowtable_tcp_timeout": 40}, tracking={"helper": True})
    with pytest.raises(ConntrackError) as caught:
        execute(host, PART, request, False, ["no such option: timeouts.x"])
    for words in ("no such option: timeouts.x", "table.max: 0 is not between", "timeouts.udp_timeout: 0 is not between",
                  "table.buckets: only the initial network namespace", "at_boot: the next boot sets up another", "has no net.netfilter.nf_conntrack_helper"):
        assert words in str(caught.value)
    assert (recorded.snapshot(host), host.log) == (before, [])


def test_keys_of_a_namespace_can_be_set_in_it(tmp_path):
    host = recorded.machine("bookworm-6.1-netns", tmp_path)
    done = run(host, options(at_boot=False, timeouts={"udp_timeout": 44}, tracking={"acct": True}))
    assert [change["name"] for change in done["changes"]] == ["udp_timeout", "acct"]

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From requests to numbers: C(auto) and its steadiness, memory, refusals and warnings."""
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.netfleet.conntrack.plugins.module_utils import _settings, _sizing, _wanted
from ansible_collections.netfleet.conntrack.plugins.module_utils._boot import BootValue
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BUCKETS_MAX
from ansible_collections.netfleet.conntrack.plugins.module_utils._view import View
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.requests import ABSENT, options

MIB = 1024 ** 2
# Slab objects of one entry, as kernels have had them.
SLABS = (192, 256, 320)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A machine of 24 GiB with a kernel of 6.18 on which nothing was set."""
    return _settings.read(View(recorded.machine("live-6.18", tmp_path_factory.mktemp("live"))), {})


@pytest.fixture(scope="module")
def unloaded(tmp_path_factory):
    return _settings.read(View(recorded.machine("bookworm-6.1-unloaded", tmp_path_factory.mktemp("unloaded"))), {})


def changed(state, running=None, memo=None, **kernel):
    """``state`` on another kernel, with other values, or after an earlier run."""
    values = dict(state.kernel.running, **(running or {}))
    return state._replace(kernel=state.kernel._replace(running=values, **kernel), memo=memo or {})


def sized(memory, slab=256, **more):
    return {"mem_total": int(memory), "slab_bytes": slab, **more}


def auto(state, earlier=None, **table):
    return _wanted.wanted(changed(state, memo={"auto": earlier}) if earlier else state, options(table=dict({"max": "auto"}, **table)))


# What auto means: (bytes of memory, slab, request) -> max
ANSWERS = {
    "24 GiB": (sized(24105 * MIB), {}, 2097152),
    "8 GiB": (sized(8192 * MIB), {}, 524288),
    "1 GiB": (sized(1024 * MIB), {}, 65536),
    "512 MiB": (sized(512 * MIB), {}, 32768),
    "64 MiB": (sized(64 * MIB), {}, 4096),
    "64 MiB and half of it": (sized(64 * MIB), {"memory_share": 0.5}, 65536),
    "1 GiB and eight in a chain": (sized(1024 * MIB), {"load_factor": 8.0}, 65536),
    "1 GiB and eight chains for each": (sized(1024 * MIB), {"load_factor": 0.125}, 65536),
}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_auto(name, live):
    kernel, table, most = ANSWERS[name]
    found = auto(changed(live, **kernel), **table)
    assert (found.values["max"], found.refusals) == (most, ())


def drawn(seed):
    """(memory, memory_share, load_factor) of some machine and request."""
    dice = random.Random(seed)
    return dice.randint(64, 600000) * MIB, dice.choice([0.02, 0.05, 0.1, 0.3, 0.9]), dice.choice([0.125, 0.3, 0.5, 1.0, 2.0, 8.0])


@pytest.mark.parametrize("slab", SLABS)
def test_auto_is_a_power_of_two_within_the_budget(slab, live):
    for seed in range(400):
        memory, share, factor = drawn(seed)
        found = auto(changed(live, **sized(memory, slab)), memory_share=share, load_factor=factor)
        most, buckets = found.values["max"], found.values["buckets"]
        assert most & (most - 1) == 0
        assert found.refusals == ()
        assert found.memory["table_bytes"] <= share * memory
        assert buckets % 512 == 0 and buckets >= most / factor
        assert 2 * most * (slab + 128) > 0.8 * share * memory / 2 or 2 * buckets > BUCKETS_MAX


# What may happen to a machine without auto's answer changing.
EVENTS = {
    "a kernel with dearer entries": lambda kernel: kernel._replace(slab_bytes=320),
    "a kernel with cheaper entries": lambda kernel: kernel._replace(slab_bytes=192),
    "2 % less memory": lambda kernel: kernel._replace(mem_total=int(kernel.mem_total * 0.98)),
    "2 % more memory": lambda kernel: kernel._replace(mem_total=int(kernel.mem_total * 1.02)),
    "dearer entries and less memory": lambda kernel: kernel._replace(slab_bytes=320, mem_total=int(kernel.mem_total * 0.98)),
    "an event listener": lambda kernel: kernel._replace(running=dict(kernel.running, events=1, acct=1)),
    "a fuller table": lambda kernel: kernel._replace(count=kernel.running["max"] // 100),
    "another release": lambda kernel: kernel._replace(version=(6, 19), release="6.19.1"),
}


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_auto_is_steady(name, live):
    for seed in range(400):
        memory, share, factor = drawn(seed)
        table = {"memory_share": share, "load_factor": factor}
        state = changed(live, **sized(memory))
        before = auto(state, **table)
        after = auto(state._replace(kernel=EVENTS[name](state.kernel)), before.auto, **table)
        assert (after.values, after.auto, after.refusals) == (before.values, before.auto, ()), (name, seed)


# Questions that are not the one which the earlier answer was given to.
OTHERS = {
    "another share": ({"memory_share": 0.2}, {}),
    "another load factor": ({"load_factor": 0.125}, {}),
    "twice the memory": ({}, {"mem_total": 2 * 24684084 * 1024}),
    "a quarter of the memory": ({}, {"mem_total": 24684084 * 256}),
}


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_an_earlier_answer_counts_for_its_own_question_only(name, live):
    table, kernel = OTHERS[name]
    state = changed(live, **kernel)
    earlier = dict(auto(live).auto, max=1048576)
    assert auto(live, earlier).values["max"] == 1048576
    assert auto(state, earlier, **table) == auto(state, **table)


def test_auto_leaves_nothing_to_remember_when_it_is_not_asked(live):
    assert _wanted.wanted(live, options(table={"max": "65536"})).auto is None


# A target, CPUs: what auto means then
TARGETS = {
    "for each CPU, as kube-proxy has it": ({"per_cpu": 32768}, 12, 393216),
    "for each CPU, rounded up": ({"per_cpu": 10000}, 6, 60416),
    "for each CPU, hardly any": ({"per_cpu": 1}, 1, 1024),
    "a rate": ({"connections_per_second": 500, "mean_life": 130}, 1, 81920),
    "a rate that fills the last step": ({"connections_per_second": 8192, "mean_life": 100}, 1, 1024000),
    "the rate is the larger": ({"per_cpu": 1000, "connections_per_second": 500, "mean_life": 130}, 4, 81920),
    "CPUs are the larger": ({"per_cpu": 32768, "connections_per_second": 500, "mean_life": 130}, 4, 131072),
}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_auto_by_a_target(name, live):
    table, cpus, most = TARGETS[name]
    found = auto(changed(live, cpus=cpus), **table)
    assert (found.values["max"], found.refusals) == (most, ())
    assert found.values["buckets"] >= most


AIM = st.one_of(st.none(), st.integers(1, 200000))


@settings(max_examples=200, deadline=None, database=None)
@given(per_cpu=AIM, rate=AIM, life=st.integers(1, 600), cpus=st.integers(1, 256), more=st.integers(0, 100000), factor=st.sampled_from([0.5, 1.0, 4.0]))
def test_a_target_is_reached_and_a_higher_one_gives_no_less(live, per_cpu, rate, life, cpus, more, factor):
    def found(**table):
        life_too = {"mean_life": life} if table["connections_per_second"] else {}
        return auto(changed(live, cpus=cpus, mem_total=1 << 45), load_factor=factor, memory_share=0.9, **dict(table, **life_too)).values["max"]

    if per_cpu or rate:
        most = found(per_cpu=per_cpu, connections_per_second=rate)
        assert most >= max((per_cpu or 0) * cpus, 1.25 * (rate or 0) * life)
        assert most < max((per_cpu or 0) * cpus, 1.25 * (rate or 0) * life) + 1024 and most % 1024 == 0
        assert most <= found(per_cpu=per_cpu and per_cpu + more, connections_per_second=rate and rate + more)


def test_a_target_does_not_fill_the_budget_and_is_not_cut_down_to_it(live):
    assert auto(live, per_cpu=1).values["max"] < auto(live).values["max"]
    small = changed(live, **sized(1024 * MIB, cpus=128))
    text, = auto(small, per_cpu=32768).refusals
    assert text == (
        "table.max: auto needs 4194304 connections for table.per_cpu (32768 for each of 128 CPUs), which can take 1600 MiB, 156.2 % of the memory, "
        "and the budget is 5.0 %; use a smaller table.per_cpu")
    text, = auto(small, connections_per_second=1000, mean_life=200).refusals
    assert text == (
        "table.max: auto needs 250880 connections for table.connections_per_second (1000 a second for 200 seconds, and a quarter more), "
        "which can take 95 MiB, 9.3 % of the memory, and the budget is 5.0 %; use a smaller table.connections_per_second, or raise table.memory_share to 0.095")


def test_what_the_refusal_of_a_target_advises_is_accepted(live):
    small = changed(live, **sized(1024 * MIB))
    for rate in range(800, 7000, 321):
        text, = auto(small, connections_per_second=rate, mean_life=150).refusals
        assert auto(small, connections_per_second=rate, mean_life=150, memory_share=float(text.rsplit(" ", 1)[1])).refusals == ()


def test_more_than_a_kernel_can_have_is_refused(live):
    found = auto(changed(live, mem_total=1 << 45), connections_per_second=2 ** 31 - 1, mean_life=100, memory_share=0.9, load_factor=8.0)
    assert any(text.startswith("table.buckets: ") for text in found.refusals)


def test_a_host_that_does_not_tell_its_cpus_is_no_small_one(live):
    text, = auto(changed(live, cpus=0), per_cpu=1000).refusals
    assert text == "table.per_cpu: this host does not tell how many CPUs it has; leave it out, or say table.max as a number"


def test_a_target_is_remembered_as_the_question_that_it_is(live):
    first = auto(live, per_cpu=1000).auto
    assert auto(live, first, per_cpu=1000).auto is first
    assert auto(live, first, per_cpu=2000) == auto(live, per_cpu=2000)
    assert auto(live, first) == auto(live)
    twice = changed(live, cpus=2 * live.kernel.cpus)
    assert auto(twice, first, per_cpu=1000) == auto(twice, per_cpu=1000)


def test_an_answer_of_before_there_were_targets_stands(live):
    earlier = {"memory_share": 0.05, "load_factor": 1.0, "mem_total": live.kernel.mem_total, "max": 1048576}
    assert auto(live, earlier).auto is earlier
    assert auto(live, earlier, per_cpu=1000).values["max"] != 1048576


def test_never_lower_holds_against_a_target(live):
    assert auto(live, per_cpu=1, never_lower=True).values["max"] == live.kernel.running["max"]


# Request, what was there before -> what it means
MEANINGS = {
    "buckets follow max": ({"max": "100000"}, {}, {"buckets": 100352, "max": 100000}),
    "buckets by load factor": ({"max": "100000", "load_factor": 4.0}, {}, {"buckets": 25088, "max": 100000}),
    "buckets as given, rounded to pages": ({"max": "100000", "buckets": "50000"}, {}, {"buckets": 50176, "max": 100000}),
    "expectations follow buckets": ({"max": "65536", "expect_max": "auto"}, {}, {"buckets": 65536, "max": 65536, "expect_max": 1024}),
    "expectations follow the buckets of now": ({"expect_max": "auto"}, {}, {"expect_max": 4096}),
    "never lower: more is there": (
        {"max": "65536", "expect_max": "10", "never_lower": True}, {}, {"buckets": 262144, "max": 262144, "expect_max": 4096}),
    "never lower: less is there": (
        {"max": "524288", "never_lower": True}, {}, {"buckets": 524288, "max": 524288}),
    "never lower: a table with more chains": (
        {"max": "65536", "never_lower": True}, {"max": 1000, "buckets": 131072}, {"buckets": 131072, "max": 65536}),
    "never lower speaks of sizes only": ({"never_lower": True}, {}, {}),
    "lower": ({"max": "65536"}, {}, {"buckets": 65536, "max": 65536}),
}


@pytest.mark.parametrize("name", sorted(MEANINGS))
def test_meaning(name, live):
    table, running, values = MEANINGS[name]
    found = _wanted.wanted(changed(live, running), options(table=table))
    assert (found.values, found.refusals) == (values, ())


def test_values_stand_in_the_order_of_the_catalogue(live):
    found = _wanted.wanted(live, options(tracking={"acct": True}, timeouts={"udp_timeout": 40}, table={"max": "65536"}))
    assert list(found.values) == ["buckets", "max", "udp_timeout", "acct"]


def test_absent_wants_nothing(live):
    assert _wanted.wanted(live, ABSENT) == _wanted.Wanted({}, None, None)


def test_memory_is_that_of_a_full_table_at_its_dearest(live):
    found = _wanted.wanted(changed(live, **sized(1024 * MIB)), options(table={"max": "65536"}))
    assert found.memory == {"entry_bytes": 384, "table_bytes": 65536 * (384 + 16), "share": 0.0244}
    assert _wanted.wanted(live, options(timeouts={"udp_timeout": 40})).memory is None


# Request, kernel: what the refusal says
REFUSALS = {
    "max below the present count": (
        {"table": {"max": "1000"}}, {"count": 1001},
        "table.max: 1000 is below the 1001 connections in the table now; use a larger number, or delete flows first"),
    "over the budget": (
        {"table": {"max": "262144"}}, sized(1024 * MIB),
        "table.max: 262144 connections can take 100 MiB, 9.8 % of the memory, and the budget is 5.0 %; "
        "use a smaller number, or raise table.memory_share to 0.099"),
    "over any budget": (
        {"table": {"max": "2621440", "memory_share": 0.9}}, sized(1024 * MIB),
        "table.max: 2621440 connections can take 1000 MiB, 97.7 % of the memory, and the budget is 90.0 %; use a smaller number"),
    "never lower does not stretch the budget": (
        {"table": {"max": "512", "never_lower": True}}, sized(1024 * MIB), "table.max: 262144 connections can take 100 MiB"),
    "too few chains": (
        {"table": {"max": "65536", "buckets": "4096"}}, {},
        "table.buckets: 4096 chains for 65536 connections are 16.0 a chain, and kernels refuse connections long before that; "
        "use at least 8192, or auto"),
    "too many chains": (
        {"table": {"max": "1024", "buckets": "131072"}}, {},
        "table.buckets: 131072 chains for 1024 connections are so many that a full table finds nothing to evict; use at most 65536, or auto"),
    "chains alone": (
        {"table": {"buckets": "65536"}}, {},
        "table.buckets: a kernel that loads its module with a hash size sets max to 8 times as much; say table.max as well (now 262144)"),
    "chains by auto alone": (
        {"table": {"buckets": "auto"}}, {}, "table.buckets: auto is worked out from table.max, which is missing"),
    "thresholds the wrong way round": (
        {"tracking": {"frag6_low_thresh": 300, "frag6_high_thresh": 200}}, {},
        "tracking.frag6_low_thresh: it must not be above tracking.frag6_high_thresh"),
    "a threshold above what is there": (
        {"tracking": {"frag6_low_thresh": 5000000}}, {}, "tracking.frag6_low_thresh: it must not be above tracking.frag6_high_thresh"),
    "more than the memory": ({"table": {"max": "90000000", "memory_share": 0.9}}, {}, "table.max: 90000000 connections can take 34332 MiB"),
    "a share of nothing": ({"table": {"max": "auto", "memory_share": 0.0}}, {}, "table.memory_share: 0.0 is not between 0.0001 and 0.9"),
    "a share of more than all": ({"table": {"max": "auto", "memory_share": 2.0}}, {}, "table.memory_share: 2.0 is not between 0.0001 and 0.9"),
    "no load": ({"table": {"max": "auto", "load_factor": 0.0}}, {}, "table.load_factor: 0.0 is not between 0.125 and 8.0"),
    "a target without auto": (
        {"table": {"max": "65536", "per_cpu": 1000}}, {},
        "table.per_cpu: only table.max: auto is worked out from it, and table.max is 65536; say auto, or leave it out"),
    "a rate without a life": (
        {"table": {"max": "auto", "connections_per_second": 1000}}, {},
        "table.connections_per_second: say table.mean_life as well, the seconds for which a connection is in the table"),
    "what no kernel takes": ({"timeouts": {"udp_timeout": 0}}, {}, "timeouts.udp_timeout: 0 is not between 1 and 2147483 seconds"),
}


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_refusal(name, live):
    request, kernel, text = REFUSALS[name]
    found, = _wanted.wanted(changed(live, **kernel), options(**request)).refusals
    assert found.startswith(text)


def test_what_the_refusal_of_the_budget_advises_is_accepted(live):
    small = changed(live, **sized(1024 * MIB))
    for most in range(140000, 2000000, 77777):
        text, = _wanted.wanted(small, options(table={"max": str(most)})).refusals
        advised = float(text.rsplit(" ", 1)[1])
        assert _wanted.wanted(small, options(table={"max": str(most), "memory_share": advised})).refusals == ()


def test_what_the_refusals_of_chains_advise_is_accepted(live):
    for most, buckets, words in (("100000", "512", "at least "), ("4096", "524288", "at most ")):
        text, = _wanted.wanted(live, options(table={"max": most, "buckets": buckets})).refusals
        advised = text.split(words)[1].split(",")[0]
        assert _wanted.wanted(live, options(table={"max": most, "buckets": advised})).refusals == ()


def test_a_tiny_table_may_have_one_page_of_chains(live):
    assert _wanted.wanted(live, options(table={"max": "1"})).refusals == ()


def test_a_threshold_that_goes_back_counts_as_what_it_goes_back_to(live):
    set_before = changed(live, {"frag6_high_thresh": 200, "frag6_low_thresh": 100}, {"first": {"frag6_high_thresh": 4194304}})
    assert _wanted.wanted(set_before, options(tracking={"frag6_low_thresh": 3000000})).refusals == ()
    not_loaded_before = changed(live, {"frag6_high_thresh": 200, "frag6_low_thresh": 100}, {"first": {"frag6_high_thresh": None}})
    assert _wanted.wanted(not_loaded_before, options(tracking={"frag6_low_thresh": 3000000})).refusals == ()


def test_before_the_module_is_loaded_its_boot_values_count(unloaded):
    assert _wanted.now(unloaded, "frag6_high_thresh") == 4194304
    assert _wanted.now(unloaded._replace(boot=unloaded.boot._replace(values={"acct": BootValue(1, "")})), "acct") == 1
    assert _wanted.now(unloaded, "no such setting") is None


# Request, kernel: how the warning begins
WARNINGS = {
    "below the floor": ({"timeouts": {"tcp_timeout_established": 3600}}, {},
                        "timeouts.tcp_timeout_established: 3600 is below 7440 seconds (RFC 5382"),
    "crowded chains": ({"table": {"max": "262144", "buckets": "52224"}}, {}, "table.buckets: 5.0 connections a chain make every packet slower"),
    "crowded for its kernel": ({"table": {"max": "131072", "buckets": "65536"}}, {"version": (6, 1)},
                               "table.buckets: kernels from 5.15 to 6.2 may refuse connections above one a chain"),
    "lonely chains": ({"table": {"max": "16384", "buckets": "262144"}}, {}, "table.buckets: with 0.062 connections a chain a full table"),
    "a flowtable that keeps flows too long": (
        {"timeouts": {"tcp_timeout_established": 7440}}, {"running": {"nf_flowtable_tcp_timeout": 7440}},
        "timeouts.nf_flowtable_tcp_timeout: 7440 is not below timeouts.tcp_timeout_established (7440), so flows"),
}


@pytest.mark.parametrize("name", sorted(WARNINGS))
def test_warning(name, live):
    request, kernel, text = WARNINGS[name]
    state = changed(live, **kernel) if "running" in kernel else changed(live, {}, **kernel)
    found, = _wanted.wanted(state, options(**request)).warnings
    assert found.startswith(text)


SILENT = {
    "at the floor": ({"timeouts": {"tcp_timeout_established": 7440}}, {}),
    "two in a chain before the limit": ({"table": {"max": "131072", "buckets": "65536"}}, {"version": (5, 14)}),
    "two in a chain after it was raised": ({"table": {"max": "131072", "buckets": "65536"}}, {"version": (6, 3)}),
    "four in a chain": ({"table": {"max": "262144", "buckets": "65536"}}, {}),
    "a foreign flowtable timeout that nobody asked about": (
        {"timeouts": {"icmp_timeout": 60}}, {"running": {"nf_flowtable_tcp_timeout": 500000}}),
}


@pytest.mark.parametrize("name", sorted(SILENT))
def test_no_warning(name, live):
    request, kernel = SILENT[name]
    state = changed(live, **kernel) if "running" in kernel else changed(live, {}, **kernel)
    assert _wanted.wanted(state, options(**request)).warnings == ()


def test_what_no_kernel_takes_does_not_hide_the_other_faults(live):
    request = options(table={"max": "9", "buckets": "x"}, timeouts={"udp_timeout": -1}, tracking={"frag6_low_thresh": 9999999})
    found = _wanted.wanted(changed(live, count=10), request).refusals
    assert [text.split(":")[0] for text in found] == ["table.buckets", "timeouts.udp_timeout", "table.max", "tracking.frag6_low_thresh"]


def test_the_budget_is_checked_with_the_tables_own_arithmetic():
    assert _sizing.table_bytes(1000, 512, 384) == 1000 * 384 + 2 * 512 * 8

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a request means on a host, and why it is refused or warned about."""
from collections import namedtuple

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _boot, _sizing, _wanted
from ansible_collections.netfleet.conntrack.plugins.module_utils._wanted import wanted

GIB = 1024 ** 3
Kernel = namedtuple("Kernel", "running page_size mem_total slab_bytes count version")
State = namedtuple("State", "kernel boot memo")
RUNNING = {"max": 262144, "buckets": 262144, "expect_max": 4096, "frag6_high_thresh": 4194304, "frag6_low_thresh": 3145728}


class Fake(Kernel):
    """A kernel as far as a request looks at it."""

    entry_bytes = property(lambda self: self.slab_bytes + 128)


def state(memo=None, running=None, **kernel):
    values = dict({"page_size": 4096, "mem_total": 8 * GIB, "slab_bytes": 256, "count": 100, "version": (6, 12)}, **kernel)
    return State(Fake(running=RUNNING if running is None else running, **values), _boot.Boot({}), memo or {})


def ask(table=None, timeouts=None, tracking=None, **given):
    return wanted(state(**given), {"state": "present", "table": table, "timeouts": timeouts, "tracking": tracking})


def auto(memo=None, **given):
    table = {"max": "auto", "memory_share": given.pop("memory_share", 0.05), "load_factor": given.pop("load_factor", 1.0)}
    return ask(table, memo=memo, **given)


def test_auto_fills_the_budget_with_a_power_of_two():
    for mem_total in (128 << 20, 464 << 20, 1 * GIB, 8 * GIB, 24 * GIB, 1024 * GIB):
        found = auto(mem_total=mem_total)
        most, buckets = found.values["max"], found.values["buckets"]
        assert most & (most - 1) == 0 and buckets == most and not found.refusals
        budget = _wanted.AUTO_FILLS * 0.05 * mem_total
        assert _sizing.table_bytes(most, buckets, 384) <= budget < _sizing.table_bytes(2 * most, 2 * buckets, 384)
        assert found.memory == {"entry_bytes": 384, "table_bytes": most * 400, "share": round(most * 400 / float(mem_total), 4)}


CHANGED = {
    "a kernel update makes entries larger": {"slab_bytes": 320},
    "a kernel update makes entries smaller": {"slab_bytes": 192},
    "two per cent less memory": {"mem_total": int(8 * GIB * 0.98)},
    "two per cent more memory": {"mem_total": int(8 * GIB * 1.02)},
    "another kernel": {"version": (7, 1)},
    "a full table": {"count": 250000},
}


@pytest.mark.parametrize("change", sorted(CHANGED))
@pytest.mark.parametrize("share", [0.02, 0.05, 0.0501, 0.0977, 0.1, 0.3])
def test_auto_is_steady(share, change):
    """Also where the answer lies just within what V(auto) may fill, and the change tips it."""
    first = auto(memory_share=share)
    later = auto(memo={"auto": first.auto}, memory_share=share, **CHANGED[change])
    assert later.values == first.values and not later.refusals


ANOTHER_QUESTION = {
    "a larger share": {"memory_share": 0.2},
    "a smaller share": {"memory_share": 0.01},
    "twice the memory": {"mem_total": 16 * GIB},
}


@pytest.mark.parametrize("name", sorted(ANOTHER_QUESTION))
def test_auto_answers_another_question_anew(name):
    first = auto()
    assert auto(memo={"auto": first.auto}, **ANOTHER_QUESTION[name]).values == auto(**ANOTHER_QUESTION[name]).values != first.values


MEANINGS = {
    "buckets follow max": ({"max": "100000"}, {"max": 100000, "buckets": 100352}),
    "by the load factor": ({"max": "100000", "load_factor": 4.0}, {"max": 100000, "buckets": 25088}),
    "auto said for buckets": ({"max": "65536", "buckets": "auto"}, {"max": 65536, "buckets": 65536}),
    "buckets are rounded to pages": ({"max": "20000", "buckets": "10000"}, {"max": 20000, "buckets": 10240}),
    "expectations follow buckets": (
        {"max": "65536", "expect_max": "auto", "expect_hashsize": "auto"},
        {"max": 65536, "buckets": 65536, "expect_hashsize": 512, "expect_max": 1024},
    ),
    "what is higher stays": ({"max": "1000", "never_lower": True}, {"max": 262144, "buckets": 262144}),
    "what is lower does not": (
        {"max": "524288", "never_lower": True, "memory_share": 0.5}, {"max": 524288, "buckets": 524288}),
    "expect_max alone": ({"expect_max": "77"}, {"expect_max": 77}),
}


@pytest.mark.parametrize("name", sorted(MEANINGS))
def test_meaning(name):
    table, values = MEANINGS[name]
    found = ask(table)
    assert (found.values, found.refusals) == (values, ())


REFUSED = {
    "fewer than there are": ({"table": {"max": "99"}}, "below the 100 connections"),
    "over the budget": ({"table": {"max": "2000000"}}, "raise table.memory_share to 0.094"),
    "more than the memory": ({"table": {"max": "90000000", "memory_share": 0.9}}, "use a smaller number"),
    "long chains": ({"table": {"max": "262144", "buckets": "1024"}}, "use at least 32768, or auto"),
    "far too many chains": ({"table": {"max": "1000", "buckets": "262144"}}, "use at most 64000, or auto"),
    "buckets without max": ({"table": {"buckets": "1024"}}, "say table.max as well (now 262144)"),
    "auto buckets without max": ({"table": {"buckets": "auto"}}, "table.max, which is missing"),
    "zero connections": ({"table": {"max": "0"}}, "0 means no limit on older kernels"),
    "hexadecimal": ({"table": {"max": "0x100"}}, "not a whole number or auto"),
    "a timeout of zero": ({"timeouts": {"udp_timeout": 0}}, "track nothing in that state"),
    "a negative timeout": ({"timeouts": {"udp_timeout": -1}}, "track nothing in that state"),
    "a timeout that the kernel refuses": ({"timeouts": {"udp_timeout": 2 ** 31}}, "not between 1 and 2147483 seconds"),
    "thresholds crossed": ({"tracking": {"frag6_low_thresh": 5000000}}, "must not be above tracking.frag6_high_thresh"),
    "a share of nothing": ({"table": {"max": "auto", "memory_share": 0.0}}, "table.memory_share: 0.0 is not between"),
    "a share of more than all": ({"table": {"max": "auto", "memory_share": 2.0}}, "table.memory_share: 2.0 is not between"),
    "no load": ({"table": {"max": "auto", "load_factor": 0.0}}, "table.load_factor: 0.0 is not between"),
    "events of three": ({"tracking": {"events": 3}}, "not between 0 and 2"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused(name):
    request, words = REFUSED[name]
    assert words in "; ".join(ask(**request).refusals)


def test_everything_wrong_is_said_at_once():
    found = ask({"max": "0", "buckets": "x", "memory_share": 2.0}, {"udp_timeout": 0, "icmp_timeout": -1}, {"events": 9})
    assert len(found.refusals) == 6


WARNED = {
    "a short timeout": ({"timeouts": {"tcp_timeout_established": 300}}, {}, "below 7440 seconds (RFC 5382"),
    "long chains": ({"table": {"max": "100000", "buckets": "20000"}}, {}, "make every packet slower"),
    "short chain limit": ({"table": {"max": "100000", "buckets": "50000"}}, {"version": (6, 1)}, "from 5.15 to 6.2"),
    "many chains": ({"table": {"max": "10000", "buckets": "200000"}}, {}, "finds little to evict"),
    "handed back too late": (
        {"timeouts": {"nf_flowtable_tcp_timeout": 9000, "tcp_timeout_established": 7440}}, {}, "a flowtable hands back are dropped"),
}


@pytest.mark.parametrize("name", sorted(WARNED))
def test_warned(name):
    request, kernel, words = WARNED[name]
    found = ask(**dict(request, **kernel))
    assert words in "; ".join(found.warnings) and not found.refusals


def test_no_warning_without_a_reason():
    found = ask({"max": "auto"}, {"tcp_timeout_established": 7440, "udp_timeout_stream": 120, "udp_timeout": 30}, {"acct": True})
    assert (found.warnings, found.refusals) == ((), ())


def test_absent_wants_nothing():
    assert wanted(state(), {"state": "absent", "table": {"max": "5"}}).values == {}

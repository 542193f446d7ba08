# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _stat

# Linux 6.18, two CPUs, after SNAT to ports that were taken.
NEW = """\
entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  \
expect_new expect_create expect_delete search_restart
0000000b  00000000 00000000 00000000 00000002 00000000 00000000 00000000 00000000 00000003 00000003 00000000 00000000  \
00000000 00000000 00000000 00000000
0000000b  00000001 0000001f 00000000 00000000 00000000 00000000 00000007 00000000 00000002 00000002 00000000 00000004  \
00000000 00000000 00000000 00000000
"""

# Written by hand after the header of kernels up to 5.8; no record of a machine.
OLD = """\
entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error  \
expect_new expect_create expect_delete search_restart
00000010  00000000 00000005 00000000 ffffffff 0000000c 00000000 00000000 00000000 00000001 00000002 00000003 00000000  \
00000000 00000000 00000000 0000000a
"""

SAME = ("found", "new", "invalid", "ignore", "delete", "insert", "insert_failed", "drop", "early_drop", "error",
        "expect_new", "expect_create", "expect_delete", "search_restart")


def counters(names, **values):
    return dict(dict.fromkeys(names, 0), **values)


NEW_NAMES = SAME + ("clash_resolve", "chain_toolong")
OLD_NAMES = SAME + ("searched", "delete_list")

READ = {
    "linux 6.18": (NEW, [
        counters(NEW_NAMES, invalid=2, insert_failed=3, drop=3),
        counters(NEW_NAMES, insert_failed=2, drop=2, clash_resolve=1, found=31, chain_toolong=7, error=4),
    ]),
    "linux 5.8": (OLD, [
        counters(OLD_NAMES, found=5, invalid=4294967295, ignore=12, insert_failed=1, drop=2, early_drop=3, search_restart=10),
    ]),
    "a column of the future": ("entries new_column\n01 ff\n01 01\n", [{"new_column": 255}, {"new_column": 1}]),
    "columns in another order": ("drop entries found\n1 2 3\n", [{"drop": 1, "found": 3}]),
    "header alone": ("entries found\n", []),
    "empty": ("", []),
}


@pytest.mark.parametrize("text, rows", READ.values(), ids=READ)
def test_counters_are_named_by_the_header(text, rows):
    assert _stat.parse(text) == rows


@pytest.mark.parametrize("text", [
    "entries found\n01\n", "entries found\n01 02 03\n", "entries found\n01 xyz\n", "entries found\n01 -\n",
])
def test_a_row_that_does_not_fit_is_refused(text):
    with pytest.raises(ValueError):
        _stat.parse(text)


TOTALS = {
    "linux 6.18": (_stat.parse(NEW), counters(
        NEW_NAMES, invalid=2, insert_failed=5, drop=5, clash_resolve=1, found=31, chain_toolong=7, error=4)),
    "no CPU": ([], {}),
    "counters of one CPU only": ([{"found": 1}, {"found": 2, "16": 5}], {"found": 3, "16": 5}),
    "beyond 32 bits": ([{"found": 4294967295}, {"found": 1}], {"found": 4294967296}),
}


@pytest.mark.parametrize("rows, total", TOTALS.values(), ids=TOTALS)
def test_total_is_the_sum_over_cpus(rows, total):
    assert _stat.total(rows) == total

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sizes that the kernel works out by itself."""
import random

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _sizing

MIB = 1024 ** 2
NEW, OLD = (5, 15), (5, 14)

# (bytes of memory, bytes of a page, kernel): (buckets, max when no hash size is given)
DEFAULTS = {
    "24 GiB": ((24576 * MIB, 4096, (6, 18)), (262144, 262144)),
    "just over 4 GiB": ((4096 * MIB + 4096, 4096, NEW), (262144, 262144)),
    "4 GiB": ((4096 * MIB, 4096, NEW), (65536, 65536)),
    "1 GiB": ((1024 * MIB, 4096, NEW), (8192, 8192)),
    "C6: a router of 830 MiB": ((830 * MIB, 4096, NEW), (6656, 6656)),
    "a router of 51 MiB": ((51 * MIB, 4096, NEW), (1024, 1024)),
    "a router of 480 MiB": ((480 * MIB, 4096, NEW), (4096, 4096)),
    "a router of 480 MiB before 5.15": ((480 * MIB, 4096, OLD), (4096, 16384)),
    "8 GiB before 5.15": ((8192 * MIB, 4096, OLD), (65536, 262144)),
    "2 GiB before 5.15": ((2048 * MIB, 4096, OLD), (16384, 65536)),
    "3 MiB before 5.15": ((3 * MIB, 4096, OLD), (512, 2048)),
    "pages of 64 KiB": ((900 * MIB, 65536, NEW), (8192, 8192)),
}


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_defaults(name):
    (memory, page, version), expected = DEFAULTS[name]
    buckets = _sizing.default_buckets(memory, page, version)
    assert (buckets, _sizing.default_max(buckets, False, version)) == expected


def test_a_32_bit_kernel_does_not_know_the_largest_size():
    assert _sizing.default_buckets(8192 * MIB, 4096, NEW, 4) == 65536


@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_given_hash_size_makes_the_limit_eight_times_as_large(version):
    assert _sizing.default_max(1048576, True, version) == 8388608


# Measured on Linux 6.18 with pages of 4 KiB.
ROUNDED = {
    1: 512, 511: 512, 512: 512, 513: 1024, 1000: 1024, 1025: 1536, 65536: 65536, 100000: 100352,
    262143: 262144, 262145: 262656, 300000: 300032,
}


@pytest.mark.parametrize("number", sorted(ROUNDED))
def test_rounding(number):
    assert _sizing.round_buckets(number, 4096) == ROUNDED[number]
    assert _sizing.round_buckets(ROUNDED[number], 4096) == ROUNDED[number]


@pytest.mark.parametrize("page, heads", [(4096, 512), (16384, 2048), (65536, 8192)])
def test_rounding_is_to_pages(page, heads):
    assert _sizing.round_buckets(1, page) == heads
    assert _sizing.round_buckets(heads + 1, page) == 2 * heads


@pytest.mark.parametrize("buckets, given, expected", [
    (262144, 0, (1024, 4096)), (65536, 0, (512, 1024)), (512, 0, (512, 8)), (128, 0, (512, 4)), (262144, 1000, (1024, 4000)),
])
def test_expectations(buckets, given, expected):
    assert _sizing.default_expectations(buckets, 4096, given) == expected


@pytest.mark.parametrize("wanted, most", [(0, 1024), (1, 1024), (1024, 1024), (1025, 2048), (32768 * 12, 32768 * 12)])
def test_a_target_is_rounded_up_to_a_step(wanted, most):
    assert _sizing.target_max(wanted) == most


# Connections a second, seconds -> connections of which four fifths are there at the same time
RATES = [(1, 1, 2), (4, 1, 5), (1000, 100, 125000), (10000, 40, 500000), (8192, 100, 1024000), (0.5, 8, 5), (3, 7, 27)]


@pytest.mark.parametrize("rate, life, most", RATES)
def test_a_rate_and_a_life_make_connections(rate, life, most):
    assert _sizing.connections_at(rate, life) == most


def test_littles_law_holds_for_a_table_that_is_played_through():
    dice = random.Random(5)
    clock, ends, seen = 0.0, [], []
    for number in range(60000):
        clock += dice.expovariate(200)
        ends = [end for end in ends if end > clock] if number % 50 == 0 else ends
        ends.append(clock + dice.expovariate(1 / 5.0))
        if clock > 50:
            seen.append(sum(1 for end in ends if end > clock) if number % 500 == 0 else 0)
    full = [count for count in seen if count]
    assert abs(sum(full) / len(full) / 1000 - 1) < 0.05
    assert max(full) < _sizing.connections_at(200, 5)


@pytest.mark.parametrize("ports, held, rate", [(64512, 120, 537), (64512, 60, 1075), (64512, 30, 2150), (56535, 120, 471)])
def test_what_ports_carry(ports, held, rate):
    assert int(_sizing.snat_rate(ports, held)) == rate

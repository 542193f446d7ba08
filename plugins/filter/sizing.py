# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic of sizes for playbooks: the same functions that the modules size a table with."""
from __future__ import annotations

from ansible.errors import AnsibleFilterError

from ansible_collections.netfleet.conntrack.plugins.module_utils import _kernel, _sizing
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import INT_MAX, SECONDS_MAX
from ansible_collections.netfleet.conntrack.plugins.module_utils._spec import SIZING

UNITS = {"B": 1, "KiB": 1024, "MiB": 1024 ** 2, "GiB": 1024 ** 3}
# What the modules take where the host does not tell.
ENTRY_BYTES = _kernel.SLAB_BYTES + _kernel.EXTENSION_BYTES
SHARE = SIZING["memory_share"][1]
LOAD_FACTOR = SIZING["load_factor"][1]
PAGE = 4096
# The lowest and the highest of each number that is given.
BOUNDS = {
    "memory": (0.001, 2 ** 63),
    "memory_share": SIZING["memory_share"][2:],
    "load_factor": SIZING["load_factor"][2:],
    "entry_bytes": (1, 65536),
    "page_size": (PAGE, 65536),
    "connections": (1, INT_MAX),
    "buckets": (1, INT_MAX),
    "connections_per_second": SIZING["connections_per_second"][2:],
    "mean_life": SIZING["mean_life"][2:],
    "open_for": (0, SECONDS_MAX),
    "time_wait": (1, SECONDS_MAX),
    "ports": (1, INT_MAX),
}
FRACTIONS = ("memory", "memory_share", "load_factor", "connections_per_second", "mean_life", "open_for")


def table_max(memory, unit="B", memory_share=SHARE, entry_bytes=ENTRY_BYTES, load_factor=LOAD_FACTOR):
    """What ``table.max: auto`` gives a host with so much memory; see table_max.yml."""
    if unit not in UNITS:
        raise AnsibleFilterError("unit: %s is none of %s" % (unit, ", ".join(UNITS)))
    size = _number("memory", memory) * UNITS[unit]
    return _sizing.auto_max(size, _number("memory_share", memory_share), _number("entry_bytes", entry_bytes), _number("load_factor", load_factor))


def table_max_for_rate(connections_per_second, mean_life):
    """What ``table.max: auto`` gives for a rate of new connections; see table_max_for_rate.yml."""
    needed = _sizing.connections_at(_number("connections_per_second", connections_per_second), _number("mean_life", mean_life))
    return _sizing.target_max(needed)


def table_buckets(connections, load_factor=LOAD_FACTOR, page_size=PAGE):
    """What ``table.buckets: auto`` gives; see table_buckets.yml."""
    buckets = _sizing.buckets_for(_number("connections", connections), _number("load_factor", load_factor))
    return _sizing.round_buckets(buckets, _number("page_size", page_size))


def table_bytes(connections, buckets=None, entry_bytes=ENTRY_BYTES, load_factor=LOAD_FACTOR, page_size=PAGE):
    """What a full table takes; see table_bytes.yml."""
    if buckets is None:
        chains = table_buckets(connections, load_factor, page_size)
    else:
        chains = _sizing.round_buckets(_number("buckets", buckets), _number("page_size", page_size))
    return _sizing.table_bytes(_number("connections", connections), chains, _number("entry_bytes", entry_bytes))


def snat_rate(ports, time_wait=120, open_for=0):
    """New connections a second that source NAT carries to one destination; see snat_rate.yml."""
    return _sizing.snat_rate(_number("ports", ports), _number("time_wait", time_wait) + _number("open_for", open_for))


def _number(name, value):
    """A number that was given, or its text, as extra variables are; AnsibleFilterError where it is none or out of bounds."""
    kinds = (int, float) if name in FRACTIONS else (int,)
    found = _read(kinds, value) if isinstance(value, str) else value
    if isinstance(found, bool) or not isinstance(found, kinds):
        raise AnsibleFilterError("%s: %s is not a %snumber" % (name, value, "" if name in FRACTIONS else "whole "))
    low, high = BOUNDS[name]
    if not low <= found <= high:
        raise AnsibleFilterError("%s: %s is not between %s and %s" % (name, value, low, high))
    return found


def _read(kinds, text):
    for kind in kinds:
        try:
            return kind(text)
        except ValueError:
            pass
    return None


class FilterModule:
    """The filters of this file."""

    @staticmethod
    def filters():
        return {f.__name__: f for f in (table_max, table_max_for_rate, table_buckets, table_bytes, snat_rate)}

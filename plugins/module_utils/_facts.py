# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What is known of connection tracking on a host, as facts.

Looking changes nothing: no module is loaded, no table registered, no packet sent unless asked.
"""
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _ctnetlink,
    _evidence,
    _expectations,
    _nat_row,
    _nat_rules,
    _owners,
    _patterns,
    _rates,
    _rulesets,
    _sizing,
    _stat,
    _view,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME, CATALOGUE
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import NetlinkError

SCHEMA_VERSION = 1
STAT = "/proc/net/stat/nf_conntrack"


class Reading(NamedTuple):
    """The counters at one moment."""

    moment: float  # of the host's clock, in seconds
    cpus: Any  # a list of counters, a dict for each CPU; empty where they cannot be read
    count: int  # entries of this network namespace


def facts(host, options):
    """Return the module's result. A host that cannot be read, or an interval that cannot be, says why in C(error); nothing is raised."""
    problem = _rates.problem(options.get("interval", 0.0))
    options = dict(options, interval=0.0) if problem else options
    try:
        found = dict(of(_view.View(host), options), error=problem)
    except ConntrackError as error:
        found = {"schema_version": SCHEMA_VERSION, "available": False, "error": str(error)}
    return {"ansible_facts": {"netfleet_conntrack": found}}


def of(view, options):
    """The facts as a _view.View sees the host. Raises ConntrackError where it cannot be read."""
    host, kernel, inputs, boot, rulesets = view.host, view.kernel, view.inputs, view.boot, view.rulesets
    found = {
        "schema_version": SCHEMA_VERSION,
        "error": "",
        "available": kernel.available,
        "builtin": kernel.builtin,
        "kernel": kernel.release,
        "namespace": "initial" if kernel.initial else "other",
        "mem_total": kernel.mem_total,
        "cpus": kernel.cpus,
        "page_size": kernel.page_size,
        "settings": _settings(kernel, boot),
        "loaded_by": boot.loaded_by,
        "boot_problems": list(boot.problems),
        "tracking": _evidence.read(host, kernel, inputs, options.get("probe", False), rulesets),
        "owners": _owners.facts(view.owners),
        "snat_rules": [_nat_row.facts(row) for row in _nat_rules.read(host, rulesets)[0]],
    }
    found.update(_table(host, kernel))
    found["counters"] = _counters(host, kernel, options.get("interval", 0.0))
    return found


def _settings(kernel, boot):
    found = [s for s in CATALOGUE if s.name in kernel.running or s.name in boot.values]
    return {s.name: _setting(s, kernel.running.get(s.name), boot.values.get(s.name)) for s in found}


def _setting(setting, running, at_boot):
    return {
        "running": setting.shown(running),
        "boot": setting.shown(at_boot.value) if at_boot else None,
        "source": at_boot.source if at_boot else "",
        "reason": at_boot.reason if at_boot else "",
    }


def _table(host, kernel):
    """How full the table is, and what it costs; nothing where there is no table."""
    if not kernel.available:
        return {}
    most, buckets = kernel.running["max"], kernel.running.get("buckets")
    size = _sizing.table_bytes(most, buckets or 0, kernel.entry_bytes)
    return {
        "count": kernel.count,
        "max": most,
        "usage": round(kernel.count / float(most), 4) if most else 0.0,
        "buckets": buckets,
        "load_factor": round(most / float(buckets), 4) if buckets else None,
        "expect_max": kernel.running.get("expect_max"),
        "expect_count": _expect_count(host, kernel),
        "memory": {
            "entry_bytes": kernel.entry_bytes,
            "table_bytes": int(size),
            "share": round(size / float(kernel.mem_total), 4) if kernel.mem_total else None,
        },
    }


def _counters(host, kernel, interval):
    """Counters since the namespace began, by CPU and summed; how fast they rise where an interval is given, and what that means."""
    first = _reading(host, kernel)
    if not (kernel.available and interval):
        return _sums(first)
    host.pause(interval)
    last = _reading(host, kernel)
    seconds, changes = last.moment - first.moment, _rates.risen(first.cpus, last.cpus)
    found = dict(_sums(last), rates=_rates.rates(changes, last.count - first.count, seconds))
    if changes:
        numbers = dict(_stat.total(changes), count=last.count, max=kernel.running["max"], buckets=kernel.running.get("buckets"))
        found["patterns"] = _patterns.patterns(numbers, seconds)
    return found


def _sums(reading):
    return {"total": _stat.total(reading.cpus), "cpus": reading.cpus}


def _reading(host, kernel):
    """The counters as they are; netlink serves kernels without the file."""
    text = host.read(STAT) if kernel.available else None
    cpus = [] if text is None else _stat.parse(text)
    if text is None and kernel.available and _may_ask(host, kernel):
        cpus = _by_netlink(host)
    return Reading(host.clock(), cpus, host.number(BY_NAME["count"].path) or 0)


def _may_ask(host, kernel):
    """Tell whether ctnetlink can be asked, and does not get loaded by that."""
    return kernel.uid == 0 and _rulesets.in_kernel(host, kernel.release, "nf_conntrack_netlink")


def _by_netlink(host):
    try:
        return _ctnetlink.cpus(answer[3] for answer in host.netlink(_ctnetlink.stats_cpu(), True))
    except (OSError, NetlinkError) as error:
        raise ConntrackError("cannot read the counters by netlink: %s" % (getattr(error, "strerror", None) or error)) from error


def _expect_count(host, kernel):
    """How many connections are expected, or None where that cannot be asked."""
    try:
        return _expectations.count(host.netlink(_expectations.dump(), True)) if _may_ask(host, kernel) else None
    except (OSError, NetlinkError):
        return None

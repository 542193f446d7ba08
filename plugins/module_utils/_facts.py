# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What is known of connection tracking on a host, as facts.

Looking changes nothing: no module is loaded, no table registered, no packet sent unless asked.
"""
from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _boot,
    _boot_read,
    _ctnetlink,
    _evidence,
    _kernel,
    _nat_row,
    _nat_rules,
    _rulesets,
    _sizing,
    _stat,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import CATALOGUE
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError

SCHEMA_VERSION = 1
STAT = "/proc/net/stat/nf_conntrack"


def facts(host, options):
    """Return the module's result. A host that cannot be read says why in C(error); nothing is raised."""
    found = {"schema_version": SCHEMA_VERSION, "available": False, "error": ""}
    try:
        found.update(_facts(host, options))
    except ConntrackError as error:
        found["error"] = str(error)
    return {"ansible_facts": {"netfleet_conntrack": found}}


def _facts(host, options):
    inputs = _boot_read.read(host)
    kernel = _kernel.read(host, inputs)
    inputs = _kernel.as_booted(kernel, inputs)
    boot = _boot.boot(inputs)
    rulesets = _rulesets.read(host, kernel.release)
    found = {
        "available": kernel.available,
        "builtin": kernel.builtin,
        "kernel": kernel.release,
        "namespace": "initial" if kernel.initial else "other",
        "settings": _settings(kernel, boot),
        "loaded_by": boot.loaded_by,
        "boot_problems": list(boot.problems),
        "tracking": _evidence.read(host, kernel, inputs, options.get("probe", False), rulesets),
        "snat_rules": [_nat_row.facts(row) for row in _nat_rules.read(host, rulesets)[0]],
    }
    found.update(_table(kernel))
    found["counters"] = _counters(host, kernel)
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


def _table(kernel):
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
        "memory": {
            "entry_bytes": kernel.entry_bytes,
            "table_bytes": int(size),
            "share": round(size / float(kernel.mem_total), 4) if kernel.mem_total else None,
        },
    }


def _counters(host, kernel):
    """Counters since the namespace began, by CPU and summed; netlink serves kernels without the file."""
    text = host.read(STAT) if kernel.available else None
    if text is not None:
        rows = _stat.parse(text)
    elif kernel.available and kernel.uid == 0 and _rulesets.in_kernel(host, kernel.release, "nf_conntrack_netlink"):
        rows = _by_netlink(host)
    else:
        return {"total": {}, "cpus": []}
    return {"total": _stat.total(rows), "cpus": rows}


def _by_netlink(host):
    try:
        return _ctnetlink.cpus(answer[3] for answer in host.netlink(_ctnetlink.stats_cpu(), True))
    except OSError as error:
        raise ConntrackError("cannot read the counters by netlink: %s" % error.strerror) from error

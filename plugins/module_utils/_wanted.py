# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""From what is asked for to numbers for this host, with every reason to refuse or warn.

Pure: no files, no Ansible.
"""
from typing import Any, NamedTuple, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _sizing, _spec
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BUCKETS_MAX, BY_NAME, CATALOGUE

# Entries per chain (max / buckets). Above the first a kernel with the short chain limit refuses
# connections (Linux 5.15 to 6.2, __nf_conntrack_confirm), above the second any does, above the third it must.
FACTOR_SHORT_CHAINS, FACTOR_HIGH, FACTOR_REFUSED = 1, 4, 8
SHORT_CHAINS = ((5, 15), (6, 3))
# Below these a full table finds little, or nothing, to evict: early_drop looks at eight chains.
FACTOR_LOW, FACTOR_EMPTY = 1 / 8.0, 1 / 64.0
# A flow that a flowtable hands back must not have run out by then (flow_offload_fixup_ct).
HANDED_BACK = (
    ("nf_flowtable_tcp_timeout", "tcp_timeout_established"),
    ("nf_flowtable_udp_timeout", "udp_timeout_stream"),
)


class Wanted(NamedTuple):
    """The values that a request means on one host."""

    values: Any  # dict of name to number, in catalogue order
    auto: Any  # what `auto` worked out, to be remembered; None when it was not asked
    memory: Any  # dict: entry_bytes, table_bytes (when full, entries at their dearest), share (of RAM)
    refusals: Tuple[str, ...] = ()
    warnings: Tuple[str, ...] = ()


def wanted(state, options):
    """Work out what ``options`` mean on the host of ``state``; values that no kernel takes are left out."""
    if options.get("state") == "absent":
        return Wanted({}, None, None)
    asked = {n: v for n, v in _spec.requested(options).items() if _usable(n, v)}
    sizing = _spec.sizing(options)
    auto = _auto(state, asked, sizing)
    values = _ordered(_sized(state, asked, sizing, auto))
    memory = _memory(state, values)
    return Wanted(
        values, auto, memory,
        tuple(_spec.problems(options)) + tuple(_refusals(state, asked, values, sizing, memory)),
        tuple(_warnings(state, values)),
    )


def _usable(name, value):
    low, high = BY_NAME[name].bounds
    return value == _spec.AUTO or isinstance(value, int) and low <= value <= high


def _ordered(values):
    return {s.name: values[s.name] for s in CATALOGUE if s.name in values}


def now(state, name):
    """A value of the running kernel or, before its module is loaded, what loading it will give."""
    if name in state.kernel.running:
        return state.kernel.running[name]
    known = state.boot.values.get(name)
    return known.value if known else None


def _then(state, values, name):
    """What a setting will be: as asked for, as before the first run where that run set it, or as it is."""
    first = state.memo.get("first", {})
    if name in values:
        return values[name]
    if name not in first:
        return now(state, name)
    return BY_NAME[name].default(state.kernel.version) if first[name] is None else first[name]


def _auto(state, asked, sizing):
    """What ``max: auto`` means here. An earlier answer to the same question stands while the budget holds it."""
    if asked.get("max") != _spec.AUTO:
        return None
    kernel, share, factor = state.kernel, sizing["memory_share"], sizing["load_factor"]
    question = {"memory_share": share, "load_factor": factor, "target": _target(state, sizing)[0]}
    earlier = state.memo.get("auto") or {}
    if earlier and all(earlier.get(name) == value for name, value in question.items()) and kernel.mem_total < 2 * earlier["mem_total"]:
        if _sizing.table_bytes(earlier["max"], earlier["max"] / factor, kernel.entry_bytes) <= share * kernel.mem_total:
            return earlier
    target = question["target"]
    most = _sizing.auto_max(kernel.mem_total, share, kernel.entry_bytes, factor) if target is None else _sizing.target_max(target)
    return dict(question, mem_total=kernel.mem_total, max=most)


def _target(state, sizing):
    """The (connections, reason) of the largest target that is given; (None, "") where none is."""
    found = []
    if sizing["per_cpu"]:
        reason = "table.per_cpu (%d for each of %d CPUs)" % (sizing["per_cpu"], state.kernel.cpus)
        found.append((sizing["per_cpu"] * state.kernel.cpus, reason))
    rate, life = sizing["connections_per_second"], sizing["mean_life"]
    if rate and life:
        reason = "table.connections_per_second (%d a second for %d seconds, and a quarter more)" % (rate, life)
        found.append((_sizing.connections_at(rate, life), reason))
    return max(found, default=(None, ""))


def _sized(state, asked, sizing, auto):
    """The request with each ``auto`` replaced by its number and buckets as the kernel rounds them."""
    values = dict(asked)
    if auto:
        values["max"] = auto["max"]
    _keep_higher(state, values, sizing, "max")
    if "max" in values and values.get("buckets", _spec.AUTO) == _spec.AUTO:
        values["buckets"] = _sizing.buckets_for(values["max"], sizing["load_factor"])
    base = values.get("buckets") if isinstance(values.get("buckets"), int) else now(state, "buckets")
    expectations = _sizing.default_expectations(base or 1, state.kernel.page_size)
    for name, number in zip(("expect_hashsize", "expect_max"), expectations):
        if values.get(name) == _spec.AUTO:
            values[name] = number
    for name in ("buckets", "expect_max"):
        _keep_higher(state, values, sizing, name)
    for name in ("buckets", "expect_hashsize"):
        if isinstance(values.get(name), int):
            values[name] = _sizing.round_buckets(values[name], state.kernel.page_size)
    return {name: value for name, value in values.items() if value != _spec.AUTO}


def _keep_higher(state, values, sizing, name):
    found = state.kernel.running.get(name)
    if sizing["never_lower"] and isinstance(values.get(name), int) and found is not None:
        values[name] = max(values[name], found)


def _memory(state, values):
    if "max" not in values:
        return None
    size = _sizing.table_bytes(values["max"], values.get("buckets", 0), state.kernel.entry_bytes)
    return {
        "entry_bytes": state.kernel.entry_bytes,
        "table_bytes": int(size),
        "share": round(size / float(state.kernel.mem_total), 4),
    }


def _refusals(state, asked, values, sizing, memory):
    found = values.get("max")
    if asked.get("buckets") == _spec.AUTO and "max" not in asked:
        yield "table.buckets: auto is worked out from table.max, which is missing"
    elif "buckets" in values and found is None:
        yield ("table.buckets: a kernel that loads its module with a hash size sets max to 8 times as much; "
               "say table.max as well (now %s)" % now(state, "max"))
    if values.get("buckets", 0) > BUCKETS_MAX:
        yield ("table.buckets: %d chains are more than the %d that a kernel can have; use a smaller table.max, or a larger table.load_factor"
               % (values["buckets"], BUCKETS_MAX))
    if found is not None and state.kernel.count is not None and found < state.kernel.count:
        yield ("table.max: %d is below the %d connections in the table now; use a larger number, or delete flows first"
               % (found, state.kernel.count))
    if memory and memory["table_bytes"] > sizing["memory_share"] * state.kernel.mem_total:
        yield _over_budget(state, asked, values, sizing, memory)
    if asked.get("max") == _spec.AUTO and sizing["per_cpu"] and not state.kernel.cpus:
        yield "table.per_cpu: this host does not tell how many CPUs it has; leave it out, or say table.max as a number"
    factor = _factor(values)
    if factor and factor > FACTOR_REFUSED:
        yield ("table.buckets: %d chains for %d connections are %.1f a chain, and kernels refuse connections long before that; "
               "use at least %d, or auto" % (values["buckets"], found, factor, -(-found // FACTOR_REFUSED)))
    if factor and factor < FACTOR_EMPTY and values["buckets"] > state.kernel.page_size // 8:
        yield ("table.buckets: %d chains for %d connections are so many that a full table finds nothing to evict; "
               "use at most %d, or auto" % (values["buckets"], found, found * 64))
    if _threshold(state, values, "frag6_low_thresh") > _threshold(state, values, "frag6_high_thresh"):
        yield "tracking.frag6_low_thresh: it must not be above tracking.frag6_high_thresh"


def _over_budget(state, asked, values, sizing, memory):
    share = memory["share"] + 0.001
    remedy = ", or raise table.memory_share to %.3f" % share if share <= _spec.SIZING["memory_share"][3] else ""
    target, reason = _target(state, sizing) if asked.get("max") == _spec.AUTO else (None, "")
    aimed = target is not None and values["max"] == _sizing.target_max(target)
    return "table.max: %s%d connections%s can take %d MiB, %.1f %% of the memory, and the budget is %.1f %%; use a smaller %s%s" % (
        "auto needs " * aimed, values["max"], (" for %s, which" % reason) * aimed, memory["table_bytes"] >> 20, 100 * memory["share"],
        100 * sizing["memory_share"], reason.split(" ")[0] if aimed else "number", remedy)


def _factor(values):
    if "max" in values and "buckets" in values:
        return values["max"] / float(values["buckets"])
    return None


def _threshold(state, values, name):
    return _then(state, values, name) or 0


def _warnings(state, values):
    for name, value in values.items():
        setting = BY_NAME[name]
        if value < setting.floor:
            yield "%s: %d is below %d %s (%s)" % (_spec.option(setting), value, setting.floor, setting.unit, setting.reason)
    for name, other in HANDED_BACK:
        pair = (_then(state, values, name), _then(state, values, other))
        if (name in values or other in values) and None not in pair and pair[0] >= pair[1]:
            yield "timeouts.%s: %d is not below timeouts.%s (%d), so flows that a flowtable hands back are dropped" % (
                name, pair[0], other, pair[1])
    yield from _factor_warnings(state, _factor(values))


def _factor_warnings(state, factor):
    if factor is None:
        return
    if factor > FACTOR_HIGH:
        yield "table.buckets: %.1f connections a chain make every packet slower; auto gives one" % factor
    elif factor > FACTOR_SHORT_CHAINS and SHORT_CHAINS[0] <= state.kernel.version < SHORT_CHAINS[1]:
        yield ("table.buckets: kernels from 5.15 to 6.2 may refuse connections above one a chain (chain_toolong), and this is %.1f; "
               "auto gives one" % factor)
    elif factor < FACTOR_LOW:
        yield "table.buckets: with %.3f connections a chain a full table finds little to evict; auto gives one" % factor

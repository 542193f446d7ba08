# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""A host that nobody contacts: what was recorded of it, and the states that the parts of a document would read there.

What is not known is taken for a host on which nothing stands in the way, so that whatever is refused is wrong by what is
known. Pure: no files, no Ansible.
"""
from __future__ import annotations

import re
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _boot,
    _early_load,
    _hook_rules,
    _initrd,
    _kernel,
    _management,
    _management_truth,
    _memo,
    _own,
    _settings,
    _sizing,
    _snat,
    _snat_backends,
    _snat_choice,
    _unit,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME, CATALOGUE, INT_MAX

NEWEST = "99.0"  # the release of a kernel that is not known; it has everything
PAGE = 4096
PLENTY = 2 ** 63  # bytes of memory, where it is not known
UNIT = _unit.Unit(systemd=True, enabled=True, linked=True)
NAT = _snat_choice.Nat(
    nft=(1, 1),
    flavour=_snat_backends.FLAVOURS[0],
    version=(1, 8, 10),
    programs={_snat_backends.suited(flavour, family): "" for flavour in _snat_backends.FLAVOURS for family in ("ipv4", "ipv6")},
)
TRACKED = {"ipv4": "yes", "ipv6": "yes", "because": ""}
MAKER = _initrd.Tools("", _initrd.HOOK, "", [])
# What a host tells of itself in facts and in reports, and the highest that is believed.
NUMBERS = {"mem_total": PLENTY, "cpus": 1 << 20, "page_size": 1 << 20}
ENTRY = 1 << 16
RELEASE = 100  # characters


class Known(NamedTuple):
    """What was recorded of a host. None, or nothing: not known."""

    source: str = ""  # where it was recorded
    kernel: str = ""  # as uname -r has it
    builtin: bool = False
    initial: bool = True  # the initial network namespace
    mem_total: Any = None  # bytes
    cpus: Any = None
    page_size: Any = None  # bytes
    entry_bytes: Any = None  # the most that one entry takes
    count: Any = None  # connections in the table
    running: Any = ()  # pairs of a setting's name and its value
    names: Any = None  # the settings that the kernel has

    @property
    def version(self):
        """The (major, minor) of the kernel; of one that is not known, higher than any."""
        return _inputs(self).version


def of_facts(facts, source="facts"):
    """What facts tell (C(ansible_facts.netfleet_conntrack), or C(facts) of drift_info); None where they tell nothing."""
    if not isinstance(facts, dict) or not _release(facts):
        return None
    settings = _dict(facts.get("settings"))
    running = {name: _number(_dict(row).get("running")) for name, row in settings.items() if name in BY_NAME}
    return _known(facts, facts, source, running)._replace(
        entry_bytes=_positive(_dict(facts.get("memory")).get("entry_bytes"), ENTRY),
        names=frozenset(name for name in settings if name in BY_NAME) or None,
    )


def of_report(report, name):
    """What a report (report.json) tells of a host; None where it does not tell of it."""
    for host in _rows(_dict(report).get("hosts")):
        if host.get("name") == name and _release(host):
            table = _dict(host.get("table"))
            rows = [row for row in _rows(host.get("compared")) if row.get("part") == _settings.NAME and row.get("name") in BY_NAME]
            running = dict({row["name"]: _number(row.get("running")) for row in rows}, max=_number(table.get("max")), buckets=_number(table.get("buckets")))
            found = _known(host, table, "report of %s" % str(report.get("written"))[:40], running)
            return found._replace(entry_bytes=_entry_bytes(table))
    return None


def _known(host, table, source, running):
    return Known(
        source=source,
        kernel=_release(host),
        builtin=host.get("builtin") is True,
        initial=host.get("namespace") != "other",
        count=_number(table.get("count")),
        running=tuple(sorted((name, value) for name, value in running.items() if value is not None)),
        **{name: _positive(host.get(name), most) for name, most in NUMBERS.items()},
    )


def _entry_bytes(table):
    """What one entry takes, from what the whole table does (_sizing.table_bytes)."""
    numbers = [_positive(table.get(name)) for name in ("table_bytes", "buckets", "max")]
    return None if None in numbers else _positive((numbers[0] - _sizing.table_bytes(0, numbers[1], 0)) // numbers[2], ENTRY)


def _dict(value):
    return value if isinstance(value, dict) else {}


def _rows(value):
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _release(host):
    """The release of a kernel, or nothing."""
    found = host.get("kernel")
    return found[:RELEASE] if isinstance(found, str) else ""


def _number(value):
    """A whole number of what was recorded, such as the kernel has; a switch is one as well."""
    return int(value) if isinstance(value, int) and 0 <= value <= INT_MAX else None


def _positive(value, most=PLENTY):
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most else None


# What the parts would read


def states(known, names=None, asked=()):
    """The state that each part would read, by its name: a function of the part's options.

    ``names``: the settings that the kernel has, or None. ``asked``: the numbers that rules will be held against, since the part
    that sets them comes first.
    """
    inputs, kernel = _inputs(known, names), _read(known)
    inputs = _kernel.as_booted(kernel, inputs)
    boot = _boot.boot(inputs)
    return {
        _settings.NAME: lambda options: _settings_state(kernel, inputs, boot),
        _early_load.NAME: lambda options: _early_load_state(kernel, inputs, boot, options),
        _snat.NAME: lambda options: _snat_state(kernel._replace(running=dict(kernel.running, **dict(asked))), options),
    }


def _inputs(known, names=None):
    names = known.names if names is None else names
    return _boot.BootInputs(
        files={},
        links={},
        cmdline="",
        release=known.kernel or NEWEST,
        builtin=known.builtin,
        systemd=True,
        mem_total=known.mem_total or PLENTY,
        page_size=known.page_size or PAGE,
        keys=frozenset(s.key for s in CATALOGUE if s.key and (names is None or s.name in names or s.access != "rw")),
    )


def _read(known):
    inputs = _inputs(known)
    return _kernel.Kernel(
        release=inputs.release,
        version=inputs.version,
        page_size=inputs.page_size,
        mem_total=inputs.mem_total,
        cpus=known.cpus or 1,
        uid=0,
        available=True,
        builtin=known.builtin,
        loadable=True,
        initial=known.initial,
        boots=True,
        namespace="",
        count=known.count,
        slab_bytes=known.entry_bytes - _kernel.EXTENSION_BYTES if known.entry_bytes else _kernel.SLAB_BYTES,
        running=dict(known.running),
        read_only=frozenset(),
        read_only_mounts=(),
    )


def _settings_state(kernel, inputs, boot):
    return _settings.State(
        kernel=kernel, inputs=inputs, boot=boot, own=dict.fromkeys(_settings.OWN), memo={}, initrd=None, udev=False,
        sysctl_program=_own.sysctl_program(lambda path: False), others=_memo.Wants(), owners=(),
    )


def _early_load_state(kernel, inputs, boot, options):
    return _early_load.State(
        kernel=kernel, inputs=inputs, boot=boot, own={}, programs={name: name for name in _early_load.PROGRAMS}, flavour=_hook_rules.FLAVOURS[0],
        held={}, unread=(), path=_path(options), unit=UNIT, initrd=MAKER, tracking=TRACKED, memo={}, others=_memo.Wants(),
    )


def _path(options):
    """The management path, on a host that has its interfaces, and no rules that it would meet."""
    if options.get("management") is None or options.get("state") == "absent":
        return None
    management, wrong = _management.wanted(options)
    links = {_one(name): None for name in (management.interfaces if management else ())}
    return _management_truth.Truth(management=management, wrong=wrong, met=(), forced=(), links=links, vrfs=frozenset(), local_ports=())


def _snat_state(kernel, options):
    rules = _rows(options.get("rules"))
    return _snat.State(
        kernel=kernel, unread=(), held={}, rows=(), boot_files={}, boot="", nat=NAT, own=dict.fromkeys(tuple(_snat_backends.files(None, ())) + _unit.OWN),
        unit=UNIT, links=[_one(str(rule.get(side))) for rule in rules for side in ("out_interface", "in_interface")], passing=(), memo={},
        others=_memo.Wants(),
    )


def _one(pattern):
    """An interface that a pattern means."""
    return re.sub(r"\*\Z", "0", pattern)

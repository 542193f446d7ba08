# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""tuned: the settings that its active profile writes.

Source: tuned 2.20, tuned/profiles/{loader,merger,locator}.py and the plugins sysctl, net and sysfs.
A profile that an include names by a function of tuned's is not followed, and a value that holds a
variable is unknown. With reapply_sysctl (on by default) tuned writes /run/sysctl.d, /etc/sysctl.d and then
/etc/sysctl.conf once more after its own sysctls; units are started in the order in which the
profiles, the included ones first, name them.
"""
import re

from ansible_collections.netfleet.conntrack.plugins.module_utils import _boot
from ansible_collections.netfleet.conntrack.plugins.module_utils._kernelvalues import number
from ansible_collections.netfleet.conntrack.plugins.module_utils._owners_row import (
    ALWAYS,
    IF_HIGHER,
    IF_LOWER,
    UNKEPT,
    VALUES,
    Owner,
    Written,
    assignment,
    numbered,
    rounded,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._sysctld import normal

ACTIVE = ("/etc/tuned/active_profile", "/etc/tuned/post_loaded_profile")
MAIN = "/etc/tuned/tuned-main.conf"
FOLDERS = ("/etc/tuned", "/etc/tuned/profiles", "/usr/lib/tuned", "/usr/lib/tuned/profiles")
SIGNS = ("/run/tuned/tuned.pid", "/etc/systemd/system/multi-user.target.wants/tuned.service")
FALSE = ("0", "no", "false", "off")
# Options of the plugins net and sysfs that set the hash size.
HASHSIZE = {"net": "nf_conntrack_hashsize", "sysfs": "/sys/module/nf_conntrack/parameters/hashsize"}
MODIFIERS = {">": IF_LOWER, "<": IF_HIGHER}
OWN_OPTIONS = ("type", "replace", "drop", "enabled")
START = "at every start of tuned, and so at every boot after ours"
BACK = "at every start of tuned, which then writes sysctl.d once more (reapply_sysctl): what stands there of ours holds"
REMEDY = "make a profile in /etc/tuned that includes %s and says drop=%s in its section [%s], and activate that with tuned-adm profile"


def read(host, inputs):
    """Return (the Owners that tuned is, whether it reads /etc/sysctl.conf again); nothing while it neither runs nor will."""
    if not (host.exists(SIGNS[0]) or host.link(SIGNS[1])):
        return [], False
    names = " ".join(host.read(path) or "" for path in ACTIVE).split()
    units, paths = {}, []
    _load(host, names, units, paths)
    units = {name: unit for name, unit in units.items() if unit.get("enabled", ("1",))[0].lower() not in FALSE}
    rereads = assignment(host.read(MAIN), MAIN, "reapply_sysctl")[0].lower() not in FALSE
    sysctls = [name for name, unit in units.items() if _type(name, unit) == "sysctl"]
    found = [_owner(names, name, units[name], inputs, rereads) for name in units if _type(name, units[name]) in ("sysctl",) + tuple(HASHSIZE)]
    return [owner for owner in found if owner], bool(sysctls) and rereads


def _type(name, unit):
    return unit.get("type", (name,))[0]


def _load(host, names, units, paths):
    """Merge profiles into ``units``: section -> {option: (value, where)}, what they include first; ``paths`` are those read."""
    for name in names:
        path = _path(host, name.lstrip("-"))
        if path is None or path in paths:
            continue
        paths.append(path)
        sections = _sections(host.read(path), path)
        include = sections.pop("main", {}).get("include", ("",))[0]
        _load(host, [part for part in re.split(r"\s*[,;]\s*", include) if "$" not in part], units, paths)
        for section, options in sections.items():
            _merge(units, section, options)


def _path(host, name):
    paths = (folder + "/" + name + "/tuned.conf" for folder in FOLDERS)
    return next((path for path in paths if re.match(r"[\w.-]+$", name) and host.exists(path)), None)


def _sections(text, path):
    found = {}
    for line, where in numbered(text, path):
        head = re.match(r"\[(.+)\]$", line)
        name, equals, value = line.partition("=")
        if head:
            section = found.setdefault(head.group(1), {})
        elif equals and found and line[0] not in "#;":
            section[name.strip()] = (re.split(r"(?:^|\s)#", value)[0].strip(), where)
    return found


def _merge(units, section, options):
    if options.get("replace", ("0",))[0].lower() not in FALSE:
        units.pop(section, None)
    unit = units.setdefault(section, {})
    for dropped in re.split("[,;]", options.get("drop", ("",))[0]):
        unit.pop(dropped.strip(), None)
    for name in ("type", "enabled"):
        unit.pop(name, None)
    unit.update(options)


def _owner(names, section, unit, inputs, rereads):
    kind = _type(section, unit)
    found = (_written(kind, option, pair, inputs) for option, pair in unit.items() if option not in OWN_OPTIONS)
    writes = tuple(write for write in found if write)
    if not writes:
        return None
    back = kind == "sysctl" and rereads
    options = ",".join(option for option, pair in unit.items() if pair[1] in [write.source for write in writes])
    remedy = REMEDY % (" ".join(names), options, section)
    return Owner("tuned", "tuned", writes[0].source, BACK if back else START, writes, remedy, UNKEPT if back else VALUES)


def _written(kind, option, pair, inputs):
    """What one option writes, or None when that is no setting of ours."""
    name = _boot.name_of(normal(option)) if kind == "sysctl" else "buckets" if option == HASHSIZE[kind] else None
    if name is None:
        return None
    text, source = pair[0].strip("\"'"), pair[1]
    when = MODIFIERS.get(text[:1], ALWAYS)
    return Written(name, rounded(name, number(text.lstrip("<>")), inputs), source, when)

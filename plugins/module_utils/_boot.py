# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What the next boot gives every setting, and which file and line decides.

Pure: no files, no Ansible. Nothing here reads the running values: a boot is worked out from
what a boot reads, so that a value which only somebody's hand has set shows as a difference.
"""
import re
from typing import Dict, FrozenSet, NamedTuple, Optional, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _boot_load,
    _boot_sysctls,
    _initramfs,
    _kernelvalues,
    _modprobed,
    _sizing,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import ALIASES, BY_KEY, BY_NAME, CATALOGUE

DEFAULT = "kernel default"
LEGACY = re.compile(r"net\.ipv4\.(?:netfilter\.)?ip_conntrack_(\w+)$")
OURS = "net.netfilter.nf_conntrack_"


class BootInputs(NamedTuple):
    """All that a boot reads, as far as it can touch connection tracking."""

    files: Dict[str, str]  # path -> text; a mask (a link to /dev/null) is ""
    links: Dict[str, str]  # path -> the file of this set that a link points at
    cmdline: str
    release: str  # as uname -r has it
    builtin: bool
    systemd: bool
    mem_total: int  # bytes
    page_size: int  # bytes
    module_dependents: FrozenSet[str] = frozenset()  # modules that need nf_conntrack
    initramfs: Optional[_initramfs.Initramfs] = None
    keys: FrozenSet[str] = frozenset()  # the sysctls that this kernel has once nf_conntrack is there
    masked_units: FrozenSet[str] = frozenset()
    hertz: int = 250  # ticks a second; decides which times are too long for the kernel
    word: int = _sizing.WORD
    initramfs_cache: Optional[str] = None  # what reading the initramfs should leave for the next run
    read_problems: Tuple[str, ...] = ()

    @property
    def version(self):
        """The (major, minor) of the kernel."""
        parts = [int(part) for part in re.findall(r"\d+", self.release)]
        return tuple((parts + [0, 0])[:2])


class BootValue(NamedTuple):
    """What a boot gives one setting."""

    value: Optional[int]  # None: unknown
    source: str
    reason: str = ""  # why it is not what a file asks for


class Lost(NamedTuple):
    """A value that a file asks for and the boot does not give."""

    name: str
    asked: str
    where: str
    why: str

    def __str__(self):
        return "%s asks for %s = %s, but %s" % (self.where, self.name, self.asked, self.why)


class Boot(NamedTuple):
    """The settings after the next boot."""

    values: Dict[str, BootValue]
    loaded_by: str = ""  # what loads nf_conntrack before the sysctls are written
    loads: bool = True  # it can be loaded at all
    prevented_by: str = ""
    problems: Tuple[str, ...] = ()
    lost: Tuple[Lost, ...] = ()
    stage: str = _boot_load.EARLY


def with_files(inputs, changed):
    """The inputs as they are when files have other texts; a text of None takes the file away."""
    files = dict(inputs.files, **changed)
    files.update((path, changed[target]) for path, target in inputs.links.items() if target in changed and path not in changed)
    kept = {path: text for path, text in files.items() if text is not None}
    return inputs._replace(files=kept, links=dict(item for item in inputs.links.items() if item[0] not in changed))


# The values that nf_conntrack starts with

def _given(load, name):
    return _modprobed.value_of(load.parameters, name) or (0, DEFAULT)


def _sizes(inputs, load):
    """The sizes that the kernel works out by itself, or from the parameters."""
    given, source = _given(load, "hashsize")
    version, page, word = inputs.version, inputs.page_size, inputs.word
    buckets = _sizing.round_buckets(given, page, word) if given else _sizing.default_buckets(inputs.mem_total, page, version, word)
    expect, expect_source = _given(load, "expect_hashsize")
    expect_hashsize, expect_max = _sizing.default_expectations(buckets, page, expect, word)
    origin = source + " (%d for each chain)" % _sizing.MAX_FOR_EACH_GIVEN_BUCKET if given else DEFAULT
    return {
        "buckets": BootValue(buckets, source if given else DEFAULT),
        "max": BootValue(_sizing.default_max(buckets, bool(given), version), origin),
        "expect_hashsize": BootValue(expect_hashsize, expect_source if expect else DEFAULT),
        "expect_max": BootValue(expect_max, expect_source if expect else DEFAULT),
    }


def _exists(setting, inputs):
    return setting.access != "ro" and (not setting.key or setting.key in inputs.keys)


def _first(setting, inputs, load):
    found = _modprobed.value_of(load.parameters, setting.parameter) if setting.parameter else None
    return BootValue(*found) if found and found[0] is not None else BootValue(setting.default(inputs.version), DEFAULT)


def _start(inputs, load):
    """The values right after nf_conntrack was loaded."""
    there = [setting for setting in CATALOGUE if _exists(setting, inputs)]
    if load.stage == _boot_load.NEVER:
        return {setting.name: BootValue(None, "", load.prevented_by) for setting in there}
    sizes = _sizes(inputs, load)
    return {setting.name: sizes.get(setting.name) or _first(setting, inputs, load) for setting in there}


# Both together

def initramfs_loads(inputs):
    """Tell whether the initramfs in use loads nf_conntrack."""
    return not inputs.builtin and _boot_load.loading(inputs).stage == _boot_load.INITRAMFS


def name_of(key):
    """The name of the setting that a key writes, or None."""
    return BY_KEY[key].name if key in BY_KEY else ALIASES.get(key)


def _complaint(write, inputs, values):
    """What is wrong with a line, or an empty text."""
    old = LEGACY.match(write.key)
    if old:
        return "%s: %s is gone since Linux 4.9; today it is %s" % (write.where, write.key, OURS + old.group(1))
    name = name_of(write.key)
    if name not in values:
        unknown = write.key.startswith(OURS) and BY_KEY.get(write.key, BY_NAME["max"]).access != "ro"
        return "%s: this kernel has no %s" % (write.where, write.key) if unknown else ""
    if _kernelvalues.accepted(BY_NAME[name], write.value, inputs.version, inputs.hertz) is None:
        return "%s: the kernel refuses %s = %s" % (write.where, write.key, write.value)
    return ""


def _written(values, writes, inputs):
    """The values after the writes; a refused one changes nothing."""
    values = dict(values)
    for write in writes:
        name = name_of(write.key)
        if name in values and not _complaint(write, inputs, values):
            values[name] = BootValue(_shown(name, write.value, inputs), write.where)
    return values


def _shown(name, text, inputs):
    """What a value reads as once it is written."""
    value = _kernelvalues.number(text)
    return _sizing.round_buckets(value, inputs.page_size, inputs.word) if name == "buckets" else value


def _losses(values, missed, inputs):
    """What is asked for in vain: the last request of each name, where the boot gives something else."""
    asked = {name_of(write.key): (write, why) for write, why in missed if name_of(write.key) in values}
    return tuple(
        Lost(name, write.value, write.where, why)
        for name, (write, why) in asked.items()
        if _kernelvalues.number(write.value) is None or _shown(name, write.value, inputs) != values[name].value
    )


def boot(inputs):
    """Return what the next boot gives."""
    load = _boot_load.loading(inputs)
    sysctls = _boot_sysctls.sysctls(inputs, load)
    start = _start(inputs, load)
    values = _written(start, sysctls.made, inputs)
    missed = sysctls.missed + tuple(_boot_sysctls.unread(inputs))
    complaints = [_complaint(write, inputs, start) for write in sysctls.made + tuple(write for write, dummy in missed)]
    lost = _losses(values, missed, inputs)
    for loss in lost:
        values[loss.name] = values[loss.name]._replace(reason=str(loss))
    problems = inputs.read_problems + load.problems + tuple(text for text in complaints if text)
    return Boot(values, load.by, load.stage != _boot_load.NEVER, load.prevented_by, problems, lost, load.stage)

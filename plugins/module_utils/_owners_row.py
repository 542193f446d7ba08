# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Who else writes settings of connection tracking: an Owner for each program, or file, that does, and its warning.

Pure: no files, no Ansible.
"""
from typing import NamedTuple, Optional, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _boot,
    _kernelvalues,
    _modprobed,
    _sizing,
    _sysctld,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME

# When a value is written, as facts say it. The last one is a name that kernels have no more.
ALWAYS, IF_LOWER, IF_HIGHER, NEVER = "always", "if it was lower", "if it was higher", "never"
# What an owner is told to the user for: a value other than the wanted one; the same, but only where no files of
# ours put the wanted one back; the end of tracking; nothing, so that it is a fact only.
VALUES, UNKEPT, TRACKING, NOTHING = "values", "unkept", "tracking", "nothing"


class Written(NamedTuple):
    """One setting as an owner writes it."""

    name: str  # of the catalogue
    value: Optional[int]  # None: it cannot be known
    source: str  # file:line, or what else decides
    when: str = ALWAYS

    def replaces(self, wanted):
        """Tell whether this puts another number in the place of ``wanted``."""
        if self.when == NEVER:
            return False
        if self.value is None:
            return True
        return {ALWAYS: self.value != wanted, IF_LOWER: self.value > wanted, IF_HIGHER: self.value < wanted}[self.when]

    @property
    def shown(self):
        """The value as users know it: a switch is true or false."""
        return BY_NAME[self.name].shown(self.value)


class Owner(NamedTuple):
    """A program, or a file that programs read, and what it does to connection tracking."""

    name: str  # as facts name it
    subject: str  # as people name it: what does the writing
    where: str
    effect: str  # when it happens, and what that does to values of ours
    writes: Tuple[Written, ...] = ()
    remedy: str = ""
    told_for: str = VALUES


# dockerd has MASQUERADE rules for its bridge networks, and therefore tracking, and loads nf_conntrack and its netlink
# part; it writes no setting of tracking. So it is never a warning.
DOCKER = Owner(
    "docker", "Docker", "", "its rules for bridge networks have connections tracked in this network namespace; it writes no setting", told_for=NOTHING,
)


def written(writes, inputs):
    """The Written of Writes to sysctls: of each setting the last one."""
    found = {}
    for write in writes:
        old = _boot.LEGACY.match(write.key)
        name = old.group(1) if old else _boot.name_of(write.key)
        if name in BY_NAME and BY_NAME[name].access == "rw":
            found.pop(name, None)
            found[name] = Written(name, rounded(name, _kernelvalues.number(write.value), inputs), write.where, NEVER if old else ALWAYS)
    return tuple(found.values())


def rounded(name, value, inputs):
    """What a value reads as once it is written: the kernel rounds the hash size."""
    if name != "buckets" or not value or value < 0:
        return value
    return _sizing.round_buckets(value, inputs.page_size, inputs.word)


def of_file(file, inputs, systemd=False):
    """What one File of sysctl.d's form writes; ``systemd`` tells whose reading of it counts."""
    return written(_sysctld.effective([file], inputs.keys, systemd), inputs)


def of_options(file, inputs):
    """What one File of modprobe.d gives nf_conntrack while it loads."""
    lines = _modprobed.parse(file.text, file.path)
    given = {parameter.name: parameter for parameter in _modprobed.parameters(lines)}
    names = {setting.parameter: setting.name for setting in BY_NAME.values() if setting.parameter and setting.module == _modprobed.MODULE}
    return tuple(
        Written(names[name], rounded(names[name], _modprobed.value_of([parameter], name)[0], inputs), parameter.where)
        for name, parameter in given.items()
        if name in names
    )


def numbered(text, path):
    """Yield (stripped line, "path:number") for every line of a text; the lines of no file are none."""
    for number, line in enumerate((text or "").splitlines(), 1):
        yield line.strip(), "%s:%d" % (path, number)


def assignment(text, path, key):
    """The last (value, where) that shell-like text gives a key, without quotes; ("", path) where it gives none."""
    found = ("", path)
    for line, where in numbered(text, path):
        name, equals, value = line.partition("=")
        if equals and name.strip() == key:
            found = (value.partition("#")[0].strip().strip("\"'"), where)
    return found


def warnings(owners, values, kept):
    """The texts for ``values``; ``kept`` tells that files of ours hold them at boot."""
    told = (_text(owner, values, kept) for owner in owners)
    return tuple(text for text in told if text)


def _text(owner, values, kept):
    if owner.told_for == TRACKING:
        after = "they come back when it is loaded again" if kept else "they do not come back, because at_boot is false"
        return "%s %s (%s): every connection is forgotten then, and the values are lost; %s; %s" % (
            owner.subject, owner.effect, owner.where, after, owner.remedy)
    if owner.told_for != VALUES and (owner.told_for != UNKEPT or kept):
        return ""
    writes = [write for write in owner.writes if write.name in values and write.replaces(values[write.name])]
    return _of_values(owner, writes, values) if writes else ""


def _of_values(owner, writes, values):
    """The text for an owner that writes other values; where they all come from one place, that is said once."""
    sources = sorted({write.source for write in writes})
    parts = [_part(write, values[write.name], len(sources) > 1) for write in writes]
    place = " (%s)" % sources[0] if len(sources) == 1 else ""
    return "%s writes %s%s: %s; %s" % (owner.subject, ", ".join(parts), place, owner.effect, owner.remedy)


def _part(write, wanted, with_source):
    value = "another value" if write.value is None else "%s = %d" % (write.name, write.value)
    name = " of %s" % write.name if write.value is None else ""
    return "%s%s where %d is wanted%s" % (value, name, wanted, " (%s)" % write.source if with_source else "")

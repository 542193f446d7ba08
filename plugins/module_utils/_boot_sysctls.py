# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Which sysctls the next boot writes, in which order, and which it is asked to write in vain.

Pure: no files, no Ansible.
"""
from typing import NamedTuple, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _boot_load,
    _cmdline,
    _dropins,
    _initramfs,
    _sysctld,
    _udev,
)

SYSCTL_CONF = "/etc/sysctl.conf"
SYSCTL_UNIT = "systemd-sysctl.service"
KERNEL_SYSCTLS = (5, 8)  # first kernel that writes sysctl.key=value itself (3db978d480e2)
TOO_LATE = "nothing loads nf_conntrack before the sysctls are written"


class Sysctls(NamedTuple):
    """What a boot writes, in order, and what it is asked to write in vain, each with the reason."""

    made: Tuple[_sysctld.Write, ...]
    missed: Tuple[Tuple[_sysctld.Write, str], ...]


def files(inputs):
    """The Files that write sysctls at boot, in order, under the names that people know them by."""
    found = list(_dropins.ordered(_dropins.SYSCTL_D, inputs.files))
    if not inputs.systemd:
        found.append(_dropins.File(SYSCTL_CONF, inputs.files.get(SYSCTL_CONF, "")))
    return _boot_load.named(found, inputs.links)


def unread(inputs):
    """What stands in /etc/sysctl.conf where nothing reads it: systemd does so by a link only."""
    if not inputs.systemd or SYSCTL_CONF in [file.path for file in files(inputs)]:
        return []
    file = _dropins.File(SYSCTL_CONF, inputs.files.get(SYSCTL_CONF, ""))
    return [(write, "systemd reads /etc/sysctl.d only") for write in _sysctld.effective([file], inputs.keys)]


def _by_kernel(inputs):
    given = _cmdline.sysctls(_boot_load.command_line(inputs)) if inputs.version >= KERNEL_SYSCTLS else []
    return [_sysctld.Write(key, value, "kernel command line sysctl.%s=%s" % (key, value)) for key, value in given]


def _again(inputs, load):
    """What is written when nf_conntrack appears, whenever that is."""
    rules = _boot_load.named(_dropins.ordered(_dropins.UDEV_RULES_D, inputs.files, ".rules"), inputs.links)
    commands = _udev.find(rules) + [command for command in [_udev.again(load.command, load.command_where)] if command]
    every = [_dropins.File(*item) for item in inputs.files.items()]
    made = ((write, command) for command in commands for write in _udev.writes(command, every, inputs.keys, files(inputs)))
    return [write._replace(path="%s by %s" % (write.where, command.where), line=0) for write, command in made]


def _late(again, normal, why):
    """The Sysctls of a boot at which nf_conntrack appears after, or without, the writing of all sysctls."""
    held = {(write.key, write.value) for write in again}
    return Sysctls(tuple(again), tuple((write, why) for write in normal if (write.key, write.value) not in held))


def _why_late(load):
    return load.prevented_by + " keeps nf_conntrack from being loaded in time" if load.prevented_by else TOO_LATE


def sysctls(inputs, load):
    """Return the Sysctls of a boot."""
    kernel, normal = _by_kernel(inputs), _sysctld.effective(files(inputs), inputs.keys, inputs.systemd)
    again = _again(inputs, load)
    early = tuple((write, "the kernel writes it before nf_conntrack is there") for write in kernel)
    if load.stage == _boot_load.NEVER:
        return Sysctls((), tuple((write, "nf_conntrack does not load: " + load.prevented_by) for write in kernel + normal))
    if load.stage == _boot_load.LATE or SYSCTL_UNIT in inputs.masked_units:
        late = _late(again, normal, _why_late(load) if load.stage == _boot_load.LATE else SYSCTL_UNIT + " is masked")
        return late._replace(missed=early + late.missed)
    if load.stage == _boot_load.BUILTIN:
        return Sysctls(tuple(kernel + again + normal), ())
    inner = _initramfs.sysctls(inputs.initramfs, inputs.keys) if load.stage == _boot_load.INITRAMFS else []
    return Sysctls(tuple(inner + again + normal), early)

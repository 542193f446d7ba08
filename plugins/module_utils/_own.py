# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The files that are ours on a host: their places and their texts.

Pure: no files are touched here. The names begin with zz so that they are read last.
"""
from collections import OrderedDict

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _modprobed,
    _modulesload,
    _sysctld,
    _udev,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME

SYSCTL = "/etc/sysctl.d/zz-netfleet-conntrack.conf"
MODPROBE = "/etc/modprobe.d/zz-netfleet-conntrack.conf"
MODULES_LOAD = "/etc/modules-load.d/zz-netfleet-conntrack.conf"
UDEV = "/etc/udev/rules.d/zz-netfleet-conntrack.rules"

HEADER = "Written by the Ansible collection netfleet.conntrack, which puts back what is changed here."
NEEDED_BY = "Needed by: "

RELOAD_UDEV = ["udevadm", "control", "--reload"]
SYSTEMD_SYSCTL = ("/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl")


def sysctl_program(exists):
    """What a udev rule runs to apply our values: systemd's program, or procps' where that is not installed."""
    return next((path for path in SYSTEMD_SYSCTL if exists(path)), "/sbin/sysctl")


def settings_files(values, builtin, sysctl_program, modules_load):
    """The text of each file that makes ``values`` (name to number) hold at boot; None where no file is needed.

    ``modules_load`` is what the shared file of modules holds now.
    """
    keys = OrderedDict((BY_NAME[name].key, value) for name, value in values.items() if BY_NAME[name].key)
    parameters = OrderedDict(
        (BY_NAME[name].parameter, value)
        for name, value in values.items()
        if BY_NAME[name].parameter and BY_NAME[name].group == "table"
    )
    modular = bool(values) and not builtin
    return {
        MODPROBE: _modprobed.render("nf_conntrack", parameters.items(), HEADER) if modular and parameters else None,
        MODULES_LOAD: modules_load_file(modules_load, "settings", modular),
        UDEV: _udev.render(sysctl_program, SYSCTL, HEADER) if modular and keys else None,
        SYSCTL: _sysctld.render(keys.items(), HEADER) if keys else None,
    }


def modules_load_file(text, part, wanted):
    """The shared file that loads the module at boot, with ``part`` among those that need it or not."""
    parts = needed_by(text) - {part} | ({part} if wanted else set())
    if not parts:
        return None
    return _modulesload.render(["nf_conntrack"], "%s\n%s%s" % (HEADER, NEEDED_BY, " ".join(sorted(parts))))


def needed_by(text):
    """The parts for whose sake the module is loaded at boot."""
    for line in (text or "").splitlines():
        if NEEDED_BY in line:
            return set(line.split(NEEDED_BY, 1)[1].split())
    return set()

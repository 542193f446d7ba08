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
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import ALIASES, BY_NAME

SYSCTL = "/etc/sysctl.d/zz-netfleet-conntrack.conf"
MODPROBE = "/etc/modprobe.d/zz-netfleet-conntrack.conf"
MODULES_LOAD = "/etc/modules-load.d/zz-netfleet-conntrack.conf"
UDEV = "/etc/udev/rules.d/zz-netfleet-conntrack.rules"
# What is remembered, and rules for boot; each folder goes when it is empty.
FOLDERS = ("/var/lib/netfleet-conntrack", "/etc/netfleet-conntrack")

HEADER = "Written by the Ansible collection netfleet.conntrack, which puts back what is changed here."

RELOAD_UDEV = ["udevadm", "control", "--reload"]
SYSTEMD_SYSCTL = ("/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl")


def sysctl_program(exists):
    """What a udev rule runs to apply our values: systemd's program, or procps' where that is not installed."""
    return next((path for path in SYSTEMD_SYSCTL if exists(path)), "/sbin/sysctl")


def settings_files(values, builtin, sysctl_program, loaded_for_others):
    """The text of each file that makes ``values`` (name to number) hold at boot; None where no file is needed.

    ``loaded_for_others``: another part of ours wants the module at boot as well.
    """
    keys = OrderedDict((BY_NAME[name].key, value) for name, value in values.items() if BY_NAME[name].key)
    # systemd keeps the place of a key that is given twice with the same value, so a foreign line with the
    # alias could come after ours (src/sysctl/sysctl.c).
    keys.update((alias, values[name]) for alias, name in ALIASES.items() if name in values)
    options = parameters(values)
    modular = bool(values) and not builtin
    return {
        MODPROBE: _modprobed.render("nf_conntrack", options, HEADER) if modular and options else None,
        MODULES_LOAD: modules_load_file(modular or loaded_for_others),
        UDEV: _udev.render(sysctl_program, SYSCTL, HEADER) if modular and keys else None,
        SYSCTL: _sysctld.render(keys.items(), HEADER) if keys else None,
    }


def parameters(values):
    """What of ``values`` (name to number) the module is loaded with: pairs of a parameter and its value."""
    return [(BY_NAME[name].parameter, value) for name, value in values.items() if BY_NAME[name].parameter and BY_NAME[name].group == "table"]


def modules_load_file(wanted):
    """The file that loads the module at boot. Several parts want it, and it is the same for all of them."""
    return _modulesload.render(["nf_conntrack"], HEADER) if wanted else None

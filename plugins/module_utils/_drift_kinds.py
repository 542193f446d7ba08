# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The kinds of difference between a host and its document, by their names, which reports and other people's code rely on. Data only."""
from collections import OrderedDict

from ansible_collections.netfleet.conntrack.plugins.module_utils import _hook_rules, _initrd, _own, _snat_backends, _unit

# What is so, as reports say it.
KINDS = OrderedDict((
    # The running kernel
    ("module_unloaded", "nf_conntrack is not loaded"),
    ("running_value", "the running kernel has another value"),
    ("left_over", "a value that an earlier document asked for was not given back"),
    ("no_such_setting", "this kernel has no such setting"),
    ("not_tracking", "packets are not tracked although the rule that asks for it is there"),
    ("hooks_gone", "the rule that switches tracking on is gone"),
    ("hooks_altered", "the rule that switches tracking on was altered"),
    ("hooks_left", "the rule that switches tracking on is not asked for"),
    ("management_gone", "the rules that keep the management path untracked are gone"),
    ("management_altered", "the rules that keep the management path untracked were altered"),
    ("management_left", "rules that keep a management path untracked are not asked for"),
    ("stranger_in_table", "something that is not ours lies in our table"),
    ("rule_missing", "a SNAT rule is not there"),
    ("rule_changed", "a SNAT rule has other words"),
    ("rule_unwanted", "a SNAT rule in our chain is not asked for"),
    ("rules_reordered", "SNAT rules come in another order"),
    ("rules_not_first", "our SNAT rules are not the first of postrouting"),
    ("foreign_not_random", "a SNAT rule of others has no random ports"),
    # The next boot
    ("foreign_sysctl", "a sysctl.d file of others decides"),
    ("foreign_modprobe", "a modprobe.d line of others decides"),
    ("kernel_command_line", "the kernel command line decides"),
    ("initramfs_decides", "a copy of a file inside the initramfs decides"),
    ("own_file_decides", "our own file says something else"),
    ("lost_at_boot", "a file asks for the value, and the boot does not give it"),
    ("not_set_at_boot", "no file asks for the value"),
    ("module_prevented", "nf_conntrack cannot be loaded"),
    ("initramfs_outdated", "the initramfs was not made from these files"),
    ("unit_disabled", "systemd does not start our unit"),
    ("unfinished_run", "a run of ours was killed, or awaits its confirmation"),
))

# Our files: what each is for.
FILES = OrderedDict((
    (_own.SYSCTL, "sysctl_file"),
    (_own.MODPROBE, "modprobe_file"),
    (_own.MODULES_LOAD, "modules_load_file"),
    (_own.UDEV, "udev_file"),
    (_unit.UNIT, "unit_file"),
    (_unit.LOADER, "loader_file"),
    (_initrd.HOOK, "initramfs_file"),
    (_initrd.DRACUT, "initramfs_file"),
))
FILES.update((path, "hooks_file") for path in sorted(_hook_rules.FILES.values()))
FILES.update((path, "snat_file") for path in sorted(_snat_backends.files(None, ())))

# What has become of a file: a word that follows what it is for, and what is so.
FATES = OrderedDict((
    ("missing", "our file is gone"),
    ("edited", "our file has another text"),
    ("masked", "a link to /dev/null lies in the place of our file"),
    ("left", "our file is not asked for any more"),
))
KINDS.update(("%s_%s" % (use, fate), words) for use in OrderedDict.fromkeys(FILES.values()) for fate, words in FATES.items())

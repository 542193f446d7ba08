# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Files that boots, people and packages read besides ours, and what they write: sysctl.conf, sysctl.d, modprobe.d.

Pure: no files are touched here. A line with a name that kernels have no more is told as such.
"""
from ansible_collections.netfleet.conntrack.plugins.module_utils import _dropins, _own
from ansible_collections.netfleet.conntrack.plugins.module_utils._boot_sysctls import SYSCTL_CONF
from ansible_collections.netfleet.conntrack.plugins.module_utils._owners_row import NOTHING, Owner, of_file, of_options

TAKE_OUT = "take that out of the file"
BY_TUNED = "at every start of tuned, and so at every boot after ours, because tuned reads this file last (reapply_sysctl)"
BY_ANYBODY = "whenever somebody runs sysctl -p or sysctl --system, as packages do, in place of ours"
LATER = "at boot and by sysctl --system after ours, in place of ours"
BEFORE = "at boot and by sysctl --system before ours, so ours hold; sysctl -p %s alone puts it in their place"
WITH_MODULE = "whenever nf_conntrack is loaded, "


def read(inputs, reread_by_tuned):
    """The Owners among the files of ``inputs``."""
    owners = [_sysctl_conf(inputs, reread_by_tuned)]
    owners += [_sysctl_d(inputs, file, later) for file, later in _foreign(inputs, _dropins.SYSCTL_D, _own.SYSCTL)]
    owners += [_modprobe_d(inputs, file, later) for file, later in _foreign(inputs, _dropins.MODPROBE_D, _own.MODPROBE)]
    return [owner for owner in owners if owner.writes]


def _foreign(inputs, directories, own):
    """Yield (File under the name that people know, whether it is read after ours)."""
    for file in _dropins.ordered(directories, inputs.files):
        path = inputs.links.get(file.path, file.path)
        if file.path != own and path != SYSCTL_CONF:
            yield file._replace(path=path), file.path.rpartition("/")[2].encode() > own.rpartition("/")[2].encode()


def _sysctl_conf(inputs, reread_by_tuned):
    """What stands in /etc/sysctl.conf; systemd reads it through a link only, but people and packages run sysctl -p."""
    writes = of_file(_dropins.File(SYSCTL_CONF, inputs.files.get(SYSCTL_CONF, "")), inputs)
    subject, effect = ("tuned", BY_TUNED) if reread_by_tuned else ("sysctl -p", BY_ANYBODY)
    return Owner("sysctl.conf", subject, SYSCTL_CONF, effect, writes, TAKE_OUT)


def _sysctl_d(inputs, file, later):
    effect = LATER if later else BEFORE % file.path
    return Owner("sysctl.d", file.path, file.path, effect, of_file(file, inputs, inputs.systemd), TAKE_OUT, NOTHING)


def _modprobe_d(inputs, file, later):
    effect = WITH_MODULE + ("in place of ours" if later else "before ours, so ours hold")
    return Owner("modprobe.d", file.path, file.path, effect, of_options(file, inputs), TAKE_OUT, NOTHING)

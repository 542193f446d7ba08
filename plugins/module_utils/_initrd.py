# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""When the initramfs has to load nf_conntrack, and when it has to be made anew.

An initramfs carries copies of modprobe.d, so where it loads the module, a new hash size
needs a new image. Only the function C(tools) looks at the host.
"""
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _boot_load, _cmdline, _own
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import BOOT, Change, Step, reread

HOOK = "/etc/initramfs-tools/hooks/zz-netfleet-conntrack"
DRACUT = "/etc/dracut.conf.d/zz-netfleet-conntrack.conf"
OWN = (HOOK, DRACUT)
HOOK_TEXT = """\
#!/bin/sh
# %s
if [ "$1" = prereqs ]; then
    exit 0
fi
. /usr/share/initramfs-tools/hook-functions
force_load nf_conntrack
""" % _own.HEADER
DRACUT_TEXT = """\
# %s
force_drivers+=" nf_conntrack "
""" % _own.HEADER
# program: (our file, its text, arguments that make the image anew for a kernel release)
MAKERS = (
    ("update-initramfs", HOOK, HOOK_TEXT, ["-u", "-k"]),
    ("dracut", DRACUT, DRACUT_TEXT, ["--force", "--kver"]),
)
# Kernel parameters of a root file system that needs the network before it is there.
NETWORK_ROOT = ("nfsroot", "netroot", "rd.iscsi.initiator", "iscsi_initiator", "rd.neednet", "ip")


class Tools(NamedTuple):
    """What makes the initramfs on a host."""

    program: str
    path: str
    text: str
    command: Any  # the whole list of arguments


def tools(host, release):
    """The maker of the initramfs, or None where there is none."""
    for program, path, text, arguments in MAKERS:
        if host.program(program):
            return Tools(program, path, text, [program] + arguments + [release])
    return None


def wanted(option, inputs):
    """Tell whether the initramfs is to load the module; C(auto) means where the root file system needs the network."""
    names = [name for name, dummy in _cmdline.parameters(inputs.cmdline)]
    return option == "always" or option == "auto" and any(name in NETWORK_ROOT for name in names)


def files(maker, wanted_there):
    """Path -> text of our files that put the module into the initramfs."""
    found = dict.fromkeys(OWN)
    if maker and wanted_there:
        found[maker.path] = maker.text
    return found


def loads(inputs):
    """Tell whether the initramfs in use loads connection tracking."""
    return _boot_load.loading(inputs).stage == _boot_load.INITRAMFS


def changes(part, inputs, texts, own):
    """The Change that a new initramfs is, or none, when our files get ``texts``; ``own`` is what they hold now."""
    forced = any(texts.get(path) is not None for path in OWN)
    dropped = any(path in texts and texts[path] is None and own.get(path) is not None for path in OWN)
    if forced and not loads(inputs) or dropped:
        return (Change(part, "initramfs", BOOT, "outdated", "current", "which modules it loads is to change"),)
    if loads(inputs) and _own.MODPROBE in texts and inputs.initramfs.files.get(_own.MODPROBE) != texts[_own.MODPROBE]:
        return (Change(part, "initramfs", BOOT, "outdated", "current", "it loads nf_conntrack with a copy of modprobe.d"),)
    return ()


def renewed(inputs, texts):
    """``inputs`` as they are once an initramfs that loads the module holds our files."""
    if not loads(inputs) or _own.MODPROBE not in texts:
        return inputs
    held = dict(inputs.initramfs.files)
    held.pop(_own.MODPROBE, None)
    if texts[_own.MODPROBE] is not None:
        held[_own.MODPROBE] = texts[_own.MODPROBE]
    return inputs._replace(initramfs=inputs.initramfs._replace(files=held))


def around(steps, maker, renewal):
    """``steps`` that write files, and the making of the image from them where there is a renewal."""
    if not renewal or maker is None:
        return steps
    # Our files may be right already, and only the image made of them old.
    why = "making the initramfs anew"
    return reread(steps, why, maker.command) or (Step("run", why, maker.command, (maker.command,)),)

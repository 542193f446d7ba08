# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What an initramfs loads, and which boot files it holds copies of.

Pure: bytes in, names and texts out. Source: initramfs-tools' scripts/functions
(load_modules()), dracut's modules.d/90kernel-modules and 00systemd.
"""
from posixpath import dirname, join, normpath
from typing import Dict, NamedTuple, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _cmdline, _cpio, _dropins, _modulesload, _sysctld

InitramfsError = _cpio.InitramfsError

FORCED = "/conf/modules"  # of initramfs-tools: lines for modprobe
SYSCTL_CONF = "/etc/sysctl.conf"
CMDLINE_D = "/etc/cmdline.d"  # of dracut: parameters that count as if the kernel had been given them
LOADER = "/systemd/systemd-modules-load"
WRITER = "/systemd/systemd-sysctl"
FOLDERS = _dropins.SYSCTL_D + _dropins.MODPROBE_D + _dropins.MODULES_LOAD_D + (CMDLINE_D,)
FILES = (FORCED, SYSCTL_CONF)
PROGRAMS = (LOADER, WRITER)
MODULE = "/nf_conntrack.ko"


class Initramfs(NamedTuple):
    """An image, as far as it matters to connection tracking."""

    path: str
    has_module: bool  # it holds nf_conntrack
    files: Dict[str, str]  # path inside, with a leading slash -> text
    programs: Tuple[str, ...] = ()  # those of PROGRAMS that it holds
    modules: Tuple[str, ...] = ()  # names that it loads, without those that the kernel's command line adds


def _wanted(name):
    folder = name.rpartition("/")[0]
    return folder in FOLDERS or name in FILES or name.endswith(PROGRAMS) or MODULE in name


def _texts(entries):
    """Path -> text; a link has the text of the file that it points at, or none."""
    decoded = [(entry, entry.data.decode("utf-8", "surrogateescape")) for entry in entries]
    found = {entry.name: text for entry, text in decoded if not entry.link}
    links = {entry.name: normpath(join(dirname(entry.name), text)) for entry, text in decoded if entry.link}
    found.update((name, found.get(target, "")) for name, target in links.items())
    return found


def _is_text(entry):
    return not entry.name.endswith(PROGRAMS) and MODULE not in entry.name


def parse(path, data, decompress):
    """Return the Initramfs that an image is; InitramfsError when it cannot be read.

    ``decompress(name, data)`` gives the bytes that zstd, lz4 or lzop packed, or None where
    that program is missing.
    """
    try:
        entries = _cpio.archives(data, _wanted, decompress)
    except InitramfsError as error:
        raise InitramfsError("cannot read %s: %s" % (path, error)) from None
    programs = tuple(name for name in PROGRAMS if any(entry.name.endswith(name) for entry in entries))
    texts = _texts([entry for entry in entries if _is_text(entry)])
    has_module = any(MODULE in entry.name for entry in entries)
    image = Initramfs(path, has_module, texts, programs)
    return image._replace(modules=tuple(entry.module for entry, dummy in asked(image, [])))


def inside(image, name):
    """How a file of the image is called in messages."""
    return "%s:%s" % (image.path, name)


def ordered(image, directories):
    """The Files of ``directories`` of the image, in the order in which they are read."""
    return [file._replace(path=inside(image, file.path)) for file in _dropins.ordered(directories, image.files)]


def _forced(image):
    return _modulesload.parse(image.files.get(FORCED, ""), inside(image, FORCED))


def _by_drivers_pre(image, command_line):
    own = [(name, _cmdline.parameters(image.files[name])) for name in sorted(image.files) if name.startswith(CMDLINE_D + "/")]
    given = [(inside(image, name), parameters) for name, parameters in own] + [("kernel command line rd.driver.pre", command_line)]
    return [
        _modulesload.Entry(0, _cmdline.same(module), "", where)
        for where, parameters in given
        for module in _cmdline.drivers_pre(parameters)
    ]


def asked(image, command_line):
    """Return what the image loads by name, as (Entry, whether systemd loads it), in order."""
    plain = [(entry, False) for entry in _forced(image)]
    if not any(name.startswith(CMDLINE_D) for name in image.files) and LOADER not in image.programs:
        return plain
    plain += [(entry, False) for entry in _by_drivers_pre(image, command_line)]
    if LOADER not in image.programs:
        return plain
    names = _cmdline.modules_load(command_line, True)
    entries = [_modulesload.Entry(0, _cmdline.same(name), "", "kernel command line modules_load") for name in names]
    entries += _modulesload.parse_all(ordered(image, _dropins.MODULES_LOAD_D))
    return plain + [(entry, True) for entry in entries]


def sysctls(image, keys):
    """The Writes that systemd makes inside the image; the root file system's come later and win."""
    if WRITER not in image.programs:
        return []
    return _sysctld.effective(ordered(image, _dropins.SYSCTL_D), keys)

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""In which order the files of several *.d directories are read, and which of them hide others.

Pure: no files, no Ansible. The same rule holds for systemd (src/basic/conf-files.c), kmod
(libkmod/libkmod-config.c), udev and procps.
"""
from typing import NamedTuple

# Highest priority first. Where /lib is a link to /usr/lib, the caller gives the files of one of them only.
PREFIXES = ("/etc/", "/run/", "/usr/local/lib/", "/usr/lib/", "/lib/")
SYSCTL_D = tuple(prefix + "sysctl.d" for prefix in PREFIXES)
MODPROBE_D = tuple(prefix + "modprobe.d" for prefix in PREFIXES)
MODULES_LOAD_D = tuple(prefix + "modules-load.d" for prefix in PREFIXES)
UDEV_RULES_D = tuple(prefix + "udev/rules.d" for prefix in PREFIXES)


class File(NamedTuple):
    """A file that is read."""

    path: str
    text: str


def _winner(directories, files, name):
    paths = [directory + "/" + name for directory in directories]
    return next(File(path, files[path]) for path in paths if path in files)


def names(directories, files, suffix):
    """The file names found in ``directories``, in the order in which they are read: byte by byte."""
    split = (path.rpartition("/") for path in files if path.endswith(suffix))
    found = {name for directory, dummy, name in split if directory in directories and not name.startswith(".")}
    return sorted(found, key=lambda name: name.encode("utf-8", "surrogateescape"))


def ordered(directories, files, suffix=".conf"):
    """Return the Files of ``directories`` (highest priority first) in the order in which they are read.

    ``files`` maps paths to texts. Of equal names the directory of highest priority wins, also
    when its file is empty: this is how a file is masked (there a link to /dev/null is given as "").
    """
    found = (_winner(directories, files, name) for name in names(directories, files, suffix))
    return tuple(file for file in found if file.text)

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Files of modules-load.d, and /etc/modules: text <-> names of modules.

Pure: no files, no Ansible. Source: systemd's src/modules-load/modules-load.c; for hosts
without systemd, Debian's /etc/init.d/kmod.
"""
from typing import NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._cmdline import same

COMMENTS = "#;"
ETC_MODULES = "/etc/modules"
# Modules of old kernels, and the kernel that merged each into nf_conntrack (a0ae2562c6c4).
MERGED = {"nf_conntrack_ipv4": (4, 19), "nf_conntrack_ipv6": (4, 19)}
# MODULE_ALIAS() of nf_conntrack, net/netfilter/nf_conntrack_standalone.c and nf_conntrack_proto.c.
ALIASES = ("ip_conntrack", "nf_conntrack_2", "nf_conntrack_10")


class Entry(NamedTuple):
    """One line: a module that shall be loaded."""

    line: int
    module: str
    options: str = ""
    path: str = ""

    @property
    def where(self):
        return "%s:%d" % (self.path, self.line) if self.line else self.path


def _entry(number, line, path):
    module, dummy, options = line.strip().partition(" ")
    return Entry(number, same(module), options.strip(), path)


def parse(text, path=""):
    """Return the Entries of a file.

    systemd takes a whole line for the name, so that a line with options loads nothing there;
    Debian's init script hands them to modprobe.
    """
    lines = enumerate(text.replace("\t", " ").split("\n"), 1)
    wanted = [(number, line) for number, line in lines if line.strip() and line.strip()[0] not in COMMENTS]
    return [_entry(number, line, path) for number, line in wanted]


def parse_all(files):
    """The Entries of several Files, in the order given."""
    return [entry for file in files for entry in parse(file.text, file.path)]


def render(modules, header=""):
    """Return the text of a file that loads modules, below ``header`` as a comment."""
    lines = ["# " + line if line else "#" for line in header.splitlines()]
    return "".join(line + "\n" for line in lines + list(modules))


def problem(entry, version, systemd=True):
    """Why a line does not do what was meant, or an empty text."""
    if entry.module in MERGED and version >= MERGED[entry.module]:
        return "%s: %s is part of nf_conntrack since Linux %d.%d, nothing is loaded" % ((entry.where, entry.module) + MERGED[entry.module])
    if systemd and entry.options:
        return "%s: systemd takes \"%s %s\" for the name of a module, nothing is loaded" % (entry.where, entry.module, entry.options)
    return ""

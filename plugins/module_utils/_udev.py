# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Rules of udev: those that write sysctls again when a module appears.

Pure: no files, no Ansible. Only as much of udev(7) is read as tells what is run when
nf_conntrack is added; a rule with a condition that is not known here counts as not met.
"""
import re
import shlex
from fnmatch import fnmatchcase
from typing import NamedTuple, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _sysctld

ITEM = re.compile(r'\s*,?\s*([A-Z_]+)(?:\{([^}]*)\})?\s*(==|!=|\+=|-=|:=|=)\s*[ei]?"((?:[^"\\]|\\.)*)"')
# What udev knows of the event that the kernel sends when nf_conntrack is loaded.
EVENT = {
    "ACTION": "add",
    "SUBSYSTEM": "module",
    "SUBSYSTEMS": "module",
    "KERNEL": "nf_conntrack",
    "KERNELS": "nf_conntrack",
    "DEVPATH": "/module/nf_conntrack",
}
SHELLS = ("sh", "bash", "dash")
PROGRAMS = ("systemd-sysctl", "sysctl")
PREFIXES = ("/net/netfilter", "/net/nf_conntrack_max")


class Rule(NamedTuple):
    """One line: its (key, operator, value) items; keys without what stands in braces."""

    line: int
    items: Tuple[Tuple[str, str, str], ...]


class Again(NamedTuple):
    """A command that writes sysctls when nf_conntrack appears."""

    where: str
    program: str
    prefixes: Tuple[str, ...] = ()  # none: all keys
    files: Tuple[str, ...] = ()  # none: all files


def _rule(number, text):
    return Rule(number, tuple((key, operator, value.replace('\\"', '"')) for key, dummy, operator, value in ITEM.findall(text)))


def parse(text):
    """Return the Rules of a file; a rule over several lines has the number of its first."""
    found, start, whole = [], 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        start = start or number
        whole += line[:-1] if line.endswith("\\") else line
        if not line.endswith("\\"):
            found.append((start, whole))
            start, whole = 0, ""
    rules = [_rule(number, line) for number, line in found if not line.lstrip().startswith("#")]
    return [rule for rule in rules if rule.items]


def _met(key, operator, value):
    known = key in EVENT and any(fnmatchcase(EVENT[key], pattern) for pattern in value.split("|"))
    return key in EVENT and known == (operator == "==")


def commands(rule):
    """The commands that a rule runs when nf_conntrack is added."""
    if not all(_met(*item) for item in rule.items if item[1] in ("==", "!=")):
        return []
    return [value for key, operator, value in rule.items if key == "RUN" and operator in ("+=", "=", ":=")]


def _words(command):
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    if words and words[0].rpartition("/")[2] in SHELLS and "-c" in words:
        return _words(words[-1])
    return [word.rstrip(";") for word in words]


def again(command, where):
    """The Again that a command is, or None when it writes no sysctls from files."""
    words = _words(command)
    names = [word.rpartition("/")[2] for word in words]
    place = next((place for place, name in enumerate(names) if name in PROGRAMS), None)
    if place is None:
        return None
    rest = words[place + 1:]
    prefixes = tuple(word.split("=", 1)[1] for word in rest if word.startswith("--prefix="))
    files = tuple(word for word in rest if word.endswith(".conf"))
    if names[place] == "sysctl" and not files and "--system" not in rest:
        files = ("/etc/sysctl.conf",) if set(rest) & {"-p", "--load", "-f"} else ("",)
    return Again(where, names[place], prefixes, files)


def find(files):
    """The Agains of several Files of rules, in the order given."""
    rules = ((file.path, rule) for file in files if "sysctl" in file.text for rule in parse(file.text))
    found = [again(command, "udev rule %s:%d" % (path, rule.line)) for path, rule in rules for command in commands(rule)]
    return [command for command in found if command]


def writes(command, files, keys, systemd_files):
    """The Writes that an Again makes. ``systemd_files`` are those of all directories, in order."""
    chosen = [file for file in files if file.path in command.files] if command.files else systemd_files
    made = _sysctld.effective(chosen, keys, command.program == "systemd-sysctl")
    return _sysctld.below(made, command.prefixes) if command.prefixes else made


def render(program, path, header=""):
    """Return the text of our rule, which writes values again whenever nf_conntrack appears.

    systemd-sysctl writes what all files together give (sysctl.d(5), second example); another
    ``program`` is taken for procps' sysctl, and writes those of the file ``path``.
    """
    lines = ["# " + line if line else "#" for line in header.splitlines()]
    systemd = program.endswith("/systemd-sysctl")
    run = " ".join([program] + ["--prefix=" + prefix for prefix in PREFIXES] if systemd else [program, "-q", "-e", "-p", path])
    lines.append('ACTION=="add", SUBSYSTEM=="module", KERNEL=="nf_conntrack", RUN+="%s"' % run)
    return "".join(line + "\n" for line in lines)

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Files of modprobe.d: text <-> lines, and what they mean for one module.

Pure: no files, no Ansible. Source: kmod's libkmod/libkmod-config.c and libkmod-module.c,
and the kernel's kernel/params.c for what a module does with the options it is given.
"""
import re
from fnmatch import fnmatchcase
from typing import NamedTuple, Optional

from ansible_collections.netfleet.conntrack.plugins.module_utils._cmdline import parameters as split
from ansible_collections.netfleet.conntrack.plugins.module_utils._cmdline import same
from ansible_collections.netfleet.conntrack.plugins.module_utils._kernelvalues import INT_MAX, boolean, unsigned

MODULE = "nf_conntrack"
# The parameters of nf_conntrack and what reads them; those that a kernel lacks are ignored by it.
PARAMETERS = {
    "hashsize": unsigned,
    "expect_hashsize": unsigned,
    "acct": boolean,
    "tstamp": boolean,
    "enable_hooks": boolean,
    "nf_conntrack_helper": boolean,
}
LOADERS = ("modprobe", "insmod")
LARGEST_HASH = INT_MAX // 8  # chains; nf_ct_alloc_hashtable() cannot have more


class Line(NamedTuple):
    """One line that kmod understands."""

    line: int  # the number of its last physical line, as kmod counts; 0: not from a file
    verb: str  # options, install, blacklist, alias or softdep
    module: str  # of an alias: the pattern
    rest: str = ""  # options, command, or the module that an alias stands for
    path: str = ""

    @property
    def where(self):
        return "%s:%d" % (self.path, self.line) if self.line else self.path


class Parameter(NamedTuple):
    """A parameter that a module is given when it loads."""

    name: str
    value: Optional[str]  # None: without "="
    where: str

    @property
    def source(self):
        """Who gives the parameter, as people write it."""
        shown = self.name if self.value is None else "%s=%s" % (self.name, self.value)
        return self.where + ("" if self.where.endswith(".") else " ") + shown


class Problem(NamedTuple):
    """A line that does not do what was meant. ``fatal``: the module does not load because of it."""

    where: str
    text: str
    fatal: bool = False

    def __str__(self):
        return "%s: %s" % (self.where, self.text)


NEEDS_REST = ("options", "install", "alias", "softdep")


def _joined(text):
    """Yield (number of the last physical line, text), with lines that end in a backslash put together."""
    whole = ""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if line.endswith("\\"):
            whole += line[:-1]
            continue
        yield number, whole + line
        whole = ""
    if whole:
        yield number, whole


def _words(line):
    """The verb, the module and the rest of a line, of which some may be empty."""
    return (line.replace("\t", " ").lstrip(" ").split(" ", 1) + [""])[:2]


def _line(number, text, path):
    verb, rest = _words(text)
    module, rest = _words(rest)
    if verb not in NEEDS_REST + ("blacklist",) or not module or (verb in NEEDS_REST and not rest):
        return None
    if verb == "alias" and not rest.strip(" "):
        return None
    rest = same(_words(rest)[0]) if verb == "alias" else "" if verb == "blacklist" else rest.strip(" ")
    return Line(number, verb, same(module), rest, path)


def parse(text, path=""):
    """Return the Lines of a file; comments, `remove` and what kmod does not understand are left out."""
    found = (_line(number, line, path) for number, line in _joined(text) if not line.startswith("#"))
    return [line for line in found if line]


def parse_all(files):
    """The Lines of several Files, in the order given."""
    return [line for file in files for line in parse(file.text, file.path)]


def options(text, module):
    """The (number of the line, words) of each options line for a module."""
    return [(line.line, line.rest.split()) for line in parse(text) if line.verb == "options" and line.module == module]


def render(module, given, header=""):
    """Return the text of a file that gives a module its (name, value) pairs, below ``header`` as a comment."""
    lines = ["# " + line if line else "#" for line in header.splitlines()]
    if given:
        lines.append(" ".join(["options", module] + ["%s=%s" % pair for pair in given]))
    return "".join(line + "\n" for line in lines)


def parameters(lines, module=MODULE):
    """The Parameters that all lines together give a module, in the order in which it reads them."""
    return [
        Parameter(same(name), value, line.where)
        for line in lines
        if line.verb == "options" and line.module == module
        for name, value in split(line.rest)
    ]


def _fault(name, value):
    """Why a parameter keeps nf_conntrack from loading, or an empty text."""
    read = PARAMETERS[name]
    if value is None:
        return "%s has no value (is there a blank before its \"=\"?)" % name if read is unsigned else ""
    if read(value) is None:
        blank = " (is there a blank after its \"=\"?)" if not value else ""
        return "%s=%s is no %s%s" % (name, value, "number" if read is unsigned else "switch", blank)
    return "%s=%s is more than any kernel can have" % (name, value) if "hash" in name and read(value) > LARGEST_HASH else ""


def parameter_problem(parameter):
    """The Problem with one Parameter of nf_conntrack, or None.

    A known parameter with a bad value makes the module fail to load, and with it all rules
    that need it; an unknown one is ignored (kernel/params.c, unknown_module_param_cb()).
    """
    where, name = parameter.where.rstrip("."), parameter.name
    if name not in PARAMETERS:
        return Problem(where, "nf_conntrack has no parameter \"%s\", it is ignored" % name)
    fault = _fault(name, parameter.value)
    return Problem(where, fault + ", and nf_conntrack does not load because of it", True) if fault else None


def value_of(found, name):
    """The (number, source) that a parameter is given last, or None where it is not given."""
    given = [parameter for parameter in found if parameter.name == name]
    if not given:
        return None
    text = given[-1].value
    return PARAMETERS[name]("1" if text is None else text), given[-1].source


def problems(lines):
    """The Problems of all lines that concern nf_conntrack."""
    found = [parameter_problem(parameter) for parameter in parameters(lines)]
    old = [line for line in lines if line.verb == "options" and line.module == "ip_conntrack"]
    found += [Problem(line.where, "options of ip_conntrack do not reach nf_conntrack, which it is called today") for line in old]
    return [problem for problem in found if problem]


def blacklist(lines, module):
    """Where `blacklist` names a module, or an empty text. It stops systemd-modules-load and aliases, not modprobe."""
    found = next((line for line in lines if line.verb == "blacklist" and line.module == module), None)
    return "%s blacklist %s" % (found.where, module) if found and found.line else found.where if found else ""


def stands_for(lines, name):
    """The module that a name stands for, and the line of the alias that says so (or an empty text)."""
    for line in lines:
        if line.verb == "alias" and fnmatchcase(name, line.module):
            return line.rest, line.where
    return name, ""


def install(lines, module):
    """The Line whose command runs in place of loading a module, or None; the first one counts."""
    return next((line for line in lines if line.verb == "install" and fnmatchcase(module, line.module)), None)


def install_parameters(line, module=MODULE):
    """The known Parameters that the command of an `install` line, or None, adds when it loads the module itself."""
    words = split(re.split("[;&|]", line.rest.partition(" " + module + " ")[2])[0]) if line else []
    return [Parameter(name, value, line.where) for name, value in words if name in PARAMETERS and value is not None]


def loads(command):
    """Tell whether the command of an `install` line loads the module after all, as far as its words tell."""
    return any(loader in command for loader in LOADERS)


def softdeps(lines, wanted):
    """The modules that bring one of the ``wanted`` with them by a softdep line."""
    lines = [line for line in lines if line.verb == "softdep"]
    return frozenset(line.module for line in lines if wanted & set(map(same, line.rest.split())))

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""How nf_conntrack comes into the kernel at the next boot: when, by whom, with which parameters.

Pure: no files, no Ansible. The order is that of a boot: built in, initramfs,
systemd-modules-load, and at last whoever needs it (a firewall's rules).
"""
from typing import NamedTuple, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _cmdline, _dropins, _initramfs, _modprobed, _modulesload
from ansible_collections.netfleet.conntrack.plugins.module_utils._modprobed import MODULE, Parameter

BUILTIN, INITRAMFS, EARLY, LATE, NEVER = "built in", "initramfs", "early", "late", "never"
COMMAND_LINE = "kernel command line"
LOAD_UNIT = "systemd-modules-load.service"


class System(NamedTuple):
    """What decides about modules in one of the two systems of a boot, the initramfs and the root."""

    lines: Tuple[_modprobed.Line, ...]  # of modprobe.d
    asked: Tuple[Tuple[_modulesload.Entry, bool], ...]  # what is loaded by name, and whether systemd does it
    pulls: frozenset  # names whose loading brings nf_conntrack


class Loading(NamedTuple):
    """How nf_conntrack is loaded."""

    stage: str
    by: str = ""  # what loads it before the sysctls are written
    prevented_by: str = ""
    parameters: Tuple[Parameter, ...] = ()
    problems: Tuple[str, ...] = ()
    command: str = ""  # of an `install` line that loads it
    command_where: str = ""


def command_line(inputs):
    """The parameters of the kernel's command line."""
    return _cmdline.parameters(inputs.cmdline)


def named(files, links=None):
    """Files under the names that people know them by: that of the file which a link points at."""
    return [file._replace(path=(links or {}).get(file.path, file.path)) for file in files]


def _pulls(lines, dependents):
    names = frozenset((MODULE,) + _modulesload.ALIASES) | dependents
    return names | _modprobed.softdeps(lines, names)


def _by_command_line(names):
    return [_modulesload.Entry(0, _cmdline.same(name), "", "%s modules_load=%s" % (COMMAND_LINE, name)) for name in names]


def _blacklisted(inputs):
    """The names that the command line blacklists, as kmod takes them: as if they were lines of a file."""
    names = _cmdline.modprobe_blacklist(command_line(inputs))
    return [_modprobed.Line(0, "blacklist", name, "", "%s modprobe.blacklist=%s" % (COMMAND_LINE, name)) for name in names]


def root(inputs):
    """The System of the root file system."""
    lines = _blacklisted(inputs) + _modprobed.parse_all(named(_dropins.ordered(_dropins.MODPROBE_D, inputs.files), inputs.links))
    files = list(_dropins.ordered(_dropins.MODULES_LOAD_D, inputs.files))
    if not inputs.systemd and _modulesload.ETC_MODULES not in [inputs.links.get(file.path) for file in files]:
        files.append(_dropins.File(_modulesload.ETC_MODULES, inputs.files.get(_modulesload.ETC_MODULES, "")))
    entries = _by_command_line(_cmdline.modules_load(command_line(inputs))) if inputs.systemd else []
    entries += _modulesload.parse_all(named(files, inputs.links))
    if LOAD_UNIT in inputs.masked_units:
        entries = []
    asked = tuple((entry, inputs.systemd) for entry in entries)
    return System(tuple(lines), asked, _pulls(lines, inputs.module_dependents))


def image(inputs):
    """The System of the initramfs, or None where none can load nf_conntrack."""
    if inputs.initramfs is None or not inputs.initramfs.has_module:
        return None
    lines = _blacklisted(inputs) + _modprobed.parse_all(_initramfs.ordered(inputs.initramfs, _dropins.MODPROBE_D))
    asked = tuple(_initramfs.asked(inputs.initramfs, command_line(inputs)))
    return System(tuple(lines), asked, _pulls(lines, inputs.module_dependents))


def _stopped(system, name, by_systemd):
    """What keeps a module from being loaded by name, or an empty text."""
    blacklisted = _modprobed.blacklist(system.lines, name) if by_systemd else ""
    if blacklisted:
        return blacklisted
    commands = [_modprobed.install(system.lines, module) for module in (name, MODULE)]
    stops = [line for line in commands if line and not _modprobed.loads(line.rest)]
    return "%s install %s %s" % (stops[0].where, stops[0].module, stops[0].rest) if stops else ""


def attempt(system):
    """The (entry that loads nf_conntrack or None, what prevents one that would) of a System."""
    prevented = ""
    for entry, by_systemd in system.asked:
        if entry.module not in system.pulls or (by_systemd and entry.options):
            continue
        name, alias = _modprobed.stands_for(system.lines, entry.module)
        stop = _stopped(system, name, by_systemd) if name in system.pulls else alias + " alias"
        if not stop:
            return entry, ""
        prevented = prevented or stop
    return None, prevented


def parameters(system, inputs, entry=None):
    """The Parameters in the order in which the module reads them: files, command line, options of the load."""
    given = _cmdline.module_parameters(command_line(inputs), MODULE)
    found = _modprobed.parameters(system.lines)
    found += [Parameter(name, value, COMMAND_LINE + " nf_conntrack.") for name, value in given]
    found += _modprobed.install_parameters(_modprobed.install(system.lines, MODULE))
    if entry and _cmdline.same(entry.module) == MODULE:
        found += [Parameter(_cmdline.same(name), value, entry.where) for name, value in _cmdline.parameters(entry.options)]
    return tuple(found)


def _faults(found):
    return [problem for problem in map(_modprobed.parameter_problem, found) if problem]


def _fatal(found):
    return next((str(problem) for problem in _faults(found) if problem.fatal), "")


def _stale(inside, outside, path):
    """Tell in words that the initramfs has other parameters than the root file system."""
    differ = [name for name in _modprobed.PARAMETERS if _number(inside, name) != _number(outside, name)]
    return ["%s was built with other options of nf_conntrack (%s): build it again" % (path, ", ".join(differ))] if differ else []


def _number(found, name):
    return (_modprobed.value_of(found, name) or (None,))[0]


def _of_builtin(inputs, system, problems):
    found = parameters(system._replace(lines=()), inputs)
    ignored = [str(line.where) + ": conntrack is built into this kernel, which takes options from its command line only"
               for line in system.lines if line.verb == "options" and line.module == MODULE]
    return Loading(BUILTIN, "built in", "", found, tuple(problems + ignored))


def _of_initramfs(inputs, system, problems):
    inner = image(inputs)
    entry = attempt(inner)[0] if inner else None
    found = parameters(inner, inputs, entry) if entry else ()
    if entry is None or _fatal(found):
        return None
    stale = _stale(found, parameters(system, inputs, entry), inputs.initramfs.path)
    return Loading(INITRAMFS, entry.where, "", found, tuple(problems + stale))


def _of_root(inputs, system, problems):
    entry, prevented = attempt(system)
    found = parameters(system, inputs, entry)
    never = _stopped(system, MODULE, False) or _fatal(found)
    if never:
        return Loading(NEVER, "", never, found, tuple(problems))
    line = _modprobed.install(system.lines, MODULE)
    command = (line.rest, line.where + " install") if line else ("", "")
    by = entry.where if entry else ""
    return Loading(EARLY if entry else LATE, by, prevented, found, tuple(problems), *command)


def _problems(inputs, system):
    given = [str(problem) for problem in _modprobed.problems(system.lines)]
    given += [str(problem) for problem in _faults(parameters(system._replace(lines=()), inputs))]
    entries = [entry for entry, dummy in system.asked if entry.module in system.pulls or entry.module in _modulesload.MERGED]
    texts = (_modulesload.problem(entry, inputs.version, inputs.systemd) for entry in entries)
    return given + [text for text in texts if text]


def loading(inputs):
    """Return the Loading of the next boot."""
    system = root(inputs)
    problems = _problems(inputs, system)
    if inputs.builtin:
        return _of_builtin(inputs, system, problems)
    if MODULE in _cmdline.module_blacklist(command_line(inputs)):
        return Loading(NEVER, "", COMMAND_LINE + " module_blacklist=" + MODULE, (), tuple(problems))
    return _of_initramfs(inputs, system, problems) or _of_root(inputs, system, problems)

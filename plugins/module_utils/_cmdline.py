# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The kernel's command line: which parameters it gives to whom.

Pure: no files, no Ansible. A parameter is a pair (name, value); the value is None where
there is no "=".
"""
BLANKS = " \t\n\v\f\r"
SYSCTL_PREFIXES = ("sysctl.", "sysctl/")
# As the init of dracut names what it loads first (modules.d/90kernel-modules/parse-kernel.sh).
DRIVERS_PRE = ("rd.driver.pre", "rdloaddriver")


def _end(text, start):
    """Where the argument that begins at ``start`` ends: at the first blank outside quotes."""
    quoted = False
    for place in range(start, len(text)):
        if text[place] in BLANKS and not quoted:
            return place
        if text[place] == '"':
            quoted = not quoted
    return len(text)


def _pair(argument):
    """Split an argument as next_arg() in lib/cmdline.c does: quotes around it or around its value are dropped."""
    whole = argument.startswith('"')
    if whole:
        argument = argument[1:-1] if argument.endswith('"') and len(argument) > 1 else argument[1:]
    place = argument.find("=", 1)  # a leading "=" separates nothing
    if place < 0:
        return argument, None
    value = argument[place + 1:]
    if value.startswith('"'):
        value = value[1:-1] if value.endswith('"') and len(value) > 1 else value[1:]
    return argument[:place], value


def parameters(text):
    """Split a command line, or the options of a module, into parameters, up to "--", as parse_args() does."""
    found, start = [], 0
    while start < len(text):
        if text[start] in BLANKS:
            start += 1
            continue
        end = _end(text, start)
        pair = _pair(text[start:end])
        if pair == ("--", None):
            break
        found.append(pair)
        start = end
    return found


def same(name):
    """A name as it is compared: "-" and "_" are one."""
    return name.replace("-", "_")


def module_parameters(parameters, module):
    """The parameters of one module, given as module.name=value."""
    split = ((name.partition("."), value) for name, value in parameters)
    return [(same(parts[2]), value) for parts, value in split if same(parts[0]) == module and parts[2]]


def sysctls(parameters):
    """The (key, text) of each sysctl.key=value, which kernels from 5.8 on write before the first program runs.

    Keys of modules do not exist by then. Source: do_sysctl_args() in fs/proc/proc_sysctl.c.
    """
    given = [(name, value) for name, value in parameters if name.startswith(SYSCTL_PREFIXES) and value]
    return [(name[len("sysctl."):].replace("/", "."), value) for name, value in given]


def _lists(parameters, names):
    found = [value.split(",") for name, value in parameters if same(name) in names and value]
    return [item for items in found for item in items if item]


def modules_load(parameters, initramfs=False):
    """The modules that systemd-modules-load is told to load; ``initramfs`` tells which system asks."""
    return _lists(parameters, ("modules_load",) + (("rd.modules_load",) if initramfs else ()))


def drivers_pre(parameters):
    """The modules that the init of dracut loads before udev starts."""
    return _lists(parameters, DRIVERS_PRE)


def module_blacklist(parameters):
    """The modules that the kernel itself refuses to load (kernel/module/main.c: blacklisted())."""
    return _lists(parameters, ("module_blacklist",))


def modprobe_blacklist(parameters):
    """The modules that kmod treats as if a `blacklist` line named them."""
    return _lists(parameters, ("modprobe.blacklist",))

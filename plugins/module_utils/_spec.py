# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What users may ask for: argument specs and checks of a request, all from the catalogue.

Pure: no files, no Ansible.
"""
import re

from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME, INT_MAX, SECONDS_MAX, settable

AUTO = "auto"
TRUTH = {True: "true", False: "false"}
GROUPS = ("table", "timeouts", "tracking")
# What the option "table" holds besides settings: (type, default, low, high). The default is taken where nothing is
# given, by sizing(), and not by the argument spec, which would hide what a profile gives.
SIZING = {
    "memory_share": ("float", 0.05, 0.0001, 0.9),
    "load_factor": ("float", 1.0, 0.125, 8.0),
    "never_lower": ("bool", False, None, None),
    "per_cpu": ("int", None, 1, INT_MAX),
    "connections_per_second": ("int", None, 1, INT_MAX),
    "mean_life": ("int", None, 1, SECONDS_MAX),
}
# What `max: auto` may be worked out from, instead of from memory alone.
TARGETS = ("per_cpu", "connections_per_second", "mean_life")
# option, what it is nothing without, and what that is
PAIR = (
    ("connections_per_second", "mean_life", "seconds for which a connection is in the table"),
    ("mean_life", "connections_per_second", "connections that begin in a second"),
)


def settings_spec():
    """The argument spec of the module C(settings)."""
    spec = {group: {"type": "dict", "options": group_spec(group)} for group in GROUPS}
    spec["at_boot"] = {"type": "bool", "default": True}
    spec["state"] = {"type": "str", "default": "present", "choices": ["present", "absent"]}
    return spec


def group_spec(group):
    """The options of one group of settings; sizes are texts because they may be C(auto)."""
    options = {s.name: {"type": "str" if group == "table" else s.type} for s in settable(group)}
    if group == "table":
        options.update((name, {"type": row[0]}) for name, row in SIZING.items())
    return options


def requested(options):
    """What is asked for: a dict of name to number, ``AUTO``, or whatever else was given, in catalogue order."""
    found = {}
    for group in GROUPS:
        given = options.get(group)
        if isinstance(given, dict):
            found.update((s.name, _number(s, given[s.name])) for s in settable(group) if given.get(s.name) is not None)
    return found


def sizing(options):
    """The values that steer ``auto``: as given, or by default where nothing sound is given."""
    return {name: _given(options, name) if _sound(name, _given(options, name)) else row[1] for name, row in SIZING.items()}


def _given(options, name):
    table = options.get("table")
    found = table.get(name) if isinstance(table, dict) else None
    return SIZING[name][1] if found is None else found


def _sound(name, value):
    kind, default, low, high = SIZING[name]
    if low is None or value is default:
        return True
    kinds = (int, float) if kind == "float" else int
    return isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high


def problems(options):
    """Yield a text for everything in a request that no kernel would take."""
    for name, value in requested(options).items():
        text = _problem(BY_NAME[name], value)
        if text:
            yield text
    for name in SIZING:
        if not _sound(name, _given(options, name)):
            yield "table.%s: %s is not between %s and %s" % ((name, _given(options, name)) + SIZING[name][2:])
    yield from _target_problems(options)


def _target_problems(options):
    """What is missing for a target to be one."""
    given = [name for name in TARGETS if _given(options, name) is not None]
    found = requested(options).get("max")
    if given and found != AUTO:
        yield "table.%s: only table.max: auto is worked out from it, and table.max is %s; say auto, or leave it out" % (
            " and table.".join(given), "not given" if found is None else found)
    for name, other, meaning in PAIR:
        if name in given and other not in given:
            yield "table.%s: say table.%s as well, the %s" % (name, other, meaning)


def option(setting):
    """The path of the option that holds a setting, as users write it."""
    return "%s.%s" % (setting.group, setting.name)


def _number(setting, value):
    if isinstance(value, bool):
        # YAML takes yes and on for true; as a number of seconds that would be one.
        return int(value) if setting.type == "bool" else TRUTH[value]
    # Decimal digits only: the kernel would read 0x10 as 16 and 010 as 8.
    return int(value) if re.match(r"-?[0-9]+\Z", str(value)) else value


def _problem(setting, value):
    if value == AUTO and setting.group == "table":
        return None
    low, high = setting.bounds
    if not isinstance(value, int):
        return _no_number(setting, value)
    if low <= value <= high:
        return None
    unit = " " + setting.unit if setting.unit else ""
    return "%s: %d is not between %d and %d%s%s" % (option(setting), value, low, high, unit, _why_not(setting, value))


def _no_number(setting, value):
    if setting.group == "table":
        return "%s: %s is not a whole number or auto" % (option(setting), value)
    # Other texts than these were refused by the argument spec.
    return "%s: %s is not a whole number" % (option(setting), value) if value in TRUTH.values() else None


def _why_not(setting, value):
    if setting.unit == "seconds" and value < 1:
        return " (the kernel would accept it and track nothing in that state)"
    if setting.name == "max" and value == 0:
        return " (0 means no limit on older kernels and is refused by newer ones)"
    return ""

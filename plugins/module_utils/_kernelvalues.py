# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What the kernel makes of a text that is written to one of its settings or given to a module.

Pure: no files, no Ansible.
"""
import re

INT_MAX = 2147483647
UINT_MAX = 4294967295
ULONG_MAX = (1 << 64) - 1
ANY = (-INT_MAX - 1, INT_MAX)

# (first kernel, least, most) that a kernel accepts, where it is not what the type says.
LIMITS = {
    "max": (((0, 0),) + ANY, ((6, 15), 0, INT_MAX), ((6, 19), 1, INT_MAX)),
    "buckets": (((0, 0), 1, INT_MAX // 8),),
    "expect_max": (((0, 0),) + ANY, ((6, 15), 1, INT_MAX)),
    "events": (((0, 0),) + ANY, ((5, 13), 0, 1), ((5, 19), 0, 2)),
    "log_invalid": (((0, 0), 0, 255),),
    "tcp_max_retrans": (((0, 0),) + ANY, ((5, 13), 0, 255)),
    "frag6_high_thresh": (((0, 0), 0, ULONG_MAX),),
    "frag6_low_thresh": (((0, 0), 0, ULONG_MAX),),
}
SWITCH = (((0, 0),) + ANY, ((5, 13), 0, 1))

# A number with its base as C writes it (lib/kstrtox.c); a second one after a blank is not looked at.
NUMBER = re.compile(r"(-?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))(?=[ \t\n]|$)")
TRUE = ("y", "Y", "1", "t", "T")
FALSE = ("n", "N", "0", "f", "F")


def number(text):
    """The number that ``text`` stands for in a file below /proc/sys, or None: 0x10 is 16, 010 is 8, "5 6" is 5.

    Source: proc_get_long() in kernel/sysctl.c.
    """
    found = NUMBER.match(text.lstrip(" \t\n\v\f\r"))
    if not found:
        return None
    sign, hexadecimal, octal, decimal = found.groups()
    value = int(hexadecimal or octal or decimal, 16 if hexadecimal else 8 if octal else 10)
    return -value if sign else value


def unsigned(text):
    """The number that ``text`` stands for as a parameter of a module (kstrtouint), or None."""
    digits = text[1:] if text.startswith("+") else text
    found = NUMBER.match(digits)
    if not found or found.group(1) or found.end() != len(digits.rstrip("\n")):
        return None
    value = number(digits)
    return value if value <= UINT_MAX else None


def boolean(text):
    """0 or 1 as a switch of a module reads ``text`` (kstrtobool, which looks at one or two letters), or None."""
    if text[:1] in TRUE or text[:2].lower() == "on":
        return 1
    if text[:1] in FALSE or text[:2].lower() == "of":
        return 0
    return None


def _rows(setting, hertz):
    if setting.unit == "seconds":
        return (((0, 0), -(INT_MAX // hertz), INT_MAX // hertz),)
    return LIMITS.get(setting.name) or (SWITCH if setting.type == "bool" else (((0, 0),) + ANY,))


def limits(setting, version, hertz):
    """The (least, most) that a kernel accepts for a setting; it is not always sense that it accepts.

    Times are kept as ticks, of which there are ``hertz`` a second.
    """
    return [row[1:] for row in _rows(setting, hertz) if row[0] <= version][-1]


def accepted(setting, text, version, hertz):
    """The number that writing ``text`` gives the setting, or None where the kernel refuses it."""
    value = number(text)
    least, most = limits(setting, version, hertz)
    return value if value is not None and least <= value <= most and setting.access == "rw" else None

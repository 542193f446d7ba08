# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""What hosts say, made harmless before it gets into a report: whole texts, plain numbers, lists with an end.

A host that was broken into answers what it likes. What would not survive XML, a terminal or JSON is shown as an escape
(C(\\x1b), C(\\u202e)), so that each form of the report has only to escape its own syntax. Pure.
"""
from __future__ import annotations

import math
import re

# Control characters but for tab and line feed, lone surrogates, what turns the direction of writing, what cannot be seen, and what XML 1.0 has not.
HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]"
)
LONGEST = 4000  # characters of a text
MOST = 10000  # rows of a list
ROOM = 4 * 1024 ** 2  # characters of all texts of one host
CUT = "... (%d more characters)"
BIGGEST = 2 ** 63


class Misshapen(ValueError):
    """A result that is not what the module gives; the text names the place."""


def escaped(match):
    """A harmful character, as Python writes it."""
    number = ord(match.group())
    return ("\\x%02x" if number < 256 else "\\u%04x" if number < 65536 else "\\U%08x") % number


class Cleaner:
    """Gives clean copies. Texts that are alike become one, so that a thousand hosts take little memory."""

    def __init__(self):
        self._known = {}
        self._room = ROOM

    def begin(self):
        """Another host begins, with as much room as each has."""
        self._room = ROOM

    def text(self, value):
        """A text; what is none is shown as Python shows it, and None is an empty one. Raises Misshapen where there is no room left."""
        if value is None:
            return ""
        given = value if isinstance(value, str) else as_text(value)
        found = self._known.get(given)
        if found is None:
            plain = str.__str__(given[:LONGEST])
            found = HARMFUL.sub(escaped, plain) + (CUT % (len(given) - LONGEST) if len(given) > LONGEST else "")
            self._known[found if found == given else given] = found
        self._room -= len(found)
        if self._room < 0:
            raise Misshapen("its texts have over %d characters" % ROOM)
        return found

    def scalar(self, value):
        """A number, a switch, a text or None; anything else as a text."""
        if value is None or isinstance(value, bool):
            return value
        return number(value) if isinstance(value, (int, float)) else self.text(value)

    def texts(self, value, where):
        """A list of texts."""
        return [self.text(each) for each in listed(value, where)]

    def rows(self, value, fields, where):
        """A list of rows; ``fields`` maps a name to what cleans it: a method of this class by its name, or a function."""
        return [self.row(each, fields, where) for each in listed(value, where)]

    def row(self, value, fields, where):
        """One row, with all fields and no others."""
        given = mapped(value, where)
        return {name: (getattr(self, how) if isinstance(how, str) else how)(given.get(name)) for name, how in fields.items()}

    def scalars(self, value):
        """A mapping of texts to scalars, such as the settings of an owner or one row of another module."""
        if not isinstance(value, dict):
            return {}
        return {self.text(name): self.scalar(each) for name, each in list(value.items())[:MOST]}

    def numbers(self, value):
        """A mapping of texts to whole numbers; what is no number is left out."""
        if not isinstance(value, dict):
            return {}
        found = {self.text(name): whole(each) for name, each in list(value.items())[:MOST]}
        return {name: each for name, each in found.items() if each is not None}


def as_text(value):
    """What is no text as Python shows it; what Python will not show, as a word for that."""
    try:
        return str(value)
    except (RecursionError, ValueError):  # nested too deep; an integer of thousands of digits
        return "(too large to be shown)"


def number(value):
    """A number that every reader of JSON can have, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -BIGGEST < value < BIGGEST:
        return None
    plain = float(value) if isinstance(value, float) else int(value)
    return plain if math.isfinite(plain) else None


def whole(value):
    """A whole number, else None."""
    return number(value) if isinstance(value, int) else None


def switch(value):
    """True, False or, for anything else, None."""
    return value if isinstance(value, bool) else None


def listed(value, where):
    """A list; None is an empty one. Raises Misshapen."""
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise Misshapen("%s is no list" % where)
    if len(value) > MOST:
        raise Misshapen("%s has over %d rows" % (where, MOST))
    return value


def mapped(value, where):
    """A mapping. Raises Misshapen."""
    if not isinstance(value, dict):
        raise Misshapen("%s has what is no mapping" % where)
    return value

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This file is private to the collection.
"""Words and numbers of the HTML page: what hosts say made fit to be seen, and numbers as people read them. Pure."""
from __future__ import annotations

import time

from ansible_collections.netfleet.conntrack.plugins.plugin_utils._report_clean import HARMFUL, escaped

TEXT, ROWS = 600, 200  # most characters of a text and rows of a list that the page shows; report.json has all
NOTHING = "\u2013"
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def clean(value, known=None):
    """A copy of plain data of which every text, keys too, is short and shows each of its characters.

    ``known``: texts and what has become of them, for a thousand hosts say the same.
    """
    known = {} if known is None else known
    if isinstance(value, str):
        return known.get(value) or known.setdefault(value, _text(value))
    if isinstance(value, dict):
        return {clean(key, known): clean(each, known) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(each, known) for each in value]
    return value


def _text(text):
    rest = len(text) - TEXT
    seen = HARMFUL.sub(escaped, text[:TEXT])
    return "%s \u2026 (%s more characters in report.json)" % (seen, number(rest)) if rest > 0 else seen


def first(rows):
    """As many rows as the page shows, and the words for those that it does not."""
    rows = rows or []
    rest = len(rows) - ROWS
    return rows[:ROWS], "%s more in report.json" % number(rest) if rest > 0 else ""


def shown(value):
    """A scalar as the documents write it."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "true" if value else "false"
    return "%.4g" % value if isinstance(value, float) else str(value)


def number(value):
    """12345678 as 12,345,678, and a fraction with what it has of weight."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return shown(value)
    if isinstance(value, float) and abs(value) < 100:
        return "%.3g" % value
    return "{:,}".format(round(value)) if abs(value) < 1e18 else str(value)


def count(value, one, many=None):
    """3 and ``router`` as ``3 routers``."""
    return "%s %s" % (number(value), one if value == 1 else many or one + "s")


def percent(share):
    """0.973 as 97 %; what is less than one keeps a digit."""
    if share is None:
        return NOTHING
    return "%.*f %%" % (0 if share >= 0.0995 or not share else 1, 100 * share)


def size(octets):
    """Bytes in the largest unit of which there is at least one."""
    if octets is None:
        return NOTHING
    place = min(max(int(octets).bit_length() - 1, 0) // 10, len(UNITS) - 1)
    return "%.3g %s" % (octets / 1024 ** place, UNITS[place])


def span(seconds):
    """Seconds in words: 90 minutes, 25 hours, 3 days."""
    for length, word in ((86400 * 2, "day"), (3600 * 2, "hour"), (120, "minute")):
        if seconds >= length:
            return count(round(seconds / {"day": 86400, "hour": 3600, "minute": 60}[word]), word)
    return count(round(seconds), "second")


def until(days):
    """Days until the table is full, in words."""
    if days is None:
        return NOTHING
    return "now" if days <= 0 else "< 1 day" if days < 1 else "> 10 years" if days > 3650 else count(int(days), "day")


def moment(written):
    """2026-11-21T17:30:00Z as 21 November 2026, 17:30 UTC; another text as it is."""
    try:
        return time.strftime("%d %B %Y, %H:%M UTC", time.strptime(written, "%Y-%m-%dT%H:%M:%SZ")).lstrip("0")
    except (TypeError, ValueError):
        return shown(written)

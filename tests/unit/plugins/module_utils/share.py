# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit tests run on the oldest and on the newest Python; each tries half of what takes long, and both together all of it."""
import sys

NEWEST = sys.version_info >= (3, 12)


def half(items):
    """Every other item, which are other ones on the other Python."""
    return list(items)[NEWEST::2]

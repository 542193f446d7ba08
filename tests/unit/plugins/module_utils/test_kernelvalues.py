# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the kernel reads numbers, and which it refuses."""
import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _kernelvalues
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME, CATALOGUE

# text: (written below /proc/sys, given to a module as a number, given as a switch)
TEXTS = {
    "0": (0, 0, 0), "1": (1, 1, 1), "16": (16, 16, 1), "-1": (-1, None, None), "0x10": (16, 16, 0), "0X1f": (31, 31, 0),
    "010": (8, 8, 0), "08": (None, None, 0), "0x": (None, None, 0), "": (None, None, None), "5 6": (5, None, None),
    "5 # why": (5, None, None), " 5": (5, None, None), "+5": (None, 5, None), "5k": (None, None, None), "yes": (None, None, 1),
    "off": (None, None, 0), "On": (None, None, 1), "o": (None, None, None), "4294967296": (4294967296, None, None),
}


@pytest.mark.parametrize("text", sorted(TEXTS))
def test_texts(text):
    assert (_kernelvalues.number(text), _kernelvalues.unsigned(text), _kernelvalues.boolean(text)) == TEXTS[text]


@pytest.mark.parametrize("setting", [s for s in CATALOGUE if s.access == "rw"], ids=lambda setting: setting.name)
@pytest.mark.parametrize("version", [(4, 18), (5, 10), (5, 15), (6, 1), (6, 12), (6, 18), (7, 0)])
def test_what_the_catalogue_allows_the_kernel_accepts(setting, version):
    least, most = _kernelvalues.limits(setting, version, 1000)
    high = min(setting.bounds[1], 1) if setting.name == "events" and version < (5, 19) else setting.bounds[1]
    assert least <= setting.bounds[0]
    assert high <= most


ACCEPTED = {
    "zero is no limit": ("max", "0", (6, 12), 0),
    "zero is refused": ("max", "0", (6, 19), None),
    "a time too long": ("tcp_timeout_established", "8589935", (6, 18), None),
    "the longest time": ("tcp_timeout_established", "8589934", (6, 18), 8589934),
    "a negative time": ("udp_timeout", "-1", (6, 18), -1),
    "a switch beyond one": ("acct", "2", (6, 1), None),
    "a switch of old kernels": ("acct", "2", (5, 10), 2),
    "automatic events": ("events", "2", (5, 19), 2),
    "automatic events too early": ("events", "2", (5, 15), None),
    "no table": ("buckets", "0", (6, 1), None),
    "the count": ("count", "5", (6, 1), None),
    "no number": ("max", "many", (6, 1), None),
}


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_accepted(name):
    setting, text, version, value = ACCEPTED[name]
    assert _kernelvalues.accepted(BY_NAME[setting], text, version, 250) == value

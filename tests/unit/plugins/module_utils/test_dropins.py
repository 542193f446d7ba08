# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of several *.d directories are read, and in which order."""
import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils._dropins import SYSCTL_D, UDEV_RULES_D, ordered

CASES = {
    "none": ({}, []),
    "by name, whatever the directory": (
        {"/usr/lib/sysctl.d/10-a.conf": "1", "/etc/sysctl.d/05-z.conf": "2", "/run/sysctl.d/99-b.conf": "3"},
        ["/etc/sysctl.d/05-z.conf", "/usr/lib/sysctl.d/10-a.conf", "/run/sysctl.d/99-b.conf"],
    ),
    "the first directory wins": (
        {"/lib/sysctl.d/a.conf": "1", "/usr/lib/sysctl.d/a.conf": "2", "/run/sysctl.d/a.conf": "3"},
        ["/run/sysctl.d/a.conf"],
    ),
    "a mask hides": ({"/usr/lib/sysctl.d/a.conf": "1", "/etc/sysctl.d/a.conf": ""}, []),
    "an empty file of low priority hides nothing": (
        {"/usr/lib/sysctl.d/a.conf": "", "/etc/sysctl.d/a.conf": "1"}, ["/etc/sysctl.d/a.conf"],
    ),
    "in bytes: capitals before small letters, digits before both": (
        dict.fromkeys(["/etc/sysctl.d/%s.conf" % name for name in ("b", "B", "9", "\u00e9", "zz")], "1"),
        ["/etc/sysctl.d/%s.conf" % name for name in ("9", "B", "b", "zz", "\u00e9")],
    ),
    "other suffixes, hidden files and other directories are not read": (
        {"/etc/sysctl.d/README": "1", "/etc/sysctl.d/.a.conf": "1", "/etc/sysctl.conf": "1", "/etc/sysctl.d/x/a.conf": "1"}, [],
    ),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_order(name):
    files, paths = CASES[name]
    assert [file.path for file in ordered(SYSCTL_D, files)] == paths


def test_ours_is_read_last():
    files = dict.fromkeys(["/etc/sysctl.d/zz-netfleet-conntrack.conf", "/etc/sysctl.d/99-sysctl.conf", "/lib/sysctl.d/99-z.conf"], "1")
    assert ordered(SYSCTL_D, files)[-1].path == "/etc/sysctl.d/zz-netfleet-conntrack.conf"


def test_rules_of_udev():
    files = {"/etc/udev/rules.d/a.rules": "1", "/etc/udev/rules.d/a.conf": "1"}
    assert [file.path for file in ordered(UDEV_RULES_D, files, ".rules")] == ["/etc/udev/rules.d/a.rules"]

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of udev that write sysctls again when nf_conntrack appears."""
import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _udev
from ansible_collections.netfleet.conntrack.plugins.module_utils._dropins import File

ADD = 'ACTION=="add", SUBSYSTEM=="module", KERNEL=="nf_conntrack", '
SYSTEMD = "/usr/lib/systemd/systemd-sysctl"
OURS = _udev.render(SYSTEMD, "/etc/sysctl.d/zz.conf", "Ours.")

# rule: (program, prefixes, files) of what it runs, or None
RULES = {
    OURS: ("systemd-sysctl", _udev.PREFIXES, ()),
    _udev.render("/sbin/sysctl", "/etc/sysctl.d/zz.conf"): ("sysctl", (), ("/etc/sysctl.d/zz.conf",)),
    ADD + 'RUN+="/lib/systemd/systemd-sysctl"': ("systemd-sysctl", (), ()),
    ADD + 'RUN+="/sbin/sysctl --system"': ("sysctl", (), ()),
    ADD + 'RUN+="/sbin/sysctl -p"': ("sysctl", (), ("/etc/sysctl.conf",)),
    ADD + "RUN+=\"/bin/sh -c 'sleep 1; sysctl -p /etc/sysctl.d/a.conf; true'\"": ("sysctl", (), ("/etc/sysctl.d/a.conf",)),
    ADD + 'RUN{program}="/sbin/sysctl --system"': ("sysctl", (), ()),
    ADD + '\\\n  RUN+="/sbin/sysctl --system"': ("sysctl", (), ()),
    'ACTION!="remove",KERNEL=="nf_*|x",RUN+="/sbin/sysctl --system"': ("sysctl", (), ()),
    ADD + 'RUN+="/sbin/sysctl -w net.netfilter.nf_conntrack_max=5"': ("sysctl", (), ("",)),
    ADD + 'RUN+="/usr/bin/logger loaded"': None,
    ADD + "RUN+=\"/bin/sh -c 'sysctl\"": None,
    ADD + 'ENV{X}=="1", RUN+="/sbin/sysctl --system"': None,
    'ACTION=="remove", KERNEL=="nf_conntrack", RUN+="/sbin/sysctl --system"': None,
    'ACTION=="add", SUBSYSTEM=="net", RUN+="/sbin/sysctl --system"': None,
    'KERNEL=="br_netfilter", RUN+="/sbin/sysctl --system"': None,
    "# " + ADD + 'RUN+="/sbin/sysctl --system"': None,
    'SUBSYSTEM=="module", GOTO="sysctl"': None,
    "": None,
}


@pytest.mark.parametrize("text", sorted(RULES))
def test_rule(text):
    found = _udev.find([File("f", text)])
    assert [again[1:] for again in found] == ([RULES[text]] if RULES[text] else [])


def test_the_rule_is_named_by_its_first_line():
    assert _udev.find([File("f", "# x\n\n" + ADD + '\\\n RUN+="sysctl --system"')])[0].where == "udev rule f:3"
    assert OURS.startswith("# Ours.\n")


WRITES = {
    "prefixes": (_udev.Again("", "systemd-sysctl", ("/net/netfilter",)), ["1"]),
    "all": (_udev.Again("", "systemd-sysctl"), ["1", "2"]),
    "one file": (_udev.Again("", "sysctl", (), ("/etc/other.conf",)), ["3"]),
    "no file": (_udev.Again("", "sysctl", (), ("",)), []),
}


@pytest.mark.parametrize("name", sorted(WRITES))
def test_writes(name):
    command, values = WRITES[name]
    normal = [File("/etc/sysctl.d/a.conf", "net.netfilter.x=1\nvm.y=2")]
    every = normal + [File("/etc/other.conf", "net.netfilter.x=3")]
    assert [write.value for write in _udev.writes(command, every, (), normal)] == values

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's command line."""
import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _cmdline

SPLIT = {
    "": [],
    " \n": [],
    "quiet root=/dev/vda1 ro\n": [("quiet", None), ("root", "/dev/vda1"), ("ro", None)],
    'a="b c" d': [("a", "b c"), ("d", None)],
    '"a=b c" d': [("a", "b c"), ("d", None)],
    'a=b" "c': [("a", 'b" "c')],
    'a="b': [("a", "b")],
    "a=b=c": [("a", "b=c")],
    "=b a=": [("=b", None), ("a", "")],
    "a -- b=c": [("a", None)],
    "a --=b": [("a", None), ("--", "b")],
}


@pytest.mark.parametrize("text", sorted(SPLIT))
def test_split(text):
    assert _cmdline.parameters(text) == SPLIT[text]


LINE = _cmdline.parameters(
    "nf_conntrack.hashsize=5 nf-conntrack.expect-hashsize=6 nf_conntrack.enable_hooks nf_conntrack_ftp.ports=21 "
    "sysctl.net.netfilter.nf_conntrack_max=7 sysctl/net/nf_conntrack_max=8 sysctl.x sysctlnet=1 "
    "modules_load=a,b modules-load=c rd.modules-load=d rd.driver.pre=e,f rdloaddriver=g "
    "module_blacklist=h,nf_conntrack modprobe.blacklist=i"
)


def test_module_parameters():
    assert _cmdline.module_parameters(LINE, "nf_conntrack") == [("hashsize", "5"), ("expect_hashsize", "6"), ("enable_hooks", None)]


def test_sysctls():
    assert _cmdline.sysctls(LINE) == [("net.netfilter.nf_conntrack_max", "7"), ("net.nf_conntrack_max", "8")]


@pytest.mark.parametrize("found, names", [
    (_cmdline.modules_load(LINE), ["a", "b", "c"]),
    (_cmdline.modules_load(LINE, True), ["a", "b", "c", "d"]),
    (_cmdline.drivers_pre(LINE), ["e", "f", "g"]),
    (_cmdline.module_blacklist(LINE), ["h", "nf_conntrack"]),
    (_cmdline.modprobe_blacklist(LINE), ["i"]),
], ids=["modules_load", "in the initramfs", "drivers_pre", "module_blacklist", "modprobe_blacklist"])
def test_lists(found, names):
    assert found == names

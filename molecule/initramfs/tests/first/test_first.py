# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The initramfs loaded the module with its hash size of 20480."""

SIZES = "sysctl -n net.netfilter.nf_conntrack_buckets net.netfilter.nf_conntrack_max; cat /sys/module/nf_conntrack/parameters/hashsize"


def test_initramfs_holds_the_module_and_its_options(host):
    held = host.check_output("lsinitramfs /boot/initrd.img-$(uname -r)")
    assert "/nf_conntrack.ko" in held and "etc/modprobe.d/zz-netfleet-conntrack.conf" in held


def test_nobody_else_had_to_load_it(host):
    """systemd says what it inserts; the module was there before."""
    assert "nf_conntrack" not in host.check_output("journalctl -b --no-pager -u systemd-modules-load")


def test_sizes(host):
    assert host.check_output(SIZES).split() == ["20480", "20480", "20480"]

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After absent: the first values, and nothing of ours."""


BOOT_ONLY = "/sys/module/nf_conntrack/parameters/expect_hashsize"


def test_running_values_are_the_first_ones(now, first):
    """The kernel takes the hash size of expectations only when it loads the module."""
    assert {**now, BOOT_ONLY: first[BOOT_ONLY]} == first


def test_nothing_of_ours_is_left(host):
    assert host.run("find /etc /var/lib -name '*netfleet*conntrack*'").stdout == ""
    assert "netfleet" not in host.check_output("nft list ruleset; systemctl list-units --all")

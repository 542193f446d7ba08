# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After absent: no NAT, and nothing of ours."""

from conftest import CLIENT


def test_addresses_are_the_client_s(lan):
    assert [lan.source(port, source_port=6000)[0] for port in (80, 81, 8080)] == [CLIENT] * 3


def test_nothing_of_ours_is_left(host):
    assert host.run("find /etc /var/lib -name '*netfleet*conntrack*'").stdout == ""
    assert "netfleet" not in host.check_output("nft list ruleset; iptables-save; ip6tables-save; systemctl list-units --all").lower()

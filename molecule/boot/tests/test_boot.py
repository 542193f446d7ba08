# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After the reboot the values hold for which a line in sysctl.d was not enough, and tracking is on."""

from pathlib import Path

import yaml

WANTED = yaml.safe_load((Path(__file__).parents[1] / "vars/case.yml").read_text())["wanted"]
TRACKED = """
    conntrack -F 2>/dev/null
    ping -q -c 1 -W 5 127.0.0.1 >/dev/null
    ping -q -c 1 -W 5 ::1 >/dev/null
    conntrack -L -f ipv4 -p icmp -s 127.0.0.1 2>/dev/null | grep -c .
    conntrack -L -f ipv6 -p icmpv6 -s ::1 2>/dev/null | grep -c .
"""


def test_values_hold(host):
    told = host.check_output(f"sysctl {' '.join(WANTED)}; cat /sys/module/nf_conntrack/parameters/hashsize")
    assert told.splitlines() == [*(f"{key} = {value}" for key, value in WANTED.items()), "131072"]


def test_tracking_is_on(host):
    assert host.run(TRACKED).stdout.split() == ["1", "1"]


def test_rule_is_of_the_backend_that_was_asked_for(host):
    nftables = "netfleet_conntrack" in host.check_output("nft list tables")
    iptables = host.run("iptables -t raw -S; ip6tables -t raw -S").stdout.count("-N NETFLEET")
    assert (nftables, iptables) == ((False, 2) if "bookworm" in host.backend.hostname else (True, 0))

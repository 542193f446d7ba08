# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After a power cut: rules and tracking are there before the network, and again after a firewall has loaded its own rules."""

import subprocess
import sys
import time

import pytest
from conftest import CLIENT, ROUTER, SPARE, VM


@pytest.fixture(scope="session", autouse=True)
def _power_cut(guests, lans):
    """Reset the guests, side by side, and wait until they answer; the server listens all the while."""
    for lan in lans.values():
        lan.listener(8080)
    runs = [subprocess.Popen([sys.executable, VM / "vm.py", "power-cut", guest]) for guest in guests]
    assert [run.wait() for run in runs] == [0 for dummy in guests]


def decided(lan):
    """What the server sees is as the rules say, from first to last."""
    pool, free, rest = (lan.source(port)[0] for port in (80, 81, 8081))
    return (pool, free, rest) == (SPARE, CLIENT, ROUTER)


def test_rules_are_there_before_the_network(host):
    rules = host.check_output("cat /run/rules-at-start")
    assert ("NETFLEET_SNAT" if "bookworm" in host.backend.hostname else 'comment "pool: one address, some ports"') in rules


def test_connection_of_the_first_moment_survives_a_newcomer(lan):
    """It was opened as soon as network-pre.target was reached, and has been silent since."""
    early, source = lan.accept(8080)
    assert source == (ROUTER, 40000)
    address, port = lan.source(8080, source_port=40000)
    assert address == ROUTER and port != 40000
    early.sendall(b"still here")
    assert early.recv(100) == b"still here"


def test_rules_decide(lan):
    assert decided(lan)


@pytest.mark.parametrize("service", ["nftables", "netfilter-persistent"])
def test_rules_are_back_after_a_firewall_has_loaded_its_own(host, lan, service):
    host.check_output(f"systemctl restart {service}")
    deadline = time.monotonic() + 15
    while not decided(lan) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert decided(lan)

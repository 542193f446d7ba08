# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After the first run: Ansible's own connection has lived through it, and the server sees what the rules say."""

from conftest import CLIENT, ROUTER, SPARE


def test_the_connection_that_carried_ansible_is_still_the_same(host):
    """Nothing was tracked when it began, and now the management interface has random_fully."""
    assert host.check_output("echo $SSH_CONNECTION") == host.check_output("cat /root/first-contact")


def test_the_connection_that_carried_ansible_is_tracked(host):
    client, port, address, ssh = host.check_output("cat /root/first-contact").split()
    assert host.run(f"conntrack -G -p tcp -s {client} --sport {port} -d {address} --dport {ssh}").rc == 0


def test_pool(lan):
    sources = [lan.source(80) for dummy in range(30)]
    assert {address for address, dummy in sources} == {SPARE}
    ports = [port for dummy, port in sources]
    assert all(20000 <= port <= 29999 for port in ports) and len(set(ports)) == 30
    assert ports != sorted(ports)  # as they would be if they were searched in order


def test_exempt(lan):
    assert lan.source(81, source_port=5000) == (CLIENT, 5000)


def test_masquerade(lan):
    assert lan.source(8080, source_port=5001) == (ROUTER, 5001)

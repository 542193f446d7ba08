# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes above one that came over SSH, recorded by fixtures/ssh/record.py, and variations of them.

The names say which server, on which Debian, and whether sudo with a terminal was in between (then also IPv6 and port 2222).
"activated" is OpenSSH as systemd starts it when somebody else listens (sshd -i).
"""
import json
import os
import pathlib
import sys

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import FlowTuple
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.plugins.module_utils._own_connection import SERVERS, own_connection

RECORDED = pathlib.Path(__file__).parents[2] / "fixtures" / "ssh"
NAMES = sorted(path.stem for path in RECORDED.glob("*.json"))
DETACHED = "7"  # a process below none of them
# Another connection to the same server (port 22 on 192.0.2.1), one to another port, one from port 22 of somebody else.
LINE = "  99: %s %s %s 00000000:00000000 00:00000000 00000000     0        0 %d 1 0 20 4 0 10 -1\n"
OTHERS = (LINE % ("010200C0:0016", "630200C0:C350", "01", 900001), LINE % ("010200C0:0050", "630200C0:C351", "01", 900002),
          LINE % ("010200C0:C352", "630200C0:0016", "01", 900003), LINE % ("010200C0:0016", "630200C0:C353", "06", 0))
OTHER = FlowTuple(6, "192.0.2.1", "192.0.2.99", 22, 50000)

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the sockets were recorded on a little-endian machine")


class Machine(Host):
    """A recorded machine; ``closed`` tells whether one may not look at the sockets of others."""

    def __init__(self, folder, name, closed=False):
        super().__init__(str(folder))
        self.document = json.loads((RECORDED / (name + ".json")).read_text())
        self.closed = closed
        self.put("self", link=self.document["self"])
        for pid, process in self.document["processes"].items():
            for path, text in process["files"].items():
                self.put("%s/%s" % (pid, path), text)
            for path, target in process["links"].items():
                self.put("%s/%s" % (pid, path), link=target)
            for path, text in self.document["net"].items():
                self.put("%s/net/%s" % (pid, path), text)
        self.put(DETACHED + "/stat", "7 (a ) (b) S 0 7 7 0 -1")
        self.put(DETACHED + "/comm", "a ) (b\n")

    def put(self, path, text=None, link=None):
        place = pathlib.Path(self.root + "/proc/" + path)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_symlink():
            place.unlink()
        if text is None:
            place.symlink_to(link)
        else:
            place.write_text(text)

    def own(self):
        address, port, remote, remote_port = self.document["connection"]
        return FlowTuple(6, address, remote, int(port), int(remote_port))

    def servers(self):
        return [pid for pid, process in self.document["processes"].items() if process["files"]["comm"].strip() in SERVERS]

    def add_others(self):
        for pid in self.document["processes"]:
            self.put(pid + "/net/tcp", self.document["net"]["tcp"] + "".join(OTHERS))

    def list(self, path):
        if self.closed and path.endswith("/fd"):
            raise ConntrackError("cannot list %s: Permission denied" % path)
        return super().list(path)


@pytest.fixture(params=NAMES)
def host(request, tmp_path):
    made = Machine(tmp_path, request.param)
    made.add_others()
    return made


def found(flows, way):
    return frozenset(flows), way


def test_there_are_both_generations():
    programs = {process["files"]["comm"].strip() for name in NAMES for process in json.loads((RECORDED / (name + ".json")).read_text())["processes"].values()}
    assert {"sshd", "sshd-session", "dropbear", "sudo"} <= programs


def test_the_connection_is_that_of_the_server_above(host):
    assert own_connection(host) == (frozenset([host.own()]), "ancestor", None)


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_a_server_is_known_by_its_name_or_its_program(name, host):
    for pid in host.servers():
        host.put(pid + "/comm", "renamed\n")
        host.put(pid + "/exe", link="/opt/sbin/" + name + " (deleted)")
    assert own_connection(host)[:2] == found([host.own()], "ancestor")
    for pid in host.servers():
        host.put(pid + "/comm", name + "\n")
        host.put(pid + "/exe", link="/opt/sbin/other")
    assert own_connection(host)[:2] == found([host.own()], "ancestor")


def test_whoever_is_not_below_a_server_leaves_all_connections_to_it_alone(host):
    flows, way, warning = own_connection(host, DETACHED)
    assert way == "server" and host.own() in flows and flows <= {host.own(), OTHER}
    assert warning.startswith("the connection that carries Ansible was not found") and "%d established connections to the SSH server" % len(flows) in warning


@pytest.mark.parametrize("name, others", [(name, {OTHER} if not name.startswith("activated") else set()) for name in NAMES])
def test_also_those_that_the_server_has_not_accepted_yet(name, others, tmp_path):
    host = Machine(tmp_path, name)
    host.add_others()
    assert own_connection(host, int(DETACHED)).flows == {host.own()} | others


def test_where_sockets_are_not_to_be_seen_it_is_port_22(host):
    host.closed = True
    flows, way, warning = own_connection(host)
    assert (flows, way) == found({OTHER} | ({host.own()} if host.own().source_port == 22 else set()), "port")
    assert "%d established connections to port 22" % len(flows) in warning


def test_where_nothing_is_established_nothing_is_told(host):
    for pid in host.document["processes"]:
        host.put(pid + "/net/tcp", "")
        host.put(pid + "/net/tcp6", "")
    assert own_connection(host, DETACHED) == (frozenset(), "port", None)


def test_a_server_above_whose_connection_is_not_found_is_told(host):
    for pid in host.document["processes"]:
        host.put(pid + "/net/tcp", "")
        host.put(pid + "/net/tcp6", "")
    assert " 0 established connections " in own_connection(host).warning


@pytest.mark.parametrize("stat", ["", "1 (", "5 (x) S", "9 (x) S 9 9"])
def test_a_tree_that_changes_or_loops_ends_the_walk(stat, tmp_path):
    host = Machine(tmp_path, NAMES[0])
    host.put("9/stat", stat)
    assert own_connection(host, "9").way == "server"


def test_without_proc_nothing_is_found(tmp_path):
    assert own_connection(Host(str(tmp_path))) == (frozenset(), "port", None)
    assert not os.listdir(str(tmp_path))

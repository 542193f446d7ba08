# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection over which a process was started is found, on the kernel's own /proc.

What stands for the SSH server is a process that has its name, accepts, and starts a command for each connection; so no SSH server
needs to be installed. Real ones are in the fixtures of the unit test, and in the virtual machines of Molecule.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from lab import ADDRESSES, ROUTER, SERVER

from ansible_collections.netfleet.conntrack.plugins.module_utils import _own_connection
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import FlowTuple

V4, V6 = ADDRESSES["ipv4"], ADDRESSES["ipv6"]
# Arguments: the name of the listening process, that of a connection's, address, port, then the command, whose output the client gets.
STAND_IN = """
import os, socket, subprocess, sys
listening, serving, address, port = sys.argv[1:5]
def rename(name):
    with open("/proc/self/comm", "w") as comm:
        comm.write(name)
made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
made.bind((address, int(port)))
made.listen(9)
rename(listening)
print("ready", flush=True)
while True:
    connection, dummy = made.accept()
    if os.fork() == 0:
        made.close()
        rename(serving)
        connection.recv(9)
        subprocess.run(sys.argv[5:], stdin=subprocess.DEVNULL, stdout=connection.fileno(), check=True)
        os._exit(0)
    connection.close()
"""
LOOK = """
import json
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.plugins.module_utils._own_connection import own_connection
found = own_connection(Host())
print(json.dumps([sorted(found.flows), found.way, found.warning]), flush=True)
"""
PLAIN = (sys.executable, "-c", LOOK)
# An empty environment, a session of its own and a shell in between, as become methods make them.
KEPT = ["%s=%s" % (name, os.environ[name]) for name in ("PYTHONPATH", "PATH") if name in os.environ]
BECOME = ("env", "-i", *KEPT, "setsid", "sh", "-c", 'cd /; "$@"; true', "sh", *PLAIN)
# Listens on, connects to; what the router sees as the two addresses.
ENDS = {
    "ipv4": (V4.outer, V4.outer, V4.outer, V4.server),
    "ipv6": (V6.outer, V6.outer, V6.outer, V6.server),
    "mapped": ("::", V4.outer, V4.outer, V4.server),
}
NAMES = {"before 9.8": ("sshd", "sshd"), "since 9.8": ("sshd", "sshd-session"), "dropbear": ("dropbear", "dropbear")}


@contextlib.contextmanager
def serving(lab, names, address, port, command):
    with lab.inside(ROUTER):
        argv = [sys.executable, "-c", STAND_IN, *names, address, str(port), *command]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # those of its connections as well
        process.communicate()


def connected(lab, address, port):
    with lab.inside(SERVER):
        made = lab.stack.enter_context(socket.create_connection((address, port), timeout=20))
    return made


def flow_of(ends, port, client):
    return FlowTuple(6, ends[2], ends[3], port, client.getsockname()[1])


def asked(client):
    """What a process says that is started over this connection: flows, way, warning."""
    client.sendall(b"go")
    flows, way, warning = json.loads(client.makefile().readline())
    return {FlowTuple(*flow) for flow in flows}, way, warning


@pytest.mark.parametrize("command", [PLAIN, BECOME], ids=["plain", "become"])
@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("server", NAMES)
def test_the_connection_is_found_among_others(server, kind, command, lab):
    ends = ENDS[kind]
    with serving(lab, NAMES[server], ends[0], 2222, command), serving(lab, ("httpd", "httpd"), ends[0], 22, command):
        others = [connected(lab, ends[1], port) for port in (2222, 22, 2222)]
        client = connected(lab, ends[1], 2222)
        assert asked(client) == ({flow_of(ends, 2222, client)}, "ancestor", None)
        assert len(others) == 3


@pytest.mark.parametrize("kind", ENDS)
def test_a_detached_process_leaves_all_connections_to_the_server_alone(kind, lab):
    ends = ENDS[kind]
    command = ("sh", "-c", 'exec setsid --fork sh -c \'sleep 0.3; exec "$@"\' sh "$@"', "sh", *PLAIN)
    with serving(lab, NAMES["since 9.8"], ends[0], 2222, command), serving(lab, ("httpd", "httpd"), ends[0], 22, command):
        first, dummy, client = (connected(lab, ends[1], port) for port in (2222, 22, 2222))
        flows, way, warning = asked(client)
        expected = {flow_of(ends, 2222, each) for each in (first, client)}
        # the process that served it has ended, so it may be half-closed already
        assert (way, expected - flows <= {flow_of(ends, 2222, client)}, flows <= expected) == ("server", True, True)
        assert warning == _own_connection.WARNING % (len(flows), _own_connection.WHOSE["server"])


def test_in_another_network_namespace_it_is_found_as_well(lab):
    ends = ENDS["ipv4"]
    command = ("ip", "netns", "exec", lab.names["client"], *PLAIN)
    with serving(lab, NAMES["since 9.8"], ends[0], 2222, command):
        client = connected(lab, ends[1], 2222)
        assert asked(client) == ({flow_of(ends, 2222, client)}, "ancestor", None)

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The TCP connections over which this host is being managed: those of the SSH server that started this process.

The processes above this one are walked, whatever became of the user, the terminal or the environment on the way. What the SSH
server's processes hold is spared, and that includes what they forward. Sources: proc(5).
"""
from typing import Any, FrozenSet, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import FlowTuple
from ansible_collections.netfleet.conntrack.plugins.module_utils._sockets import ESTABLISHED, accepted, listeners, sockets

# By the names of programs. OpenSSH has sshd alone before 9.8, sshd-session for each connection since, sshd-auth before the login
# is through since 9.9.
SERVERS = frozenset(("sshd", "sshd-session", "sshd-auth", "dropbear", "dropbearmulti", "tinysshd"))
DELETED = " (deleted)"  # after the name of a program that was replaced while it ran
SOCKET = "socket:["
PORT = 22
PARENT, STARTED = 1, 19  # fields of /proc/PID/stat after the name: ppid and starttime, in ticks since the boot
MOST = 1000  # processes above one another; a walk through a changing tree has to end
WARNING = "the connection that carries Ansible was not found among those of the processes above this one: %d established connections to %s are left alone"
WHOSE = {"server": "the SSH server of this host", "port": "port 22 of this host"}


class Own(NamedTuple):
    """What to leave alone."""

    flows: FrozenSet[FlowTuple]  # what this host sends, in zone 0
    way: str  # how they were found: ancestor, server (of any process that is an SSH server) or port (22)
    warning: Any  # None, or what the user is to know


def own_connection(host, pid=None):
    """Find the connections that carry Ansible; ``pid`` is the process where the walk begins, by default this one.

    Where no SSH server above it has one, as under async, on a console or in a container, every established connection to an SSH
    server on this host is taken; where their sockets are not to be seen, to port 22. Without /proc nothing is found.
    """
    servers = [each for each in _above(host, str(pid or host.link("/proc/self") or 0)) if _is_server(host, each)]
    above = frozenset().union(*(_held(host, each) for each in servers))
    if above:
        return Own(above, "ancestor", None)
    rows, inodes = _rows(host, "self"), _inodes_of_servers(host)
    if any(row.inode in inodes for row in rows):
        return _instead("server", _flows(_to_servers(rows, inodes)), servers)
    return _instead("port", _flows(row for row in rows if row.local[1] == PORT), servers)


def opened(host, pid=None):
    """When the connection that carries Ansible was opened, in ticks since the boot; None where no SSH server above this process has one.

    An SSH server has a process for each connection from the moment on at which it accepts it, so the oldest that holds one tells.
    """
    pids = [each for each in _above(host, str(pid or host.link("/proc/self") or 0)) if _is_server(host, each) and _held(host, each)]
    stats = [_stat(host, each) for each in pids]
    return min(int(fields[STARTED]) for fields in stats) if stats and all(len(fields) > STARTED for fields in stats) else None


def _instead(way, flows, servers):
    """What was found instead. With nothing to leave alone there is nothing to tell, unless there must be something."""
    return Own(flows, way, WARNING % (len(flows), WHOSE[way]) if flows or servers else None)


def _flows(rows):
    return frozenset(row.flow for row in rows if row.state == ESTABLISHED)


def _to_servers(rows, inodes):
    """The sockets that SSH servers hold, and those that were accepted where one listens: systemd may listen in its stead."""
    listening = listeners(row for row in rows if row.inode in inodes)
    return [row for row in rows if row.inode in inodes or accepted(row, listening)]


def _above(host, pid):
    """Yield the process and those above it."""
    for dummy in range(MOST):
        if pid == "0":
            return
        yield pid
        pid = _parent(host, pid)


def _parent(host, pid):
    """The number of the process above, 0 for none. The name of a process, in brackets, may hold blanks and brackets."""
    fields = _stat(host, pid)
    return fields[PARENT] if len(fields) > PARENT else "0"


def _stat(host, pid):
    """The fields of a process from its state on, or none."""
    return _text(host, "/proc/%s/stat" % pid).rpartition(")")[2].split()


def _is_server(host, pid):
    """Whether a process is an SSH server, by its name or by its program: either may have been renamed."""
    program = (host.link("/proc/%s/exe" % pid) or "").rpartition("/")[2]
    if program.endswith(DELETED):
        program = program[:-len(DELETED)]
    return program in SERVERS or _text(host, "/proc/%s/comm" % pid).strip() in SERVERS


def _inodes_of_servers(host):
    """The inodes of the sockets that any SSH server has, as far as they are to be seen."""
    pids = (name for name in host.list("/proc") if name.isdigit())
    return frozenset().union(*(_inodes(host, pid) for pid in pids if _is_server(host, pid)))


def _held(host, pid):
    """What a process sends over the connections that it has, in whatever network namespace it is.

    One of another namespace may pass through ours, with the same addresses.
    """
    inodes = _inodes(host, pid)
    return _flows(row for row in _rows(host, pid) if row.inode in inodes) if inodes else frozenset()


def _inodes(host, pid):
    folder = "/proc/%s/fd" % pid
    try:
        links = [host.link("%s/%s" % (folder, name)) or "" for name in host.list(folder)]
    except ConntrackError:  # the process has ended, or we may not look
        return frozenset()
    return frozenset(link[len(SOCKET):-1] for link in links if link.startswith(SOCKET))


def _rows(host, pid):
    return sockets(*(_text(host, "/proc/%s/net/%s" % (pid, name)) for name in ("tcp", "tcp6")))


def _text(host, path):
    """The text of a file, or none: a process may end while it is looked at (ESRCH)."""
    try:
        return host.read(path) or ""
    except ConntrackError:
        return ""

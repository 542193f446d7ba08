# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits until a policy holds, makes it hurt, and notes when it was taken back; the times are seconds since the boot.

Takes a setting, its value under the policy, and what to do then. `fill`: connections to this machine itself, most of which were
there before, fill the table and stay. `flush`: the table is emptied, as a firewall does that loads its rules, and with that every
session begins in the middle. `wait`: nothing.
"""

import contextlib
import functools
import os
import pathlib
import resource
import socket
import subprocess
import sys
import time

LOG = pathlib.Path("/root/watch.log")
PAUSE = 0.1  # the machine has other things to do
PORT = 8080
ROOM = 30  # connections of those who look on, before it is full


@functools.cache
def handle(name):
    return os.open(f"/proc/sys/net/netfilter/nf_conntrack_{name}", os.O_RDONLY)


def value(name):
    return os.pread(handle(name), 32, 0).decode().strip()


def note(word):
    with LOG.open("a") as stream:
        stream.write(f"{word} {time.monotonic()}\n")


class Crowd:
    """Connections of this machine to itself."""

    def __init__(self, most):
        self.most = most
        resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
        self.server, self.held = socket.create_server(("127.0.0.1", PORT), backlog=100), []

    def grow(self, count):
        """Open more until there are so many connections in the table."""
        while int(value("count")) < count:
            with contextlib.suppress(OSError):
                self.held += [socket.create_connection(self.server.getsockname(), 0.5), self.server.accept()[0]]

    def disperse(self):
        """Leave nothing in the table."""
        for each in self.held:
            each.close()
        subprocess.run(["conntrack", "-D", "-p", "tcp", "--dport", str(PORT)], check=False, capture_output=True)


def fill(crowd, holds):
    crowd.grow(crowd.most)
    note("hurts")
    while holds():
        crowd.grow(crowd.most)
        time.sleep(PAUSE)


def flush(_crowd, holds):
    subprocess.run(["conntrack", "-F"], check=True)
    note("hurts")
    wait(None, holds)


def wait(_crowd, holds):
    while holds():
        time.sleep(PAUSE)


def main():
    name, wanted, action = sys.argv[1:]
    crowd = Crowd(int(wanted))
    if action == "fill":
        crowd.grow(crowd.most - ROOM)
    LOG.write_text("")
    while value(name) != wanted:
        time.sleep(PAUSE)
    note("applied")
    {"fill": fill, "flush": flush, "wait": wait}[action](crowd, lambda: value(name) == wanted)
    note("back")
    crowd.disperse()


if __name__ == "__main__":
    main()

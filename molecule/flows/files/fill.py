# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fills the table of this machine by what it says to itself over loopback."""

import pathlib
import socket

SETTING = "/proc/sys/net/netfilter/nf_conntrack_"


def timeout(name, seconds):
    pathlib.Path(SETTING + name).write_text(str(seconds))


def deaf(family, address):
    """A socket that hears nothing, so that who speaks to it hears of no error."""
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    made.bind((address, 9))
    return made


def say(source, destinations):
    """A datagram to each."""
    with socket.socket(socket.AF_INET6 if ":" in source[0] else socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(source)
        for destination in destinations:
            made.sendto(b"x", destination)


def talk(server):
    """A TCP connection that ends well."""
    with socket.create_connection(server.getsockname()) as client, server.accept()[0] as accepted:
        client.shutdown(socket.SHUT_WR)
        accepted.recv(1)


def addresses(number):
    return [(f"127.16.{each // 256}.{each % 256}", 9) for each in range(number)]


there = [deaf(socket.AF_INET, "0.0.0.0"), deaf(socket.AF_INET6, "::1")]
timeout("tcp_timeout_time_wait", 20000)
timeout("udp_timeout", 20000)
say(("127.0.1.1", 7000), addresses(9000))
timeout("udp_timeout", 6000)
say(("127.0.1.2", 7000), addresses(1000))
for port in range(7000, 7040):
    say(("::1", port), [("::1", 9)])
with socket.socket() as server:
    server.bind(("127.0.0.1", 8080))
    server.listen()
    for _each in range(30):
        talk(server)

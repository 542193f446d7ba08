# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Texts of the kernel that only diagnosis reads: the queues of packets, and its log. Pure."""
import re

from ansible_collections.netfleet.conntrack.plugins.module_utils._findings_row import Log, Queue

# "[27610.035758] nf_conntrack: nf_conntrack: table full, dropping packet"; in namespaces of newer kernels "table full in netns 4026532177".
FULL = re.compile(r"^\[\s*([0-9]+\.[0-9]+)\].*\btable full(?: in netns ([0-9]+))?, dropping packet", re.MULTILINE)


def queues(text):
    """The queues of /proc/net/netfilter/nfnetlink_queue by their numbers.

    A row has the queue's number, the port of its owner, packets that wait, mode, range, packets dropped for lack of room and of memory
    of the owner, and the number of the last packet (seq_show, net/netfilter/nfnetlink_queue.c).
    """
    rows = [[int(word) for word in line.split()] for line in (text or "").splitlines()]
    return {row[0]: Queue(row[0], row[1], row[2], row[5] + row[6], row[7]) for row in rows if len(row) > 7}


def log(text, namespace, uptime):
    """What the log says of a full table. ``namespace``: the number of this network namespace, or None of the initial one, whose lines have none."""
    found = [float(moment) for moment, number in FULL.findall(text) if (number or None) == namespace]
    return Log(len(found), max(0.0, uptime - found[-1])) if found else Log(0, 0.0)


END = re.compile(r"^\[?(?:::ffff:)?([^]%]+?)(?:%[^]:]+)?\]?:([0-9]+)$")
LAST = re.compile(r"\blast(?:snd|rcv|ack):([0-9]+)")


def silences(text):
    """How many seconds ago a packet of each TCP socket came or went: (address, port, address, port) -> seconds, from `ss -Htnio state established`.

    Lines with what the kernel knows of a socket (struct tcp_info) begin with a blank. A time of 0 is not printed.
    """
    found = {}
    for line, info in re.findall(r"^(\S.*)\n?((?:\s+\S.*)?)", text or "", re.MULTILINE):
        ends = [END.match(word) for word in line.split()[2:4]]
        times = [int(each) for each in LAST.findall(line + info)]
        if len(ends) == 2 and all(ends):
            here, there = ((end.group(1), int(end.group(2))) for end in ends)
            found[here + there] = min(times) / 1000.0 if len(times) == 3 else 0.0
    return found


def owner_socket(text, port):
    """The inode of the netlink socket with this port, from /proc/net/netlink (its columns: sk, Eth, Pid, ..., Inode); None where there is none."""
    rows = [line.split() for line in (text or "").splitlines()[1:]]
    return next((row[9] for row in rows if len(row) > 9 and (row[1], row[2]) == ("12", "%d" % port)), None)

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that fail half way on the real kernel and real file systems, and sizes that change while packets flow."""

import subprocess
import sys

import pytest

OWN = "/etc/sysctl.d/zz-netfleet-conntrack.conf"
JOURNAL = "/var/lib/netfleet-conntrack/journal.json"
FIRST = {"table": {"max": 50000}, "timeouts": {"udp_timeout": 61}}
SECOND = {"table": {"max": 30000}, "timeouts": {"icmp_timeout": 62}}
UNDONE, UNTOUCHED = "everything is as it was before", "nothing was changed"
FULL = "mount -t tmpfs -o size=64k tmpfs {0} && head -c 65536 /dev/zero >{0}/x; test -s {0}/x"
# What is done to the host's files, the path and the reason in the error, how it ends.
HINDRANCES = {
    "file_held_by_a_mount": ("touch {0} && mount --bind {0} {0}", OWN, OWN, "Device or resource busy", UNDONE),
    "folder_read_only": ("mount --bind {0} {0} && mount -o remount,bind,ro {0}", "/etc/sysctl.d", OWN, "Read-only file system", UNDONE),
    "file_system_full": (FULL, "/etc/sysctl.d", OWN, "No space left on device", UNDONE),
    "no_journal": ("mount --bind {0} {0} && mount -o remount,bind,ro {0}", "/var/lib", JOURNAL, "Read-only file system", UNTOUCHED),
}
# Sends datagrams from five hundred ports over and over, and tells how many could not be sent.
SENDER = """
import select, socket, sys
there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
there.bind(("127.0.0.1", 9999))
sockets = []
for dummy in range(500):
    sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sockets[-1].connect(("127.0.0.1", 9999))
print("ready", flush=True)
lost = sent = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    for one in sockets:
        try:
            one.send(b"x")
            sent += 1
        except OSError:
            lost += 1
print(sent, lost)
"""
# Larger and smaller again, each limit far above what is in the table.
SIZES = ((131072, 131072), (2048, 512), (262144, 65536), (4096, 4096), (65536, 131072), (1024, 1024))


@pytest.mark.parametrize("earlier", [False, True], ids=["first_run", "another_policy"])
@pytest.mark.parametrize("hindrance", HINDRANCES)
def test_a_file_that_cannot_be_written(machine, hindrance, earlier):
    script, place, path, reason, end = HINDRANCES[hindrance]
    if earlier:
        machine.settings(FIRST)
    machine.command("sh", "-ec", script.format(place))
    before = machine.now(), machine.files()
    error = machine.answer(machine.start("settings", SECOND))["msg"]
    assert (machine.now(), machine.files()) == before
    assert error == "cannot write %s: %s; %s" % (path, reason, end)
    machine.command("umount", place)
    machine.settings(SECOND)
    assert machine.now() == machine.with_first(max=30000, buckets=30208, icmp_timeout=62)


def test_sizes_change_while_packets_flow(machine, netns):
    """A table is never fuller than its limit on the way, so no packet is lost."""
    subprocess.run(machine.inside("nft", "add table x; add chain x y; add rule x y ct state new", netns=netns), check=True)
    argv = machine.inside(sys.executable, "-c", SENDER, netns=netns)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sender:
        assert sender.stdout.readline() == "ready\n"
        for most, buckets in SIZES:
            machine.settings({"table": {"max": most, "buckets": buckets, "memory_share": 0.5}})
            assert machine.now() == machine.with_first(max=most, buckets=buckets)
        sent, lost = sender.communicate("stop\n", timeout=60)[0].split()
    assert int(sent) > 1000 and int(lost) == 0
    machine.reset()

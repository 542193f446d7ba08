# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine's kernel, with files that only the test sees: modules run as whole processes in a mount namespace of their own.

Needs root, conntrack-tools, iproute2, procps and util-linux. What is set in the kernel is put back after each test.
"""

import contextlib
import json
import os
import stat
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

MODULES = "ansible_collections.netfleet.conntrack.plugins.modules."
KEYS = Path("/proc/sys/net/netfilter")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
# A checkout in a closed home folder: whom the test lets read it may still write nothing.
READS_ALL = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
LOCK = "/run/netfleet-conntrack.lock"  # stays, for two runs must meet at the same file
# Everything that is written is below $1/new. What this machine sets at boot is hidden, and so is its initramfs.
MOUNTS = """
set -e
mount -t tmpfs -o mode=0755 tmpfs "$1"
for place in /etc /var/lib; do
    mkdir -p "$1/new$place" "$1/work$place"
    mount -t overlay -o "lowerdir=$place,upperdir=$1/new$place,workdir=$1/work$place" overlay "$place"
done
mkdir "$1/new/run"
mount --bind "$1/new/run" /run
test ! -d /boot || mount -t tmpfs tmpfs /boot
rm -rf /etc/sysctl.conf /etc/modules /etc/sysctl.d /etc/modprobe.d /etc/modules-load.d /etc/udev/rules.d /var/lib/netfleet-conntrack
mkdir /etc/sysctl.d /etc/modprobe.d /etc/modules-load.d
echo ready
exec cat
"""


def command(*argv, **more):
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=120, check=False, **more)
    assert done.returncode == 0, "%s: %s%s" % (" ".join(map(str, argv)), done.stdout, done.stderr)
    return done.stdout


def values():
    """Every running value of this machine, as sysctl shows it."""
    lines = (line.partition(" = ") for line in command("sysctl", "net.netfilter").splitlines())
    return {key: value for key, dummy, value in lines}


def readable_by_all(path):
    return all(place.stat().st_mode & 0o5 == 0o5 for place in (path, *path.parents))


def restore(before):
    """Put running values back; twice, as some are refused before others are right."""
    for dummy in range(2):
        after = values()
        for key in [key for key in before if after[key] != before[key]]:
            subprocess.run(["sysctl", "-q", "%s=%s" % (key, before[key])], capture_output=True, check=False)
    assert without_count(values()) == without_count(before)


def without_count(found):
    return {key: value for key, value in found.items() if not key.endswith("_count")}


class Machine:
    """Where modules run: the files are the test's, the kernel is this machine's."""

    def __init__(self, holder, written):
        self.holder = holder
        self.root = Path("/proc/%d/root" % holder.pid)
        self.written = written

    def inside(self, *argv, netns=None, user=()):
        network = ["--net=/run/netns/" + netns] if netns else []
        return ["nsenter", "--mount=/proc/%d/ns/mnt" % self.holder.pid, *network, *user, *argv]

    def command(self, *argv, **more):
        return command(*self.inside(*argv), **more)

    def nobody(self):
        places = [Path(sys.executable), Path(sys.executable).resolve(), *map(Path, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        return (*NOBODY, *(() if all(map(readable_by_all, places)) else READS_ALL))

    def start(self, module, options, check=False, netns=None, user=()):
        argv = self.inside(sys.executable, "-m", MODULES + module, netns=netns, user=user)
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": dict(options, _ansible_check_mode=check, _ansible_diff=True)}))
        process.stdin.close()
        process.stdin = None  # for communicate()
        return process

    def result(self, process):
        output, errors = process.communicate(timeout=120)
        assert not errors and output.startswith("{"), output + errors
        result = json.loads(output)
        assert process.returncode == (1 if result.get("failed") else 0)
        return result

    def run(self, module, options, **more):
        result = self.result(self.start(module, options, **more))
        assert not result.get("failed"), result["msg"]
        return result

    def settings(self, check=False, **options):
        return self.run("settings", options, check=check)

    def absent(self):
        return self.settings(state="absent")

    def refused(self, module, options, **more):
        """The error of a run that must fail, and change nothing."""
        before = values(), self.files()
        result = self.result(self.start(module, options, **more))
        assert (values(), self.files()) == before
        assert result.get("failed") and "Traceback" not in result["msg"], result
        return result["msg"]

    def files(self):
        """All files that were made or changed: path -> content."""
        found = {}
        for folder, dummy, names in os.walk(self.root / self.written):
            for path in (Path(folder, name) for name in names):
                status = path.lstat()
                content = os.readlink(path) if path.is_symlink() else path.read_text() if stat.S_ISREG(status.st_mode) else None
                found["/" + str(path.relative_to(self.root / self.written))] = content
        found.pop(LOCK, None)
        return found

    def write(self, path, text):
        (self.root / path.lstrip("/")).write_text(text)


@pytest.fixture
def machine(tmp_path):
    if os.geteuid() != 0:
        pytest.fail("these tests set values of the kernel: run them as root")
    if not KEYS.joinpath("nf_conntrack_max").exists():
        pytest.fail("this kernel has no connection tracking, or has not loaded it: modprobe nf_conntrack")
    before = values()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}  # the holder ends with this process
    with subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", MOUNTS, "sh", tmp_path], **pipes) as holder:
        try:
            assert holder.stdout.readline() == b"ready\n"
            yield Machine(holder, str(tmp_path / "new").lstrip("/"))
        finally:
            restore(before)


@pytest.fixture
def netns():
    """The name of a network namespace with loopback up."""
    name = "netfleet-" + uuid.uuid4().hex[:12]
    command("ip", "netns", "add", name)
    try:
        command("ip", "-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        command("ip", "netns", "del", name)


@pytest.fixture
def entries():
    """Puts so many entries into the table of this machine's own network namespace; they go when the test ends."""
    with contextlib.ExitStack() as stack:

        def make(number):
            for port in range(20000, 20000 + number):
                flow = ("-p", "udp", "-s", "192.0.2.1", "-d", "192.0.2.2", "--sport", port, "--dport", "9")
                command("conntrack", "-I", *flow, "-t", "120")
                stack.callback(command, "conntrack", "-D", *flow)

        yield make

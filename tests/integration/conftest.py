# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine's kernel, with files that only the test sees: modules run as whole processes in a mount namespace of their own.

Needs root, conntrack-tools, iproute2, procps and util-linux. What is set in the kernel is put back after each test.
"""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest
from lab import laboratory

from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_KEY

MODULES = "ansible_collections.netfleet.conntrack.plugins.modules."
LOCK = "/run/netfleet-conntrack.lock"  # stays, for two runs must meet at the same file
MEMORY = "var/lib/netfleet-conntrack"
RECALL = "look-"  # there, begins the names of what runs keep that find nothing to change
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
# For a checkout in a closed home folder: may read what it likes, and still write nothing.
READS_ALL = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
# Whatever is written comes to lie below $1/new. What this machine sets at boot is hidden, and its initramfs, too.
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
mkdir /etc/sysctl.d /etc/modprobe.d /etc/modules-load.d /run/sysctl.d
echo ready
exec cat
"""


@pytest.fixture(scope="session", autouse=True)
def _alone():
    """One run at a time: all of them set the values of the one kernel that there is."""
    with open(Path(tempfile.gettempdir()) / "netfleet-conntrack-integration.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def command(*argv, **more):
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=120, check=False, **more)
    assert done.returncode == 0, "%s: %s%s" % (" ".join(map(str, argv)), done.stdout, done.stderr)
    return done.stdout


def values(netns=None):
    """Every running value, as sysctl shows it."""
    entered = ("ip", "netns", "exec", netns) if netns else ()
    lines = (line.partition(" = ") for line in command(*entered, "sysctl", "net.netfilter").splitlines())
    return {key: value for key, dummy, value in lines if not key.endswith("_count")}


def put_back(before):
    """Put running values back; twice, as some are refused before others are right."""
    for dummy in range(2):
        after = values()
        for key in [key for key in before if after[key] != before[key]]:
            subprocess.run(["sysctl", "-q", "%s=%s" % (key, before[key])], capture_output=True, check=False)
    assert values() == before


def readable_by_all(path):
    return all(place.stat().st_mode & 0o5 == 0o5 for place in (path, *path.parents))


def nobody():
    """What runs a command as a user without rights, who can read the collection and this Python."""
    used = filter(os.path.exists, [sys.executable, os.path.realpath(sys.executable), *os.environ.get("PYTHONPATH", "").split(os.pathsep), __file__])
    return NOBODY if all(readable_by_all(Path(path)) for path in used) else NOBODY + READS_ALL


class Machine:
    """Where modules run: the files are the test's own, the kernel is this machine's."""

    def __init__(self, holder, new):
        self.holder = holder
        self.root = Path("/proc/%d/root" % holder.pid)
        self.new = self.root / new.relative_to("/")
        self.fresh = self.files()
        self.first = self.now()

    def inside(self, *argv, netns=None, user=()):
        network = ["--net=/run/netns/" + netns] if netns else []
        return ["nsenter", "--mount=/proc/%d/ns/mnt" % self.holder.pid, *network, *user, *argv]

    def command(self, *argv, **more):
        return command(*self.inside(*argv), **more)

    def start(self, module, options, check=False, netns=None, user=()):
        """Start a run; it goes on while the test does."""
        argv = self.inside(sys.executable, "-m", MODULES + module, netns=netns, user=nobody() if user == "nobody" else ())
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": dict(options, _ansible_check_mode=check, _ansible_diff=True)}))
        process.stdin.close()
        process.stdin = None  # nothing is left for communicate() to send
        return process

    def answer(self, process):
        """The result of a run, which may be a refusal."""
        output, errors = process.communicate(timeout=120)
        assert not errors and "Traceback" not in output, output + errors
        result = json.loads(output)
        assert process.returncode == (1 if result.get("failed") else 0)
        return result

    def finish(self, process):
        result = self.answer(process)
        assert not result.get("failed"), result.get("msg")
        return result

    def run(self, module, options, **more):
        return self.finish(self.start(module, options, **more))

    def settings(self, options, **more):
        return self.run("settings", options, **more)

    def refused(self, module, options, netns=None, **more):
        """The error of a run that must fail, and touch nothing."""
        before = values(), values(netns), self.files(), self.stamps()
        result = self.answer(self.start(module, options, netns=netns, **more))
        assert (values(), values(netns), self.files(), self.stamps()) == before
        assert result.get("failed"), result
        return result["msg"]

    def reset(self):
        """Put everything back by the module, and see that it is."""
        result = self.settings({"state": "absent"})
        assert self.now() == self.first
        assert self.files() == self.fresh
        return result

    def now(self, netns=None):
        """The running values by name, as sysctl shows them."""
        return {BY_KEY[key].name: int(value) for key, value in values(netns).items() if key in BY_KEY}

    def with_first(self, **wanted):
        return dict(self.first, **wanted)

    def forget(self):
        """Have the kernel's values as a boot finds them."""
        put_back({key: str(self.first[setting.name]) if (setting := BY_KEY.get(key)) else value for key, value in values().items()})

    def paths(self):
        for folder, dummy, names in os.walk(self.new):
            yield Path(folder)
            yield from (Path(folder, name) for name in names)

    def files(self):
        """All files that were made, changed or removed: path -> content."""
        found = {"/%s" % path.relative_to(self.new): path for path in self.paths() if path.is_symlink() or not path.is_dir()}
        found.pop(LOCK, None)
        return {name: path.read_text() if path.is_file() else "no file" for name, path in found.items() if not path.name.startswith(RECALL)}

    def stamps(self):
        """Times and numbers of files and folders: they are others when anything was written, but for what is kept to be recalled."""
        paths = (path for path in self.paths() if not path.name.startswith(RECALL) and path != self.new / MEMORY)
        return {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in paths}

    def place(self, path):
        """Where the file is that modules see at ``path``."""
        return self.root / path.lstrip("/")


@pytest.fixture
def machine():
    if os.geteuid() != 0:
        pytest.fail("these tests set values of the kernel: run them as root")
    if not os.path.exists("/proc/sys/net/nf_conntrack_max"):
        pytest.fail("connection tracking is not in this kernel, or not loaded: modprobe nf_conntrack")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}  # the holder ends with this process
    before = values()
    with tempfile.TemporaryDirectory() as place:
        with subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", MOUNTS, "sh", place], **pipes) as holder:
            try:
                assert holder.stdout.readline() == b"ready\n"
                yield Machine(holder, Path(place, "new"))
            finally:
                put_back(before)


@pytest.fixture
def lab():
    """A client, a router and a server."""
    if os.geteuid() != 0:
        pytest.fail("these tests make network namespaces: run them as root")
    with laboratory() as made:
        yield made


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
def connections():
    """Puts so many entries into the table of this machine's own network namespace; they go when the test ends."""
    with contextlib.ExitStack() as stack:

        def make(number):
            for port in range(20000, 20000 + number):
                flow = ("-p", "udp", "-s", "192.0.2.1", "-d", "192.0.2.2", "--sport", port, "--dport", "9")
                command("conntrack", "-I", *flow, "-t", "120")
                stack.callback(command, "conntrack", "-D", *flow)

        yield make

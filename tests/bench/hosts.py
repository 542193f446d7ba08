# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts that benchmarks measure on; each leaves its machine as it was."""

import contextlib
import fcntl
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VM = Path(__file__).parents[1] / "vm/vm.py"
WRITTEN = ("/etc/sysctl.d", "/etc/modprobe.d", "/etc/modules-load.d", "/etc/udev/rules.d")


def become_private():
    """Start over in a mount namespace of our own."""
    if os.environ.get("NETFLEET_BENCH") != "private":
        command = ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv]
        os.execvpe(command[0], command, {**os.environ, "NETFLEET_BENCH": "private"})


class Local:
    """This machine without ssh, in a mount namespace in which the folders that are written to are copies.

    Not judged by its loop: of a playbook on the spot Ansible's own start is the most.
    """

    is_judged = False
    python = sys.executable

    def __init__(self, work):
        self.title = f"this machine, without ssh (Linux {platform.release().partition('-')[0]})"
        self.folder = work
        self.inventory = str(work / "inventory.yml")
        self.sysctl_file = str(work / "posix.conf")

    def __enter__(self):
        for number, path in enumerate(filter(os.path.isdir, (*WRITTEN, "/var/lib"))):
            own = self.folder / f"own{number}"
            copy = f"cp -a {path}/. {own} && " if path in WRITTEN else ""
            run(f"mkdir {own} && {copy}mount --bind {own} {path}")
        variables = f"{{ansible_connection: local, ansible_python_interpreter: {self.python}}}"
        Path(self.inventory).write_text(f"all: {{hosts: {{here: {variables}}}}}\n")
        return self

    def __exit__(self, *_exception):
        for path in reversed([path for path in (*WRITTEN, "/var/lib") if os.path.ismount(path)]):
            run(f"umount {path}")

    def run(self, command, text=""):
        return run(command, text)


class Guest:
    """A virtual router over ssh."""

    is_judged = True
    python = "python3"
    folder = "/root"
    sysctl_file = "/etc/sysctl.d/50-posix.conf"

    def __init__(self, work):
        self.title = "virtual router over ssh (Debian 13)"
        self.name = f"bench-{os.getpid()}"
        self.inventory = str(work / "inventory.yml")

    def __enter__(self):
        try:
            run(f"{sys.executable} {VM} up {self.name} --suite trixie")
            Path(self.inventory).write_text(run(f"{sys.executable} {VM} inventory {self.name}"))
            self.run("modprobe nf_conntrack")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception):
        run(f"{sys.executable} {VM} down {self.name}")

    def run(self, command, text=""):
        return run(f"{sys.executable} {VM} ssh {self.name} -- {command!r}", text)


class Booted:
    """This machine as if it had been booted by systemd: one of its own, in namespaces where every file is a copy.

    Kernel, network and rules are this machine's, and get back what they held. Nobody else may set values meanwhile, so it waits for
    the integration tests. Needs root, and systemd to be installed; it need not run.

    Units of the distribution are hidden from that systemd: one that asks for sysinit.target, as units do by themselves, would empty
    /tmp, set values of the kernel and start daemons. With the root file system an overlay in memory, even that would reach nobody.
    """

    PROGRAMS = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
    UNIT = "netfleet-bench.target"
    SECONDS = 30  # in which it has to be up

    # $1 is an empty folder, $2 the name of a control group, $3 what to run as the first process, $4 and $5 its arguments.
    NAMESPACES = """
set -e
mount -t tmpfs -o mode=0755 tmpfs "$1"
mkdir "$1/cgroup" "$1/new" "$1/work" "$1/root"
mount -t cgroup2 cgroup2 "$1/cgroup"
mkdir "$1/cgroup/$2"
echo $$ > "$1/cgroup/$2/cgroup.procs"
umount "$1/cgroup"
mount -t overlay -o "lowerdir=/,upperdir=$1/new,workdir=$1/work" overlay "$1/root"
cd "$1/root"
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=0755 tmpfs run
mount -t tmpfs -o mode=0755 tmpfs dev
mkdir dev/shm dev/pts
for name in null zero full random urandom tty; do
    : > "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount --bind /sys sys
exec unshare --mount --pid --fork --kill-child --cgroup --uts --ipc sh -c "$3" sh "$1/root" "$4" "$5"
"""
    # $1 is the new root, $2 systemd, $3 its only unit. It would set a few values of the kernel.
    SYSTEMD = """
set -e
cd "$1"
mount -t proc proc proc
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir -p old run/systemd/system run/lock
pivot_root . old
umount -l /old
printf '[Unit]\\nDefaultDependencies=no\\n' > "/run/systemd/system/$3"
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
exec env -i container=netfleet "PATH=$PATH" SYSTEMD_UNIT_PATH=/run/systemd/system:/etc/systemd/system SYSTEMD_GENERATOR_PATH=/nowhere \\
    "$2" --system "--unit=$3" --show-status=no --log-target=null
"""
    FORGET = """
mount -t cgroup2 cgroup2 "$1" && find "$1/$2" -depth -type d -exec rmdir {} +
"""

    def __init__(self, work):
        self.folder = work
        self.name = f"netfleet-bench-{os.getpid()}"
        self.process = self.pid = None

    def __enter__(self):
        program = next(filter(os.path.exists, self.PROGRAMS), None)
        if os.geteuid() or not program:
            sys.exit("this machine is measured by root, with a systemd of its own: apt-get install systemd, or --only guest")
        self.lock = open(Path(tempfile.gettempdir()) / "netfleet-conntrack-integration.lock", "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for the integration tests to end", file=sys.stderr, flush=True)
            fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.values, self.rules, self.tables = _values(), _rules(), _tables()
        script = ["sh", "-c", self.NAMESPACES, "sh", self.folder, self.name, self.SYSTEMD, program, self.UNIT]
        self.process = subprocess.Popen(["unshare", "--mount", *script])
        try:
            self._wait()
            self.run("umount", "/proc/sys")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for _attempt in range(self.SECONDS * 10):
            time.sleep(0.1)
            if self.process.poll() is not None:
                break
            self.pid = next(iter(children.read_text().split()), None)
            if self.pid and self.run("systemctl", "--quiet", "is-active", self.UNIT, stderr=subprocess.DEVNULL).returncode == 0:
                return
        sys.exit("no systemd could be started in namespaces")

    def run(self, *argv, **more):
        """Run a program in it."""
        return subprocess.run(["nsenter", "--target", self.pid, "--all", *argv], text=True, check=False, **more)

    def __exit__(self, *_exception):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(self.pid or self.process.pid), 9)  # with the first process of its namespace all others end
        self.process.wait()
        subprocess.run(["unshare", "--mount", "sh", "-c", self.FORGET, "sh", self.folder, self.name], check=False)
        for rule in [rule for rule in _rules() if rule not in self.rules]:
            subprocess.run(["iptables", "-t", "nat", "-D", *shlex.split(rule)[1:]], check=False)
        for name in _tables() - self.tables:
            subprocess.run(["nft", f"delete table {name}"], check=False)
        for path, text in _values().items():
            if text != self.values[path]:
                Path(path).write_text(self.values[path])
        self.lock.close()


def _values():
    return dict(line.split(":", 1) for line in run("grep -s . /proc/sys/net/netfilter/nf_conntrack_*; true").splitlines() if "_count:" not in line)


def _rules():
    return [line for line in run("iptables-save -t nat").splitlines() if line.startswith("-A ")]


def _tables():
    return {line.removeprefix("table ") for line in run("nft list tables").splitlines()}


def run(command, text=""):
    """The output of a shell command that must succeed."""
    done = subprocess.run(command, shell=True, input=text, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command}: exit status {done.returncode}")
    return done.stdout


KINDS = {"guest": Guest, "local": Local}

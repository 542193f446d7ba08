# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routers as these tests use them: over connections that are each a new one, and sessions that stay open."""

import json
import os
import select
import shlex
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[3]
PLACE = "/root/collections/ansible_collections/netfleet/conntrack/plugins"
COLLECTION = Path(os.environ["ANSIBLE_COLLECTIONS_PATH"].partition(os.pathsep)[0], "ansible_collections/netfleet/conntrack")
MEMORY = "/var/lib/netfleet-conntrack"
JOURNAL = MEMORY + "/journal.json"

sys.path.insert(0, str(PROJECT / "tests/vm"))

# Whatever we leave on a host. What only saves the next run work is not compared, nor what the kernel works out from the hash size
# of the boot (expect_max), which no policy here names.
STATE = r"""
find /etc /var/lib -path '*netfleet*conntrack*' ! -type d ! -name initramfs.json ! -name 'look-*' | sort | while read -r file; do
    echo "$file $(stat -c %a "$file") $(readlink "$file" || sha256sum <"$file")"
done
grep -H . /proc/sys/net/netfilter/nf_conntrack_* /sys/module/nf_conntrack/parameters/* | grep -v -e _count: -e expect_max:
nft -s list table inet netfleet_conntrack 2>/dev/null
systemctl list-units --all --plain --no-legend 'netfleet*'
"""
ATTEMPT = 5  # seconds for a new connection
GONE = 255  # ssh's own status
PENALTY = 60  # seconds for which a server may refuse (PerSourcePenalties of sshd_config)


class Session:
    """A shell over a connection that stays open, and that ssh itself never gives up."""

    def __init__(self, argv):
        options = ["-o", "ServerAliveInterval=0"]
        self.process = subprocess.Popen([argv[0], *options, *argv[1:], "sh"], bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, command, seconds=ATTEMPT):
        """What a command printed, or None when no answer came in time; answers that come late are left out."""
        marker = f"END-{time.monotonic_ns()}"
        self.process.stdin.write(f"echo {marker}; {command}; echo {marker}\n".encode())
        said, deadline = "", time.monotonic() + seconds
        while said.count(marker) < 2 and select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
            got = os.read(self.process.stdout.fileno(), 65536).decode()
            if not got:
                break  # the connection has ended
            said += got
        return said.split(marker)[1].strip() if said.count(marker) == 2 else None

    def wait_for(self, word, path="/root/watch.log", seconds=240):
        """Wait until a file has a line that begins so; return the number after it."""
        return float(self.ask(f"until grep -q '^{word} ' {path}; do sleep 0.2; done; sed -n 's/^{word} //p' {path}", seconds))

    def close(self):
        self.process.kill()
        self.process.wait()


class Router:
    """A guest."""

    def __init__(self, name):
        from vm_guest import Guest
        self.name, self.guest = name, Guest(name)

    def run(self, command, seconds=240, text=None):
        """Run a command over a new connection; return what became of it."""
        return subprocess.run(self.guest.ssh(command), input=text, capture_output=True, text=True, timeout=seconds, check=False)

    def out(self, command, text=None):
        """What a command prints. An SSH server that penalizes an address for earlier attempts closes before it runs anything."""
        deadline = time.monotonic() + PENALTY
        done = self.run(command, text=text)
        while done.returncode == GONE and "kex_exchange_identification" in done.stderr and time.monotonic() < deadline:
            time.sleep(1)
            done = self.run(command, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def session(self):
        return Session(self.guest.ssh())

    def lasted(self, within):
        """How long a policy held that was watched, once it was taken back."""
        deadline = time.monotonic() + 2 * within
        while not self.connects() and time.monotonic() < deadline:
            pass
        session = self.session()
        times = [session.wait_for(word) for word in ("back", "applied")]
        session.close()
        print(f"\n{self.name}: taken back after {times[0] - times[1]:.1f} s of {within} s")
        return times[0] - times[1]

    def connects(self):
        """Whether a new connection comes about."""
        try:
            return self.run("true", ATTEMPT).returncode != GONE
        except subprocess.TimeoutExpired:
            return False

    def push(self, files):
        """Give it the collection's code and what tests run there."""
        packed = BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for path in sorted(COLLECTION.glob("plugins/module_utils/*.py")):
                tar.add(path, f"module_utils/{path.name}")
        unpack = f"mkdir -p {PLACE} && tar xm -C {PLACE}"
        subprocess.run(self.guest.ssh(unpack), input=packed.getvalue(), check=True)
        for path in files:
            self.out(f"cat >/root/{path.name}", path.read_text())

    def drive(self, policy, through=None, before="", **more):
        """The module's result with a policy, over a new connection or `through` a session."""
        command = drive(policy, before, **more)
        told = through.ask(command, 240) if through else self.out(command)
        return json.loads(told.splitlines()[-1])

    def state(self):
        return self.out(STATE).splitlines()

    def come_back(self):
        """Wait until it answers after a reset. A boot that hangs, as some do under emulation, is cut short by another one."""
        from vm_common import BootError
        try:
            self.guest.wait()
        except BootError:
            self.guest.power_cut()

    def boot_id(self):
        return self.out("cat /proc/sys/kernel/random/boot_id")

    def watch(self, name, value, action):
        """Begin to watch a policy from within, until it was taken back."""
        command = shlex.join(["python3", "/root/watch.py", name, str(value), action])
        self.out(f"rm -f /root/watch.log; setsid {command} </dev/null >/root/watch.err 2>&1 & until [ -e /root/watch.log ]; do sleep 0.1; done")

    def ansible(self, **options):
        """Begin to run the module under Ansible."""
        inventory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "inventory", "guests.yml")
        argv = ["ansible", "-i", inventory, self.name, "-m", "netfleet.conntrack.policy", "-a", json.dumps(options)]
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def drive(policy, before="", **more):
    """The command that runs the module's code; options of `drive.py` beside the policy."""
    names = ("check", "reset")
    asked = {"policy": dict(policy, **{name: value for name, value in more.items() if name not in names})}
    asked.update((name, value) for name, value in more.items() if name in names)
    return f"{before} {shlex.join(['python3', '/root/drive.py', json.dumps(asked)])}"


class Routers(dict):
    """The routers of the scenario by name."""

    def __init__(self):
        inventory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "inventory", "guests.yml").read_text()
        names = [name for suite in yaml.safe_load(inventory)["all"]["children"].values() for name in suite["hosts"]]
        super().__init__((name, Router(name)) for name in names)

    def each(self, function):
        """What a function returns for each, side by side."""
        with ThreadPoolExecutor(len(self)) as pool:
            return dict(zip(self, pool.map(function, self.values()), strict=True))

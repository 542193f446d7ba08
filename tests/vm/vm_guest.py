# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guests: named machines on an overlay of a base image, started from a snapshot of the freshly booted machine."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
import socket
import subprocess
import time

import vm_image
import vm_qemu
from vm_common import BootError, VmError, cache_dir, cache_root, digest, lock, log, run

# Debian's own initramfs on a busy machine without KVM takes up to 80 s; a panic is noticed at once anyhow.
BOOT_TIMEOUT = 240
SHUTDOWN_TIMEOUT = 90

# The last words of a kernel, and of Debian's initramfs when it lacks the modules for the disk.
SIGNS_OF_DEATH = (b"Kernel panic", b"Gave up waiting for root file system")

# The limit of a unix socket's path is 108 bytes, and ssh appends 17 to the one it binds.
LONGEST_PATH = 107


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a guest is asked to be."""

    name: str
    suite: str
    nics: int = 0
    peer: str = ""
    memory: int = 512
    smp: int = 1
    cold: bool = False
    own_initramfs: bool = False
    append: str = ""

    @property
    def can_be_warm(self):
        """Whether a snapshot serves: one that was booted otherwise than asked does not."""
        return not (self.cold or self.own_initramfs or self.append)


def up(spec):
    """Starts the guest, unless it runs as asked already, and returns what `Guest.describe` tells."""
    guest = Guest(spec.name)
    with lock(f"guest-{spec.name}"):
        if guest.is_running():
            if guest.spec() != spec:
                raise VmError(f"{spec.name} runs with other properties; first: vm.py down {spec.name}")
        else:
            guest.create(spec)
    return guest.describe()


def names():
    """Names of all guests that were started and not taken down."""
    return sorted(path.parent.name for path in cache_dir("run").glob("*/guest.json"))


class Guest:
    """A guest by its name; everything it is lies in its folder of the cache."""

    def __init__(self, name):
        if not name.replace("-", "").isalnum():
            raise VmError(f"{name!r} is no name for a guest: letters, digits and hyphens only")
        self.name = name
        self.folder = cache_root() / "run" / name
        self.process = vm_qemu.Process(self.folder)
        self.disk = self.folder / "disk.qcow2"
        self._record = self.folder / "guest.json"

    def _read(self):
        if not self._record.exists():
            raise VmError(f"no guest {self.name!r}; there are: {', '.join(names()) or 'none'}")
        return json.loads(self._record.read_text(encoding="utf-8"))

    def spec(self):
        """What the guest was asked to be."""
        return Spec(**self._read()["spec"])

    @property
    def port(self):
        """The port of 127.0.0.1 that leads to the guest's ssh."""
        return self._read()["port"]

    def is_running(self):
        """Whether its QEMU runs."""
        return bool(self.process.pid())

    def describe(self):
        """All that is needed to reach the guest."""
        return {
            "name": self.name,
            "suite": self.spec().suite,
            "address": "127.0.0.1",
            "port": self.port,
            "user": "root",
            "identity_file": str(vm_image.ssh_key()),
            "console": str(self.process.console),
            "pid": self.process.pid(),
        }

    def create(self, spec, port=None):
        """Boots a guest with a fresh disk; once more when the first try fails, for emulation is not always true."""
        self._write(spec, port or vm_qemu.free_port())
        try:
            self._boot_fresh(spec, spec.can_be_warm)
        except BootError as error:
            log(f"{self.name}: {error}; trying once more, cold")
            self._write(spec, port or vm_qemu.free_port())
            self._boot_fresh(spec, is_warm=False)

    def _boot_fresh(self, spec, is_warm):
        _check_paths(self.folder)
        base = vm_image.base(spec.suite)
        if is_warm:
            snapshot = warm(spec, base)
            _overlay(snapshot / "disk.qcow2", self.disk)
            self._start(base, ["-incoming", f"exec:cat {snapshot / 'state'}"])
        else:
            _overlay(base.disk, self.disk)
            self._start(base, [])
        self._settle()

    def _write(self, spec, port):
        self.folder.mkdir(parents=True, exist_ok=True)
        self._record.write_text(json.dumps({"spec": dataclasses.asdict(spec), "port": port}), encoding="utf-8")

    def _start(self, base, incoming):
        """Starts QEMU on the disk as it is."""
        spec = self.spec()
        kernel, initramfs = base.kernel, base.tiny_initramfs
        if spec.own_initramfs:
            vm_image.extract_own_boot(self.disk, self.folder)
            kernel, initramfs = self.folder / "vmlinuz", self.folder / "initrd.img"
        self.process.start(
            ["-name", self.name]
            + vm_qemu.hardware(spec, vm_qemu.accelerator())
            + vm_qemu.network(spec, self.port, _wire)
            + vm_qemu.disk(self.disk)
            + vm_qemu.boot(kernel, initramfs, spec.append)
            + incoming
        )

    def _settle(self):
        """Waits for the guest and gives it what a snapshot cannot: the time, its name, its hardware addresses."""
        self._wait_or_stop()
        spec = self.spec()
        script = [f"date -s @{time.time():.0f} >/dev/null", f"hostname {self.name}", "hostname >/etc/hostname"]
        for interface in vm_qemu.spare_interfaces(spec):
            address = vm_qemu.hardware_address(interface, self.name)
            script.append(f"ip link set {interface} address {address}")
        self.execute("; ".join(script))
        log(f"{self.name}: up at 127.0.0.1:{self.port}")

    def _wait_or_stop(self):
        """What does not come up is ended, so that it is never taken for a guest that runs; its console stays."""
        try:
            self.wait()
        except BootError:
            self._stop()
            raise

    def wait(self):
        """Waits until the guest's ssh really answers, and a first command runs."""
        deadline = time.monotonic() + BOOT_TIMEOUT
        while not (_banner(self.port) and self._answers()):
            self._check_alive()
            if time.monotonic() > deadline:
                raise BootError(f"no ssh within {BOOT_TIMEOUT} s; console: {self.process.console}")
            time.sleep(0.1)

    def _answers(self):
        return subprocess.run(self.ssh("true"), check=False, capture_output=True).returncode == 0

    def _check_alive(self):
        if not self.is_running():
            raise BootError(f"QEMU ended: {self.process.errors()}")
        written = self.process.console.read_bytes() if self.process.console.exists() else b""
        for sign in SIGNS_OF_DEATH:
            if sign in written:
                raise BootError(f"{sign.decode()}; console: {self.process.console}")

    def execute(self, script):
        """The output of a shell script that must succeed in the guest."""
        return run(self.ssh(script))

    def ssh(self, *command):
        """The ssh command line; a connection of its own, which no restart of the guest can leave hanging."""
        options = ssh_options() + ["-o", "ControlPath=none", "-p", str(self.port), "-i", str(vm_image.ssh_key())]
        return ["ssh", *options, "root@127.0.0.1", *command]

    def reset(self):
        """Back to the freshly booted state: a new disk, a new machine, the same port."""
        self._stop()
        self.create(self.spec(), self.port)

    def restart(self):
        """An orderly shutdown, and a start on the disk as it was left; on its own kernel if so asked."""
        if self.is_running():
            self._shut_down()
        self._start(vm_image.base(self.spec().suite), [])
        self._settle()

    def _shut_down(self):
        self._close_connections()
        # The connection may be cut before the command's status comes back.
        subprocess.run(self.ssh("systemctl poweroff"), check=False, capture_output=True)
        try:
            self.process.wait_for_end(SHUTDOWN_TIMEOUT)
        except VmError:
            log(f"{self.name} does not shut down; pulling its plug")
            self.process.stop()

    def power_cut(self):
        """Resets the machine as a power cut would: nothing is shut down, nothing in the guest's memory survives."""
        self._close_connections()
        self.process.monitor(("system_reset", {}))
        self._settle()

    def down(self):
        """Ends the guest and forgets it."""
        self._stop()
        for interface in cache_dir("wires").glob(f"{self.name}.eth*"):
            interface.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stop(self):
        self._close_connections()
        self.process.stop()

    def _close_connections(self):
        """Ends the shared ssh connection: it would hang, for QEMU keeps the host's half open over a guest's reset."""
        if self._record.exists():
            socket_path = control_path().replace("%p", str(self.port))
            command = ["ssh", "-o", f"ControlPath={socket_path}", "-O", "exit", "root@127.0.0.1"]
            subprocess.run(command, check=False, capture_output=True)


def warm(spec, base):
    """The folder with the snapshot of a freshly booted guest like `spec`, made at its first use."""
    accelerator = vm_qemu.accelerator()
    key = [vm_qemu.hardware(spec, accelerator), spec.nics, vm_qemu.KERNEL_ARGUMENTS, vm_qemu.version()]
    folder = base.folder / f"warm-{digest(key)}"
    with lock(f"{base.folder.name}-{folder.name}"):
        if not folder.exists():
            _make_warm(dataclasses.replace(spec, name=f"warm-{digest([spec.suite, *key])}", cold=True), folder)
    return folder


def _make_warm(spec, folder):
    """Boots a guest cold, lets it come to rest, and saves it; the folder appears when it is whole."""
    log(f"{spec.suite}: making the snapshot of a booted guest")
    guest = Guest(spec.name)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        guest.down()
        guest.create(spec)
        # The first ends with a status of its own when a unit has failed, which is not ours to judge.
        guest.execute("systemctl is-system-running --wait; udevadm settle && sync && echo 3 >/proc/sys/vm/drop_caches")
        time.sleep(1)
        guest.process.save(partial / "state")
        guest.disk.rename(partial / "disk.qcow2")
        partial.rename(folder)
    finally:
        guest.down()


def _overlay(below, disk):
    """A new disk that holds only what differs from the one `below`."""
    disk.unlink(missing_ok=True)
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", below, "-F", "qcow2", disk])


def _wire(guest, interface):
    """The socket that a guest's spare interface listens on."""
    return cache_dir("wires") / f"{guest}.{interface}"


def _check_paths(folder):
    for path in (str(folder / "monitor"), control_path().replace("%p", "65535") + "x" * 17):
        if len(path) > LONGEST_PATH:
            raise VmError(f"{path} is too long for a unix socket; set NETFLEET_CACHE to a folder with a shorter path")


def _banner(port):
    """Whether an ssh server speaks. That the port accepts says nothing: QEMU accepts for a guest that is down."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def control_path():
    """Where ssh's shared connections are; by port, so that a guest never meets the connection of an earlier one."""
    return str(cache_dir("ssh") / "%p")


def ssh_options():
    """What every ssh to a guest needs: its host key is new each time, and a dead connection shall be noticed."""
    settings = {
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
        "IdentitiesOnly": "yes",
        "PreferredAuthentications": "publickey",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "3",
        "ServerAliveCountMax": "2",
    }
    return ["-F", "/dev/null"] + [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def shared_ssh_options():
    """The same with a shared connection that stays open, which saves most of the time that Ansible spends on ssh."""
    shared = {"ControlMaster": "auto", "ControlPersist": "600s", "ControlPath": control_path()}
    return ssh_options() + [word for name, value in shared.items() for word in ("-o", f"{name}={value}")]


def inventory(guests):
    """An Ansible inventory of running guests as YAML: one group a suite."""
    described = [Guest(name).describe() for name in guests]
    lines = ["all:", "  vars:"]
    lines += [f"    {name}: {json.dumps(value)}" for name, value in _inventory_vars().items()]
    lines.append("  children:")
    for suite in sorted({guest["suite"] for guest in described}):
        lines += [f"    {suite}:", "      hosts:"]
        for guest in (guest for guest in described if guest["suite"] == suite):
            lines += [f"        {guest['name']}:", f"          ansible_port: {guest['port']}"]
    return "\n".join(lines) + "\n"


def _inventory_vars():
    return {
        "ansible_host": "127.0.0.1",
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(vm_image.ssh_key()),
        # ssh_args, not ssh_common_args: these replace Ansible's own, which would come first and win.
        "ansible_ssh_args": shlex.join(shared_ssh_options()),
        # The same for testinfra, which looks for these only.
        "ansible_ssh_common_args": shlex.join(shared_ssh_options()),
        "ansible_ssh_pipelining": True,
        "ansible_python_interpreter": "/usr/bin/python3",
    }

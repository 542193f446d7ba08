# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""QEMU: its command line, its processes, its monitor, and whether KVM really works here."""

from __future__ import annotations

import functools
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import vm_image
from vm_common import BootError, VmError, cache_root, digest, lock, log, run

BINARY = "qemu-system-x86_64"

# Under QEMU 7.2's emulation a 6.12 guest that sees cmpxchg16b panics in 4 boots of 10; kernels do without it.
CPU = "Nehalem,-cx16"

KERNEL_ARGUMENTS = "root=/dev/vda rw console=ttyS0 panic=-1 quiet mitigations=off net.ifnames=0"

# The same in all guests. A restored guest keeps the hardware address of the snapshot until it restarts; if its own were
# another, QEMU's user network would go on sending to the old one and never reach it again.
MANAGEMENT_ADDRESS = "52:54:00:00:02:0f"

# No QEMU outlives this, whatever becomes of the run that started it.
LONGEST_LIFE = 2 * 60 * 60

# A healthy KVM answers in well under 5 s; one that hangs says nothing at all.
PROBE_TIMEOUT = 15


def hardware(spec, accelerator):
    """The arguments that make the machine; a snapshot fits only a machine with the very same ones."""
    return [
        *("-machine", f"q35,accel={accelerator}", "-cpu", CPU, "-m", str(spec.memory), "-smp", str(spec.smp)),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-device", "virtio-blk-pci,drive=disk"),
    ]


def network(spec, port, wire):
    """The management interface, reachable at 127.0.0.1:`port`, and the spare ones.

    `wire(guest, interface)` is the socket that a guest's interface listens on.
    """
    forward = f"hostfwd=tcp:127.0.0.1:{port}-{vm_image.ADDRESS}:22"
    arguments = _card("eth0", MANAGEMENT_ADDRESS, f"user,id=eth0,restrict=on,ipv6=off,{forward}")
    for interface in spare_interfaces(spec):
        ours, theirs = wire(spec.name, interface), wire(spec.peer or f"{spec.name}.peer", interface)
        sockets = f"local.type=unix,local.path={ours},remote.type=unix,remote.path={theirs}"
        address = hardware_address(interface, spec.name)
        arguments += _card(interface, address, f"dgram,id={interface},{sockets}")
    return arguments


def spare_interfaces(spec):
    """Names of the interfaces besides eth0, the management interface."""
    return [f"eth{number}" for number in range(1, spec.nics + 1)]


def hardware_address(interface, guest):
    """A hardware address of its own for each interface of each guest; private, as 52:54:00 is by custom."""
    tail = digest([interface, guest])
    return f"52:54:00:{tail[0:2]}:{tail[2:4]}:{tail[4:6]}"


def _card(interface, address, backend):
    """A virtio card without a boot ROM, which nobody would boot from."""
    return ["-netdev", backend, "-device", f"virtio-net-pci,netdev={interface},mac={address},romfile="]


def disk(path):
    """The overlay as the drive; unsafe: a guest's fsync costs nothing, and only a crash of the host loses data."""
    return ["-drive", f"file={path},if=none,id=disk,format=qcow2,cache=unsafe"]


def boot(kernel, initramfs, extra):
    """What to start, and the words that the kernel is told."""
    return ["-kernel", str(kernel), "-initrd", str(initramfs), "-append", f"{KERNEL_ARGUMENTS} {extra}".strip()]


@functools.cache
def version():
    """QEMU's version line; no snapshot is carried from one version to another."""
    return run([BINARY, "--version"]).splitlines()[0]


def free_port():
    """A TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accelerator():
    """`kvm` or `tcg`: `$VM_ACCEL` when set, else the answer of a probe, which is kept until the machine restarts."""
    chosen = os.environ.get("VM_ACCEL")
    if chosen:
        return chosen
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    with lock("accel"):
        return _probed_accelerator(cache_root() / "accel.json")


def _probed_accelerator(answers):
    """The answer kept in the file `answers`, or a new one, kept there."""
    key = [pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(), version()]
    if answers.exists():
        known = json.loads(answers.read_text(encoding="utf-8"))
        if known["key"] == key:
            return known["accelerator"]
    answer = "kvm" if _kvm_works() else "tcg"
    log(f"probed: {answer}")
    answers.write_text(json.dumps({"key": key, "accelerator": answer}), encoding="utf-8")
    return answer


def _kvm_works():
    """Whether a guest gets as far as saying so. That /dev/kvm opens proves nothing, least of all in a nested guest."""
    base = vm_image.base("bookworm")
    command = [BINARY, "-machine", "q35,accel=kvm", "-cpu", CPU, "-m", "256", "-nodefaults", "-no-user-config"]
    command += ["-display", "none", "-no-reboot", "-serial", "stdio"]
    command += boot(base.kernel, base.tiny_initramfs, vm_image.PROBE_WORD)
    log(f"trying KVM (at most {PROBE_TIMEOUT} s)")
    try:
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return False
    return vm_image.PROBE_ANSWER.encode() in done.stdout


class Process:
    """The QEMU whose files lie in `folder`; it lives on when this program ends."""

    def __init__(self, folder):
        self.folder = folder
        self.console = folder / "console.log"
        self._pidfile = folder / "qemu.pid"
        self._monitor = folder / "monitor"

    def start(self, arguments):
        """Starts QEMU detached and waits until its machine runs."""
        for stale in (self._pidfile, self._monitor, self.console):
            stale.unlink(missing_ok=True)
        command = ["setsid", "--fork", "timeout", "--kill-after=10", str(LONGEST_LIFE), BINARY, *arguments]
        command += ["-serial", f"file:{self.console}", "-pidfile", str(self._pidfile)]
        command += ["-qmp", f"unix:{self._monitor},server=on,wait=off"]
        with open(self.folder / "qemu.log", "w", encoding="utf-8") as errors:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        try:
            self._wait_until(lambda: self.pid() and self._monitor.exists(), 15, "QEMU did not start")
            self._wait_until(self._is_running, 60, "the snapshot was not restored")
        except VmError as error:
            self.stop()
            raise BootError(str(error)) from error

    def _is_running(self):
        """Whether the machine runs: who connects to one that is still being restored gets no answer, ever."""
        if not self.pid():
            raise VmError(f"QEMU ended: {self.errors()}")
        return self.monitor(("query-status", {}))[0]["running"]

    def pid(self):
        """QEMU's process id, or None when it has ended. A process that merely has its number does not count."""
        try:
            pid = int(self._pidfile.read_text(encoding="ascii"))
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        except (OSError, ValueError):
            return None
        return pid if os.path.basename(command[0]) == BINARY and str(self._pidfile) in command else None

    def stop(self):
        """Ends QEMU at once, as a pulled plug would."""
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGKILL)
        self.wait_for_end(15)

    def wait_for_end(self, seconds):
        """Waits until QEMU has ended by itself."""
        self._wait_until(lambda: not self.pid(), seconds, "QEMU did not end")

    def errors(self):
        """What QEMU itself wrote."""
        return (self.folder / "qemu.log").read_text(encoding="utf-8", errors="replace").strip()

    def _wait_until(self, condition, seconds, complaint):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise VmError(f"{complaint} within {seconds} s: {self.errors()}")
            time.sleep(0.05)

    def monitor(self, *commands):
        """The answers to QMP `commands`, each (name, arguments)."""
        try:
            return self._converse([("qmp_capabilities", {}), *commands])[1:]
        except (OSError, ValueError) as error:
            raise VmError(f"QEMU does not answer ({error}): {self.errors()}") from error

    def _converse(self, commands):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(self._monitor))
            stream = connection.makefile("rw", encoding="utf-8")
            stream.readline()
            return [_ask(stream, *command) for command in commands]

    def save(self, state):
        """Writes the running machine to the file `state` and ends QEMU.

        The machine is not paused before: a restored one would then start paused.
        """
        self.monitor(
            ("migrate-set-parameters", {"max-bandwidth": 4 << 30}),
            ("migrate", {"uri": f"exec:cat > {state}"}),
        )
        self._wait_until(self._is_saved, 120, "the snapshot was not written")
        self.stop()

    def _is_saved(self):
        status = self.monitor(("query-migrate", {}))[0].get("status")
        if status == "failed":
            raise VmError("QEMU could not write the snapshot")
        return status == "completed"


def _ask(stream, name, arguments):
    """The answer to one QMP command; events that arrive before it are skipped."""
    stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
    stream.flush()
    while True:
        answer = json.loads(stream.readline())
        if "error" in answer:
            raise VmError(f"QEMU refuses {name}: {answer['error']['desc']}")
        if "return" in answer:
            return answer["return"]

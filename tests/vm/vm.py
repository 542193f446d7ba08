# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian guests on QEMU for tests that need a kernel of their own; `python3 tests/vm/vm.py --help`.

Results go to stdout (one line of JSON a guest), progress to stderr. The status is 0, or 1 with the reason on stderr;
`ssh` has the status of the command. Guests outlive this program, but not two hours.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

import vm_guest
import vm_image
import vm_qemu
from vm_common import VmError


def build(options):
    """Build the base image of each suite, unless it is in the cache."""
    for suite in options.suites:
        print(vm_image.base(suite).folder)


def up(options):
    """Start a guest and wait until it answers."""
    fields = ("name", "suite", "nics", "peer", "memory", "smp", "cold", "own_initramfs", "append")
    _tell(vm_guest.up(vm_guest.Spec(**{field: getattr(options, field) for field in fields})))


def down(options):
    """End guests and delete their disks."""
    for name in vm_guest.names() if options.all else options.names:
        vm_guest.Guest(name).down()


def reset(options):
    """Put a guest back into the freshly booted state, with a new disk."""
    _act(options.name, "reset")


def restart(options):
    """Shut a guest down and start it on its disk (--own-initramfs: with the kernel and initramfs now on that disk)."""
    _act(options.name, "restart")


def power_cut(options):
    """Reset a guest's machine without a shutdown and wait until it answers again."""
    _act(options.name, "power_cut")


def ssh(options):
    """Run a command in a guest, joined by blanks for its shell as ssh does; without one, open a shell."""
    guest = vm_guest.Guest(options.name)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    arguments = ["ssh", *vm_guest.shared_ssh_options(), "-p", str(guest.port), "-i", str(vm_image.ssh_key())]
    os.execvp("ssh", [*arguments, "root@127.0.0.1", *command])


def list_guests(_options):
    """Print a line of JSON for each guest; its pid is null when it has ended."""
    for name in vm_guest.names():
        _tell(vm_guest.Guest(name).describe())


def inventory(options):
    """Print an Ansible inventory of guests."""
    sys.stdout.write(vm_guest.inventory(options.names))


def probe_accel(_options):
    """Print kvm or tcg: what guests will be started with (VM_ACCEL overrides)."""
    print(vm_qemu.accelerator())


def _act(name, verb):
    guest = vm_guest.Guest(name)
    getattr(guest, verb)()
    _tell(guest.describe())


def _tell(description):
    print(json.dumps(description), flush=True)


def _parser():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, function):
        """Declares one command, helped by its function's docstring."""
        added = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        added.set_defaults(function=function)
        return added

    command("build", build).add_argument("suites", nargs="+", metavar="SUITE", choices=list(vm_image.SUITES))
    _add_up_options(command("up", up))
    which = command("down", down).add_mutually_exclusive_group(required=True)
    which.add_argument("names", nargs="*", default=[], metavar="NAME")
    which.add_argument("--all", action="store_true")
    for name, function in (("reset", reset), ("restart", restart), ("power-cut", power_cut)):
        command(name, function).add_argument("name", metavar="NAME")
    shell = command("ssh", ssh)
    shell.add_argument("name", metavar="NAME")
    shell.add_argument("command", nargs=argparse.REMAINDER, metavar="[--] CMD")
    command("list", list_guests)
    command("inventory", inventory).add_argument("names", nargs="+", metavar="NAME")
    command("probe-accel", probe_accel)
    return parser


def _add_up_options(parser):
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--suite", required=True, choices=list(vm_image.SUITES))
    parser.add_argument("--nics", type=int, default=0, help="spare interfaces eth1, eth2, ... besides eth0")
    parser.add_argument("--peer", default="", help="the guest whose spare interfaces ours are wired to, eth1 to eth1")
    parser.add_argument("--memory", type=int, default=512, metavar="MB")
    parser.add_argument("--smp", type=int, default=1, metavar="CPUS")
    parser.add_argument("--cold", action="store_true", help="really boot, instead of continuing a saved machine")
    parser.add_argument(
        "--own-initramfs", action="store_true", help="boot the kernel and initramfs of the guest's /boot"
    )
    parser.add_argument("--append", default="", metavar="WORDS", help="more words for the kernel's command line")


def main():
    """The command line."""
    options = _parser().parse_args()
    try:
        options.function(options)
    except VmError as error:
        print(f"vm.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts that benchmarks measure on; each leaves its machine as it was."""

import os
import platform
import subprocess
import sys
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


def run(command, text=""):
    """The output of a shell command that must succeed."""
    done = subprocess.run(command, shell=True, input=text, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command}: exit status {done.returncode}")
    return done.stdout


KINDS = {"guest": Guest, "local": Local}

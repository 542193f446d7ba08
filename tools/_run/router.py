# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual router, as tests/vm makes it."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from .progress import RunError, say

VM = Path(__file__).resolve().parents[2] / "tests/vm/vm.py"
READ = "sysctl --all --pattern '^net[.]netfilter[.]nf_(conntrack|flowtable)_' 2>/dev/null; grep -sH . /sys/module/nf_conntrack/parameters/*hashsize; true"


class Router:
    """Boots on entering; on leaving it is taken down, unless it is to be kept."""

    def __init__(self, suite, keep):
        self.suite, self.keep = suite, keep
        self.name = f"run-{os.getpid()}"

    def __enter__(self):
        say(f"starting a virtual router with Debian {self.suite} (its image is built on first use, which takes minutes)")
        try:
            self.description = json.loads(vm("up", self.name, "--suite", self.suite))
        except BaseException:
            self._down()
            raise
        return self

    def __exit__(self, *_exception):
        if self.keep:
            say(f"it goes on running: {self._how()}")
        else:
            say("taking it down")
            self._down()

    def _down(self):
        """Take it down, whatever key is pressed meanwhile."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        vm("down", self.name)
        signal.signal(signal.SIGINT, before)

    def _how(self):
        tool = VM.relative_to(Path.cwd()) if VM.is_relative_to(Path.cwd()) else VM
        return f"python3 {tool} ssh {self.name}; end it by: python3 {tool} down {self.name}"

    def values(self):
        """Every value of connection tracking by its short name, as sysctl and the module's parameters tell."""
        told = vm("ssh", self.name, "--", READ)
        pairs = re.findall(r"^(?:net\.netfilter\.|/sys/module/nf_conntrack/parameters/)(?:nf_conntrack_)?(\w+)(?: = |:)(.*)$", told, re.MULTILINE)
        return {name: value for name, value in pairs if name != "count"}

    def reboot(self):
        vm("restart", self.name)

    def inventory(self):
        """An Ansible inventory of it."""
        return vm("inventory", self.name)


def vm(*arguments):
    """The output of tests/vm/vm.py; what it says meanwhile is passed on."""
    command = [sys.executable, str(VM), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        told = [pass_on(line) for line in process.stderr]
        output = process.stdout.read()
    if process.returncode:
        raise RunError(f"vm.py {' '.join(arguments)}: exit status {process.returncode}\n{''.join(told)}")
    return output


def pass_on(line):
    if line.startswith("["):  # its own clock
        say(f"  {line.partition('] ')[2].rstrip()}")
    return line

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares playbooks that do the same, or nothing, and modules without Ansible; runs take turns, and nothing changes."""

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

ROUNDS = 5  # of playbooks
MODULE_ROUNDS = 21  # of modules alone

# Runs on the host: seconds of each run of each program, in turns.
TIMER = """
import json, subprocess, sys, time
found = {path: [] for path in sys.argv[2:]}
for path in sys.argv[2:] * int(sys.argv[1]):
    began = time.monotonic()
    subprocess.run([sys.executable, path], check=True, stdout=subprocess.DEVNULL)
    found[path].append(time.monotonic() - began)
print(json.dumps(list(found.values())))
"""


class Peer(NamedTuple):
    """What our module is compared with, and what is asked of it."""

    module: str  # ours
    loop: str  # another's, in a loop
    faster: float  # times that a playbook of ours is to be faster than that loop
    cost: float  # times the seconds of ping that our module alone may take


def written(path, task):
    path.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    return path


def compare(host, peer, paths, collections=()):
    """Return (a table, whether it is as asked) for the playbooks "ours", "loop" and "ping" in ``paths``."""
    return report(host, peer, measure_playbooks(host, paths, collections), measure_modules(host, paths, collections))


def measure_playbooks(host, paths, collections):
    """Name -> seconds of each run that changes nothing; run in turns, after a run that sets all up."""
    for path in paths.values():
        play(host, path, collections)
    found = {name: [] for name in paths}
    for number in range(ROUNDS):
        say(f"{host.title}: round {number + 1} of {ROUNDS}")
        for name, path in paths.items():
            seconds, output = play(host, path, collections)
            if "changed=0 " not in output:
                sys.exit(f"{name} was to change nothing:\n{output}")
            found[name].append(seconds)
    return found


def play(host, path, collections, **env):
    return timed(["ansible-playbook", "--inventory", host.inventory, path], collections, **env)


def timed(argv, collections=(), **env):
    """Seconds that a program of Ansible's took, and what it printed."""
    began = time.monotonic()
    trees = os.pathsep.join([os.environ["ANSIBLE_COLLECTIONS_PATH"], *map(str, collections)])
    done = subprocess.run(argv, env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": trees, **env}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, argv))}: {done.stdout}{done.stderr}")
    return time.monotonic() - began, done.stdout


def measure_modules(host, paths, collections):
    """Name -> seconds of each run of the module as Ansible sends it, without Ansible."""
    say(f"{host.title}: the modules alone")
    names = ("ours", "ping")
    for name in names:
        play(host, paths[name], collections, ANSIBLE_KEEP_REMOTE_FILES="1", ANSIBLE_REMOTE_TMP=f"{host.folder}/kept-{name}")
    kept = [host.run(f"find {host.folder}/kept-{name} -name 'AnsiballZ_*.py'").split()[0] for name in names]
    told = host.run(f"{host.python} - {MODULE_ROUNDS} {' '.join(kept)}", TIMER)
    return dict(zip(names, json.loads(told), strict=True))


def report(host, peer, plays, modules):
    rows = [
        (f"playbook, {peer.loop} in a loop", plays["loop"]),
        (f"playbook, {peer.module}", plays["ours"]),
        ("playbook, ansible.builtin.ping", plays["ping"]),
        (f"module alone, {peer.module}", modules["ours"]),
        ("module alone, ansible.builtin.ping", modules["ping"]),
    ]
    faster = median(plays["loop"]) / median(plays["ours"])
    cost = median(modules["ours"]) / median(modules["ping"])
    lines = [host.title, "", *table(rows)]
    least = f" (at least {peer.faster})" if host.is_judged else ""
    lines += ["", f"faster than the loop: {faster:.1f} times{least}", f"module alone by ping: {cost:.2f} (at most {peer.cost})"]
    return "\n".join(lines), cost <= peer.cost and (faster >= peer.faster or not host.is_judged)


def table(rows):
    """The lines that tell (name, seconds of each run)."""
    yield f"{'seconds':<48}{'median':>9}{'least':>9}{'most':>9}{'runs':>6}"
    for name, runs in rows:
        yield f"{name:<48}{median(runs):>9.3f}{min(runs):>9.3f}{max(runs):>9.3f}{len(runs):>6}"


def machine(what):
    core = re.search(r"core ([\d.]+)", subprocess.run(["ansible", "--version"], capture_output=True, text=True, check=True).stdout)[1]
    return f"{what}, nothing to change; ansible-core {core} on Python {platform.python_version()}, {os.cpu_count()} CPUs"


def say(text):
    print(text, file=sys.stderr, flush=True)


median = statistics.median

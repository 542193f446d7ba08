# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task costs that sets 35 keys: against ansible.posix.sysctl in a loop, and against ansible.builtin.ping.

Measured on a virtual router over ssh, and on this machine without (--only guest, --only local). Every value is the one that
the host has, so nothing changes. The table goes to stdout and, with both measured, into results/settings.txt.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import hosts
import yaml

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache"
RESULTS = HERE / "results/settings.txt"
POSIX = CACHE / "bench/collections"
KEYS = 35
ROUNDS = 5  # of playbooks
MODULE_ROUNDS = 21  # of modules alone
FASTER, COST = 10, 1.5

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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["guest", "local"])
    only = parser.parse_args().only
    hosts.become_private()
    fetch_posix()
    kinds = [kind for kind in hosts.KINDS if only in (None, kind)]
    texts, met = zip(*(measure(kind) for kind in kinds), strict=True)
    text = "\n\n".join([machine(), *texts])
    print(text)
    if only is None:
        RESULTS.write_text(text + "\n")
    return 0 if all(met) else 1


def fetch_posix():
    """ansible.posix out of the package "ansible"."""
    if (POSIX / "ansible_collections/ansible/posix").exists():
        return
    say("fetching ansible.posix")
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "ansible"], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("ansible-*.whl"))) as wheel:
            wheel.extractall(POSIX, [name for name in wheel.namelist() if name.startswith("ansible_collections/ansible/posix/")])


def measure(kind):
    with tempfile.TemporaryDirectory(prefix="netfleet-bench-") as folder, hosts.KINDS[kind](Path(folder)) as host:
        paths = playbooks(host, Path(folder))
        return report(host, measure_playbooks(host, paths), measure_modules(host, paths))


def playbooks(host, work):
    """Write the playbooks that are compared; name -> path."""
    rows = values(host)
    options = {group: {row["name"]: row["value"] for row in rows if row["group"] == group} for group in ("table", "timeouts", "tracking")}
    options["table"]["memory_share"] = 0.9
    pairs = [{"name": row["path"].removeprefix("/proc/sys/").replace("/", "."), "value": row["value"]} for row in rows]
    sysctl = {"name": "{{ item.name }}", "value": "{{ item.value }}", "sysctl_set": True, "sysctl_file": host.sysctl_file}
    tasks = {
        "settings": {"netfleet.conntrack.settings": {group: names for group, names in options.items() if names}},
        "loop": {"ansible.posix.sysctl": sysctl, "loop": pairs},
        "ping": {"ansible.builtin.ping": {}},
    }
    return {name: written(work / f"{name}.yml", {"name": name, **task}) for name, task in tasks.items()}


def values(host):
    """As many settings as are to be set, with the host's own values; those of the table first."""
    rows = yaml.safe_load((HERE.parents[1] / "molecule/default/vars/every_setting.yml").read_text())["every_setting"]
    there = dict(line.split(":") for line in host.run("grep -s -H . /proc/sys/net/netfilter/nf_*_*; true").splitlines())
    found = [{**row, "value": int(there[row["path"]])} for row in rows if row["path"] in there][:KEYS]
    if len(found) < KEYS:
        sys.exit(f"{host.title}: only {len(found)} of {KEYS} settings are there")
    return found


def written(path, task):
    path.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    return path


def measure_playbooks(host, paths):
    """Name -> seconds of each run that changes nothing; run in turns, after a run that sets all up."""
    for path in paths.values():
        play(host, path)
    found = {name: [] for name in paths}
    for number in range(ROUNDS):
        say(f"{host.title}: round {number + 1} of {ROUNDS}")
        for name, path in paths.items():
            seconds, output = play(host, path)
            if "changed=0 " not in output:
                sys.exit(f"{name} was to change nothing:\n{output}")
            found[name].append(seconds)
    return found


def play(host, path, **env):
    began = time.monotonic()
    trees = os.pathsep.join([os.environ["ANSIBLE_COLLECTIONS_PATH"], str(POSIX)])
    done = subprocess.run(
        ["ansible-playbook", "--inventory", host.inventory, path],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": trees, **env}, capture_output=True, text=True, check=False,
    )
    if done.returncode:
        sys.exit(f"{path}: {done.stdout}{done.stderr}")
    return time.monotonic() - began, done.stdout


def measure_modules(host, paths):
    """Name -> seconds of each run of the module as Ansible sends it, without Ansible."""
    say(f"{host.title}: the modules alone")
    names = ("settings", "ping")
    for name in names:
        play(host, paths[name], ANSIBLE_KEEP_REMOTE_FILES="1", ANSIBLE_REMOTE_TMP=f"{host.folder}/kept-{name}")
    kept = [host.run(f"find {host.folder}/kept-{name} -name 'AnsiballZ_*.py'").split()[0] for name in names]
    told = host.run(f"{host.python} - {MODULE_ROUNDS} {' '.join(kept)}", TIMER)
    return dict(zip(names, json.loads(told), strict=True))


def report(host, plays, modules):
    rows = [
        ("playbook, ansible.posix.sysctl in a loop", plays["loop"]),
        ("playbook, netfleet.conntrack.settings", plays["settings"]),
        ("playbook, ansible.builtin.ping", plays["ping"]),
        ("module alone, netfleet.conntrack.settings", modules["settings"]),
        ("module alone, ansible.builtin.ping", modules["ping"]),
    ]
    faster = median(plays["loop"]) / median(plays["settings"])
    cost = median(modules["settings"]) / median(modules["ping"])
    lines = [host.title, "", f"{'seconds':<44}{'median':>9}{'least':>9}{'most':>9}{'runs':>6}"]
    lines += [f"{name:<44}{median(runs):>9.3f}{min(runs):>9.3f}{max(runs):>9.3f}{len(runs):>6}" for name, runs in rows]
    least = f" (at least {FASTER})" if host.is_judged else ""
    lines += ["", f"faster than the loop: {faster:.1f} times{least}", f"module alone by ping: {cost:.2f} (at most {COST})"]
    return "\n".join(lines), cost <= COST and (faster >= FASTER or not host.is_judged)


def machine():
    core = re.search(r"core ([\d.]+)", subprocess.run(["ansible", "--version"], capture_output=True, text=True, check=True).stdout)[1]
    return f"{KEYS} settings, nothing to change; ansible-core {core} on Python {platform.python_version()}, {os.cpu_count()} CPUs"


def say(text):
    print(text, file=sys.stderr, flush=True)


median = statistics.median

if __name__ == "__main__":
    sys.exit(main())

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task costs that sets 35 keys: against ansible.posix.sysctl in a loop, and against ansible.builtin.ping.

Measured on a virtual router over ssh, and on this machine without (--only guest, --only local). Every value is the one that
the host has, so nothing changes. The table goes to stdout and, with both measured, into results/settings.txt.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import hosts
import yaml
from compare import Peer, compare, machine, say, written

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache"
RESULTS = HERE / "results/settings.txt"
OTHERS = CACHE / "bench/collections"
KEYS = 35
PEER = Peer("netfleet.conntrack.settings", "ansible.posix.sysctl", 10, 1.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["guest", "local"])
    only = parser.parse_args().only
    hosts.become_private()
    fetch("ansible.posix")
    kinds = [kind for kind in hosts.KINDS if only in (None, kind)]
    texts, met = zip(*(measure(kind) for kind in kinds), strict=True)
    text = "\n\n".join([machine(f"{KEYS} settings"), *texts])
    print(text)
    if only is None:
        RESULTS.write_text(text + "\n")
    return 0 if all(met) else 1


def fetch(*names):
    """Collections of others out of the package "ansible"."""
    folders = [f"ansible_collections/{name.replace('.', '/')}/" for name in names]
    if all((OTHERS / folder).exists() for folder in folders):
        return
    say(f"fetching {' and '.join(names)}")
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "ansible"], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("ansible-*.whl"))) as wheel:
            wheel.extractall(OTHERS, [name for name in wheel.namelist() if name.startswith(tuple(folders))])


def measure(kind):
    with tempfile.TemporaryDirectory(prefix="netfleet-bench-") as folder, hosts.KINDS[kind](Path(folder)) as host:
        paths = playbooks(host, Path(folder))
        return compare(host, PEER, paths, [OTHERS])


def playbooks(host, work):
    """Write the playbooks that are compared; name -> path."""
    rows = values(host)
    options = {group: {row["name"]: row["value"] for row in rows if row["group"] == group} for group in ("table", "timeouts", "tracking")}
    options["table"]["memory_share"] = 0.9
    pairs = [{"name": row["path"].removeprefix("/proc/sys/").replace("/", "."), "value": row["value"]} for row in rows]
    sysctl = {"name": "{{ item.name }}", "value": "{{ item.value }}", "sysctl_set": True, "sysctl_file": host.sysctl_file}
    tasks = {
        "ours": {PEER.module: {group: names for group, names in options.items() if names}},
        "loop": {PEER.loop: sysctl, "loop": pairs},
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


if __name__ == "__main__":
    sys.exit(main())

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role costs on 20 and 200 hosts: against `ansible all -m ping`, and against the same state kept by modules of others.

The policy is a full one: 35 settings, early loading and 5 SNAT rules. The hosts are names of this machine, without ssh, in namespaces
with a systemd of their own, and a run changes nothing; runs that are compared take turns. In every round the role also runs while
another process holds the lock under which hosts are changed. The first run, which changes all of it, is measured on a virtual router
over ssh (--only guest, --only local). The table goes to stdout and, with both measured and no --rounds, into results/fleet.txt.
"""

import argparse
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hosts
import yaml
from compare import ROUNDS, machine, median, say, table, timed
from settings import HERE, KEYS, OTHERS, fetch, values

EVERY = HERE.parents[1] / "molecule/default/vars/every_setting.yml"
RESULTS = HERE / "results/fleet.txt"
MODULES = Path("/proc/modules")  # without it, in a kernel that can load none, community.general.modprobe fails
LOCK = "/run/netfleet-conntrack.lock"
RULES = 5
FEW, MANY = 20, 200
FORKS = 20  # besides Ansible's own 5
COST = 1.5  # times the seconds of ping that a run may take
FASTER = 15  # times that it is to be faster than the modules of others
GUEST_ROUNDS = 3
TITLE = "{} names of this machine, {} forks"
NETWORKS = [f"198.18.{number}.0/24" for number in range(RULES)]  # nobody's: RFC 2544
# What others load at boot: a rule that needs tracking, and what loads it.
THEIR_RULE = "table inet early {\n    chain prerouting {\n        type filter hook prerouting priority raw; ct state new accept\n    }\n}\n"
THEIR_UNIT = "[Service]\nType=oneshot\nExecStart=/usr/sbin/nft -f /etc/nftables-early.conf\n\n[Install]\nWantedBy=sysinit.target\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["guest", "local"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that this machine gets back what it held
    if os.environ.get("NETFLEET_BENCH") == "inside":
        return inside(args.rounds)
    fetch("ansible.posix", "community.general")
    parts = {"local": lambda: outside(args.rounds), "guest": lambda: first_run(GUEST_ROUNDS)}
    texts, met = zip(*(part() for name, part in parts.items() if args.only in (None, name)), strict=True)
    text = "\n\n".join([machine(f"{KEYS} settings, early loading, {RULES} SNAT rules"), *texts])
    print(text)
    if args.only is None and args.rounds == ROUNDS:
        RESULTS.write_text(text + "\n")
    return 0 if all(met) else 1


def outside(rounds):
    """Measure this machine in namespaces; return (a text, whether all is as asked)."""
    with tempfile.TemporaryDirectory(prefix="netfleet-bench-") as folder, hosts.Booted(folder) as booted:
        command = [sys.executable, HERE.resolve() / "fleet.py", "--rounds", str(rounds)]
        done = booted.run(*command, env={**os.environ, "NETFLEET_BENCH": "inside"}, stdout=subprocess.PIPE)
    if not done.stdout:
        sys.exit(done.returncode or 1)
    return done.stdout.rstrip(), done.returncode == 0


# In the namespaces


def inside(rounds):
    work = Path("/run/netfleet-bench")
    work.mkdir()
    os.environ["ANSIBLE_HOME"] = str(work / "ansible")
    here = Names(work)
    plays = playbooks(here, work)
    here.play(plays["ours"], 1)
    few = measure(here, plays["ours"], FEW, rounds)
    forked = measure(here, plays["ours"], FEW, rounds, "--forks", str(FORKS))
    many, memory = measure_many(here, plays["ours"])
    here.play(plays["away"], 1)
    theirs = measure_theirs(here, plays["theirs"])
    text, met = report(few, forked, many, memory, theirs)
    print(text)
    return 0 if met else 1


class Names:
    """This machine, by as many names as are wanted."""

    title = "this machine"

    def __init__(self, work):
        self.work = work

    @staticmethod
    def run(command, text=""):
        return hosts.run(command, text)

    def inventory(self, number):
        path = self.work / f"inventory{number}.json"
        variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        names = {f"host{one:03}": None for one in range(1, number + 1)}
        path.write_text(json.dumps({"all": {"hosts": names, "vars": variables}}))
        return path

    def play(self, path, number, *options):
        return timed(["ansible-playbook", "--inventory", self.inventory(number), *options, path], [OTHERS])

    def unchanged(self, path, number, *options):
        """Seconds of a playbook that must change nothing."""
        seconds, output = self.play(path, number, *options)
        if output.count("changed=0 ") != number:
            sys.exit(f"{path} was to change nothing:\n{output}")
        return seconds

    def ping(self, number, *options):
        """Seconds of pinging as many names."""
        return timed(["ansible", "all", "--inventory", self.inventory(number), "--module-name", "ping", *options])[0]


@contextlib.contextmanager
def lock_held():
    with open(LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def measure(here, path, number, rounds, *options):
    """Name -> seconds of each run."""
    here.unchanged(path, number, *options)  # the first of them may remember what later ones need
    found = {"ping": [], "ours": [], "locked": []}
    for one in range(rounds):
        say(f"{number} names {' '.join(options)}: round {one + 1} of {rounds}")
        found["ping"].append(here.ping(number, *options))
        found["ours"].append(here.unchanged(path, number, *options))
        with lock_held():
            found["locked"].append(here.unchanged(path, number, *options))
    return found


def measure_many(here, path):
    """Return (name -> seconds of each run, peak of memory) of a run over many names."""
    say(f"{MANY} names")
    ping = here.ping(MANY)
    began = time.monotonic()
    memory = peak(["ansible-playbook", "--inventory", here.inventory(MANY), path], MANY)
    return {"ping": [ping], "ours": [time.monotonic() - began]}, memory


def measure_theirs(here, path):
    say(f"{FEW} names: modules of others")
    here.play(path, 1)
    return [here.unchanged(path, FEW)]


def peak(argv, number):
    """The most MiB of a playbook that must change nothing: (its first process, it and its workers together, what they share counted once)."""
    first, together = 0, 0
    with tempfile.TemporaryFile("w+") as output, subprocess.Popen(argv, stdout=output) as process:
        while process.poll() is None:
            time.sleep(0.5)
            sizes = [size for size in map(_proportional, _family(process.pid, Path(argv[0]).name)) if size]
            first, together = max(first, _resident(process.pid)), max(together, sum(sizes))
        output.seek(0)
        if process.returncode or output.read().count("changed=0 ") != number:
            sys.exit(f"{argv[-1]} was to change nothing")
    return first / 1024, together / 1024


def _family(pid, name):
    """A process and those below it that run the same program."""
    with contextlib.suppress(OSError):
        if name in Path(f"/proc/{pid}/cmdline").read_text():
            yield pid
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                yield from _family(child, name)


def _proportional(pid):
    return _kib(f"/proc/{pid}/smaps_rollup", "Pss:")


def _resident(pid):
    return _kib(f"/proc/{pid}/status", "VmHWM:")


def _kib(path, name):
    with contextlib.suppress(OSError):
        return next((int(line.split()[1]) for line in Path(path).read_text().splitlines() if line.startswith(name)), 0)
    return 0


def report(few, forked, many, memory, theirs):
    cost, faster = ratio(few), median(theirs) / median(few["ours"])
    lines = [TITLE.format(FEW, "Ansible's 5"), "", *table([*rows(few), ("the same state by modules of others", theirs)]), ""]
    lines += [f"by ping: {cost:.2f} times (at most {COST})", f"faster than modules of others: {faster:.1f} times (at least {FASTER})"]
    lines += [] if MODULES.exists() else ["(without community.general.modprobe, which fails where the kernel cannot load modules)"]
    lines += [f"while the lock is held, by ping: {ratio(few, 'locked'):.2f} times", "", TITLE.format(FEW, FORKS), "", *table(rows(forked)), ""]
    lines += [f"by ping: {ratio(forked):.2f} times", "", TITLE.format(MANY, "Ansible's 5"), "", *table(rows(many)), ""]
    lines += [f"by ping: {ratio(many):.2f} times"]
    lines += ["at the peak: {:.0f} MiB in the controller's first process, {:.0f} MiB with its workers".format(*memory)]
    return "\n".join(lines), cost <= COST and faster >= FASTER


def rows(found):
    names = {"ping": "ansible all -m ping", "ours": "netfleet.conntrack.conntrack", "locked": "netfleet.conntrack.conntrack, the lock held"}
    return [(names[name], seconds) for name, seconds in found.items()]


def ratio(found, name="ours"):
    return median(found[name]) / median(found["ping"])


# On a virtual router


def first_run(rounds):
    """What the first run costs, and the next, on one host over ssh; return (a text, True)."""
    found = {"ping": [], "first": [], "again": []}
    with tempfile.TemporaryDirectory(prefix="netfleet-bench-") as folder, hosts.Guest(Path(folder)) as host:
        plays = playbooks(host, Path(folder), changed=True)
        for one in range(rounds):
            say(f"{host.title}: round {one + 1} of {rounds}")
            play = ["ansible-playbook", "--inventory", host.inventory]
            found["ping"].append(timed(["ansible", "all", "--inventory", host.inventory, "--module-name", "ping"])[0])
            found["first"].append(timed([*play, plays["ours"]])[0])
            found["again"].append(timed([*play, plays["ours"]])[0])
            timed([*play, plays["away"]])
    names = {"ping": "ansible all -m ping", "first": "netfleet.conntrack.conntrack, first run", "again": "netfleet.conntrack.conntrack, no change"}
    lines = [host.title, "", *table([(names[name], seconds) for name, seconds in found.items()]), ""]
    lines += [f"first run by ping: {ratio(found, 'first'):.2f} times", f"no change by ping: {ratio(found, 'again'):.2f} times"]
    return "\n".join(lines), True


# What is kept


def playbooks(host, work, changed=False):
    """Write the playbooks; name -> path. With ``changed`` the values are others than the host's."""
    kept = values(host)
    others = {row["name"]: row["value"] for row in yaml.safe_load(EVERY.read_text())["every_setting"]} if changed else {}
    rows = [{**row, "value": others.get(row["name"], row["value"])} for row in kept]
    interface = next((name for name in host.run("ls /sys/class/net").split() if name != "lo"), "lo")
    role = {"hosts": "all", "gather_facts": False, "roles": ["netfleet.conntrack.conntrack"], "vars": {"conntrack_policy": policy(rows, interface)}}
    plays = {
        "ours": role,
        "away": {**role, "vars": {**role["vars"], "conntrack_state": "absent"}},
        "theirs": {"hosts": "all", "gather_facts": False, "tasks": their_tasks(rows, interface)},
    }
    paths = {name: work / f"{name}.yml" for name in plays}
    for name, path in paths.items():
        path.write_text(json.dumps([plays[name]]))
    return paths


def policy(rows, interface):
    """A full policy of these values."""
    found = {group: {row["name"]: row["value"] for row in rows if row["group"] == group} for group in ("table", "timeouts", "tracking")}
    found["table"]["memory_share"] = 0.9
    rules = [{"name": f"lan{number}", "out_interface": interface, "source": [network], "to": "masquerade"} for number, network in enumerate(NETWORKS)]
    return {**found, "early_load": {}, "snat": {"backend": "nftables", "rules": rules}}


def their_tasks(rows, interface):
    """The same state, as it is written without this collection."""
    pairs = [{"name": row["path"].removeprefix("/proc/sys/").replace("/", "."), "value": row["value"]} for row in rows]
    buckets = next(row["value"] for row in rows if row["name"] == "buckets")
    rule = {"table": "nat", "chain": "POSTROUTING", "out_interface": interface, "source": "{{ item }}", "jump": "MASQUERADE"}
    modprobe = {"community.general.modprobe": {"name": "nf_conntrack", "params": f"hashsize={buckets}", "persistent": "present"}}
    return [
        *([modprobe] if MODULES.exists() else []),
        {"ansible.builtin.copy": {"dest": "/etc/nftables-early.conf", "content": THEIR_RULE, "mode": "0644"}},
        {"ansible.builtin.copy": {"dest": "/etc/systemd/system/nftables-early.service", "content": THEIR_UNIT, "mode": "0644"}},
        {"ansible.posix.sysctl": {"name": "{{ item.name }}", "value": "{{ item.value }}", "sysctl_file": "/etc/sysctl.d/50-posix.conf"}, "loop": pairs},
        {"ansible.builtin.iptables": rule, "loop": NETWORKS},
    ]


if __name__ == "__main__":
    sys.exit(main())

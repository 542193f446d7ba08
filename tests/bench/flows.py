# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it costs to ask a full table who fills it, and to act on that: flow_info and flow against `conntrack`, and against ping.

Whole processes on one CPU, in a network namespace whose table is filled through netlink; modules as Ansible sends them, without
Ansible. Those that are compared take turns at the same table, or at one that is filled anew, the same, before each of them. The
text goes to stdout and, with everything measured (no --only, no --entries), into results/flows.txt.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from compare import machine, play, say, written

from ansible_collections.netfleet.conntrack.tests.flowtables import kinds, oracle, tables

RESULTS = Path(__file__).parent / "results/flows.txt"
PINGED = 2_000_000  # entries in the greatest table, which is asked for samples only
SIZES = (10_000, 100_000, 1_000_000)
MANY = 1_000_000  # from here on 3 rounds, not 5
CHOSEN = "10.1.2.3"  # has a tenth of the heavy table
MEMORY = 64  # MiB

CONNTRACK = {
    "list": ["conntrack", "-L"],
    "delete": ["conntrack", "-D", "-s", CHOSEN],
}
FIVE = ["source", "destination", "destination_port", "protocol", "tcp_state"]
CHOICE = {"source": [CHOSEN]}
TASKS = {
    "ping": {"ansible.builtin.ping": {}},
    "five": {"netfleet.conntrack.flow_info": {"sample": "exact", "show": FIVE}},
    "every": {"netfleet.conntrack.flow_info": {"sample": "exact"}},
    "sampled": {"netfleet.conntrack.flow_info": {"sample": "auto"}},
    "absent": {"netfleet.conntrack.flow": {"state": "absent", "filter": CHOICE}},
    "capped": {"netfleet.conntrack.flow": {"state": "capped", "remaining": 30, "filter": CHOICE}},
}
NAMES = {
    "list": "conntrack -L", "delete": f"conntrack -D -s {CHOSEN}", "ping": "ansible.builtin.ping", "five": "flow_info, exact, five breakdowns",
    "every": "flow_info, exact, every breakdown", "sampled": "flow_info, sampled", "absent": "flow, absent", "capped": "flow, capped",
}

LEFT = {"capped": 30}  # seconds that the chosen flows may have left; others delete them

# Runs one program. A process of its own because the peak of memory that is told of a program is never below
# that of its parent; this one's, about 10 MiB, is the least that is told.
RUNNER = """
import json, os, sys, time
os.sched_setaffinity(0, {0})
out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
began = time.monotonic()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, out, number) for number in (1, 2)])
status, usage = os.wait4(child, 0)[1:]
print(json.dumps([time.monotonic() - began, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)]))
"""


class Run(NamedTuple):
    seconds: float
    memory: float  # MiB, at the peak


class Limit(NamedTuple):
    """What is asked of ``name``: at most so many ``times`` the seconds of ``peer``, or so many ``more``, and so much memory.

    Asked at tables of ``least`` entries and more, told at all.
    """

    name: str
    peer: str
    times: float = 0
    more: float = 0
    memory: int = 0
    least: int = 0


class Case(NamedTuple):
    """A table, who takes turns at it, and what is asked of them. ``anew`` fills the table before each of them."""

    title: str
    entries: int
    composition: tuple
    limits: tuple
    extras: bool = False  # accounting and timestamps
    anew: bool = False

    def names(self):
        return list(dict.fromkeys(name for limit in self.limits for name in (limit.peer, limit.name)))


EXACT = (Limit("five", "list", times=1.0, memory=MEMORY, least=MANY), Limit("every", "list", times=1.5, memory=MEMORY, least=MANY))
SAMPLED = (Limit("sampled", "ping", more=0.15),)
ACT = (Limit("absent", "delete", times=1.0), Limit("capped", "absent", times=1.0))


def cases():
    """Group -> its cases."""
    found = {"read": [], "act": [Case("heavy", MANY, kinds.HEAVY, ACT, anew=True)]}
    for entries in SIZES:
        for title, composition in (("heavy", kinds.HEAVY), ("flat", kinds.FLAT)):
            found["read"] += [Case(title, entries, composition, EXACT + SAMPLED, extras) for extras in (False, True)]
    found["read"] += [Case("heavy", PINGED, kinds.HEAVY, SAMPLED)]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(cases()))
    parser.add_argument("--entries", type=int, help="only tables of this size")
    args = parser.parse_args()
    chosen = [case for group, members in cases().items() if args.only in (None, group) for case in members if args.entries in (None, case.entries)]
    with tempfile.TemporaryDirectory(prefix="netfleet-bench-") as folder:
        commands = {**CONNTRACK, **modules(Path(folder), {name for case in chosen for name in case.names()})}
        texts, met = zip(*(measure(case, commands, Path(folder)) for case in chosen), strict=True)
    text = "\n\n".join([machine("Flow tables of network namespaces, one CPU").replace(", nothing to change", ""), *texts])
    print(text)
    if args.only is None and args.entries is None:
        RESULTS.write_text(text + "\n")
    return 0 if all(met) else 1


class Here(NamedTuple):
    """This machine, for compare.play."""

    inventory: Path


def modules(work, names):
    """Name -> command of the modules among the names, in the files that Ansible sends; each is run once, at an empty table."""
    inventory = work / "inventory.yml"
    inventory.write_text(f"all: {{hosts: {{here: {{ansible_connection: local, ansible_python_interpreter: {sys.executable}}}}}}}\n")
    found = {}
    with tables.table() as netns, tables.inside(netns):
        for name in TASKS.keys() & names:
            say(f"{NAMES[name]}: as Ansible sends it")
            kept = work / f"kept-{name}"
            path = written(work / f"{name}.yml", {"name": name, **TASKS[name]})
            play(Here(inventory), path, (), ANSIBLE_KEEP_REMOTE_FILES="1", ANSIBLE_REMOTE_TMP=str(kept))
            found[name] = [sys.executable, str(next(kept.rglob("AnsiballZ_*.py")))]
    return found


def measure(case, commands, work):
    """Return (a table, whether it is as asked)."""
    found = {name: [] for name in case.names()}
    rounds = 3 if case.entries >= MANY else 5
    with tables.table(case.entries, acct=case.extras, timestamp=case.extras) as netns:
        for number in range(rounds):
            say(f"{heading(case)}: round {number + 1} of {rounds}")
            for name, runs in found.items():
                if case.anew or number == 0 and not any(found.values()):
                    refill(netns, case)
                runs.append(run(netns, commands[name], work))
                check(netns, case, name, work)
                say(f"    {NAMES[name]}: {runs[-1].seconds:.3f} s, {runs[-1].memory:.0f} MiB")
        return report(case, found, buckets())


def refill(netns, case):
    tables.flush(netns)
    tables.fill(netns, case.entries, case.composition)


def run(netns, argv, work):
    """One run of a program that must succeed; what `conntrack` lists goes nowhere."""
    out = "/dev/null" if argv[0] == "conntrack" else work / "out"
    with tables.inside(netns):
        done = subprocess.run([sys.executable, "-I", "-S", "-c", RUNNER, out, *argv], stdout=subprocess.PIPE, text=True, check=True)
    seconds, memory, status = json.loads(done.stdout)
    if status:
        sys.exit(f"{' '.join(argv)}: exit status {status}" + ("" if out == "/dev/null" else f"\n{out.read_text()}"))
    return Run(seconds, memory)


def check(netns, case, name, work):
    """Whether what was measured was done: chosen flows gone or re-timed, every entry counted."""
    if case.anew and any(flow.timeout > LEFT.get(name, 0) for flow in oracle.listed(netns, "-s", CHOSEN)):
        sys.exit(f"{NAMES[name]} left flows of {CHOSEN} as they were")
    if name in ("five", "every") and not re.search(rf"\b{case.entries}\b", (work / "out").read_text()):
        sys.exit(f"{NAMES[name]} did not count {case.entries} entries")


def report(case, found, chains):
    lines = [heading(case) + f", {chains:,} buckets", "", f"{'seconds':<48}{'median':>9}{'least':>9}{'most':>9}{'runs':>6}{'MiB':>8}"]
    for name, runs in found.items():
        seconds = [one.seconds for one in runs]
        lines.append(f"{NAMES[name]:<48}{statistics.median(seconds):>9.3f}{min(seconds):>9.3f}{max(seconds):>9.3f}{len(runs):>6}{memory(runs):>8.1f}")
    verdicts = [verdict(*said, case.entries >= limit.least) for limit in case.limits for said in judged(limit, found)]
    return "\n".join([*lines, "", *(text for text, _met in verdicts)]), all(met for _text, met in verdicts)


def heading(case):
    extras = "with accounting and timestamps" if case.extras else "without accounting and timestamps"
    return f"{case.entries:,} entries, {case.title}, {extras}" + (", filled anew before each run" if case.anew else "")


def judged(limit, found):
    """Yield (what came out, the number, the most that it may be, its unit)."""
    ours, theirs = (statistics.median(one.seconds for one in found[name]) for name in (limit.name, limit.peer))
    if limit.times:
        yield f"{NAMES[limit.name]}, by {NAMES[limit.peer]}", ours / theirs, limit.times, "times"
    if limit.more:
        yield f"{NAMES[limit.name]}, more than {NAMES[limit.peer]}", ours - theirs, limit.more, "s"
    if limit.memory:
        yield f"{NAMES[limit.name]}, at the peak", memory(found[limit.name]), limit.memory, "MiB"


def verdict(what, value, most, unit, is_asked):
    """Return (a line, whether it is as asked)."""
    met = value <= most or not is_asked
    return f"{what}: {value:.2f} {unit}" + (f" (at most {most}{'' if met else ': MISSED'})" if is_asked else ""), met


def memory(runs):
    return max(one.memory for one in runs)


def buckets():
    return int((tables.SYSCTLS / "nf_conntrack_buckets").read_text())


if __name__ == "__main__":
    sys.exit(main())

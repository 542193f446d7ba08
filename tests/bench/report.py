# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the report on 1000 hosts costs the controller: every form, compared with the report of the day before, with 90 runs of history.

Seconds and peak memory of a process that holds the hosts' results and does what the action conntrack_report does. The text goes to
stdout and, without --hosts, into results/report.txt.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

RESULTS = Path(__file__).parent / "results/report.txt"
MOST_SECONDS, MOST_MIB = 10, 300
RUNS = 90


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        return measure(Path(options.folder))
    with tempfile.TemporaryDirectory(prefix="netfleet-bench-") as folder:
        prepare(Path(folder), options.hosts)
        done = subprocess.run([sys.executable, __file__, f"--folder={folder}"], check=False, stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="")
    if options.hosts == 1000 and done.stdout:
        RESULTS.write_text(done.stdout)
    return done.returncode


def prepare(folder, hosts):
    """Write what a fleet gave, the report of the day before, and a history."""
    from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report_history, _report_json
    from ansible_collections.netfleet.conntrack.tests.unit.plugins.plugin_utils import results

    earlier = results.report(hosts)
    (folder / "results.json").write_text(json.dumps(results.results(hosts, seed=0)))
    (folder / "report.json").write_text(_report_json.render(dict(earlier, written=_report_history.written(time.time() - results.DAY))))
    run = json.loads(_report_history.line(earlier))
    lines = [json.dumps(dict(run, time=int(time.time()) - day * results.DAY)) for day in range(RUNS, 0, -1)]
    (folder / "history.jsonl").write_text("\n".join(lines) + "\n")


def measure(folder):
    """Do what the action does, and say what it took; 1 where that is too much."""
    from ansible_collections.netfleet.conntrack.plugins.action import conntrack_report
    from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report_files

    looked = json.loads((folder / "results.json").read_text())
    hostvars = types.SimpleNamespace(raw_get=lambda name: {"conntrack_drift_looked": looked[name]})
    forms, render = {}, _report_files.render

    def timed(form, report):
        began = time.perf_counter()
        text = render(form, report)
        forms[form] = time.perf_counter() - began, len(text.encode())
        return text

    _report_files.render = timed
    before, began = peak(), time.perf_counter()
    options = conntrack_report.checked({"directory": str(folder)}, {"ansible_play_hosts_all": list(looked)})
    conntrack_report.reported(options, hostvars)
    seconds = time.perf_counter() - began
    print(f"{len(looked)} hosts, the report before and {RUNS} runs of history; Python {platform.python_version()}, {os.cpu_count()} CPUs\n")
    print(f"all of it                 {seconds:8.1f} s (at most {MOST_SECONDS})")
    for form, (took, size) in forms.items():
        print(f"  {form:<12} {size / 2**20:7.1f} MiB {took:8.1f} s")
    print(f"peak memory               {peak():8.0f} MiB (at most {MOST_MIB}), of which {before:.0f} before it began: Ansible, and what the hosts gave")
    return 0 if seconds <= MOST_SECONDS and peak() <= MOST_MIB else 1


def peak():
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())

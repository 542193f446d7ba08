# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stages of `make test`, and the runner that goes through them."""

import sys
from typing import NamedTuple

from .jobs import Job, Result, all_passed, run_all
from .machine import ROOT

DEV = (sys.executable, str(ROOT / "tools/dev.py"))


class Stage(NamedTuple):
    name: str
    argv: tuple
    lane: str = ""  # stages of one lane share a resource, and run one after the other
    quick: tuple | None = None  # of one that is also part of `make quick`: what is said to it there


SCENARIOS = tuple(word for name in ("default", "boot", "nat", "flows", "confirm", "drift") for word in ("-s", name))
STAGES = (
    Stage("setup", (*DEV, "setup", "all")),
    Stage("lint", (*DEV, "lint"), quick=()),
    Stage("render", (*DEV, "in", "unit", "python", "tools/render.py", "--check"), quick=()),
    Stage("units-newest", (*DEV, "units", "--core", "newest"), quick=("--quick",)),
    Stage("units-2.16", (*DEV, "units", "--core", "216")),
    Stage("sanity-newest", (*DEV, "sanity", "--core", "newest"), quick=()),
    Stage("sanity-2.16", (*DEV, "sanity", "--core", "216")),
    Stage("integration", (*DEV, "pytest", "tests/integration"), lane="host"),
    Stage("monitoring", (*DEV, "pytest", "tests/monitoring")),
    Stage("report", (*DEV, "in", "page", "python", "-m", "pytest", "tests/report")),
    Stage("molecule", (*DEV, "in", "molecule", "molecule", "test", *SCENARIOS), lane="guests"),
    Stage("run", ("make", "run", f"PYTHON={sys.executable}"), lane="guests"),
)


def run(names=(), quick=False):
    """Run all stages, the quick ones, or the named ones; a failed one does not stop the others."""
    chosen = [stage for stage in STAGES if (stage.name in names if names else stage.quick is not None or not quick)]
    first = [stage for stage in chosen if stage.name == "setup"]
    others = [stage for stage in chosen if stage.name != "setup"]
    results = run_all(map_jobs(first, quick)) + run_all(map_jobs(others, quick))
    print(summary(results), flush=True)
    return all_passed(results)


def map_jobs(stages, quick):
    return [Job(f"stage-{stage.name}", stage.argv + (stage.quick or () if quick else ()), lane=stage.lane) for stage in stages]


def summary(results):
    failed = sum(result.status != 0 for result in results)
    return "\n".join(["", *map(row, results), "", f"{len(results) - failed} passed, {failed} failed"])


def row(result: Result):
    verdict = "FAILED" if result.status else "passed"
    return f"{result.job.name.removeprefix('stage-'):<16} {verdict:<8} {result.seconds:7.1f} s"

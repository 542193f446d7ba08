# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks: ansible-test's sanity and unit tests for each core, and the linters."""

import os
import re
import shutil
from pathlib import Path

from . import machine, stage, venvs
from .jobs import Job, all_passed, run_all
from .machine import CACHE, ROOT

CORES = {"216": "core216", "newest": "newest"}  # name on the command line -> purpose
OLDEST, OLD_TARGET = "216", "target216"  # unit tests run there on the oldest Python of a managed host
STUB = ROOT / "tests/tools/get_pip_stub.py"

# name: arguments; all run in a copy of the checkout
LINTERS = {
    "ruff": ("ruff", "check", "--no-cache", "."),
    "yamllint": ("yamllint", "--strict", "."),
    "reuse": ("reuse", "lint", "--lines"),
    "changelog": ("antsibull-changelog", "lint"),
    "ansible-lint": ("ansible-lint", "--offline", "--strict", "--profile", "production"),
    "docs": ("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=self", "."),
}


def lint(names=()):
    venvs.ensure("lint")
    place = stage.staged("lint")
    env = {
        **venvs.environment("lint"),
        "ANSIBLE_COLLECTIONS_PATH": tree_of(place),
        "ANSIBLE_HOME": str(CACHE / "home/lint/.ansible"),
        "HOME": home("lint"),
    }
    slow_first = reversed(LINTERS.items())
    return all_passed(run_all([Job(f"lint-{name}", argv, place, env) for name, argv in slow_first if not names or name in names]))


def sanity(cores=(), args=()):
    return all_passed(run_all([sanity_job(core, args) for core in cores or CORES]))


def sanity_job(core, args):
    """Compile and import tests run on every Python at hand that the core knows."""
    env = ansible_test_environment(core, [link_pythons()])
    alone = ("flock", str(CACHE / f"lock/sanity-{core}-run"))  # its environments are made as it goes
    argv = (*alone, "ansible-test", "sanity", "--local", "--color", "no", *args)
    return Job(f"sanity-{core}", argv, stage.staged(f"sanity-{core}"), env)


def units(cores=(), args=(), quick=False):
    jobs = [job for core in cores or CORES for job in units_jobs(core, args, quick)]
    return all_passed(run_all(jobs))


def units_jobs(core, args, quick):
    """The ends of what is supported: the oldest Python of a managed host on the oldest core, the newest on the newest."""
    place = (venvs.ensure(OLD_TARGET) if core == OLDEST else None) or venvs.ensure(CORES[core])
    env = ansible_test_environment(core, [place / "bin"])
    version = python_version(place)
    argv = ("ansible-test", "units", "--local", "--color", "no", "--python", version, *args)
    copy = stage.staged(f"units-{core}")
    mark_quick(copy / "tests/output/quick", quick)
    yield Job(f"units-{core}-py{version}", argv, copy, env)


def mark_quick(path, quick):
    """Tell tests/unit/conftest.py, to which ansible-test hands no variables, whether some cases of each test will do."""
    path.unlink(missing_ok=True)
    if quick:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def ansible_test_environment(core, folders):
    """The user's own ~/.ansible stays untouched: ansible-test gets a home in the cache."""
    venvs.ensure(CORES[core])
    env = venvs.environment(CORES[core])
    first, *rest = env["PATH"].split(os.pathsep)
    env["PATH"] = os.pathsep.join([first, *map(str, folders), *rest])
    env["HOME"] = home(core)
    place_get_pip(core)
    return env


def home(name):
    """A home folder in the cache, with the user's settings for pip."""
    place = CACHE / "home" / name
    (place / ".config").mkdir(parents=True, exist_ok=True)
    theirs, ours = Path.home() / ".config/pip", place / ".config/pip"
    with machine.lock("home"):
        if theirs.exists() and not ours.is_symlink():
            ours.symlink_to(theirs)
    return str(place)


def place_get_pip(core):
    """Spare ansible-test the download of get-pip, under the names for which this core looks."""
    package = next(venvs.folder(CORES[core]).glob("lib/python3*/site-packages/ansible_test"))
    text = (package / "_internal/python_requirements.py").read_text()
    folder = Path(home(core)) / ".ansible/test/cache"
    folder.mkdir(parents=True, exist_ok=True)
    for version in re.findall(r"pip='([\d.]+)'", text):
        shutil.copyfile(STUB, folder / f"get_pip_{version.replace('.', '_')}.py")


def link_pythons():
    """A folder with a link to each Python at hand, for PATH."""
    folder = CACHE / "pythons"
    folder.mkdir(parents=True, exist_ok=True)
    with machine.lock("pythons"):
        found = machine.interpreters()
        for version, path in found.items():
            link = folder / f"python{version}"
            if not link.is_symlink() or os.readlink(link) != str(path):
                link.unlink(missing_ok=True)
                link.symlink_to(path)
    return folder


def python_version(place):
    return re.search(r"python(3\.\d+)$", str(next(place.glob("lib/python3.*"))))[1]


def tree_of(place):
    return str(place.parents[2])

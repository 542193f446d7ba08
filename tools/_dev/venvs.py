# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A virtual environment for each purpose, made when first needed and remade when its requirements change."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from functools import cache
from typing import NamedTuple

from . import machine
from .machine import CACHE, ROOT, DevError

UV = "uv==0.13.8"
REQUIREMENTS = ROOT / "tests/requirements"


class Purpose(NamedTuple):
    requirements: str
    pythons: tuple  # in order of preference
    download: str  # the version to fetch when none of them is here
    fallback: tuple = ()  # taken when that fails
    packages: tuple = ("base",)
    optional: bool = False  # without a Python, do without


NEW = {"pythons": ("3.14", "3.13", "3.12"), "download": "3.13", "fallback": ("3.11",)}

PURPOSES = {
    "core216": Purpose("core216.txt", ("3.11", "3.12", "3.10"), "3.11", packages=("base", "units")),
    "newest": Purpose("newest.txt", packages=("base", "units"), **NEW),
    "lint": Purpose("lint.txt", **NEW),
    "run": Purpose("run.txt", packages=("base", "vm"), **NEW),
    "molecule": Purpose("molecule.txt", packages=("base", "vm"), **NEW),
    "unit": Purpose("unit.txt", packages=("base", "units"), **NEW),
    "page": Purpose("page.txt", packages=("base", "page"), **NEW),
    # The oldest Pythons of managed hosts, for unit tests of modules.
    "target216": Purpose("target.txt", ("3.6", "3.7", "3.8"), "3.8", optional=True),
}


def folder(name):
    return CACHE / "venv" / name


def ensure(name):
    """Path of the purpose's environment, made if need be; None if it is optional and no Python can be had."""
    purpose, place = PURPOSES[name], folder(name)
    if is_fresh(name):
        return place
    if was_absent(name):
        return None
    with machine.lock(f"venv-{name}"):
        if not is_fresh(name):  # another process may have made it meanwhile
            machine.need_packages(*purpose.packages)
            python = choose_python(name)
            if python is None:
                remember_absence(name)
                return None
            build(name, python)
    return place


def is_fresh(name):
    place = folder(name)
    try:
        return (place / "stamp").read_text() == stamp(name) and (place / "bin/python").exists()
    except OSError:
        return False


def was_absent(name):
    """True for a day after no Python could be had: asking the network again takes long."""
    mark = folder(name) / "absent"
    return mark.exists() and time.time() - mark.stat().st_mtime < 24 * 3600


def remember_absence(name):
    folder(name).mkdir(parents=True, exist_ok=True)
    (folder(name) / "absent").touch()


def stamp(name):
    purpose = PURPOSES[name]
    packages = [name for group in purpose.packages for name in machine.PACKAGES[group]]
    parts = [UV, str(ROOT), *packages, *purpose.pythons, *requirement_lines(purpose.requirements)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def requirement_lines(filename):
    """The lines of a requirements file and of those that it includes."""
    for line in (REQUIREMENTS / filename).read_text().splitlines():
        if line.startswith("-r "):
            yield from requirement_lines(line[3:].strip())
        elif line and not line.startswith("#"):
            yield line


def choose_python(name):
    purpose = PURPOSES[name]
    found = machine.interpreters()
    for version in purpose.pythons:
        if version in found:
            return found[version]
    refused = download(purpose.download)
    found = machine.interpreters()
    for version in (purpose.download, *purpose.fallback):
        if version in found:
            if refused:
                print(f"{name}: Python {purpose.download} cannot be fetched, {version} stands in for it", flush=True)
            return found[version]
    if purpose.optional:
        return None
    wanted, here = ", ".join(purpose.pythons), ", ".join(found)
    raise DevError(f"{name} needs a Python of {wanted}; here are {here}, and {purpose.download} cannot be fetched:\n{refused}")


@cache
def download(version):
    """Let uv fetch a Python; returns its complaint, or ''."""
    print(f"fetching Python {version}", flush=True)
    done = uv("python", "install", "--install-dir", str(machine.PYTHONS), "--no-bin", version)
    return done.stderr if done.returncode else ""


def build(name, python):
    print(f"making the environment {name} with {python}", flush=True)
    place = folder(name)
    shutil.rmtree(place, ignore_errors=True)
    must(uv("venv", "--quiet", "--seed", "--no-project", "--python", str(python), str(place)))
    must(uv("pip", "install", "--quiet", "--python", str(place / "bin/python"), "-r", str(REQUIREMENTS / PURPOSES[name].requirements)))
    (place / "stamp").write_text(stamp(name))


def must(done):
    if done.returncode:
        raise DevError(f"{' '.join(map(str, done.args))} failed:\n{done.stdout}{done.stderr}")


def uv(*args):
    return subprocess.run([uv_program(), *args], capture_output=True, text=True, check=False, env=uv_environment())


def uv_program():
    place = CACHE / "venv" / UV.replace("==", "-")
    program = place / "bin/uv"
    with machine.lock("uv"):
        if not program.exists():
            machine.need_packages("base")
            print(f"installing {UV}", flush=True)
            must(subprocess.run([sys.executable, "-m", "venv", str(place)], capture_output=True, text=True, check=False))
            must(subprocess.run([place / "bin/pip", "install", "--quiet", UV], capture_output=True, text=True, check=False))
    return program


def uv_environment():
    """The user's settings for pip hold for uv as well."""
    env = {**os.environ, "UV_NO_PROGRESS": "1"}
    for variable, option in (("UV_DEFAULT_INDEX", "index-url"), ("SSL_CERT_FILE", "cert")):
        value = env.get(variable) or pip_setting(option)
        if value:
            env[variable] = value
    return env


def pip_setting(option):
    pip = CACHE / "venv" / UV.replace("==", "-") / "bin/pip"
    for section in (":env:", "global", "install"):
        told = subprocess.run([pip, "config", "get", f"{section}.{option}"], capture_output=True, text=True, check=False)
        if told.returncode == 0:
            return told.stdout.strip()
    return None


def environment(name):
    """Environment variables that make the purpose's programs the first on PATH."""
    place = folder(name)
    return {
        **{key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")},
        "LC_ALL": "C.UTF-8",
        "PATH": os.pathsep.join([str(place / "bin"), *machine.clean_path()]),
        "VIRTUAL_ENV": str(place),
    }

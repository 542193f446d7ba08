# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the machine has: folders, Debian packages, Python interpreters."""

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
PYTHONS = CACHE / "python"  # those that uv downloads

PACKAGES = {
    "base": ("git",),
    "units": ("nftables", "iptables", "conntrack", "kmod", "procps", "iproute2", "shellcheck", "python3-venv"),
    "vm": ("qemu-system-x86", "qemu-utils", "mmdebstrap", "e2fsprogs", "busybox-static", "cpio", "xz-utils", "openssh-client", "iproute2"),
    "page": ("chromium", "fonts-inter", "fonts-dejavu-core"),
}


class DevError(Exception):
    """Something that the user has to put right; the text says how."""


@contextmanager
def lock(name):
    """Held by one process at a time."""
    path = CACHE / "lock" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def need_packages(*groups):
    """Install the Debian packages of these groups that are missing."""
    missing = missing_packages({name for group in groups for name in PACKAGES[group]})
    if importlib.util.find_spec("ensurepip") is None:
        missing = sorted({*missing, "python3-venv"})
    if missing:
        with lock("apt"):
            install_packages(missing)


def missing_packages(names):
    if not shutil.which("dpkg-query"):
        print(f"not a Debian: make sure that the like of these is installed: {' '.join(sorted(names))}")
        return []
    told = subprocess.run(["dpkg-query", "-W", "-f=${Package} ${Status}\n", *names], capture_output=True, text=True, check=False).stdout
    installed = {line.split()[0] for line in told.splitlines() if line.endswith(" installed")}
    return sorted(names - installed)


def install_packages(names):
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *names]
    command = as_root(install)
    if command is None:
        raise DevError(f"Debian packages are missing, and neither root's nor sudo's rights are at hand. As root, run: {' '.join(install)}")
    print(f"installing Debian packages: {' '.join(names)}", flush=True)
    subprocess.run(as_root(["apt-get", "update"]), check=False, stdout=subprocess.DEVNULL)
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    if done.returncode:
        raise DevError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def as_root(command):
    """The command as root would run it, or None without the rights."""
    if os.geteuid() == 0:
        return command
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], check=False, capture_output=True).returncode == 0:
        return ["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive", *command]
    return None


def clean_path():
    """PATH without pyenv's shims: they answer for Pythons that are not chosen, and fail when asked."""
    return [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part and not part.rstrip("/").endswith("shims")]


def interpreters():
    """Every Python 3 that works: version such as '3.11' -> path."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [*map(Path, clean_path()), *sorted(pyenv.glob("versions/*/bin")), *sorted(PYTHONS.glob("*/bin"))]
    found = {}
    for folder in folders:
        for path in sorted(folder.glob("python3.*")):
            version = re.fullmatch(r"python(3\.\d+)", path.name)
            if version and version[1] not in found and works(path, version[1]):
                found[version[1]] = path
    return found


def works(path, version):
    """True for a usable interpreter of that version which is not itself in a virtual environment."""
    ask = "import ssl, sys, sysconfig; print('%d.%d' % sys.version_info[:2], sys.prefix == sys.base_prefix)"
    try:
        told = subprocess.run([path, "-c", ask], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return told.stdout.split() == [version, "True"]

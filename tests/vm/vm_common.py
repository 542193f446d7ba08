# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every part of the guest tool shares: where the cache is, how to speak, how to run, how to take turns."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time

STARTED = time.monotonic()


class VmError(Exception):
    """A fault that its text explains; the command line prints the text and ends with status 1."""


class BootError(VmError):
    """The guest did not come up; another try may succeed."""


def log(text):
    """One line of progress with the seconds since the start, on stderr: stdout is for results."""
    print(f"[{time.monotonic() - STARTED:6.1f}s] {text}", file=sys.stderr, flush=True)


def cache_root():
    """`$NETFLEET_CACHE/vm`, by default `.cache/vm` in the checkout."""
    checkout = pathlib.Path(__file__).resolve().parents[2]
    return pathlib.Path(os.environ.get("NETFLEET_CACHE") or checkout / ".cache").absolute() / "vm"


def cache_dir(name):
    """A folder of the cache, made when missing."""
    path = cache_root() / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest(inputs):
    """A short name for everything that `inputs` says: equal inputs, equal name."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]


@contextlib.contextmanager
def lock(name):
    """Holds the lock `name` of this cache: of several processes one builds, the others wait and find it built."""
    with open(cache_dir("locks") / name, "w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run(argv, **options):
    """The output of a command that must succeed."""
    try:
        done = subprocess.run([str(arg) for arg in argv], check=False, capture_output=True, text=True, **options)
    except FileNotFoundError as error:
        raise VmError(f"{argv[0]} is not installed on this machine") from error
    if done.returncode:
        raise VmError(f"{' '.join(map(str, argv))}: status {done.returncode}\n{(done.stderr or done.stdout)[-3000:]}")
    return done.stdout

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of the checkout where tools want a collection to lie."""

import os
import shutil
import subprocess
from pathlib import Path

from .machine import CACHE, ROOT, DevError, lock

INSIDE = Path("ansible_collections/netfleet/conntrack")
KEPT = (".git", "tests/output")  # in the copy, and not from the checkout


def collections_path():
    """A folder for ANSIBLE_COLLECTIONS_PATH, in which the collection is a link to the checkout."""
    tree = CACHE / "collections"
    link = tree / INSIDE
    link.parent.mkdir(parents=True, exist_ok=True)
    with lock("collections"):
        if not link.is_symlink() or link.resolve() != ROOT:
            link.unlink(missing_ok=True)
            link.symlink_to(ROOT, target_is_directory=True)
    return tree


def staged(name):
    """Path of a copy of the checkout, up to date, in a tree of its own: ansible-test refuses links."""
    place = CACHE / "stage" / name / INSIDE
    place.mkdir(parents=True, exist_ok=True)
    with lock(f"stage-{name}"):
        if not (place / ".git").exists():
            git(place, "init", "--quiet")
        files = source_files()
        remove_others(place, files)
        for name_inside in files:
            copy(ROOT / name_inside, place / name_inside)
        git(place, "add", "--all")  # some tools see tracked files only
    return place


def source_files():
    """What git tracks or would track, and what is still there."""
    listed = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    return {name for name in listed if name and os.path.lexists(ROOT / name) and not (ROOT / name).is_dir()}


def remove_others(place, files):
    folders = {str(parent) for name in files for parent in Path(name).parents}
    for root, names, others in os.walk(place, topdown=True):
        inside = Path(root).relative_to(place)
        names[:] = [name for name in names if str(inside / name) not in KEPT]
        for name in [name for name in names if str(inside / name) not in folders and str(inside / name) != "tests"]:
            names.remove(name)
            remove(Path(root, name))
        for name in others:
            if str(inside / name) not in files:
                remove(Path(root, name))


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def copy(source, target):
    """Copy if size, time of change or mode differ."""
    have = target.lstat() if os.path.lexists(target) else None
    want = source.lstat()
    if have and (have.st_size, have.st_mtime_ns, have.st_mode) == (want.st_size, want.st_mtime_ns, want.st_mode):
        return
    if have:
        remove(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


def git(folder, *args):
    done = subprocess.run(["git", "-c", "safe.directory=*", "-C", str(folder), *args], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DevError(f"git {' '.join(args)} failed in {folder}:\n{done.stderr}")
    return done.stdout

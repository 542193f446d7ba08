# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What the running kernel says about connection tracking.

Only files are read: nothing is loaded, registered or sent by looking.
"""
import re
from typing import Any, NamedTuple, Optional, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import CATALOGUE

SLAB = "/sys/kernel/slab/nf_conntrack/slab_size"
# An entry where the host cannot say: the largest slab object that kernels since 4.18 have had (x86_64).
SLAB_BYTES = 320
# The extension area that accounting, timestamps, event listeners and masquerading need (NF_CT_EXT_PREALLOC).
EXTENSION_BYTES = 128
# The CPUs that work, as ranges; of the whole machine in a container too. Those that are possible are often many more on
# virtual machines, which count what could be plugged in.
CPUS = "/sys/devices/system/cpu/online"


class Kernel(NamedTuple):
    """The running kernel, as this network namespace sees it."""

    release: str  # as uname -r
    version: Tuple[int, int]
    page_size: int  # bytes
    mem_total: int  # bytes
    cpus: int  # that are online; 0 where the host does not tell
    uid: int  # of this process
    available: bool  # connection tracking is there: built in, or its module is loaded
    builtin: bool
    loadable: bool  # there is a module to load
    initial: bool  # this is the initial network namespace
    boots: bool  # the next boot sets up this network namespace
    namespace: str  # what tells this namespace's memory apart: "", or its number where no boot sets it up
    count: Optional[int]  # entries of this namespace
    slab_bytes: int  # one entry without extensions
    running: Any  # dict: name -> number, of the settings that the kernel has
    read_only: Any  # frozenset of names that exist and cannot be written here
    read_only_mounts: Tuple[str, ...]  # of /proc, /proc/sys, /sys

    @property
    def entry_bytes(self):
        """The most that one entry takes."""
        return self.slab_bytes + EXTENSION_BYTES


def read(host, inputs):
    """Read the running kernel through ``host``; what its next boot shares with it is in ``inputs``."""
    running = _running(host)
    available = "max" in running
    initial = host.exists("/proc/sys/net/nf_conntrack_max" if available else "/proc/sys/net/core/dev_weight")
    boots = initial or _same_as_first_process(host)
    return Kernel(
        release=inputs.release,
        version=inputs.version,
        page_size=inputs.page_size,
        mem_total=inputs.mem_total,
        cpus=_cpus(host),
        uid=host.uid,
        available=available,
        builtin=inputs.builtin,
        loadable=available or _has_module(host, inputs.release),
        initial=initial,
        boots=boots,
        namespace="" if boots else "-net-" + re.sub("[^0-9]", "", host.link("/proc/self/ns/net") or ""),
        count=running.pop("count", None),
        slab_bytes=_slab_bytes(host),
        running=running,
        read_only=frozenset(s.name for s in CATALOGUE if s.name in running and not _writable(host, s)),
        read_only_mounts=tuple(_read_only_mounts(host.read("/proc/self/mounts") or "")),
    )


def as_booted(kernel, inputs):
    """``inputs`` as a boot of this system sees them: in a container the host's kernel has the module already."""
    return inputs if kernel.initial or not kernel.boots else inputs._replace(builtin=True)


def _running(host):
    found = ((s.name, host.number(s.path)) for s in CATALOGUE)
    return {name: value for name, value in found if value is not None}


def _has_module(host, release):
    return "/nf_conntrack.ko" in (host.read("/lib/modules/%s/modules.dep" % release) or "")


def _same_as_first_process(host):
    """Tell whether this is the network namespace of process 1, which is what a boot (of a container, too) sets up."""
    first = host.link("/proc/1/ns/net")
    return first is not None and first == host.link("/proc/self/ns/net")


def _cpus(host):
    ranges = re.findall(r"([0-9]+)(?:-([0-9]+))?", host.read(CPUS) or "")
    if ranges:
        return sum(int(last or first) - int(first) + 1 for first, last in ranges)
    return len(re.findall(r"^processor\b", host.read("/proc/cpuinfo") or "", re.MULTILINE))


def _slab_bytes(host):
    found = host.number(SLAB)
    if found is None:
        line = re.search(r"^nf_conntrack +[0-9]+ +[0-9]+ +([0-9]+)", host.read("/proc/slabinfo") or "", re.MULTILINE)
        found = int(line.group(1)) if line else SLAB_BYTES
    return found


def _writable(host, setting):
    # Root may write whatever the mode says, but these files' handlers refuse where the mode has no write bit.
    return setting.access == "rw" and bool((host.mode(setting.path) or 0) & 0o200)


def _read_only_mounts(mounts):
    """Which of the places that we write to are mounted read-only; a later mount hides an earlier one."""
    found = {}
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[1] in ("/proc", "/proc/sys", "/sys"):
            found[fields[1]] = "ro" in fields[3].split(",")
    return [place for place in sorted(found) if found[place] and not (place == "/proc" and found.get("/proc/sys") is False)]

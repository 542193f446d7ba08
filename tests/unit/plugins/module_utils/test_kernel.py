# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the running kernel says, on recorded hosts and on hosts made up."""
import os

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _boot_read, _kernel
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import CATALOGUE
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded

MIB = 1024 ** 2
GLOBAL = frozenset(["buckets", "max", "expect_max"])
# name: (available, built in, loadable, initial namespace, boot sets it up, what is read-only)
HOSTS = {
    "bookworm-6.1": (True, False, True, True, True, {"expect_hashsize"}),
    "bookworm-6.1-late": (True, False, True, True, True, {"expect_hashsize"}),
    "bookworm-6.1-netns": (True, False, True, False, False, {"expect_hashsize"} | GLOBAL),
    "bookworm-6.1-unloaded": (False, False, True, True, True, set()),
    "bullseye-5.10": (True, False, True, True, True, {"expect_hashsize"}),
    "bullseye-5.10-unloaded": (False, False, True, True, True, set()),
    "live-6.18": (True, True, True, True, True, {"expect_hashsize"}),
    "live-6.18-netns": (True, True, True, False, False, {"expect_hashsize"} | GLOBAL),
    "trixie-6.12": (True, False, True, True, True, {"expect_hashsize"}),
    "trixie-6.12-unloaded": (False, False, True, True, True, set()),
}


def read(host):
    return _kernel.read(host, _boot_read.read(host))


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_recorded(name, tmp_path):
    found = read(recorded.machine(name, tmp_path))
    told = (found.available, found.builtin, found.loadable, found.initial, found.boots, set(found.read_only))
    assert told == HOSTS[name]
    assert (found.uid, found.page_size, found.slab_bytes, found.entry_bytes) == (0, 4096, found.slab_bytes, found.slab_bytes + 128)
    assert found.release.startswith("%d.%d." % found.version) and found.mem_total > 400 * MIB


@pytest.mark.parametrize("name", recorded.names())
def test_every_value_is_that_of_its_file(name, tmp_path):
    host = recorded.machine(name, tmp_path)
    found = read(host)
    files = {s.name: int(host.read(s.path).split()[0]) for s in CATALOGUE if host.exists(s.path)}
    assert dict(found.running, count=found.count) == dict(files, count=files.get("count"))


# Files of a made-up host: what is told of it
SLABS = {
    "sysfs": ({"/sys/kernel/slab/nf_conntrack/slab_size": "256\n", "/proc/slabinfo": ""}, 256),
    "slabinfo": ({"/proc/slabinfo": "slabinfo - version: 2.1\nnf_conntrack_expect 0 0 232 17 1\nnf_conntrack 128 128 320 12 1 : tunables\n"}, 320),
    "older kernels, with an address": ({"/proc/slabinfo": "nf_conntrack_ffffffff81a 10 10 304 13 1\n"}, 320),
    "nothing": ({}, 320),
}


@pytest.mark.parametrize("name", sorted(SLABS))
def test_the_size_of_an_entry(name, tmp_path):
    files, size = SLABS[name]
    assert read(made_up(tmp_path, files)).slab_bytes == size


CPUS = {
    "one": ({"/sys/devices/system/cpu/online": "0\n"}, 1),
    "a range": ({"/sys/devices/system/cpu/online": "0-127\n"}, 128),
    "some are off": ({"/sys/devices/system/cpu/online": "0-3,8,10-11\n", "/sys/devices/system/cpu/possible": "0-255\n"}, 7),
    "no sysfs, x86 and arm": ({"/proc/cpuinfo": "processor\t: 0\nmodel name\t: processor x\n\nprocessor\t: 1\n"}, 2),
    "no sysfs, s390": ({"/proc/cpuinfo": "# processors    : 2\nprocessor 0: version = FF\nprocessor 1: version = FF\n"}, 2),
    "nothing": ({}, 0),
}


@pytest.mark.parametrize("name", sorted(CPUS))
def test_cpus(name, tmp_path):
    files, number = CPUS[name]
    assert read(made_up(tmp_path, files)).cpus == number


def test_cpus_of_this_machine_are_those_that_the_c_library_counts():
    assert read(Host()).cpus == os.sysconf("SC_NPROCESSORS_ONLN")


def made_up(folder, files):
    files = dict({"/proc/sys/kernel/osrelease": "6.1.0-1-amd64\n"}, **files)
    entries = {path: {"link": text[3:]} if text.startswith("-> ") else {"text": text} for path, text in files.items()}
    recorded.unpack(entries, str(folder / "host"))
    return recorded.Machine(str(folder / "host"), {"name": "host", "page_size": 16384, "files": {}})


MOUNTS = {
    "none": ("proc /proc proc rw,nosuid 0 0\nsysfs /sys sysfs rw 0 0\n", ()),
    "a container of docker": ("proc /proc proc rw 0 0\nproc /proc/sys proc ro,nosuid 0 0\nsysfs /sys sysfs ro 0 0\n", ("/proc/sys", "/sys")),
    "all of proc": ("proc /proc proc ro,rdonly 0 0\n", ("/proc",)),
    "all of proc but what we write": ("proc /proc proc ro 0 0\nproc /proc/sys proc rw 0 0\n", ()),
    "mounted again": ("proc /proc/sys proc ro 0 0\nproc /proc/sys proc rw 0 0\n", ()),
    "an option that begins alike": ("proc /proc/sys proc rw,rootcontext=x 0 0\n", ()),
    "another place": ("x /proc/sysx x ro 0 0\nshort\n", ()),
    "no list": ("", ()),
}


@pytest.mark.parametrize("name", sorted(MOUNTS))
def test_read_only_mounts(name, tmp_path):
    text, expected = MOUNTS[name]
    assert read(made_up(tmp_path, {"/proc/self/mounts": text})).read_only_mounts == expected


MODULES = {
    "a module": ({"/lib/modules/6.1.0-1-amd64/modules.dep": "kernel/net/netfilter/nf_conntrack.ko.xz: x\n"}, (False, False, True)),
    "other modules": ({"/lib/modules/6.1.0-1-amd64/modules.dep": "kernel/net/netfilter/nf_conntrack_ftp.ko: x\n"}, (False, False, False)),
    "of another kernel": ({"/lib/modules/6.1.0-2-amd64/modules.dep": "kernel/net/netfilter/nf_conntrack.ko: x\n"}, (False, False, False)),
    "built in": ({"/sys/module/nf_conntrack/parameters/hashsize": "512\n", "/proc/sys/net/netfilter/nf_conntrack_max": "512\n"}, (True, True, True)),
    "loaded": ({"/sys/module/nf_conntrack/initstate": "live\n", "/proc/sys/net/netfilter/nf_conntrack_max": "512\n"}, (True, False, True)),
}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_how_it_is_there(name, tmp_path):
    files, expected = MODULES[name]
    found = read(made_up(tmp_path, files))
    assert (found.available, found.builtin, found.loadable) == expected


NAMESPACES = {
    "initial": ({"/proc/sys/net/nf_conntrack_max": "512\n"}, (True, True)),
    "another": ({"/proc/self/ns/net": "-> net:[2]", "/proc/1/ns/net": "-> net:[1]"}, (False, False)),
    "a container's own": ({"/proc/self/ns/net": "-> net:[2]", "/proc/1/ns/net": "-> net:[2]"}, (False, True)),
    "another, of which nothing can be told": ({}, (False, False)),
}


@pytest.mark.parametrize("name", sorted(NAMESPACES))
def test_namespace(name, tmp_path):
    files, expected = NAMESPACES[name]
    found = read(made_up(tmp_path, dict(files, **{"/proc/sys/net/netfilter/nf_conntrack_max": "512\n"})))
    assert (found.initial, found.boots) == expected


def test_before_the_module_is_loaded_another_file_tells_the_initial_namespace(tmp_path):
    assert read(made_up(tmp_path / "1", {"/proc/sys/net/core/dev_weight": "64\n"})).initial
    assert not read(made_up(tmp_path / "2", {})).initial


def test_looking_changes_nothing(tmp_path):
    for name in recorded.names():
        host = recorded.machine(name, tmp_path)
        before = recorded.snapshot(host)
        read(host)
        assert (recorded.snapshot(host), host.log) == (before, [])

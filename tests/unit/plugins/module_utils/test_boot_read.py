# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what the next boot reads, from trees of files."""
import gzip
import json

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _boot_read
from ansible_collections.netfleet.conntrack.plugins.module_utils._boot import boot
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import CATALOGUE
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.test_initramfs import DEBIAN, cpio

RELEASE = "6.1.0-50-amd64"
IMAGE = "/boot/initrd.img-" + RELEASE
MODULE = {
    "/proc/sys/kernel/osrelease": RELEASE + "\n",
    "/proc/cmdline": "root=/dev/vda1 ro quiet\n",
    "/proc/meminfo": "MemFree: 1 kB\nMemTotal:       8000000 kB\n",
    "/run/systemd/system/x": "",
    "/sys/module/nf_conntrack/initstate": "live\n",
    "/proc/sys/net/netfilter/nf_conntrack_max": "262144\n",
    "/proc/sys/net/netfilter/nf_conntrack_buckets": "262144\n",
    "/proc/sys/net/netfilter/nf_log/0": "NONE\n",
    "/lib/modules/%s/modules.dep" % RELEASE: (
        "kernel/net/netfilter/nf_conntrack.ko.xz: kernel/lib/libcrc32c.ko.xz\n"
        "kernel/net/netfilter/nf-nat.ko.xz: kernel/net/netfilter/nf_conntrack.ko.xz kernel/lib/libcrc32c.ko.xz\n"
        "kernel/drivers/block/loop.ko:\n"
    ),
}
FILES = {
    "/etc/sysctl.conf": "net.netfilter.nf_conntrack_max = 5\n",
    "/usr/lib/sysctl.d/50-default.conf": "kernel.x = 1\n",
    "/etc/sysctl.d/README": "no",
    "/etc/modprobe.d/a.conf": "options nf_conntrack hashsize=512\n",
    "/etc/modules-load.d/a.conf": "nf_conntrack\n",
    "/etc/udev/rules.d/a.rules": "# nothing\n",
    "/usr/lib/udev/rules.d/50-x.rules": "# not read\n",
}
LINKS = {"/etc/sysctl.d/99-sysctl.conf": "../sysctl.conf", "/etc/sysctl.d/masked.conf": "/dev/null", "/etc/sysctl.d/gone.conf": "/nowhere"}


class Watched(Host):
    """A recorded machine that remembers what was read."""

    def __init__(self, root):
        Host.__init__(self, root, page_size=4096)
        self.opened = []

    def read_bytes(self, path):
        self.opened.append(path)
        return Host.read_bytes(self, path)

    def filter(self, argv, data):
        raise AssertionError("no program is needed here")


def tree(root, files, links=()):
    for path, content in files.items():
        target = root / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    for path, target in dict(links).items():
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / path[1:]).symlink_to(target)
    return Watched(str(root))


@pytest.fixture(name="host")
def _host(tmp_path):
    return tree(tmp_path, dict(MODULE, **FILES), LINKS)


def test_reads(host):
    inputs = _boot_read.read(host)
    assert (inputs.release, inputs.version, inputs.builtin, inputs.systemd) == (RELEASE, (6, 1), False, True)
    assert (inputs.mem_total, inputs.page_size, inputs.initramfs, inputs.read_problems) == (8000000 * 1024, 4096, None, ())
    assert inputs.keys == {"net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_buckets", "net.netfilter.nf_log", "net.nf_conntrack_max"}
    assert inputs.links == {"/etc/sysctl.d/99-sysctl.conf": "/etc/sysctl.conf"}
    assert sorted(path for path, text in inputs.files.items() if not text) == ["/etc/sysctl.d/gone.conf", "/etc/sysctl.d/masked.conf"]
    assert not [path for path in inputs.files if "README" in path or path.startswith("/usr/lib/udev")]


def test_boots(host):
    found = boot(_boot_read.read(host))
    assert [found.values[name][:2] for name in ("max", "buckets")] == [(5, "/etc/sysctl.conf:1"), (512, "/etc/modprobe.d/a.conf:1 hashsize=512")]
    assert set(found.values) == {"max", "buckets", "expect_hashsize"}


def test_modules_dep_is_read_only_where_it_matters(tmp_path, host):
    _boot_read.read(host)
    assert not [path for path in host.opened if path.endswith(".dep")]
    other = tree(tmp_path / "other", dict(MODULE, **{"/etc/modules": "nf_nat\n"}))
    assert _boot_read.read(other).module_dependents == {"nf_nat"}


def test_usr_lib_is_not_read_twice(tmp_path):
    host = tree(tmp_path, dict(FILES, **{"/usr/lib/modules/x": ""}), {"/lib": "usr/lib"})
    assert not [path for path in _boot_read.read(host).files if path.startswith("/lib/")]


def test_lib_is_read_where_it_is_a_directory(tmp_path):
    host = tree(tmp_path, {"/lib/sysctl.d/a.conf": "a=1"})
    assert list(_boot_read.read(host).files) == ["/lib/sysctl.d/a.conf"]


# files, links: (builtin, systemd, masked units, a key that must be known)
KINDS = {
    "built in": ({"/sys/module/nf_conntrack/parameters/hashsize": "512\n"}, {}, (True, False, set()), "udp_timeout"),
    "built in, but hidden": (
        {"/proc/sys/kernel/osrelease": RELEASE, "/lib/modules/%s/modules.builtin" % RELEASE: "kernel/net/netfilter/nf_conntrack.ko\n"}, {},
        (True, False, set()), "tcp_ignore_invalid_rst",
    ),
    "not loaded": ({"/proc/sys/kernel/osrelease": "5.10.0"}, {}, (False, False, set()), "helper"),
    "another init": ({}, {"/sbin/init": "/lib/sysvinit/init"}, (False, False, set()), "max"),
    "systemd by its link": ({}, {"/sbin/init": "/lib/systemd/systemd"}, (False, True, set()), "max"),
    "masked units": (
        {}, {"/etc/systemd/system/systemd-sysctl.service": "/dev/null", "/run/systemd/system/systemd-modules-load.service": "/dev/null"},
        (False, True, {"systemd-sysctl.service", "systemd-modules-load.service"}), "max",
    ),
}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_kinds_of_hosts(name, tmp_path):
    files, links, expected, known = KINDS[name]
    inputs = _boot_read.read(tree(tmp_path, files, links))
    assert (inputs.builtin, inputs.systemd, inputs.masked_units) == expected
    assert "net.netfilter.nf_conntrack_" + known in inputs.keys


# The initramfs

@pytest.mark.parametrize("path", [IMAGE, "/boot/initramfs-%s.img" % RELEASE, "/boot/initrd-" + RELEASE, "/boot/0123abcd/%s/initrd" % RELEASE])
def test_finds_the_image(tmp_path, path):
    host = tree(tmp_path, dict(MODULE, **{path: b"x", "/etc/machine-id": "0123abcd\n"}))
    assert _boot_read.image_path(host, RELEASE) == path


def test_the_image_is_read_once(tmp_path):
    host = tree(tmp_path, dict(MODULE, **{IMAGE: gzip.compress(cpio(DEBIAN))}))
    first = _boot_read.read(host)
    assert first.initramfs.modules == ("nf_conntrack",)
    assert json.loads(first.initramfs_cache)["schema_version"] == 1
    again = tree(tmp_path, {_boot_read.CACHE: first.initramfs_cache})
    second = _boot_read.read(again)
    assert IMAGE not in again.opened
    assert (second.initramfs, second.initramfs_cache) == (first.initramfs, None)
    assert boot(second) == boot(first)


def test_a_new_image_is_read_again(tmp_path):
    host = tree(tmp_path, dict(MODULE, **{IMAGE: gzip.compress(cpio(DEBIAN))}))
    tree(tmp_path, {_boot_read.CACHE: _boot_read.read(host).initramfs_cache, IMAGE: gzip.compress(cpio({}))})
    assert _boot_read.read(host).initramfs.modules == ()


STRANGE = ["", "{", "[]", "null", '{"schema_version": 0}', '{"schema_version": 1, "key": "x"}', '{"schema_version": 1, "key": 5, "image": 6}']


@pytest.mark.parametrize("cache", STRANGE)
def test_a_damaged_cache_is_not_used(tmp_path, cache):
    host = tree(tmp_path, dict(MODULE, **{IMAGE: gzip.compress(cpio(DEBIAN)), _boot_read.CACHE: cache}))
    assert _boot_read.read(host).initramfs.modules == ("nf_conntrack",)


def test_an_image_that_cannot_be_read_is_a_problem(tmp_path):
    host = tree(tmp_path, dict(MODULE, **{IMAGE: b"\x7fELF"}))
    problem = "cannot read %s: it is packed in a way that is not known here" % IMAGE
    assert boot(_boot_read.read(host)).problems == (problem,)


def test_an_image_that_may_not_be_read_is_a_problem(tmp_path):
    host = tree(tmp_path, dict(MODULE, **{IMAGE + "/x": b""}))
    assert boot(_boot_read.read(host)).problems == ("cannot read %s: Is a directory" % IMAGE,)


def test_a_built_in_conntrack_needs_no_image(tmp_path):
    host = tree(tmp_path, {"/proc/sys/kernel/osrelease": RELEASE, "/sys/module/nf_conntrack/x": "", IMAGE: b"x"})
    assert _boot_read.read(host).read_problems == ()
    assert IMAGE not in host.opened


def test_an_empty_machine_can_be_read(tmp_path):
    assert boot(_boot_read.read(tree(tmp_path, {}))).values["max"].value == 2048


# Recorded machines, on which nobody has set anything by hand; on the late one two lines of sysctl.d come to nothing

@pytest.mark.parametrize("name", [name for name in recorded.names() if not name.endswith(recorded.UNLOADED)])
def test_a_recorded_host_boots_to_what_it_runs(name, tmp_path):
    host = recorded.machine(name, tmp_path)
    running = {setting.name: host.number(setting.path) for setting in CATALOGUE if setting.access != "ro"}
    found = boot(_boot_read.read(host))
    assert {setting: given.value for setting, given in found.values.items()} == {n: value for n, value in running.items() if value is not None}
    assert found.problems == ()
    assert [loss.name for loss in found.lost] == (["max", "tcp_timeout_established"] if name.endswith("-late") else [])


@pytest.mark.parametrize("name", [name for name in recorded.names() if name.endswith(recorded.UNLOADED)])
def test_a_host_without_the_module_boots_to_what_it_will_run(name, tmp_path):
    alone = boot(_boot_read.read(recorded.machine(name, tmp_path)))
    loaded = boot(_boot_read.read(recorded.machine(name[:-len(recorded.UNLOADED)], tmp_path)))
    assert {setting: given.value for setting, given in alone.values.items() if setting in loaded.values} == {
        setting: given.value for setting, given in loaded.values.items()
    }


def test_the_keys_of_fragments_alone_are_no_loaded_module(tmp_path):
    """nf_defrag_ipv6 has them, and stays when nf_conntrack is unloaded; TPROXY needs it alone."""
    host = recorded.machine("bookworm-6.1-unloaded", tmp_path)
    before = _boot_read.read(host).keys
    for name in ("timeout", "high_thresh", "low_thresh"):
        recorded.put(host.root + "/proc/sys/net/netfilter/nf_conntrack_frag6_" + name, {"text": "1\n"})
    assert _boot_read.read(host).keys == before and "net.netfilter.nf_conntrack_max" in before

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the initramfs has to load the module, and when it is made anew."""
import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _boot_read, _early_load, _initrd, _own, _settings
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import Step
from ansible_collections.netfleet.conntrack.plugins.module_utils._transaction import execute
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.requests import ABSENT, options

RELEASE = "6.1.0-56-cloud-amd64"
FORCED = {"module": True, "hooks": False, "backend": "auto", "initramfs": "always", "state": "present"}
UPDATE = ("run", "update-initramfs -u -k " + RELEASE)
SIZES = options(table={"max": "65536", "memory_share": 0.9})
OTHERS = options(timeouts={"icmp_timeout": 31})


@pytest.fixture
def host(tmp_path):
    return recorded.machine("bookworm-6.1", tmp_path)


def run(host, part, request):
    del host.log[:]
    return execute(host, part, request, False)


def remade(host):
    return host.log.count(UPDATE)


@pytest.mark.parametrize("programs, path, command", [
    (("update-initramfs",), _initrd.HOOK, ["update-initramfs", "-u", "-k", "6.1"]),
    (("dracut",), _initrd.DRACUT, ["dracut", "--force", "--kver", "6.1"]),
    (("dracut", "update-initramfs"), _initrd.HOOK, ["update-initramfs", "-u", "-k", "6.1"]),
], ids=["initramfs-tools", "dracut", "both"])
def test_what_makes_it(programs, path, command, tmp_path):
    recorded.unpack({"/usr/sbin/" + name: {"text": ""} for name in programs}, str(tmp_path))
    found = _initrd.tools(recorded.Machine(str(tmp_path), {"page_size": 4096}), "6.1")
    assert (found.path, found.command) == (path, command)
    assert [path for path, text in _initrd.files(found, True).items() if text] == [found.path]
    assert not any(_initrd.files(found, False).values())


def test_where_nothing_makes_it(tmp_path):
    assert _initrd.tools(recorded.Machine(str(tmp_path), {"page_size": 4096}), "6.1") is None
    assert not any(_initrd.files(None, True).values())
    assert _initrd.around((Step("file", "/x", ""),), None, ("renewal",)) == (Step("file", "/x", ""),)


# What is asked, the kernel's command line: whether the initramfs is to load the module
WANTED = {
    "always": ("always", "", True),
    "never": ("never", "root=/dev/nfs ip=dhcp", False),
    "auto, a disk": ("auto", "root=/dev/vda1 quiet", False),
    "auto, NFS": ("auto", "root=/dev/nfs nfsroot=192.0.2.1:/x", True),
    "auto, an address": ("auto", "root=UUID=1 ip=dhcp", True),
    "auto, iSCSI": ("auto", "rd.iscsi.initiator=iqn.x root=LABEL=x", True),
    "auto, a word that ends alike": ("auto", "zip=1 skip=ip", False),
}


@pytest.mark.parametrize("name", sorted(WANTED))
def test_wanted(name, host):
    option, cmdline, expected = WANTED[name]
    assert _initrd.wanted(option, _boot_read.read(host)._replace(cmdline=cmdline)) is expected


def test_the_hook_can_be_run(host):
    run(host, _early_load.PART, FORCED)
    assert host.mode(_initrd.HOOK) == 0o755
    assert host.read(_initrd.HOOK).startswith("#!/bin/sh\n")


def test_once_it_loads_the_module_a_new_hash_size_needs_a_new_image(host):
    assert remade_by(host, _settings.PART, SIZES) == 0
    assert remade_by(host, _early_load.PART, FORCED) == 1
    assert host.image().files[_own.MODPROBE] == host.read(_own.MODPROBE)
    assert remade_by(host, _settings.PART, SIZES) == 0
    assert remade_by(host, _settings.PART, options(table={"max": "32768", "memory_share": 0.9})) == 1
    assert host.image().files[_own.MODPROBE] == host.read(_own.MODPROBE)
    assert remade_by(host, _settings.PART, OTHERS) == 1
    assert _own.MODPROBE not in host.image().files
    assert remade_by(host, _settings.PART, options(timeouts={"icmp_timeout": 32})) == 0
    assert remade_by(host, _early_load.PART, dict(FORCED, state="absent")) == 1
    assert not host.image().has_module
    assert remade_by(host, _settings.PART, ABSENT) == 0


def remade_by(host, part, request):
    run(host, part, request)
    count = remade(host)
    again = run(host, part, request)
    assert (again["changed"], host.log) == (False, [])
    return count


def test_an_old_image_is_made_anew_though_the_files_are_right(host):
    run(host, _early_load.PART, FORCED)
    run(host, _settings.PART, SIZES)
    text = host.read(_own.MODPROBE)
    host.overwrite(_own.MODPROBE, "# older\n")
    host.run(["update-initramfs", "-u", "-k", RELEASE])
    host.overwrite(_own.MODPROBE, text)
    done = run(host, _settings.PART, SIZES)
    assert "initramfs" in [change["name"] for change in done["changes"]] and remade(host) == 1
    assert host.image().files[_own.MODPROBE] == text


def test_an_image_that_cannot_be_made_undoes_everything(host):
    run(host, _early_load.PART, FORCED)
    before = recorded.settled(host)

    class Full(recorded.Machine):
        def _run_update_initramfs(self, argv):
            broken = "hashsize" in (self.read(_own.MODPROBE) or "")
            return (1, "", "No space left on device") if broken else super()._run_update_initramfs(argv)

    with pytest.raises(Exception, match="making the initramfs anew failed .update-initramfs -u -k .*: No space left on device; everything is as it was"):
        run(recorded.again(host, Full), _settings.PART, SIZES)
    assert recorded.settled(host) == before
    assert _own.MODPROBE not in host.image().files

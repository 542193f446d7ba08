# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of an initramfs: made by the real tools where they are installed, and by hand."""
import bz2
import gzip
import lzma
import random
import shutil
import struct
import subprocess

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _initramfs
from ansible_collections.netfleet.conntrack.plugins.module_utils._initramfs import InitramfsError

OPTIONS = "options nf_conntrack hashsize=65536\n"
KO = "usr/lib/modules/6.1.0-50-amd64/kernel/net/netfilter/nf_conntrack.ko.xz"
DEBIAN = {
    "conf/modules": "# forced\n\nnf_conntrack hashsize=5\n",
    "etc/modprobe.d/ct.conf": OPTIONS,
    "etc/passwd": "root",
    KO: "\x7fELF",
}
MICROCODE = {"kernel/x86/microcode/GenuineIntel.bin": "x" * 1000}


def member(name, data, number, mode=0o100644, links=1):
    """One file of an archive, as cpio -H newc writes it."""
    name = name.encode() + b"\0"
    fields = (number, mode, 0, 0, links, 0, len(data), 8, 1, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def cpio(files, links=()):
    parts = [member(name, text.encode(), number) for number, (name, text) in enumerate(sorted(files.items()), 1)]
    parts += [member(name, target.encode(), 900 + number, 0o120777) for number, (name, target) in enumerate(links)]
    return b"".join(parts) + member("TRAILER!!!", b"", 0)


def by_tool(name, data):
    return subprocess.run([name, "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout


def parse(data, decompress=by_tool):
    return _initramfs.parse("/boot/initrd", data, decompress)


def packed(*argv):
    def pack(data):
        return subprocess.run(argv, input=data, stdout=subprocess.PIPE, check=True).stdout

    return pytest.param(pack, id=argv[0], marks=pytest.mark.skipif(not shutil.which(argv[0]), reason=argv[0] + " is not installed"))


PACKERS = [
    pytest.param(bytes, id="plain"),
    pytest.param(gzip.compress, id="gzip module"),
    pytest.param(bz2.compress, id="bz2 module"),
    pytest.param(lambda data: lzma.compress(data, lzma.FORMAT_XZ), id="xz module"),
    pytest.param(lambda data: lzma.compress(data, lzma.FORMAT_ALONE), id="lzma module"),
    packed("gzip", "-9n"),
    packed("bzip2"),
    packed("xz", "--check=crc32", "--lzma2=dict=1MiB"),
    packed("zstd", "-q", "-19"),
    packed("lz4", "-9", "-l"),
    packed("lzop", "-9"),
]


@pytest.mark.parametrize("early", [b"", cpio(MICROCODE), cpio(MICROCODE) + b"\0" * 300], ids=["alone", "after microcode", "padded"])
@pytest.mark.parametrize("pack", PACKERS)
def test_reads(pack, early):
    image = parse(early + pack(cpio(DEBIAN)))
    assert image.files == {"/conf/modules": DEBIAN["conf/modules"], "/etc/modprobe.d/ct.conf": OPTIONS}
    assert (image.path, image.has_module, image.programs, image.modules) == ("/boot/initrd", True, (), ("nf_conntrack",))


@pytest.mark.skipif(not shutil.which("cpio"), reason="cpio is not installed")
def test_reads_what_cpio_writes(tmp_path):
    for name, text in DEBIAN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "etc/modprobe.d/same.conf").symlink_to("ct.conf")
    (tmp_path / "etc/modprobe.d/hard.conf").hardlink_to(tmp_path / "etc/modprobe.d/ct.conf") if hasattr(tmp_path, "hardlink_to") else None
    names = "\n".join(sorted("./" + str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")))
    done = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], input=names.encode(), stdout=subprocess.PIPE, check=True, cwd=str(tmp_path))
    image = parse(gzip.compress(done.stdout))
    assert {image.files[path] for path in image.files if "modprobe" in path} == {OPTIONS}
    assert image.modules == ("nf_conntrack",)


def test_a_file_with_several_names_has_its_data_at_the_last():
    names = ["etc/modprobe.d/a.conf", "etc/modprobe.d/b.conf", "usr/share/c"]
    data = b"".join(member(name, b"text" if name == names[-1] else b"", 7, links=3) for name in names)
    image = parse(data + member("TRAILER!!!", b"", 0))
    assert image.files == {"/etc/modprobe.d/a.conf": "text", "/etc/modprobe.d/b.conf": "text"}


def test_links():
    links = [("etc/sysctl.d/99-sysctl.conf", "../sysctl.conf"), ("etc/modprobe.d/masked.conf", "/dev/null")]
    image = parse(cpio({"etc/sysctl.conf": "a=1"}, links))
    assert image.files == {"/etc/sysctl.conf": "a=1", "/etc/sysctl.d/99-sysctl.conf": "a=1", "/etc/modprobe.d/masked.conf": ""}


def test_a_later_archive_wins():
    image = parse(cpio({"conf/modules": "a"}) + cpio({"conf/modules": "b"}) + gzip.compress(cpio({"conf/modules": "c"})))
    assert image.modules == ("c",)


DRACUT = {
    "etc/cmdline.d/20-force_drivers.conf": "rd.driver.pre=nf_conntrack\n",
    "etc/modules-load.d/a.conf": "nf_nat\n",
    "usr/lib/sysctl.d/a.conf": "net.netfilter.nf_conntrack_max = 5\n",
}
SYSTEMD = {"usr/lib/systemd/systemd-modules-load": "", "usr/lib/systemd/systemd-sysctl": ""}
# files: (what is loaded by name without the command line, and with it)
LOADED = {
    "dracut without systemd": (DRACUT, ["nf_conntrack"], ["nf_conntrack", "x"]),
    "dracut with systemd": (dict(DRACUT, **SYSTEMD), ["nf_conntrack", "nf_nat"], ["nf_conntrack", "x", "y", "z", "nf_nat"]),
    "initramfs-tools": (DEBIAN, ["nf_conntrack"], ["nf_conntrack"]),
    "nothing": ({}, [], []),
}


@pytest.mark.parametrize("name", sorted(LOADED))
def test_what_is_loaded(name):
    files, alone, given = LOADED[name]
    image = parse(cpio(files))
    command_line = [("rd.driver.pre", "x"), ("modules_load", "y"), ("rd.modules-load", "z")]
    assert list(image.modules) == alone
    assert [entry.module for entry, dummy in _initramfs.asked(image, command_line)] == given


def test_sysctls_are_written_by_systemd_only():
    write = _initramfs.sysctls(parse(cpio(dict(DRACUT, **SYSTEMD))), ())[0]
    assert (write.value, write.where) == ("5", "/boot/initrd:/usr/lib/sysctl.d/a.conf:1")
    assert _initramfs.sysctls(parse(cpio(DRACUT)), ()) == []


def bomb(depth):
    data = cpio({"conf/modules": "a"})
    for dummy in range(depth):
        data = gzip.compress(data)
    return data


HOSTILE = {
    "not an image": b"\x7fELF" + b"x" * 500,
    "cut in a header": cpio(DEBIAN)[:50],
    "cut in a name": cpio(DEBIAN)[:115],
    "cut in a file": cpio({"conf/modules": "a" * 100})[:150],
    "without an end": cpio(DEBIAN)[:-124],
    "cut gzip": gzip.compress(cpio(DEBIAN))[:-20],
    "cut xz": lzma.compress(cpio(DEBIAN))[:-20],
    "damaged xz": lzma.compress(cpio(DEBIAN))[:40] + b"x" * 100,
    "damaged gzip": b"\x1f\x8b\x08\x00" + b"\xff" * 60,
    "no hexadecimal number": b"070701" + b"ZZZZZZZZ" * 13,
    "no name": b"070701" + b"00000000" * 13,
    "an endless name": b"070701" + b"00000000" * 11 + b"FFFFFFFF" + b"00000000",
    "a huge file": member("x", b"", 1).replace(b"00000000" + b"00000008", b"FFFFFFFF" + b"00000008", 1),
    "packed over and over": bomb(9),
    "zstd without its program": b"\x28\xb5\x2f\xfd" + b"x" * 50,
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_images_are_refused(name):
    with pytest.raises(InitramfsError, match="^cannot read /boot/initrd: "):
        parse(HOSTILE[name], lambda name, data: None)


def test_noise_is_refused_or_read():
    chance = random.Random(4)
    whole = cpio(DEBIAN)
    for dummy in range(2000):
        damaged = bytearray(whole)
        for dummy in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            parse(bytes(damaged[:chance.randrange(len(damaged))]), lambda name, data: None)
        except InitramfsError:
            pass


def test_padding_alone_is_an_image_without_files():
    assert parse(struct.pack("600x")).files == {}

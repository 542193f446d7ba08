# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the next boot gives, and who decides it."""
import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _boot, _modprobed, _modulesload, _sysctld, _udev
from ansible_collections.netfleet.conntrack.plugins.module_utils._boot import DEFAULT, BootInputs, boot, with_files
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import ALIASES, BY_NAME, CATALOGUE
from ansible_collections.netfleet.conntrack.plugins.module_utils._initramfs import Initramfs

GIB = 1024 ** 3
KEY = "net.netfilter.nf_conntrack_"
MAX = KEY + "max"
KEYS = frozenset(s.key for s in CATALOGUE if s.key and s.exists_in((6, 1))) | frozenset(ALIASES)
LOAD = {"/etc/modules-load.d/ct.conf": "nf_conntrack\n"}
IMAGE = "/boot/initrd.img-6.1.0-50-amd64"


def inputs(files=None, **others):
    plain = BootInputs(
        files or {}, {}, "root=/dev/vda1 ro", "6.1.0-50-amd64", builtin=False, systemd=True, mem_total=8 * GIB, page_size=4096,
        module_dependents=frozenset(["nf_nat", "nft_ct"]), keys=KEYS,
    )
    return plain._replace(**others)


def early(**files):
    """The inputs of a host that loads nf_conntrack in time, with files of sysctl.d by name."""
    return inputs(dict(LOAD, **{"/etc/sysctl.d/%s.conf" % name: text for name, text in files.items()}))


def image(files, **others):
    return Initramfs(IMAGE, True, files, **others)


def value(found, name="max"):
    return found.values[name].value, found.values[name].source


# Whatever a host says: (inputs, setting, value, who decides)
DECIDED = {
    "nothing said": (inputs(), "max", 262144, DEFAULT),
    "defaults follow the kernel": (inputs(release="5.10.0-30-amd64"), "buckets", 65536, DEFAULT),
    "a default of the catalogue": (inputs(), "tcp_timeout_established", 432000, DEFAULT),
    "a file": (early(a="# x\n" + MAX + " = 5"), "max", 5, "/etc/sysctl.d/a.conf:2"),
    "the last file": (early(a=MAX + "=5", b=MAX + "=6"), "max", 6, "/etc/sysctl.d/b.conf:1"),
    "the alias, when it is last": (early(a=MAX + "=5", b="net/nf_conntrack_max=6"), "max", 6, "/etc/sysctl.d/b.conf:1"),
    "the same value again does not win over the alias": (
        early(a=MAX + "=5", b="net.nf_conntrack_max=6", c=MAX + "=5"), "max", 6, "/etc/sysctl.d/b.conf:1",
    ),
    "a pattern": (early(a="net.netfilter.*udp_timeout = 5"), "udp_timeout", 5, "/etc/sysctl.d/a.conf:1"),
    "an exclusion undoes": (early(a=KEY + "udp_timeout=5", b="-" + KEY + "udp_timeout"), "udp_timeout", 30, DEFAULT),
    "a number in hexadecimal": (early(a=MAX + "=0x10"), "max", 16, "/etc/sysctl.d/a.conf:1"),
    "a number as in C": (early(a=MAX + "=010"), "max", 8, "/etc/sysctl.d/a.conf:1"),
    "a comment after the number": (early(a=MAX + " = 16 # why"), "max", 16, "/etc/sysctl.d/a.conf:1"),
    "buckets are rounded": (early(a=KEY + "buckets=1000"), "buckets", 1024, "/etc/sysctl.d/a.conf:1"),
    "buckets by sysctl do not move max": (early(a=KEY + "buckets=1000"), "max", 262144, DEFAULT),
    "a hash size": (
        inputs({"/etc/modprobe.d/y.conf": "options nf_conntrack hashsize=1000"}), "buckets", 1024, "/etc/modprobe.d/y.conf:1 hashsize=1000",
    ),
    "S6: a hash size moves max": (
        inputs({"/etc/modprobe.d/y.conf": "options nf_conntrack hashsize=1000"}), "max", 8192,
        "/etc/modprobe.d/y.conf:1 hashsize=1000 (8 for each chain)",
    ),
    "a hash size of zero is none": (inputs({"/etc/modprobe.d/y.conf": "options nf_conntrack hashsize=0"}), "buckets", 262144, DEFAULT),
    "expectations follow the hash size": (
        inputs({"/etc/modprobe.d/y.conf": "options nf_conntrack hashsize=65536"}), "expect_max", 1024, DEFAULT,
    ),
    "a switch of the module": (
        inputs({"/etc/modprobe.d/y.conf": "options nf_conntrack acct=Y"}), "acct", 1, "/etc/modprobe.d/y.conf:1 acct=Y",
    ),
    "the command line wins over files": (
        inputs({"/etc/modprobe.d/y.conf": "options nf_conntrack hashsize=512"}, cmdline="nf_conntrack.hashsize=1024"), "buckets", 1024,
        "kernel command line nf_conntrack.hashsize=1024",
    ),
    "built in: the command line": (
        inputs(builtin=True, cmdline="nf_conntrack.hashsize=512 sysctl." + MAX + "=7"), "max", 7,
        "kernel command line sysctl." + MAX + "=7",
    ),
    "built in: files win over the command line": (
        inputs({"/etc/sysctl.d/a.conf": MAX + "=8"}, builtin=True, cmdline="sysctl." + MAX + "=7"), "max", 8, "/etc/sysctl.d/a.conf:1",
    ),
    "built in: modprobe.d does nothing": (
        inputs({"/etc/modprobe.d/y.conf": "options nf_conntrack hashsize=512"}, builtin=True), "buckets", 262144, DEFAULT,
    ),
    "built in: a bad parameter does nothing": (inputs(builtin=True, cmdline="nf_conntrack.hashsize=many"), "buckets", 262144, DEFAULT),
    "a link is named by its file": (
        inputs(dict(LOAD, **{"/etc/sysctl.d/99-sysctl.conf": MAX + "=5", "/etc/sysctl.conf": MAX + "=5"}),
               links={"/etc/sysctl.d/99-sysctl.conf": "/etc/sysctl.conf"}), "max", 5, "/etc/sysctl.conf:1",
    ),
    "procps reads sysctl.conf last": (
        inputs({"/etc/modules": "nf_conntrack", "/etc/sysctl.d/zz.conf": MAX + "=5", "/etc/sysctl.conf": MAX + "=6"}, systemd=False), "max", 6,
        "/etc/sysctl.conf:1",
    ),
    "procps repeats": (
        inputs({"/etc/modules": "nf_conntrack", "/etc/sysctl.conf": MAX + "=5\nnet.nf_conntrack_max=6\n" + MAX + "=5"}, systemd=False), "max", 5,
        "/etc/sysctl.conf:3",
    ),
    "a udev rule writes late": (
        inputs({"/etc/sysctl.d/a.conf": MAX + "=5", "/etc/udev/rules.d/c.rules": _udev.render("/lib/systemd/systemd-sysctl", "")}), "max", 5,
        "/etc/sysctl.d/a.conf:1 by udev rule /etc/udev/rules.d/c.rules:1",
    ),
    "an install line writes late": (
        inputs({"/etc/sysctl.conf": MAX + "=5",
                "/etc/modprobe.d/i.conf": "install nf_conntrack /sbin/modprobe -i nf_conntrack hashsize=512; /sbin/sysctl -p"}), "max", 5,
        "/etc/sysctl.conf:1 by /etc/modprobe.d/i.conf:1 install",
    ),
    "options in an install line": (
        inputs({"/etc/modprobe.d/i.conf": "install nf_conntrack /sbin/modprobe -i nf_conntrack hashsize=512; true"}), "buckets", 512,
        "/etc/modprobe.d/i.conf:1 hashsize=512",
    ),
    "the initramfs has its own copies": (
        inputs({"/etc/modprobe.d/y.conf": "options nf_conntrack hashsize=1024"},
               initramfs=image({"/conf/modules": "nf_conntrack", "/etc/modprobe.d/y.conf": "options nf_conntrack hashsize=512"})),
        "buckets", 512, IMAGE + ":/etc/modprobe.d/y.conf:1 hashsize=512",
    ),
    "options of the initramfs' own list win": (
        inputs(cmdline="nf_conntrack.hashsize=1536",
               initramfs=image({"/conf/modules": "nf_conntrack hashsize=1024", "/etc/modprobe.d/y.conf": "options nf_conntrack hashsize=512"})),
        "buckets", 1024, IMAGE + ":/conf/modules:1 hashsize=1024",
    ),
    "sysctls of the root follow those of the initramfs": (
        inputs({"/etc/sysctl.d/a.conf": MAX + "=6"},
               initramfs=image({"/etc/modules-load.d/m.conf": "nf_conntrack", "/etc/sysctl.d/a.conf": MAX + "=5\n" + KEY + "acct=1"},
                               programs=("/systemd/systemd-modules-load", "/systemd/systemd-sysctl"))), "max", 6, "/etc/sysctl.d/a.conf:1",
    ),
    "an image without the module loads nothing": (
        inputs(initramfs=Initramfs(IMAGE, False, {"/conf/modules": "nf_conntrack hashsize=512"})), "buckets", 262144, DEFAULT,
    ),
}


@pytest.mark.parametrize("name", sorted(DECIDED))
def test_who_decides(name):
    given, setting, number, source = DECIDED[name]
    assert value(boot(given), setting) == (number, source)


def modprobe(text, **files):
    return inputs(dict(LOAD, **{"/etc/modprobe.d/y.conf": text}), **files)


# inputs: (stage, what loads the module in time, what prevents it)
LOADED = {
    "nothing": (inputs(), "late", "", ""),
    "built in": (inputs(builtin=True), "built in", "built in", ""),
    "modules-load.d": (inputs(LOAD), "early", "/etc/modules-load.d/ct.conf:1", ""),
    "a masked file": (inputs({"/etc/modules-load.d/ct.conf": "", "/usr/lib/modules-load.d/ct.conf": "nf_conntrack"}), "late", "", ""),
    "a module that needs it": (inputs({"/etc/modules-load.d/nat.conf": "nf-nat"}), "early", "/etc/modules-load.d/nat.conf:1", ""),
    "a module that does not": (inputs({"/etc/modules-load.d/br.conf": "br_netfilter"}), "late", "", ""),
    "the old name": (inputs({"/etc/modules-load.d/ct.conf": "ip_conntrack"}), "early", "/etc/modules-load.d/ct.conf:1", ""),
    "etc/modules by its link": (
        inputs({"/etc/modules-load.d/modules.conf": "# x\nnf_conntrack", "/etc/modules": "# x\nnf_conntrack"},
               links={"/etc/modules-load.d/modules.conf": "/etc/modules"}), "early", "/etc/modules:2", "",
    ),
    "etc/modules without its link": (inputs({"/etc/modules": "nf_conntrack"}), "late", "", ""),
    "etc/modules by the init script": (
        inputs({"/etc/modules": "nf_conntrack hashsize=512"}, systemd=False), "early", "/etc/modules:1", "",
    ),
    "options in modules-load.d": (inputs({"/etc/modules-load.d/ct.conf": "nf_conntrack hashsize=512"}), "late", "", ""),
    "the command line": (
        inputs(cmdline="modules-load=loop,nf_conntrack"), "early", "kernel command line modules_load=nf_conntrack", "",
    ),
    "a masked unit": (inputs(LOAD, masked_units=frozenset(["systemd-modules-load.service"])), "late", "", ""),
    "a blacklist": (modprobe("blacklist nf_conntrack"), "late", "", "/etc/modprobe.d/y.conf:1 blacklist nf_conntrack"),
    "a blacklist on the command line": (
        modprobe("", cmdline="modprobe.blacklist=nf_conntrack"), "late", "", "kernel command line modprobe.blacklist=nf_conntrack",
    ),
    "a blacklist does not stop a dependency": (
        inputs({"/etc/modules-load.d/nat.conf": "nf_nat", "/etc/modprobe.d/y.conf": "blacklist nf_conntrack"}), "early",
        "/etc/modules-load.d/nat.conf:1", "",
    ),
    "an alias": (modprobe("alias nf_conntrack off"), "late", "", "/etc/modprobe.d/y.conf:1 alias"),
    "a softdep": (
        inputs({"/etc/modules-load.d/x.conf": "x", "/etc/modprobe.d/y.conf": "softdep x post: nf_conntrack"}), "early",
        "/etc/modules-load.d/x.conf:1", "",
    ),
    "an install line": (
        modprobe("install nf_conntrack /bin/true"), "never", "", "/etc/modprobe.d/y.conf:1 install nf_conntrack /bin/true",
    ),
    "an install line that loads it": (
        modprobe("install nf_conntrack /sbin/modprobe -i nf_conntrack; true"), "early", "/etc/modules-load.d/ct.conf:1", "",
    ),
    "module_blacklist": (
        inputs(LOAD, cmdline="module_blacklist=x,nf_conntrack"), "never", "", "kernel command line module_blacklist=nf_conntrack",
    ),
    "the initramfs": (inputs(LOAD, initramfs=image({"/conf/modules": "nf_conntrack"})), "initramfs", IMAGE + ":/conf/modules:1", ""),
    "force_drivers": (
        inputs(initramfs=image({"/etc/cmdline.d/20-force_drivers.conf": "rd.driver.pre=nf_conntrack"})), "initramfs",
        IMAGE + ":/etc/cmdline.d/20-force_drivers.conf", "",
    ),
    "an initramfs that fails to": (
        inputs(LOAD, initramfs=image({"/conf/modules": "nf_conntrack hashsize=x"})), "early", "/etc/modules-load.d/ct.conf:1", "",
    ),
    "an initramfs that loads other things": (inputs(initramfs=image({"/conf/modules": "loop"})), "late", "", ""),
}


@pytest.mark.parametrize("name", sorted(LOADED))
def test_what_loads_it(name):
    given, stage, by, prevented = LOADED[name]
    found = boot(given)
    assert (found.stage, found.loaded_by, found.prevented_by) == (stage, by, prevented)
    assert found.loads == (stage != "never")


# Cases of users: inputs and pieces of what must be said of them.
LOST = {
    "C4: sysctl.conf is applied before the module is there": (
        inputs({"/etc/sysctl.d/99-sysctl.conf": MAX + "=65536"}, mem_total=900 * 1024 ** 2), "max",
        "/etc/sysctl.d/99-sysctl.conf:1 asks for max = 65536, but nothing loads nf_conntrack before the sysctls are written",
    ),
    "C6: so is a file of sysctl.d": (
        inputs({"/etc/sysctl.d/90-shadowsocks.conf": MAX + "=524288\n" + KEY + "buckets=131072"}, mem_total=830 * 1024 ** 2), "buckets",
        "/etc/sysctl.d/90-shadowsocks.conf:2 asks for buckets = 131072, but nothing loads nf_conntrack before the sysctls are written",
    ),
    "S2: a blacklist comes between": (
        inputs(dict(LOAD, **{"/etc/modprobe.d/b.conf": "blacklist nf_conntrack", "/etc/sysctl.d/a.conf": MAX + "=5"})), "max",
        "/etc/sysctl.d/a.conf:1 asks for max = 5, but /etc/modprobe.d/b.conf:1 blacklist nf_conntrack keeps nf_conntrack from being loaded in time",
    ),
    "sysctl.conf that nothing reads": (
        inputs(dict(LOAD, **{"/etc/sysctl.conf": MAX + "=5"})), "max", "/etc/sysctl.conf:1 asks for max = 5, but systemd reads /etc/sysctl.d only",
    ),
    "the unit is masked": (
        inputs(dict(LOAD, **{"/etc/sysctl.d/a.conf": MAX + "=5"}), masked_units=frozenset(["systemd-sysctl.service"])), "max",
        "/etc/sysctl.d/a.conf:1 asks for max = 5, but systemd-sysctl.service is masked",
    ),
    "the command line of a module": (
        inputs(LOAD, cmdline="sysctl." + MAX + "=5"), "max",
        "kernel command line sysctl." + MAX + "=5 asks for max = 5, but the kernel writes it before nf_conntrack is there",
    ),
}


@pytest.mark.parametrize("name", sorted(LOST))
def test_what_is_lost(name):
    given, setting, text = LOST[name]
    found = boot(given)
    assert text in [str(loss) for loss in found.lost]
    assert found.values[setting].reason == text
    assert found.values[setting].source == DEFAULT


def test_c6_gives_what_its_user_saw():
    assert value(boot(LOST["C6: so is a file of sysctl.d"][0])) == (6656, DEFAULT)


def test_what_would_hold_anyway_is_not_lost():
    assert boot(inputs({"/etc/sysctl.d/a.conf": MAX + "=262144\n" + KEY + "udp_timeout=30"})).lost == ()


# inputs: pieces of the problems, in order
PROBLEMS = {
    "none": (inputs(), []),
    "legacy names": (
        early(a="net.ipv4.netfilter.ip_conntrack_tcp_timeout_established = 5\nnet.ipv4.ip_conntrack_max=6"),
        ["a.conf:1: net.ipv4.netfilter.ip_conntrack_tcp_timeout_established is gone since Linux 4.9; today it is "
         "net.netfilter.nf_conntrack_tcp_timeout_established",
         "a.conf:2: net.ipv4.ip_conntrack_max is gone since Linux 4.9; today it is net.netfilter.nf_conntrack_max"],
    ),
    "a key of another kernel": (early(a=KEY + "helper = 1"), ["a.conf:1: this kernel has no " + KEY + "helper"]),
    "a key that never was": (early(a=KEY + "maximum = 1"), ["this kernel has no " + KEY + "maximum"]),
    "a value too large": (early(a=MAX + "=4294967296"), ["a.conf:1: the kernel refuses " + MAX + " = 4294967296"]),
    "no number": (early(a=MAX + "=1M"), ["the kernel refuses"]),
    "keys of others": (early(a="net.ipv4.ip_forward=1\nnet.netfilter.nf_log_all_netns=1"), []),
    "S12: an obsolete module": (inputs({"/etc/modules-load.d/k.conf": "nf_conntrack_ipv4"}), ["k.conf:1: nf_conntrack_ipv4 is part of"]),
    "options for systemd": (inputs({"/etc/modules-load.d/k.conf": "nf_conntrack acct=1"}), ["k.conf:1: systemd takes"]),
    "options of a built-in": (modprobe("options nf_conntrack hashsize=5", builtin=True), ["y.conf:1: conntrack is built into this kernel"]),
    "a stale initramfs": (
        modprobe("options nf_conntrack hashsize=1024", initramfs=image({"/conf/modules": "nf_conntrack"})),
        [IMAGE + " was built with other options of nf_conntrack (hashsize): build it again"],
    ),
    "an initramfs that is current": (
        modprobe("options nf_conntrack hashsize=1024",
                 initramfs=image({"/conf/modules": "nf_conntrack", "/etc/modprobe.d/y.conf": "options nf_conntrack hashsize=1024"})), [],
    ),
    "a parameter of the command line": (inputs(cmdline="nf_conntrack.max=5"), ["kernel command line nf_conntrack: nf_conntrack has no parameter"]),
    "an image that cannot be read": (inputs(read_problems=("cannot read x",)), ["cannot read x"]),
}


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_problems(name):
    given, pieces = PROBLEMS[name]
    found = boot(given).problems
    assert len(found) == len(pieces)
    assert all(piece in text for piece, text in zip(pieces, found))


def test_a_refused_value_leaves_the_earlier_one():
    assert value(boot(early(a=MAX + "=5", b=MAX + "=many\nnet.nf_conntrack_max=-0x"))) == (262144, DEFAULT)
    assert value(boot(early(a="net.nf_conntrack_max=5", b=MAX + "=many"))) == (5, "/etc/sysctl.d/a.conf:1")


@pytest.mark.parametrize("words", ["hashsize = 262144", "hashsize= 262144", "hashsize =262144", "hashsize=262144k"])
def test_c20_a_typo_in_modprobe_d_keeps_the_module_from_loading(words):
    found = boot(modprobe("options nf_conntrack " + words))
    assert (found.loads, found.loaded_by, found.stage) == (False, "", "never")
    assert found.prevented_by.startswith("/etc/modprobe.d/y.conf:1: hashsize")
    assert found.prevented_by in found.problems
    assert {given.value for given in found.values.values()} == {None}


def test_settings_are_those_that_the_kernel_has():
    found = boot(inputs())
    assert "tcp_ignore_invalid_rst" in found.values
    assert "expect_hashsize" in found.values
    assert not {"count", "helper", "udplite_timeout"} & set(found.values)


# Laws of our own files

OURS = {
    "/etc/modules-load.d/zz-netfleet-conntrack.conf": _modulesload.render(["nf_conntrack"]),
    "/etc/modprobe.d/zz-netfleet-conntrack.conf": _modprobed.render("nf_conntrack", [("hashsize", "131072")]),
    "/etc/sysctl.d/zz-netfleet-conntrack.conf": _sysctld.render(
        [(MAX, "524288"), ("net.nf_conntrack_max", "524288"), (KEY + "buckets", "131072"), (KEY + "udp_timeout", "45")]
    ),
}
WANTED = {"max": 524288, "buckets": 131072, "udp_timeout": 45}
FOREIGN = {
    "nothing": {},
    "another size": {"/etc/modprobe.d/y.conf": "options nf_conntrack hashsize=512", "/etc/sysctl.d/99-sysctl.conf": MAX + "=5"},
    "the alias": {"/etc/sysctl.d/99-z.conf": MAX + "=524288\nnet.nf_conntrack_max = 5"},
    "patterns": {"/etc/sysctl.d/99-z.conf": "net.netfilter.* = 5"},
    "exclusions": {"/etc/sysctl.d/99-z.conf": "-" + KEY + "udp_timeout\n-" + MAX},
}


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_our_files_give_our_values(name):
    found = boot(with_files(inputs(FOREIGN[name]), OURS))
    assert {setting: found.values[setting].value for setting in WANTED} == WANTED
    assert all("/zz-netfleet-conntrack.conf:" in found.values[setting].source for setting in WANTED)
    assert (found.lost, found.loaded_by) == ((), "/etc/modules-load.d/zz-netfleet-conntrack.conf:1")


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_taking_our_files_away_gives_what_was(name):
    before = inputs(FOREIGN[name])
    after = with_files(with_files(before, OURS), dict.fromkeys(OURS))
    assert boot(after) == boot(before)


def test_a_file_that_is_read_after_ours_wins_and_is_named():
    files = dict(OURS, **{"/etc/sysctl.d/zzz.conf": MAX + " = 5"})
    assert value(boot(inputs(files))) == (5, "/etc/sysctl.d/zzz.conf:1")


def test_a_changed_file_changes_the_links_to_it():
    given = inputs(dict(LOAD, **{"/etc/sysctl.d/99-sysctl.conf": "", "/etc/sysctl.conf": ""}), links={"/etc/sysctl.d/99-sysctl.conf": "/etc/sysctl.conf"})
    assert value(boot(with_files(given, {"/etc/sysctl.conf": MAX + "=5"}))) == (5, "/etc/sysctl.conf:1")


@pytest.mark.parametrize("setting", sorted(s.name for s in CATALOGUE if s.key in KEYS and s.access == "rw"))
def test_every_setting_can_be_given_at_boot(setting):
    number = 2 if setting == "events" else 1 if BY_NAME[setting].type == "bool" else 512
    number = 7 if setting in ("tcp_max_retrans", "log_invalid") else number
    found = boot(early(a="%s = %d" % (BY_NAME[setting].key, number)))
    assert value(found, setting) == (number, "/etc/sysctl.d/a.conf:1")
    assert found.problems == ()


def test_initramfs_loads():
    assert _boot.initramfs_loads(inputs(initramfs=image({"/conf/modules": "nf_conntrack"})))
    assert not _boot.initramfs_loads(inputs(LOAD))


@pytest.mark.parametrize("release, version", [("6.1.0-50-cloud-amd64", (6, 1)), ("4.18.0-553.el8.x86_64", (4, 18)), ("6", (6, 0)), ("", (0, 0))])
def test_version(release, version):
    assert inputs(release=release).version == version

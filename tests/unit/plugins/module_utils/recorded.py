# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded hosts that behave: a tree of files as Host sees it, with a small kernel and a small systemd behind it.

A recorded tree is dead. Here buckets are rounded, bad values are refused, C(modprobe) makes the
keys appear, and units are enabled. That the real ones do the same is shown by tests/integration.
"""
import errno
import json
import os
import re
import shutil

from ansible_collections.netfleet.conntrack.plugins.module_utils import _boot_read, _sizing
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import ALIASES, BY_KEY, BY_NAME
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import small_rules

# Before any test chooses another folder to work in.
HOSTS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "fixtures", "hosts")
# Folders that every machine has, whether something was read from them or not.
FOLDERS = ("/etc", "/etc/sysctl.d", "/etc/modprobe.d", "/etc/modules-load.d", "/etc/udev/rules.d", "/etc/systemd/system", "/run", "/var/lib")
NETFILTER = "/proc/sys/net/netfilter/"
ALIAS = "/proc/sys/net/nf_conntrack_max"
MODULES_OF = {"nft": ["nf_tables"], "iptables": ["ip_tables"], "ip6tables": ["ip6_tables"]}
TABLES_NAMES = {"/proc/net/ip_tables_names": "iptables", "/proc/net/ip6_tables_names": "ip6tables"}
HOOK = "/etc/initramfs-tools/hooks/zz-netfleet-conntrack"
IMAGE = "/boot/initrd.img-%s"
PARAMETERS = "/sys/module/nf_conntrack/parameters/"
# What appears when nf_conntrack loads.
OF_MODULE = re.compile(r"/proc/sys/net/netfilter/nf_conntrack_|/proc/sys/net/nf_conntrack_max$|/sys/module/nf_conntrack(/|$)|/proc/net/stat/nf_conntrack$")
UNLOADED = "-unloaded"


def names():
    """The names of all recorded hosts."""
    return sorted(name[:-5] for name in os.listdir(HOSTS) if name.endswith(".json"))


def document(name):
    with open(os.path.join(HOSTS, name + ".json")) as stream:
        return json.load(stream)


def unpack(files, root):
    """Make the tree of a recorded host below ``root``."""
    for folder in FOLDERS:
        os.makedirs(root + folder, exist_ok=True)
    for path in sorted(files):
        put(root + path, files[path])


def put(place, entry):
    if entry.get("dir"):
        os.makedirs(place, exist_ok=True)
        return
    os.makedirs(os.path.dirname(place), exist_ok=True)
    if "link" in entry:
        os.symlink(entry["link"], place)
        return
    with open(place, "w", errors="surrogateescape") as stream:
        stream.write(entry["text"])
    os.chmod(place, int(entry.get("mode", "0644"), 8))


def machine(name, folder, kind=None):
    """The recorded host ``name``, unpacked below ``folder``."""
    found = document(name)
    root = os.path.join(str(folder), name)
    unpack(found["files"], root)
    return (kind or Machine)(root, found)


def again(host, kind=None):
    """The same machine as another process sees it."""
    return (kind or Machine)(host.root, host.document)


class Machine(Host):
    """A recorded host. ``log`` holds every write and command, in order; each passes through ``moment``."""

    def __init__(self, root, found):
        super().__init__(root, run=self.command, page_size=found["page_size"], uid=found.get("uid", 0))
        self.document = found
        self.log = []
        self.folders = {}
        self._rename, self._replace = self._replace, self._replaced

    def moment(self, what, target):
        """Called just before and just after everything that changes the machine; tests kill and fail here."""

    def _around(self, what, target, act):
        self.log.append((what, target.replace(self.root, "", 1)))
        self.moment("before " + what, target)
        found = act()
        self.moment("after " + what, target)
        return found

    def _real(self, path):
        # Folders stay what they are, and every path leads through some.
        if path not in self.folders:
            found = super()._real(path)
            if not os.path.isdir(self.root + found):
                return found
            self.folders[path] = found
        return self.folders[path]

    # Files

    def _write_synced(self, path, text, mode):
        self.log.append(("file", path.replace(self.root, "", 1)))
        self.moment("before file", path)
        super()._write_synced(path, text[: len(text) // 2], mode)
        self.moment("in the middle of file", path)
        super()._write_synced(path, text, mode)
        self.moment("after file", path)

    def _replaced(self, new, path):
        self._around("replace", path, lambda: self._rename(new, path))

    def _unlink(self, path):
        if os.path.lexists(path):
            self._around("remove", path, lambda: super(Machine, self)._unlink(path))

    # The kernel

    def _give(self, place, text):
        self._around("value", place, lambda: self._take(place, text))

    def _take(self, place, text):
        path = place.replace(self.root, "", 1)
        key = path.replace("/proc/sys/", "", 1).replace("/", ".")
        setting = BY_NAME[ALIASES[key]] if key in ALIASES else BY_KEY.get(key, BY_NAME["buckets"])
        if not os.path.exists(place):
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        if not os.stat(place).st_mode & 0o200:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        if not setting.bounds[0] <= int(text) <= setting.bounds[1]:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._show(setting.name, int(text))

    def _show(self, name, value):
        places = [BY_NAME[name].path]
        if name == "max":
            places.append(ALIAS)
        if name == "buckets":
            places.append(PARAMETERS + "hashsize")
            value = _sizing.round_buckets(value, self.page_size)
        for path in places:
            if os.path.exists(self.root + path):
                self.overwrite(path, "%d\n" % value)

    def overwrite(self, path, text):
        """Change a file as somebody else would."""
        with open(self._below(path), "w") as stream:
            stream.write(text)

    def has(self, setting):
        """Tell whether the kernel has a setting once nf_conntrack is loaded."""
        return self.exists(setting.path) or setting.path in self._appearing()

    def values(self):
        """Every running value that can be set, by the name of its file."""
        folder = self.root + NETFILTER
        found = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        return {name: self.read(NETFILTER + name) for name in found if name.startswith("nf_conntrack_") and not name.endswith("_count")}

    # Commands

    def command(self, argv, data):
        """What the programs of the machine do, as far as it matters here."""
        self.input = data
        program = os.path.basename(argv[0])
        act = getattr(self, "_run_" + program.replace("-", "_"), None)
        if act is None:
            raise AssertionError("nobody thought of %s" % " ".join(argv))
        if program.endswith("-save") or {"list", "--version"} & set(argv):
            return act(argv[1:])
        try:
            return self._around("run", " ".join([program] + argv[1:]), lambda: act(argv[1:]))
        except OSError as error:
            return 1, "", error.strerror

    def _run_modprobe(self, argv):
        if argv[0] == "-r":
            for path in self._appearing():
                if not self.document["files"].get(path) and os.path.isfile(self.root + path):
                    os.unlink(self.root + path)
            if self._appearing():
                shutil.rmtree(self.root + "/sys/module/nf_conntrack", ignore_errors=True)
            return 0, "", ""
        if not os.path.exists(self.root + ALIAS):
            for path, entry in self._appearing().items():
                put(self.root + path, entry)
            self._start(argv[1:])
        return 0, "", ""

    def _appearing(self):
        """What a host on which nf_conntrack is loaded has besides."""
        name = self.document["name"]
        if not name.endswith(UNLOADED):
            return {}
        return dict(item for item in document(name[: -len(UNLOADED)])["files"].items() if OF_MODULE.match(item[0]))

    def _start(self, words):
        """The sizes that the module starts with under our modprobe.d and these words, as nf_conntrack_init_start gives them."""
        text = self.read("/etc/modprobe.d/zz-netfleet-conntrack.conf") or ""
        options = [line for line in text.splitlines() if line.startswith("options")]
        given = dict(re.findall(r"\b(\w+)=(\d+)", " ".join(options + words)))
        if "hashsize" in given:
            self._show("buckets", int(given["hashsize"]))
            self._show("max", 8 * self.number(BY_NAME["buckets"].path))
        if given:
            buckets = self.number(BY_NAME["buckets"].path)
            expectations = _sizing.default_expectations(buckets, self.page_size, int(given.get("expect_hashsize", 0)))
            for name, value in zip(("expect_hashsize", "expect_max"), expectations):
                self._show(name, value)

    def _run_udevadm(self, dummy_argv):
        return 0, "", ""

    def _run_update_initramfs(self, dummy_argv):
        """Make an image as initramfs-tools does: copies of modprobe.d, and the module where a hook of ours asks for it."""
        release = self.read("/proc/sys/kernel/osrelease").strip()
        files = {"etc/modprobe.d/" + name: self.read("/etc/modprobe.d/" + name) for name in self.list("/etc/modprobe.d")}
        if "force_load nf_conntrack" in (self.read(HOOK) or "") and self.mode(HOOK) & 0o100:
            files["conf/modules"] = "nf_conntrack\n"
            files["usr/lib/modules/%s/kernel/net/netfilter/nf_conntrack.ko" % release] = ""
        with open(self.root + IMAGE % release, "wb") as stream:
            stream.write(archive(files))
        return 0, "", ""

    def image(self):
        """What the initramfs holds that matters here."""
        return _boot_read.initramfs(self, self.read("/proc/sys/kernel/osrelease").strip())[0]

    def _run_systemctl(self, argv):
        unit = "/etc/systemd/system/" + argv[-1]
        targets = (re.search(r"^WantedBy=(.*)$", self.read(unit) or "", re.MULTILINE) or [None, ""])[1].split()
        links = ["%s/etc/systemd/system/%s.wants/%s" % (self.root, target, argv[-1]) for target in targets]
        if "enable" in argv:
            for link in links:
                os.makedirs(os.path.dirname(link), exist_ok=True)
                if not os.path.lexists(link):
                    os.symlink(unit, link)
        if "disable" in argv:
            for link in filter(os.path.lexists, links):
                os.unlink(link)
                self._tidy(os.path.dirname(link))
        if {"restart", "start", "try-restart"} & set(argv) or "--now" in argv and "enable" in argv:
            for file, program in (("hooks.nft", "nft"), ("hooks.v4", "iptables"), ("hooks.v6", "ip6tables")):
                if self.exists("/etc/netfleet-conntrack/" + file):
                    self._load(program, self.read("/etc/netfleet-conntrack/" + file))
        return 0, "", ""

    def enabled(self, unit):
        """The units that start another one."""
        folder = "/etc/systemd/system/"
        return [name[:-6] for name in self.list(folder) if name.endswith(".wants") and self.link(folder + name + "/" + unit)]

    @staticmethod
    def _tidy(folder):
        if not os.listdir(folder):
            os.rmdir(folder)

    # Rules that are in the kernel are kept beside the tree, so that they outlive a process: what was loaded, by the program that loaded it.

    def _mark(self, program):
        return "%s.%s" % (self.root, program)

    def loaded(self, program):
        """What a program has loaded of ours, or nothing."""
        if not os.path.exists(self._mark(program)):
            return ""
        with open(self._mark(program)) as stream:
            return stream.read()

    def _load(self, program, text):
        try:
            found = small_rules.loaded(program, self.loaded(program), text)
        except (KeyError, ValueError) as error:
            return 1, "", "%s-restore: %s" % (program, error)
        for module in MODULES_OF[program]:
            os.makedirs(self.root + "/sys/module/" + module, exist_ok=True)
        with open(self._mark(program), "w") as stream:
            stream.write(found)
        return 0, "", ""

    def has_rules(self, program):
        return "NETFLEET" in self.loaded(program) or "netfleet" in self.loaded(program)

    def _run_nft(self, argv):
        if "-f" in argv:
            return self._load("nft", self.input)
        if {"list", "ruleset"} <= set(argv):
            return 0, small_rules.ruleset(self.loaded("nft")), ""
        if {"flush", "delete"} & set(argv):
            return self._load("nft", "")
        return (0, self.loaded("nft"), "") if self.has_rules("nft") else (1, "", "No such file or directory")

    def _run_iptables(self, dummy_argv):
        return 0, "iptables v1.8.7 (legacy)", ""

    def _run_iptables_restore(self, dummy_argv):
        return self._load("iptables", self.input)

    def _run_ip6tables_restore(self, dummy_argv):
        return self._load("ip6tables", self.input)

    def _run_iptables_legacy_save(self, dummy_argv):
        return 0, self.loaded("iptables"), ""

    def _run_ip6tables_legacy_save(self, dummy_argv):
        return 0, self.loaded("ip6tables"), ""

    def read_bytes(self, path):
        if path in TABLES_NAMES and self.has_rules(TABLES_NAMES[path]):
            return b"raw\n"
        return super().read_bytes(path)

    def netlink(self, request, dump, timeout=5.0):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def loopback_udp(self, family):
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))


def copied(host, folder, kind=None):
    """A copy of a machine, in its present state, below another folder."""
    root = os.path.join(str(folder), os.path.basename(host.root))
    shutil.copytree(host.root, root, symlinks=True)
    for program in MODULES_OF:
        if host.loaded(program):
            shutil.copy("%s.%s" % (host.root, program), "%s.%s" % (root, program))
    return (kind or Machine)(root, host.document)


def settled(host):
    """A snapshot without what comes and goes with the module, and without images of it: none of that is ours."""
    return dict(item for item in snapshot(host).items() if not OF_MODULE.match(item[0]) and not item[0].startswith("/boot/"))


def fresh_values(host, folder):
    """The running values that a host has on which nf_conntrack has just been loaded; None where it was loaded before."""
    if not host.document["name"].endswith(UNLOADED):
        return None
    other = machine(host.document["name"], os.path.join(str(folder), "fresh"))
    other.run(["modprobe", "nf_conntrack"])
    return other.values()


def archive(files):
    """An archive as cpio -H newc writes it."""
    return b"".join(map(member, sorted(files), [files[name].encode() for name in sorted(files)])) + member("TRAILER!!!", b"")


def member(name, data):
    fields = (1, 0o100644, 0, 0, 1, 0, len(data), 8, 1, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def snapshot(host):
    """Every file and link of a machine but the lock: path -> (text or target, mode)."""
    found = {}
    for folder, folders, files in os.walk(host.root):
        for name in files + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            place = os.path.join(folder, name)
            found[place.replace(host.root, "", 1)] = os.readlink(place) if os.path.islink(place) else _content(place)
    found.pop("/run/netfleet-conntrack.lock", None)
    return found


def _content(place):
    with open(place, "rb") as stream:
        return stream.read().decode("utf-8", "surrogateescape"), oct(os.stat(place).st_mode & 0o7777)


def files_of(found):
    """Of a snapshot, what is on the disk and outlives a boot."""
    return dict(item for item in found.items() if not item[0].startswith(("/proc/", "/sys/")))

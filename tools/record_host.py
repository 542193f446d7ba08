# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Record what this machine says about connection tracking, as one JSON document for tests.

    python3 record_host.py --name bookworm-6.1 > bookworm-6.1.json      best as root: some files are for root only
    python3 record_host.py --unpack bookworm-6.1.json DIR               make the files of a document again, below DIR

Needs Python 3.6 and nothing else, so that it can be piped into any host: ssh router python3 - < record_host.py

The document: {"schema_version", "name", "note", "page_size", "hz", "uid", "files": {PATH: ENTRY}}. An ENTRY is
{"text": ...}, with "mode" where rights matter; {"link": target}; or {"dir": true}. A file is recorded under its real
path, and every link that leads there as a link; comments of configuration files are emptied. Hardware addresses, host
names and user names are in none of the files.
"""

import argparse
import glob
import gzip
import json
import os
import re
import stat
import sys

PREFIXES = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
SETTINGS_FOLDERS = ("sysctl.d", "modprobe.d", "modules-load.d")
UDEV_FOLDERS = ("/etc/udev", "/run/udev", "/usr/local/lib/udev", "/usr/lib/udev")
UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
UNITS = (
    "nftables.service",
    "netfilter-persistent.service",
    "ufw.service",
    "systemd-sysctl.service",
    "systemd-modules-load.service",
)

# Wildcard patterns of files recorded in full.
WHOLE = (
    "/proc/sys/net/core/dev_weight",
    "/proc/sys/kernel/osrelease",
    "/proc/meminfo",
    "/proc/cmdline",
    "/proc/modules",
    "/proc/net/stat/nf_conntrack",
    "/proc/net/ip_tables_names",
    "/proc/net/ip6_tables_names",
    "/proc/self/ns/net",
    "/proc/1/ns/net",
    "/etc/os-release",
    "/etc/sysctl.conf",
    "/etc/modules",
    "/etc/initramfs-tools/modules",
    "/etc/initramfs-tools/initramfs.conf",
    "/etc/initramfs-tools/hooks/*",
    "/etc/dracut.conf",
    "/etc/dracut.conf.d/*",
)

# The same with their rights, which tell what this kernel lets be changed in this namespace.
WHOLE_WITH_MODE = (
    "/proc/sys/net/netfilter/*",
    "/proc/sys/net/nf_conntrack_max",
    "/sys/module/nf_conntrack/parameters/*",
    "/sys/kernel/slab/nf_conntrack/object_size",
    "/sys/kernel/slab/nf_conntrack/slab_size",
    "/sys/kernel/slab/nf_conntrack/objs_per_slab",
    "/sys/kernel/slab/nf_conntrack/order",
)

# Files of which it matters that they are there, and who may run them.
PRESENCE = (
    "/run/udev/control",
    "/sbin/init",
    "/sbin/modprobe",
    "/usr/bin/dracut",
    "/usr/bin/systemctl",
    "/usr/bin/udevadm",
    "/usr/lib/systemd/systemd-sysctl",
    "/usr/sbin/nft",
    "/usr/sbin/update-initramfs",
    "/usr/sbin/iptables",
    "/usr/sbin/iptables-restore",
    "/usr/sbin/iptables-legacy-save",
    "/usr/sbin/ip6tables",
    "/usr/sbin/ip6tables-restore",
    "/usr/sbin/ip6tables-legacy-save",
    "/boot/initrd.img-{release}",
    "/boot/initramfs-{release}.img",
)

KERNEL_OPTIONS = re.compile(
    r"CONFIG_NF_CONNTRACK|CONFIG_NF_CT_|CONFIG_NF_FLOW_TABLE|CONFIG_NETFILTER_NETLINK_HOOK|CONFIG_HZ=|CONFIG_IPV6"
)
MODULES = re.compile(r"nf_conntrack|nf_nat|nf_defrag|nft_ct|xt_conntrack|nf_flow|br_netfilter")

# Of these only the lines that match: the rest is long, or is about the machine's disks and users.
REDUCED = (
    ("/proc/slabinfo", re.compile(r"slabinfo|# name|nf_conntrack")),
    ("/proc/self/mounts", re.compile(r"\S+ (/|/(proc|sys)(/\S*)?) ")),
    ("/boot/config-{release}", re.compile(r".*(%s)" % KERNEL_OPTIONS.pattern)),
    ("/lib/modules/{release}/modules.builtin", re.compile(r".*(%s)" % MODULES.pattern)),
    ("/lib/modules/{release}/modules.dep", re.compile(r".*(%s)" % MODULES.pattern)),
)

# Below /sys/module: `notes` is binary, `sections` are addresses, `uevent` cannot be read.
CONFIGURATION = ("/etc/", "/run/", "/usr/", "/lib/")
LEFT_OUT = ("notes", "sections", "uevent")


def read(place):
    """The text of a file."""
    with open(place, "rb") as stream:
        data = stream.read()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        sys.exit("record_host: %s is not UTF-8 (%s); the document cannot hold it" % (place, error))


def plain(place, text):
    """A text less its prose: comments become empty ones, so that line numbers stay and nobody's words are copied."""
    return re.sub(r"(?m)^([ \t]*[#;]).*$", r"\1", text) if place.startswith(CONFIGURATION) else text


def reduced(text, lines):
    """The lines of `text` that match the pattern `lines`; all without a pattern."""
    return "".join(line for line in text.splitlines(True) if not lines or lines.match(line))


class Recorder:
    """Collects entries in `files`."""

    def __init__(self):
        self.files = {}
        self.release = os.uname().release

    def place(self, path):
        """The real path; the links on the way become entries."""
        if path.startswith(("/proc/", "/sys/")):
            # There links are the kernel's own: /proc/net leads to another place for each process.
            return path
        done, todo = "", path.split("/")[1:]
        while todo:
            part = todo.pop(0)
            if part == "..":
                done = done.rpartition("/")[0]
            elif part not in ("", "."):
                done, todo = self._step(done, part, todo)
        return done

    def _step(self, done, part, todo):
        """One part of a path further: what is behind us and what is before us then."""
        here = done + "/" + part
        if not os.path.islink(here):
            return here, todo
        target = os.readlink(here)
        self.files[here] = {"link": target}
        return "" if target.startswith("/") else done, target.split("/") + todo

    def file(self, path, lines=None, mode=False, empty=False):
        """An entry for the file at `path`: whole, or the `lines` that match, or `empty`; none when there is no file."""
        try:
            place = self.place(path)
            if os.path.islink(place):
                self.files[place] = {"link": os.readlink(place)}
            elif empty and os.path.exists(place):
                self.add(place, "", mode)
            elif os.path.isfile(place):
                self.add(place, plain(place, reduced(read(place), lines)), mode)
        except OSError as error:
            sys.stderr.write("record_host: left out: %s\n" % error)

    def add(self, place, text, mode):
        """An entry with a text, and with the file's rights when `mode` says so."""
        self.files[place] = {"text": text}
        if mode:
            self.files[place]["mode"] = "%04o" % stat.S_IMODE(os.stat(place).st_mode)

    def folder(self, path):
        """An entry for a folder, so that it is there even when nothing is in it."""
        place = self.place(path)
        if os.path.isdir(place):
            self.files[place] = {"dir": True}

    def tree(self, path):
        """All files and links below `path`."""
        for folder, folders, names in os.walk(path):
            folders[:] = [name for name in folders if name not in LEFT_OUT]
            self.folder(folder)
            for name in folders + names:
                if name not in LEFT_OUT:
                    self.file(folder + "/" + name)

    def kernel(self):
        """What the running kernel shows."""
        self.tree("/sys/module/nf_conntrack")
        self.tree("/sys/module/nf_conntrack_netlink")
        for path in _matching(WHOLE_WITH_MODE):
            self.file(path, mode=True)

    def settings(self):
        """What is read at boot."""
        for prefix in PREFIXES:
            for name in SETTINGS_FOLDERS:
                self.folder(prefix + "/" + name)
                for path in _matching(["%s/%s/*.conf" % (prefix, name)]):
                    self.file(path)
        for path in _matching(folder + "/rules.d/*.rules" for folder in UDEV_FOLDERS):
            if re.search("conntrack|sysctl", read(path)):
                self.file(path)

    def units(self):
        """The units that matter, and which of them are enabled."""
        self.folder("/run/systemd/system")
        for unit in UNITS:
            for folder in UNIT_FOLDERS:
                self.file("%s/%s" % (folder, unit))
            for path in _matching(["/etc/systemd/system/*.wants/" + unit]):
                self.file(path)

    def programs(self):
        """What is installed."""
        for path in PRESENCE:
            self.file(path.format(release=self.release), mode=True, empty=True)

    def excerpts(self):
        """What is too long to be recorded in full."""
        for path, lines in REDUCED:
            self.file(path.format(release=self.release), lines)
        config = "/boot/config-" + self.release
        if config not in self.files and os.path.exists("/proc/config.gz"):
            with gzip.open("/proc/config.gz", "rt", encoding="utf-8") as stream:
                self.files[config] = {"text": "".join(line for line in stream if KERNEL_OPTIONS.search(line))}

    def everything(self):
        """All entries, by path."""
        for path in ("/bin", "/lib", "/sbin"):
            self.place(path)
        for path in _matching(WHOLE):
            self.file(path)
        self.kernel()
        self.settings()
        self.units()
        self.programs()
        self.excerpts()
        return self.files


def _matching(patterns):
    return [path for pattern in patterns for path in sorted(glob.glob(pattern))]


def usual_name():
    """Distribution and kernel, such as bookworm-6.1."""
    with open("/etc/os-release", encoding="utf-8") as stream:
        fields = dict(line.strip().split("=", 1) for line in stream if "=" in line)
    distribution = fields.get("VERSION_CODENAME") or fields.get("ID", "linux") + fields.get("VERSION_ID", "")
    return "%s-%s" % (distribution.replace('"', ""), ".".join(os.uname().release.split(".")[:2]))


def record(name, note):
    """The document of this machine."""
    document = {
        "schema_version": 1,
        "name": name or usual_name(),
        "page_size": os.sysconf("SC_PAGE_SIZE"),
        "hz": None,
        "uid": os.getuid(),
        "files": Recorder().everything(),
    }
    if note:
        document["note"] = note
    return document


def unpack(document, root):
    """Make the files of `document` below `root`. All are left writable: read-only bits are for the reader to obey."""
    for path, entry in sorted(document["files"].items()):
        place = root + path
        if "dir" in entry:
            os.makedirs(place, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if "link" in entry:
            os.symlink(entry["link"], place)
            continue
        with open(place, "w", encoding="utf-8") as stream:
            stream.write(entry["text"])
        os.chmod(place, int(entry.get("mode", "0644"), 8) | 0o600)


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", help="what to call the machine; by default its distribution and kernel")
    parser.add_argument("--note", help="a remark to store in the document")
    parser.add_argument(
        "--unpack", nargs=2, metavar=("DOC", "DIR"), help="make the files of the document DOC below DIR"
    )
    options = parser.parse_args()
    if options.unpack:
        with open(options.unpack[0], encoding="utf-8") as stream:
            unpack(json.load(stream), options.unpack[1].rstrip("/"))
        return
    json.dump(record(options.name, options.note), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()

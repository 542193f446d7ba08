# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Reads from a host what its next boot will read, as far as connection tracking is concerned.

Nothing is loaded or changed by looking. Files that cannot matter are not opened: on most
hosts this is some dozens of small files.
"""
import re

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _boot,
    _boot_sysctls,
    _cmdline,
    _dropins,
    _initramfs,
    _modulesload,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import ALIASES, CATALOGUE
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._modprobed import MODULE

DIRECTORIES = (
    (_dropins.SYSCTL_D, ".conf"),
    (_dropins.MODPROBE_D, ".conf"),
    (_dropins.MODULES_LOAD_D, ".conf"),
    (_dropins.UDEV_RULES_D, ".rules"),
)
SINGLE = (_boot_sysctls.SYSCTL_CONF, _modulesload.ETC_MODULES)
NETFILTER = "/proc/sys/net/netfilter"
OF_MODULE = ("nf_conntrack_max", "nf_conntrack_count")  # files there that every namespace has while the module is loaded
# Where distributions keep the initramfs of a kernel release: Debian and Ubuntu; Fedora, RHEL and
# Amazon; SUSE; image-based systems; systemd's kernel-install.
IMAGES = (
    "/boot/initrd.img-{release}",
    "/boot/initramfs-{release}.img",
    "/boot/initrd-{release}",
    "/lib/modules/{release}/initramfs.img",
    "/usr/lib/modules/{release}/initrd",
    "/boot/{machine}/{release}/initrd",
    "/boot/efi/{machine}/{release}/initrd",
)
CACHE = "/var/lib/netfleet-conntrack/initramfs.json"
CACHE_SCHEMA = 1
UNITS = ("systemd-sysctl.service", "systemd-modules-load.service")
UNIT_FOLDERS = ("/etc/systemd/system/", "/run/systemd/system/")
# Programs that unpack what the standard library cannot.
UNPACKERS = {
    "zstd": ["zstd", "-dqf", "{input}", "-o", "{output}"],
    "lz4": ["lz4", "-dqf", "{input}", "{output}"],
    "lzop": ["lzop", "-dqf", "{input}", "-o", "{output}"],
}
NULL = "/dev/null"
# The hundred rules of packages write no sysctls when a module appears; those of people may.
OWN_RULES = ("/etc/", "/run/")
DEPENDENT = re.compile(r"^(?:\S*/)?([^/\s]+)\.ko\S*:.*/nf_conntrack\.ko", re.MULTILINE)


def _directories(host):
    """(directory, suffix of its files); where /lib is a link, it is /usr/lib and is not looked at twice."""
    one = host.link("/lib") is not None
    every = ((path, suffix) for paths, suffix in DIRECTORIES for path in paths)
    return [(path, suffix) for path, suffix in every if not (one and path.startswith("/lib/"))]


def _paths(host):
    places = [(path, suffix) for path, suffix in _directories(host) if suffix == ".conf" or path.startswith(OWN_RULES)]
    names = ((path, name) for path, suffix in places for name in host.list(path) if name.endswith(suffix))
    return [path + "/" + name for path, name in names if not name.startswith(".")]


def _resolved(path, target):
    """The whole path of the file that a link points at."""
    parts = (target if target.startswith("/") else path.rpartition("/")[0] + "/" + target).split("/")
    found = []
    for part in parts:
        if part == ".." and found:
            found.pop()
        elif part not in ("", ".", ".."):
            found.append(part)
    return "/" + "/".join(found)


def _files(host):
    """Return (path -> text, path -> file that it is a link to)."""
    paths = _paths(host)
    pairs = ((path, host.link(path)) for path in paths)
    links = {path: _resolved(path, target) for path, target in pairs if target}
    texts = {path: "" if links.get(path) == NULL else host.read(path) or "" for path in paths}
    single = {path: host.read(path) for path in SINGLE}
    texts.update((path, text) for path, text in single.items() if text is not None)
    return texts, {path: target for path, target in links.items() if target in texts}


def _masked(host):
    return frozenset(unit for unit in UNITS if any(host.link(folder + unit) == NULL for folder in UNIT_FOLDERS))


def _keys(host, inputs):
    """The sysctls of this kernel: as it shows them, or, before the module is loaded, as its version and build have them."""
    found = [name for name in host.list(NETFILTER) if name.startswith("nf_")]
    # Those of fragments belong to nf_defrag_ipv6, which may be there without the module.
    if not set(OF_MODULE).isdisjoint(found):
        keys = ["net.netfilter." + name for name in found]
    else:
        build = host.read("/boot/config-" + inputs.release) or ""
        keys = [s.key for s in CATALOGUE if s.key and s.exists_in(inputs.version) and _is_built(s.config, build)]
    return frozenset(keys) | frozenset(ALIASES)


def _is_built(name, build):
    """Tell whether a kernel has a configuration, from the text of its build; where there is none, it is taken to."""
    return not build or not name or re.search("^%s=[ym]" % name, build, re.MULTILINE) is not None


def _mem_total(text):
    found = re.search(r"^MemTotal:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def _builtin(host, release):
    """A module that is loaded has a file initstate; where nothing is there yet, the kernel's own list tells."""
    if host.exists("/sys/module/" + MODULE):
        return not host.exists("/sys/module/%s/initstate" % MODULE)
    return "/%s.ko" % MODULE in (host.read("/lib/modules/%s/modules.builtin" % release) or "")


def _systemd(host):
    return host.exists("/run/systemd/system") or "systemd" in (host.link("/sbin/init") or host.link("/usr/sbin/init") or "")


def dependents(modules_dep):
    """The modules that bring nf_conntrack with them, from the text of modules.dep."""
    return frozenset(_cmdline.same(name) for name in DEPENDENT.findall(modules_dep))


def _dependents(host, inputs):
    """Read modules.dep, which is large, only where a boot loads some other module by name."""
    entries = [entry for path, text in inputs.files.items() if "modules" in path for entry in _modulesload.parse(text)]
    names = [entry.module for entry in entries]
    names += map(_cmdline.same, _cmdline.modules_load(_cmdline.parameters(inputs.cmdline), True))
    names += inputs.initramfs.modules if inputs.initramfs else ()
    if not set(names) - {MODULE}:
        return frozenset()
    return dependents(host.read("/lib/modules/%s/modules.dep" % inputs.release) or "")


def image_path(host, release):
    """Where the initramfs of a kernel is, or None."""
    machine = (host.read("/etc/machine-id") or "").strip()
    paths = (path.format(release=release, machine=machine) for path in IMAGES)
    return next((path for path in paths if host.exists(path)), None)


def _cached(host, key):
    """What an earlier run kept of the image with this key, or None."""
    import json

    try:
        found = json.loads(host.read(CACHE) or "{}")
        known = found.get("schema_version") == CACHE_SCHEMA and found.get("key") == key
        image = _initramfs.Initramfs(**found["image"]) if known else None
    except (ValueError, AttributeError, KeyError, TypeError):
        return None
    return image and image._replace(programs=tuple(image.programs), modules=tuple(image.modules))


def _cache(image, key):
    import json

    return json.dumps({"schema_version": CACHE_SCHEMA, "key": key, "image": image._asdict()}, sort_keys=True)


def initramfs(host, release):
    """Return (the Initramfs in use or None, what to keep for the next run or None).

    ConntrackError when it cannot be read.
    """
    path = image_path(host, release)
    if path is None:
        return None, None
    key = "%s %s" % (path, host.stat_key(path))
    known = _cached(host, key)
    if known:
        return known, None
    image = _initramfs.parse(path, host.read_bytes(path), lambda name, data: host.filter(UNPACKERS[name], data))
    return image, _cache(image, key)


def _initramfs_or_problem(host, release):
    try:
        return initramfs(host, release) + ("",)
    except ConntrackError as error:
        return None, None, str(error)


def read(host):
    """Return the BootInputs of a host. An initramfs that cannot be read is a problem, not an error."""
    release = (host.read("/proc/sys/kernel/osrelease") or "").strip()
    builtin = _builtin(host, release)
    files, links = _files(host)
    image, cache, problem = (None, None, "") if builtin else _initramfs_or_problem(host, release)
    inputs = _boot.BootInputs(
        files=files,
        links=links,
        cmdline=host.read("/proc/cmdline") or "",
        release=release,
        builtin=builtin,
        systemd=_systemd(host),
        mem_total=_mem_total(host.read("/proc/meminfo") or ""),
        page_size=host.page_size,
        initramfs=image,
        masked_units=_masked(host),
        initramfs_cache=cache,
        read_problems=(problem,) if problem else (),
    )
    return inputs._replace(keys=_keys(host, inputs), module_dependents=_dependents(host, inputs))

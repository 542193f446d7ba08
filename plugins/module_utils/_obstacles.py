# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Why a host cannot be tuned as asked, each reason with its remedy.

Pure: no files, no Ansible.
"""
from ansible_collections.netfleet.conntrack.plugins.module_utils import _spec
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME


def obstacles(state, values, at_boot):
    """Yield a text for every reason why ``values`` cannot be had on the host of ``state``."""
    kernel = state.kernel
    yield from no_root(kernel)
    if values and not kernel.loadable and not kernel.builtin:
        yield no_tracking(kernel)
        return
    for name in values:
        text = _obstacle(state, BY_NAME[name]) or _not_now(BY_NAME[name], at_boot)
        if text:
            yield "%s: %s" % (_spec.option(BY_NAME[name]), text)
    if at_boot and values and not kernel.boots:
        yield "at_boot: the next boot sets up another network namespace than this one; say at_boot: false"


def no_root(kernel):
    """Yield what every change of a host needs, where it is not there."""
    if kernel.uid != 0:
        yield "this needs root; run it with become: true"


def no_tracking(kernel):
    """Why nothing can be done on a kernel without connection tracking."""
    return ("there is no connection tracking in kernel %s: no module nf_conntrack in /lib/modules/%s, and it is not built in; "
            "install the kernel's modules package" % (kernel.release, kernel.release))


def prevented(boot, modular):
    """Yield why a module that is to be loaded at boot would not be."""
    if boot.prevented_by and modular:
        yield "module: %s keeps nf_conntrack from loading at boot; remove that line, or say module: false" % boot.prevented_by


def _obstacle(state, setting):
    if setting.key and setting.key not in state.inputs.keys:
        return _lacking(setting, state.kernel)
    if setting.scope == "global" and not state.kernel.initial:
        return "only the initial network namespace may set it; run this on the host that owns this namespace"
    if setting.access == "boot" and state.kernel.builtin:
        return ("connection tracking is built into this kernel, so only its command line can set this: "
                "nf_conntrack.%s=" % setting.parameter)
    return None


def _not_now(setting, at_boot):
    if setting.access == "boot" and not at_boot:
        return "the kernel takes it only while its module loads; say at_boot: true"
    return None


def _lacking(setting, kernel):
    because = ""
    if setting.until and kernel.version >= setting.until:
        because = ": it was removed in Linux %d.%d" % setting.until
    elif setting.since and kernel.version < setting.since:
        because = ": it came with Linux %d.%d" % setting.since
    elif setting.config:
        because = ": it needs %s" % setting.config
    return "kernel %s has no %s%s; leave the option out on this host" % (kernel.release, setting.key, because)


def write_obstacles(state, changed):
    """Yield a text for every reason why the running values ``changed`` cannot be written."""
    places = [place for place in state.kernel.read_only_mounts if place != "/sys"]
    if changed and places:
        yield ("%s is mounted read-only, so %s cannot be set here; run this on the host, or mount it read-write"
               % (places[0], ", ".join(changed)))
        return
    for name in changed:
        if name in state.kernel.read_only and not _through_sysfs(state, name) and not _obstacle(state, BY_NAME[name]):
            yield "%s: the kernel does not let it be written here" % _spec.option(BY_NAME[name])


def value_path(state, name):
    """The file that sets a running value; kernels before 4.7 take the hash size through /sys only."""
    setting = BY_NAME[name]
    if name in state.kernel.read_only and _through_sysfs(state, name):
        return "/sys/module/%s/parameters/%s" % (setting.module, setting.parameter)
    return setting.path


def _through_sysfs(state, name):
    setting = BY_NAME[name]
    writable = "/sys" not in state.kernel.read_only_mounts and state.kernel.initial
    return setting.name == "buckets" and writable


def boot_obstacles(state, after, values):
    """Yield a text for every value that the next boot would not give although our files ask for it."""
    if not values or not state.kernel.boots:
        return
    if not after.loads and after.prevented_by:
        yield "at_boot: %s keeps nf_conntrack from loading; remove that line, or say at_boot: false" % after.prevented_by
    for name, value in values.items():
        found = after.values.get(name)
        possible = value <= BY_NAME[name].bounds[1] and not _obstacle(state, BY_NAME[name])
        if found is not None and found.value != value and possible:
            yield "%s: the next boot would give %s, not %d, because of %s; remove that line, or say at_boot: false" % (
                _spec.option(BY_NAME[name]), found.value, value, found.reason or found.source)

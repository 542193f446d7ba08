# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Programs that unload nf_conntrack when they stop: firewalld, and the init scripts of iptables.

The kernel keeps the module while somebody else's rules need it (those of Docker, or the hooks that
early_load makes); then nothing is lost.
"""
import re

from ansible_collections.netfleet.conntrack.plugins.module_utils._owners_row import TRACKING, Owner, assignment

WANTS = ("/etc/systemd/system/multi-user.target.wants/", "/etc/systemd/system/basic.target.wants/")
FIREWALLD = "/etc/firewalld/firewalld.conf"
# The switch came with firewalld 1.0; before that, cleaning up at the end meant the modules as well (src/firewall/core/fw.py, stop()).
SWITCH, BEFORE = "CleanupModulesOnExit", "CleanupOnExit"
LIBRARIES = ("/usr/lib/python3/dist-packages", "/usr/lib/{name}/site-packages")
PROGRAM = "/firewall/config/__init__.py"
INIT = "/usr/libexec/iptables/%s.init"
UNLOADS = "unloads nf_conntrack whenever it stops or restarts, unless rules of others keep it"


def read(host):
    """The Owners among the programs that are enabled."""
    found = [_firewalld(host)] if _enabled(host, "firewalld") else []
    found += [_script(host, name) for name in ("iptables", "ip6tables") if _enabled(host, name)]
    return [owner for owner in found if owner]


def _enabled(host, name):
    return any(host.link(folder + name + ".service") for folder in WANTS)


def _firewalld(host):
    text = host.read(FIREWALLD)
    value, where = assignment(text, FIREWALLD, SWITCH)
    remedy = "say %s=no there" % SWITCH
    if not value and not _has_switch(host):
        value, where = assignment(text, FIREWALLD, BEFORE)
        value, remedy = value or "yes", "say %s=no there, or update firewalld to 1.0 or newer" % BEFORE
        unloads = value.lower() not in ("no", "false")
    else:
        unloads = value.lower() in ("yes", "true")
    return Owner("firewalld", "firewalld", where, UNLOADS, (), remedy, TRACKING) if unloads else None


def _has_switch(host):
    """Tell whether the firewalld that is installed knows the switch; one that is not found is taken for a new one."""
    folders = [LIBRARIES[0]] + [LIBRARIES[1].format(name=name) for name in host.list("/usr/lib") if re.match(r"python3\.\d+$", name)]
    texts = [text for text in (host.read(folder + PROGRAM) for folder in folders) if text]
    return not texts or any("CLEANUP_MODULES_ON_EXIT" in text for text in texts)


def _script(host, name):
    """RHEL's script unloads unless its configuration says no; scripts without the word do not unload."""
    key, path = name.upper() + "_MODULES_UNLOAD", "/etc/sysconfig/%s-config" % name
    value, where = assignment(host.read(path), path, key)
    if key not in (host.read(INIT % name) or "") or value not in ("", "yes"):
        return None
    return Owner(name + ".service", name + ".service", where, UNLOADS, (), 'say %s="no" there' % key, TRACKING)

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Who else writes settings of connection tracking on a host, what that does to ours, and what to do about it.

Looking changes nothing, and costs next to nothing where none of the programs is installed: each
is looked for by a file that it cannot be without, and only then is anything of it read, or imported.

Told to the user is only what will put another number in the place of a wanted one, or take
tracking away. The same number from somebody else is a fact and no warning: nothing changes as
long as both agree, and the run that changes ours is the one that tells. What ours override by
their place at boot, and what the boot model (_boot.py) names as the winner, is a fact only, too.
"""
from ansible_collections.netfleet.conntrack.plugins.module_utils import _own

# Without one of these a file cannot name a setting, nor stand for its name.
WORDS = ("conntrack", "netfilter", "*", "?", "[")
UFW, TUNED = "/etc/ufw/ufw.conf", "/etc/tuned/active_profile"
UNLOADERS = ("/etc/firewalld/firewalld.conf", "/etc/sysconfig/iptables-config", "/etc/sysconfig/ip6tables-config")
# Where something of Kubernetes is, processes are looked at.
KUBERNETES = ("/var/lib/kubelet", "/etc/kubernetes", "/var/lib/kube-proxy", "/var/lib/rancher", "/var/lib/k0s", "/var/snap/microk8s")
DOCKER = "/run/docker.pid"
OWN = (_own.SYSCTL, _own.MODPROBE)


def read(host, inputs):
    """Return the Owners of a host. ``inputs`` is the BootInputs that _boot_read.read() gives."""
    tuned, rereads = _tuned(host, inputs)
    owners = _files(inputs, rereads) + _ufw(host, inputs) + tuned + _kubernetes(host, inputs)
    return tuple(owners + _unloaders(host, inputs) + _docker(host))


def _files(inputs, reread_by_tuned):
    if not any(_concerns(text) for path, text in inputs.files.items() if _is_read(path)):
        return []
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _owners_files

    return _owners_files.read(inputs, reread_by_tuned)


def _is_read(path):
    return path not in OWN and ("/sysctl." in path or "/modprobe.d/" in path)


def _concerns(text):
    """Tell whether a file may name a setting; most patterns are of net.ipv4.conf, which holds none."""
    return any(word in text.replace("net.ipv4.conf.*", "") for word in WORDS)


def _ufw(host, inputs):
    if not host.exists(UFW):
        return []
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _owners_ufw

    return _owners_ufw.read(host, inputs)


def _tuned(host, inputs):
    """The Owners that tuned is, and whether it reads /etc/sysctl.conf again after its own values."""
    if not host.exists(TUNED):
        return [], False
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _owners_tuned

    return _owners_tuned.read(host, inputs)


def _kubernetes(host, inputs):
    if not any(host.exists(path) for path in KUBERNETES):
        return []
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _owners_kube

    return _owners_kube.read(host, inputs)


def _unloaders(host, inputs):
    if inputs.builtin or not any(host.exists(path) for path in UNLOADERS):
        return []
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _owners_unload

    return _owners_unload.read(host)


def _docker(host):
    if not host.exists(DOCKER):
        return []
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _owners_row

    return [_owners_row.DOCKER._replace(where=DOCKER)]


def warnings(owners, values, kept=True):
    """Texts for the user: what will put other numbers in the place of ``values`` (name to number), or take tracking away.

    ``kept``: files of ours hold the values at boot, so that whatever reads sysctl.d again puts them back.
    """
    if not owners or not values:
        return ()
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _owners_row

    return _owners_row.warnings(owners, values, kept)


def facts(owners):
    """The owners as ``ansible_facts.netfleet_conntrack.owners`` has them: name, where, effect, settings."""
    return [_fact(owner) for owner in owners]


def _fact(owner):
    settings = {write.name: {"value": write.shown, "source": write.source, "when": write.when} for write in owner.writes}
    return {"name": owner.name, "where": owner.where, "effect": owner.effect, "settings": settings}

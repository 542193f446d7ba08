# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The rules that switch tracking on, and the systemd unit that loads them before the network.

Pure: no files, no Ansible.
"""
from ansible_collections.netfleet.conntrack.plugins.module_utils._own import HEADER

FOLDER = "/etc/netfleet-conntrack"
NAME = "netfleet-conntrack.service"
UNIT = "/etc/systemd/system/" + NAME
TABLE = ("inet", "netfleet_conntrack")
NFT_CHAIN = "early_load"
CHAIN = "NETFLEET_EARLY_LOAD"
# Programs of others that empty or replace the rules when they start, stop or reload.
FIREWALLS = ("nftables.service", "netfilter-persistent.service", "ufw.service")
WANTED_BY = ("multi-user.target",) + FIREWALLS
WANTS_LINKS = tuple("/etc/systemd/system/%s.wants/%s" % (unit, NAME) for unit in WANTED_BY)

# A rule that needs tracking registers its hooks when it is loaded, also in a chain that nothing
# jumps to, so it costs no packet anything (nf_ct_netns_get, called by nft_ct and xt_CT).
NFT = """\
# %(header)s
table %(family)s %(table)s
delete table %(family)s %(table)s
table %(family)s %(table)s {
    chain %(chain)s {
        ct state new
    }
}
"""

IPTABLES = """\
# %(header)s
*raw
:%(chain)s - [0:0]
-A %(chain)s -j CT
COMMIT
"""

# PartOf and ReloadPropagatedFrom: Debian's nftables.service flushes every table when it stops, starts
# and reloads; being wanted by it as well brings us back when it is stopped and started by hand.
SERVICE = """\
# %(header)s
[Unit]
Description=Connection tracking before the network (netfleet.conntrack)
Documentation=https://github.com/netfleet/ansible-conntrack
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
After=local-fs.target systemd-modules-load.service systemd-sysctl.service %(firewalls)s
Conflicts=shutdown.target
PartOf=%(firewalls)s
ReloadPropagatedFrom=%(firewalls)s

[Service]
Type=oneshot
RemainAfterExit=yes
%(commands)s

[Install]
WantedBy=%(wanted_by)s
"""

# backend: ((file, its text, the command that loads it, the commands that take it away), ...)
_NFT_TEXT = NFT % {"header": HEADER, "family": TABLE[0], "table": TABLE[1], "chain": NFT_CHAIN}
_IPTABLES_TEXT = IPTABLES % {"header": HEADER, "chain": CHAIN}


def _away(program):
    return tuple([program, "-w", "-t", "raw", action, CHAIN] for action in ("-F", "-X"))


BACKENDS = {
    "nftables": (
        (FOLDER + "/hooks.nft", _NFT_TEXT, ["nft", "-f"], (["nft", "delete", "table"] + list(TABLE),)),
    ),
    "iptables": (
        (FOLDER + "/hooks.v4", _IPTABLES_TEXT, ["iptables-restore", "--noflush"], _away("iptables")),
        (FOLDER + "/hooks.v6", _IPTABLES_TEXT, ["ip6tables-restore", "--noflush"], _away("ip6tables")),
    ),
}
# How to see that a backend's rule is in the kernel: (modules of which one answers, command, what it then prints).
# Today's iptables is a translator that needs nf_tables, the old one needs ip_tables.
SHOWN = {
    "nftables": ((("nf_tables",), ["nft", "list", "chain"] + list(TABLE) + [NFT_CHAIN], "ct state"),),
    "iptables": tuple(
        ((module, "nf_tables"), [program, "-w", "-t", "raw", "-S", CHAIN], "-j CT")
        for module, program in (("ip_tables", "iptables"), ("ip6_tables", "ip6tables"))
    ),
}


def files(backend, programs):
    """Path -> text of every file of a backend and of the unit; ``programs`` maps names to paths.

    With no backend every file is to be gone.
    """
    found = {row[0]: None for rows in BACKENDS.values() for row in rows}
    found[UNIT] = None
    if backend:
        found.update((row[0], row[1]) for row in BACKENDS[backend])
        found[UNIT] = service(backend, programs)
    return found


def service(backend, programs):
    """The text of the unit."""
    loads = [" ".join([programs[row[2][0]]] + row[2][1:] + [row[0]]) for row in BACKENDS[backend]]
    commands = ["%s=%s" % (key, load) for key in ("ExecStart", "ExecReload") for load in loads]
    return SERVICE % {
        "header": HEADER,
        "firewalls": " ".join(FIREWALLS),
        "commands": "\n".join(commands),
        "wanted_by": " ".join(WANTED_BY),
    }

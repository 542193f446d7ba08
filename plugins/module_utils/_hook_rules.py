# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The rules that switch tracking on, for each backend.

Pure: no files, no Ansible.
"""
from ansible_collections.netfleet.conntrack.plugins.module_utils._own import FOLDERS, HEADER

TABLE = ("inet", "netfleet_conntrack")
NFT_CHAIN = "early_load"
CHAIN = "NETFLEET_EARLY_LOAD"

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
""" % {"header": HEADER, "family": TABLE[0], "table": TABLE[1], "chain": NFT_CHAIN}

IPTABLES = """\
# %(header)s
*raw
:%(chain)s - [0:0]
-A %(chain)s -j CT
COMMIT
""" % {"header": HEADER, "chain": CHAIN}


def _away(program):
    return tuple([program, "-w", "-t", "raw", action, CHAIN] for action in ("-F", "-X"))


# backend: ((file, its text, the program that loads it, the commands that take it away), ...)
BACKENDS = {
    "nftables": (
        (FOLDERS[1] + "/hooks.nft", NFT, "nft", (["nft", "delete", "table"] + list(TABLE),)),
    ),
    "iptables": (
        (FOLDERS[1] + "/hooks.v4", IPTABLES, "iptables-restore", _away("iptables")),
        (FOLDERS[1] + "/hooks.v6", IPTABLES, "ip6tables-restore", _away("ip6tables")),
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


def files(backend):
    """Path -> text of every file of a backend's rules; with no backend every file is to be gone."""
    found = {row[0]: None for rows in BACKENDS.values() for row in rows}
    found.update((row[0], row[1]) for row in BACKENDS.get(backend, ()))
    return found


def away(backend):
    """The commands that take a backend's rules out of the kernel."""
    return tuple(command for row in BACKENDS[backend] for command in row[3])

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Every SNAT and MASQUERADE rule on a host, whoever made it, read without changing anything by looking."""
from ansible_collections.netfleet.conntrack.plugins.module_utils import _iptables_save, _nat_iptables, _nat_nft, _nat_owners
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_row import NFTABLES, stateless


def read(host, rulesets):
    """Return (rows, what could not be read, each in a few words) of a host whose rulesets have been read."""
    listings, unread = {}, list(rulesets.unread)
    for family, table in sorted(_nat_nft.tables(rulesets.objects)):
        status, output, errors = _listed(host, family, table)
        if status == 0:
            listings[family, table] = _nat_nft.listing(output)
        else:
            unread.append("the words of table %s %s (%s)" % (family, table, errors.strip().partition("\n")[0]))
    found = list(_nat_nft.rows(rulesets.objects, listings))
    for command, text in sorted(dict(rulesets.iptables).items()):
        found.extend(_nat_iptables.rows(command, text))
    return tuple(_sourced(found, boot_files(host))), tuple(unread)


def _listed(host, family, table):
    if not _nat_nft.NAME.fullmatch(table):
        return 1, "", "nft does not take its name"
    return host.run(["nft", "-a", "list", "table", family, table])


def boot_files(host):
    """Path -> text of the files that may have SNAT rules loaded at boot; none where their reader is not root, who may read them all."""
    paths = []
    for path, dummy in _nat_owners.FILES if host.uid == 0 else ():
        paths += [path + name for name in host.list(path)] if path.endswith("/") else [path]
    return {path: host.read(path) for path in paths if not host.list(path) and host.exists(path)}


def _sourced(rows, files):
    """Name the reader of the file that has a rule of iptables in it, where nobody else is known for it."""
    readers = {}
    for path, text in files.items():
        reader = next((reader for known, reader in _nat_owners.FILES if path.startswith(known)), "")
        lines = [line for line in text.split("\n") if line.startswith("-A ")] if reader else []
        readers.update((_sorted(line), reader) for line in lines)
    for row in rows:
        plain = row.backend == NFTABLES or row.owner or not readers
        yield row if plain else row._replace(owner=readers.get(_sorted("-A %s %s" % (row.chain, stateless(row.text))), ""))


def _sorted(line):
    return tuple(sorted(_iptables_save.words(line)))

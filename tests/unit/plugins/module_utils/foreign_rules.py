# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded rulesets of others, as rows."""
import json
import os

from ansible_collections.netfleet.conntrack.plugins.module_utils import _nat_rules
from ansible_collections.netfleet.conntrack.plugins.module_utils._rulesets import Rulesets

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "fixtures", "snat")
NAMES = sorted(name[:-5] for name in os.listdir(FOLDER) if name.endswith(".json"))


class Door:
    """A host on which only nft can be run, and only to list the tables of a recorded ruleset."""

    uid = 0

    def __init__(self, listings=(), files=()):
        self.listings = dict(listings)
        self.files = dict(files)
        self.ran = []

    def run(self, argv, data=None):
        assert argv[:4] == ["nft", "-a", "list", "table"] and data is None
        self.ran.append(argv)
        text = self.listings.get(" ".join(argv[4:]))
        return (1, "", "Error: no such table\n") if text is None else (0, text, "")

    def list(self, path):
        return sorted(name[len(path):] for name in self.files if path.endswith("/") and name.startswith(path))

    def exists(self, path):
        return path in self.files

    def read(self, path):
        return self.files[path]


def document(name):
    with open(os.path.join(FOLDER, name + ".json")) as stream:
        return json.load(stream)


def rulesets(found):
    saved = {command: "\n".join(lines) + "\n" for command, lines in found["saved"].items()}
    return Rulesets(nft=json.dumps({"nftables": found["objects"]}), objects=tuple(found["objects"]), iptables=saved)


def rows(name, files=()):
    """The rows of a recorded ruleset, all of which must be readable."""
    found = document(name)
    read, unread = _nat_rules.read(Door(found["listings"], files), rulesets(found))
    assert unread == ()
    return list(read)

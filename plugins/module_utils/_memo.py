# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What parts remember on a host because they cannot read it back, and where."""
import json
from typing import NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _own
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError

SCHEMA_VERSION = 1
FOLDER = _own.FOLDERS[0]
BOOT_ID = "/proc/sys/kernel/random/boot_id"
PARTS = ("settings", "early_load", "snat")


class Wants(NamedTuple):
    """What parts have done at boot by files that are the same for all of them."""

    module: bool = False  # the module is loaded
    unit: bool = False  # the unit loads rules


def path(part, namespace=""):
    """Where a part remembers what it cannot read back from the host."""
    return "%s/%s%s.json" % (FOLDER, part, namespace)


def read(host, part, namespace=""):
    """What a part remembered; an empty dict when nothing."""
    return load(host, path(part, namespace))


def load(host, place):
    """What a file of ours remembers; an empty dict when there is none."""
    text = host.read(place)
    if not text:
        return {}
    try:
        return json.loads(text)
    except ValueError:
        raise ConntrackError("%s is not JSON; move it away and run again" % place) from None


def dump(values):
    """The text of a file that remembers ``values``."""
    return json.dumps(dict(values, schema_version=SCHEMA_VERSION), indent=2, sort_keys=True) + "\n"


def boot(host):
    """What tells this boot from others: some of what is remembered means nothing after it."""
    return (host.read(BOOT_ID) or "").strip()


def wants(memos):
    """What parts want that remember ``memos``."""
    found = [memo or {} for memo in memos]
    return Wants(*(any(memo.get(field) for memo in found) for field in Wants._fields))


def wanted_by_others(host, part):
    """What the parts but this one want, by what they remembered."""
    return wants(read(host, name) for name in PARTS if name != part)

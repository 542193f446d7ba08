# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The nouns of diagnosis: Evidence, what was read of a host, and Finding, a known failure that it shows. Pure."""
from typing import Any, NamedTuple, Optional, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._findings_texts import TEXTS

CRITICAL, WARNING, NOTICE = SEVERITIES = ("critical", "warning", "notice")  # packets are lost now; they will be, or at the next boot; to be known
DOCS = "https://github.com/netfleet/ansible-conntrack/blob/main/docs/findings/%s.md"
# Usage from which on a table, or a range of ports, is nearly used up: what is left is for bursts, and at 0.95 the kernel begins to
# evict (gc_worker, net/netfilter/nf_conntrack_core.c).
NEARLY = 0.8
# Events a second from which on a counter that stands for lost packets is a finding. One packet within the default interval counts; one
# in ten seconds does not, for a busy router that is well loses as many.
LOST_EACH_SECOND = 0.4
SHOWN = 10  # rows that a list of evidence has at most


class Finding(NamedTuple):
    """A known failure that a host shows."""

    id: str
    severity: str
    title: str
    means: str  # what it is, and why
    notice: str  # what users notice
    evidence: Any  # dict: the numbers and short texts that prove it
    cure: str  # in words, with exact commands where something of others is the cause
    policy: Any  # fragment of a document that cures it; {} where none does
    docs: str


class Idle(NamedTuple):
    """Established TCP flows that nobody has used for long, of those that were read."""

    flows: int = 0
    source: str = ""  # that has the most of them
    source_flows: int = 0
    remaining: Tuple[int, ...] = ()  # seconds that those of this source have left: least, median, most


class Flows(NamedTuple):
    """What was read of the table, or of a sample of it."""

    seen: int
    count: int  # by the kernel, when reading began
    complete: bool
    lists: Any  # dict: by_source, by_destination, by_destination_port as flow_info has them
    timeouts: Any  # dict: name of the timeout that a flow is under -> flows
    assured: int
    idle: Idle = Idle()
    natted: int = 0  # flows that NAT touches
    dns: int = 0  # those of them that are questions to a name server


class Hidden(NamedTuple):
    """Entries that count and are in no list."""

    entries: int
    later: Optional[int] = None  # how many a moment later; None: not looked
    seconds: float = 0.0  # how much later
    lists: Any = ()  # dict: entries in the kernel's lists of unconfirmed and dying ones


class Queue(NamedTuple):
    """A queue of packets that a program decides about (/proc/net/netfilter/nfnetlink_queue)."""

    number: int
    port: int  # the netlink port of its owner
    waiting: int
    dropped: int  # for lack of room
    last: int  # number of the last packet that came

    def decided(self, later):
        """How many packets its owner has decided about between two readings."""
        return (later.last - self.last) - (later.waiting - self.waiting)


class Held(NamedTuple):
    """A queue whose owner decides nothing."""

    queue: Queue
    process: Optional[int] = None
    program: str = ""


class Sockets(NamedTuple):
    """TCP connections of the host itself that the table does not know."""

    total: int
    checked: int  # established ones, in all
    older: Tuple[Any, ...] = ()  # those that are older than tracking: rows as unknown_sockets has them, with ``silent`` seconds


class Log(NamedTuple):
    """What the kernel's log says of this namespace's table."""

    lines: int
    seconds_ago: float  # since the last one


class Evidence(NamedTuple):
    """All that findings are made of."""

    facts: Any  # as _facts.of gives them
    kernel: Any  # _kernel.Kernel
    boot: Any  # _boot.Boot
    inputs: Any  # _boot.BootInputs
    owners: Tuple[Any, ...] = ()
    flows: Optional[Flows] = None
    headroom: Tuple[Any, ...] = ()  # rows as flow_info's snat_headroom, worst first
    rules: Tuple[Any, ...] = ()  # _nat_row.Row of every rule that does SNAT, where headroom was looked at
    held: Tuple[Held, ...] = ()
    hidden: Optional[Hidden] = None
    log: Optional[Log] = None
    sockets: Optional[Sockets] = None
    exempting: bool = False  # some rule takes packets out of tracking
    hook_files: Tuple[str, ...] = ()  # our files that switch tracking on at boot

    @property
    def usage(self):
        return self.facts.get("usage") or 0.0

    def running(self, name):
        """A value of the running kernel, or None."""
        return self.kernel.running.get(name)

    def pattern(self, name):
        """What the counters prove of a pattern of _patterns: its evidence, or None."""
        return next((row["evidence"] for row in self.facts["counters"].get("patterns", ()) if row["id"] == name), None)

    def lost(self, name, counter):
        """The same, where the counter rises fast enough to be more than an accident."""
        found = self.pattern(name)
        return found if found and found[counter] >= LOST_EACH_SECOND * found["seconds"] else None

    def translated(self):
        """The rules that do SNAT."""
        return self.facts["snat_rules"]


def finding(name, severity, evidence, cure, policy=None):
    """A Finding with its texts; evidence that is not known is left out."""
    title, means, notice = TEXTS[name]
    known = {key: value for key, value in evidence.items() if value is not None}
    return Finding(name, severity, title, means, notice, known, cure, policy or {}, DOCS % name)


def together(*policies):
    """One fragment of several; they name different settings."""
    found = {}
    for policy in policies:
        for part, values in policy.items():
            found[part] = dict(found.get(part, {}), **values)
    return found

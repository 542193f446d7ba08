# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Delete flows, or cap the time that remains to them.

A request names its entry by the tuple that the kernel sent, as it sent it, so nothing is lost on the way. A deletion names the
id besides: an entry that took the place of the one that was seen stays, unless the kernel gave it the same piece of memory and
with it the same id (nf_conntrack_core.c, nf_ct_get_id). An update takes no id; it may meet such an entry, whose next packet then
gives it back its time. Source: net/netfilter/nf_conntrack_netlink.c, ctnetlink_del_conntrack and ctnetlink_change_timeout.
"""
import errno
import ipaddress
import itertools
import os
import struct
from typing import Any, Callable, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import STATUS, SUBSYSTEM, TUPLE_ORIG, ZONE, flow_tuple
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import NESTED, REQUEST, NetlinkError, attribute

NEW, DELETE = 0, 2
TIMEOUT, ID = 7, 12
PART = 64  # requests that are sent together; also how far a limit is looked ahead
# Message, nfgenmsg, then the head of the tuple's attribute.
HEAD = struct.Struct("=IHHIIBBHHH")
ID_HEAD = struct.pack("=HH", 8, ID)
ACTIONS = {"delete": DELETE, "cap": NEW}
DONE_WORDS = {"delete": "deleted", "cap": "capped"}
# ETIME: the entry was on its way out when its time was to be set.
GONE = frozenset((errno.ENOENT, errno.ETIME))
# EPERM: its time is fixed. EBUSY: some kernels do not delete what a flowtable has.
REFUSED = frozenset((errno.EPERM, errno.EBUSY))
NOT_CAPPED = STATUS["offload"] | STATUS["fixed_timeout"]  # the flowtable sets the time of its flows anew, and a fixed one is never set (EPERM)
EVERY = 5.0  # seconds between two reports


class Match(NamedTuple):
    """A flow to act on. ``orig`` and ``reply`` are the payloads of CTA_TUPLE_ORIG and CTA_TUPLE_REPLY as the kernel sent them."""

    family: int  # 2 or 10
    orig: bytes
    reply: bytes
    zone: int  # of CTA_ZONE; a zone of one direction alone is within that direction's tuple
    id: Any  # a number; None where the kernel sent none, then the tuple alone names the entry
    remaining: Any  # seconds; None while the flow is offloaded
    status: int


def nobody(dummy_match):
    """Leave nothing alone."""
    return False


class Task(NamedTuple):
    """What is to be done to each flow."""

    action: str  # delete or cap
    seconds: Any = None  # of cap: at most so many remain
    limit: Any = None  # change so many flows and no more; None for all
    spared: Callable = nobody  # tells whether to leave a flow alone


def sparing(flows):
    """Return a function that tells whether a Match is one of these FlowTuples, in either direction and in any zone."""
    wanted = frozenset(flow._replace(zone=0) for flow in flows)
    # Of the other ends, by address, the ports. Wherever they stand in a tuple, both occur in it; only then it is worth while to
    # read it, which takes a hundred times as long.
    marks = {}
    for flow in wanted:
        ports = marks.setdefault(ipaddress.ip_address(flow.destination).packed, set())
        ports.add(struct.pack(">H", flow.destination_port))

    def spared(match):
        for address, ports in marks.items():
            for payload in match.reply, match.orig:
                if address in payload and any(port in payload for port in ports) and flow_tuple(payload)._replace(zone=0) in wanted:
                    return True
        return False
    return spared


def counts():
    """What became of flows. ``already``: no more remains to them than they are to keep. ``refused``: see ``complaints``."""
    return {"changed": 0, "gone": 0, "refused": 0, "spared": 0, "already": 0}


def rehearse(matches, task):
    """Return the counts as far as they can be known before anything is done."""
    found = counts()
    found["changed"] = sum(1 for dummy in itertools.islice(_chosen(matches, task, found), task.limit))
    return found


def apply(host, matches, task, progress=None):
    """Act on flows as they come; return the counts.

    ``progress`` is called with the number of flows that were changed, from time to time. Raises ConntrackError, which says how
    many flows were changed by then, where the kernel refuses for a reason that is not the flow's.
    """
    found = counts()
    requests = map(_requests(task), _chosen(matches, task, found))
    # A list is put together after what became of the one before is known, so a limit is kept to the number.
    parts = iter(lambda: list(itertools.islice(requests, _room(task, found))), [])
    try:
        for answers in host.netlink_many(parts):
            _count(answers, found)
            if progress:
                progress(found["changed"])
    except (OSError, NetlinkError) as error:
        raise ConntrackError(_failure(task, found, getattr(error, "strerror", None) or error)) from error
    return found


def _room(task, found):
    return PART if task.limit is None else max(0, min(PART, task.limit - found["changed"]))


def _chosen(matches, task, found):
    """Yield the flows on which to act, and count the others."""
    for match in matches:
        reason = exempt(match, task)
        if reason:
            found[reason] += 1
        else:
            yield match


def exempt(match, task):
    """Why a flow is left alone, under the name that it is counted by; nothing where it is not."""
    if task.spared(match):
        return "spared"
    if task.action == "delete":
        return ""
    if match.status & NOT_CAPPED:
        return "refused"
    return "already" if match.remaining is not None and match.remaining <= task.seconds else ""


def _requests(task):
    """Return the function that makes the request for a Match."""
    message = SUBSYSTEM << 8 | ACTIONS[task.action]
    capped = attribute(TIMEOUT, struct.pack(">I", task.seconds)) if task.action == "cap" else None
    kind = TUPLE_ORIG | NESTED

    def request(match):
        orig = match.orig
        padded = orig + b"\0" * (-len(orig) % 4)
        tail = capped or (b"" if match.id is None else ID_HEAD + match.id.to_bytes(4, "big"))
        if match.zone:
            tail += attribute(ZONE, struct.pack(">H", match.zone))
        return HEAD.pack(HEAD.size + len(padded) + len(tail), message, REQUEST, 0, 0, match.family, 0, 0, len(orig) + 4, kind) + padded + tail
    return request


def _count(answers, found):
    """Count what became of the requests of a list."""
    failed = [answer for answer in answers if answer]
    found["changed"] += len(answers) - len(failed)
    for code in failed:
        if code in GONE:
            found["gone"] += 1
        elif code in REFUSED:
            found["refused"] += 1
        else:
            raise OSError(code, os.strerror(code))


def _failure(task, found, why):
    return "cannot %s flows: %s; %d were %s before" % (task.action, why, found["changed"], DONE_WORDS[task.action])


def complaints(task, found):
    """What the user is to be warned of."""
    if not found["refused"]:
        return []
    if task.action == "cap":
        why = "their time is fixed, or a flowtable has them and sets it anew"
    else:
        why = "this kernel does not delete flows that a flowtable has; they can be deleted when they have come back from it"
    return ["%d flows were not %s: %s" % (found["refused"], DONE_WORDS[task.action], why)]


class Reporter:
    """Says every few seconds how many flows have been done, and at which rate.

    ``say`` takes a text, ``clock`` gives seconds. A module has no way to the screen before it ends, but its log is the journal of
    the host, which can be followed.
    """

    def __init__(self, say, clock, task, total=None, every=EVERY):
        self.say, self.clock, self.every = say, clock, every
        self.word = DONE_WORDS[task.action]
        self.of = "" if total is None else " of about %d" % total
        self.begun = self.last = clock()
        self.done = 0

    def __call__(self, done):
        """Note how many flows have been done."""
        self.done = done
        now = self.clock()
        if now - self.last >= self.every:
            self.last = now
            self.say("%s %d%s flows, %d per second" % (self.word, done, self.of, self.rate()))

    def rate(self):
        """Flows per second from the beginning until now."""
        seconds = self.clock() - self.begun
        return int(self.done / seconds) if seconds > 0 else 0

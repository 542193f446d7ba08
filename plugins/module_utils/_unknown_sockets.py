# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Established TCP connections of this host that conntrack does not know.

Tracking began after them, or a rule exempts them (notrack), or their entries went. SNAT may give their ports away. Only what ends
on this host can be found: a connection that is forwarded leaves no trace but its entry. Half-closed sockets are left out, for
their entries are forgotten after a minute without packets while the socket may stay; UDP for the same reason.
"""
import errno
import os

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import get
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import NetlinkError
from ansible_collections.netfleet.conntrack.plugins.module_utils._sockets import ESTABLISHED, FILES, sockets

PART = 1024  # requests that are put together at a time
LOOPBACK = ("127.", "::1")


def unknown_sockets(host, limit, zones=(0,)):
    """Return the sockets that have no entry as ``sockets`` (at most ``limit``), how many as ``total``, of how many as ``checked``.

    The kernel looks for an entry in one zone at a time: a connection that is tracked in a zone which is not among ``zones`` is
    taken for unknown. A connection with both its ends on this host counts once, one over loopback not at all. Raises
    ConntrackError where the kernel cannot be asked.
    """
    flows = checked = _established(host)
    for zone in zones:
        flows = _lacking(host, flows, zone)
    rows = [
        {
            "protocol": "tcp", "state": "ESTABLISHED",
            "local": flow.source, "local_port": flow.source_port, "remote": flow.destination, "remote_port": flow.destination_port,
        }
        for flow in sorted(flows)[:limit]
    ]
    return {"sockets": rows, "total": len(flows), "checked": len(checked)}


def _established(host):
    """What each socket sends, of both ends of a connection only one."""
    found = {}
    for row in sockets(*(host.read(path) for path in FILES)):
        if row.state == ESTABLISHED and not row.local[0].startswith(LOOPBACK):
            found.setdefault(frozenset((row.local, row.remote)), row.flow)
    return list(found.values())


def _lacking(host, flows, zone):
    """Those that have no entry in a zone. An entry is found by its original tuple and by its reply."""
    parts = ([get(flow._replace(zone=zone)) for flow in flows[start:start + PART]] for start in range(0, len(flows), PART))
    try:
        answers = [answer for part in host.netlink_many(parts) for answer in part]
    except (OSError, NetlinkError) as error:
        raise ConntrackError("cannot look for entries of sockets: %s" % getattr(error, "strerror", error)) from error
    odd = [answer for answer in answers if not isinstance(answer, bytes) and answer != errno.ENOENT]
    if odd:
        raise ConntrackError("cannot look for entries of sockets: %s" % os.strerror(odd[0]))
    return [flow for flow, answer in zip(flows, answers) if answer == errno.ENOENT]

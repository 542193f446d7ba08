# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""First contact: connections of this host that nothing has tracked get their entries before there is NAT.

Without an entry, the next packet that this host sends in an old connection is taken for the first one of a new
connection, and SNAT gives it another port. Connections that are only forwarded cannot be known.
"""
import errno
import os

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._ct_create import create
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import NetlinkError
from ansible_collections.netfleet.conntrack.plugins.module_utils._sockets import FILES, STATES, connections

TIMEOUT = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_"
FINE = (0, errno.EEXIST)  # made, or tracked already
NO_NETLINK = "the kernel takes no entries by netlink: the module nf_conntrack_netlink must be there"
# errno: what is wrong, and what helps. ENOSPC: more entries in one bucket than the kernel allows.
CAUSES = {
    errno.ENOMEM: "the table of connections is full: raise table.max",
    errno.ENOSPC: "the hash table is too small for the table of connections: raise table.buckets",
    errno.EPERM: "this process may not change the table of connections: it needs CAP_NET_ADMIN in this network namespace",
    errno.EINVAL: NO_NETLINK,
    errno.EOPNOTSUPP: NO_NETLINK,
    errno.EPROTONOSUPPORT: NO_NETLINK,
}


def adopt(host):
    """Make an entry for every TCP connection that ends on this host and has none; return how many were made.

    Call it before tracking is switched on, and again when it is on, before SNAT rules are loaded. The first call spares old
    connections the entry that a single packet makes, which is forgotten after five minutes; the second one finds those that
    began after the first. What begins later is tracked by itself. Raises ConntrackError where a connection would be lost;
    entries that were made stay.
    """
    found = connections(*(host.read(path) for path in FILES))
    times = _timeouts(host)
    outcomes = _outcomes(host, [create(flow, state, times[state]) for flow, state in found])
    failed = [(connection, outcome) for connection, outcome in zip(found, outcomes) if outcome not in FINE]
    if failed:
        raise ConntrackError(_complaint(failed, len(found)))
    return outcomes.count(0)


def _timeouts(host):
    """Seconds by state. The kernel takes any number, but 0 and less would end an entry at once."""
    times = {state: host.number(TIMEOUT + state.lower()) for state in set(STATES.values())}
    if None in times.values():
        raise ConntrackError("cannot keep open connections: nf_conntrack is not loaded")
    return {state: max(seconds, 1) for state, seconds in times.items()}


def _outcomes(host, requests):
    try:
        return host.netlink_batch(requests) if requests else []
    except (OSError, NetlinkError) as error:
        reason = CAUSES.get(getattr(error, "errno", None), error)
        raise ConntrackError("cannot keep open connections: %s" % reason) from error


def _complaint(failed, total):
    (flow, dummy), number = failed[0]
    reason = CAUSES.get(number, os.strerror(number))
    example = "%s port %d to %s port %d" % (flow.source, flow.source_port, flow.destination, flow.destination_port)
    return "cannot keep %d of %d open connections, such as from %s: %s" % (len(failed), total, example, reason)

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _ctnetlink, _netlink
from ansible_collections.netfleet.conntrack.plugins.module_utils._ct_create import create
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import FlowTuple

FLOW = FlowTuple(6, "192.0.2.1", "198.51.100.2", 40000, 80)
FLOW6 = FlowTuple(6, "2001:db8::1", "2001:db8::2", 40000, 80)
# Header, nfgenmsg, both tuples, status 0xe, timeout 432000, TCP state 3, flags.
BYTES = """
    ac000000 0001 0506 01000000 00000000 02 00 0000
    34000180 14000180 08000100c0000201 08000200c6336402 1c000280 0500010006000000 060002009c400000 0600030000500000
    34000280 14000180 08000100c6336402 08000200c0000201 1c000280 0500010006000000 0600020000500000 060003009c400000
    080003000000000e 0800070000069780 20000480 1c000180 0500010003000000 060004000a0a0000 060005000a0a0000
"""


def test_request():
    assert create(FLOW, "ESTABLISHED", 432000).hex() == "".join(BYTES.split())


@pytest.mark.parametrize("flow, family", [(FLOW, 2), (FLOW6, 10)], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("state, status", [("SYN_RECV", 0xA), ("ESTABLISHED", 0xE), ("CLOSE_WAIT", 0xE), ("LAST_ACK", 0xE)])
def test_it_reads_as_an_entry(flow, family, state, status):
    ((kind, flags, _sequence, payload),) = _netlink.messages(create(flow, state, 77))
    assert (kind, flags) == (0x100, 0x605) and _netlink.body(payload)[:2] == (family, 0)
    found = _ctnetlink.entry(payload)
    assert (found["orig"], found["status"], found["timeout"], found["protoinfo"]["tcp"]["state"]) == (flow, status, 77, state)
    assert found["reply"] == FlowTuple(6, flow.destination, flow.source, 80, 40000)

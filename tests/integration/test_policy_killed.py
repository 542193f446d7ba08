# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All or nothing, on the real kernel: whole policies that are killed at their writes, and whose writes are refused.

C(NETFLEET_MOMENTS=all) takes every moment of every case and goes both ways from it. Needs root, nft and both flavours of iptables.
"""
import errno
import os

import pytest
from policy_router import FLAVOURS, Refusing, Router, command, counting, differences, folder, inside

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import NEW

ALL = os.environ.get("NETFLEET_MOMENTS") == "all"
ERRNOS = (errno.EACCES, errno.EINVAL, errno.ENOSPC, errno.EROFS, errno.EBUSY)
ABSENT = {"state": "absent"}
LAN = {"name": "lan", "out_interface": "wan*", "source": ["10.16.1.0/24"], "to": "masquerade", "port_selection": "random_fully"}
INSIDE = {"name": "inside", "destination": ["10.0.0.0/8"], "to": "exempt"}
RULES = [
    INSIDE,
    LAN,
    {"name": "dns", "protocol": ["udp"], "destination_ports": ["53"], "source": ["10.17.0.0/16"], "to": "192.0.2.1-192.0.2.9"},
    {"name": "vpn", "mark": "0x10/0xff", "protocol": ["tcp", "udp"], "to": "192.0.2.1", "ports": "1024-65535"},
    {"name": "six", "source": ["fd00::/64"], "to": "2001:db8::1"},
]
FIRST = {
    "timeouts": {"icmp_timeout": 61, "udp_timeout": 33, "udp_timeout_stream": 150},
    "tracking": {"tcp_loose": False, "acct": True},
    "early_load": {"hooks": True},
    "management": {"interfaces": ["mgmt0"], "networks": ["192.0.2.0/24", "2001:db8::/64"], "ports": [22, 443]},
    "snat": {"rules": RULES},
}
SECOND = {
    "timeouts": {"icmp_timeout": 62, "tcp_timeout_established": 7440},
    "tracking": {"acct": True},
    "early_load": {"hooks": True},
    "management": {"interfaces": ["mgmt1"]},
    "snat": {"rules": [dict(LAN, port_selection="keep"), INSIDE] + RULES[3:4]},
}
# The policy that is there, and the one that is being applied.
WAYS = {"first": (ABSENT, FIRST), "change": (FIRST, SECOND), "away": (SECOND, ABSENT)}
# What others have: `iptables` goes to the flavour that they use.
OTHERS = {
    "nftables": ("nft add table ip others", "nft add chain ip others c { type nat hook postrouting priority 100 ; }",
                 "nft add rule ip others c ip saddr 198.51.100.0/24 counter masquerade"),
    "iptables-nft": ("iptables-nft -t nat -A POSTROUTING -s 198.51.100.0/24 -j MASQUERADE", "iptables-nft -t raw -A OUTPUT -d 198.51.100.9 -j ACCEPT"),
    "iptables-legacy": ("iptables-legacy -t nat -A POSTROUTING -s 198.51.100.0/24 -j MASQUERADE",),
}
RESTORE = "-restore "
# (backend, way): how many moments are passed over between two that are tried.
SPARSE = {("nftables", "change"): 1, ("nftables", "first"): 2, ("nftables", "away"): 2}
TRIED = [(backend, way, 1 if ALL else SPARSE.get((backend, way), 7)) for backend in OTHERS for way in WAYS]


def of_backend(document, backend):
    """A document for one backend."""
    if document is ABSENT:
        return document
    named = {"backend": "nftables" if backend == "nftables" else "iptables"}
    return dict(document, at_boot=False, early_load=dict(document["early_load"], **named), snat=dict(document["snat"], **named))


class Case:
    """A router in the state in which the run begins, and how it ends when nothing goes wrong."""

    def __init__(self, router, backend, way):
        self.router = router
        self.former, self.wanted = (of_backend(document, backend) for document in WAYS[way])
        router.run(self.former)
        self.before = dict(router.state(), **router.memory())
        self.moments, self.after = router.ended(self.wanted)
        assert differences(router.state(), self.before) and not router.run(self.wanted)["changed"]
        self.back()

    def back(self):
        """Have the former policy again, whatever is there."""
        told = self.router.run(self.former)
        assert self.router.leftovers() == []
        assert differences(dict(self.router.state(), **self.router.memory()), self.before) == {}
        return told

    def on(self):
        told = self.router.run(self.wanted)
        assert self.router.leftovers() == []
        assert differences(self.router.state(), self.after) == {}
        again = self.router.run(self.wanted)
        assert (again["changed"], again["recovered"]) == (False, False)
        return told


@pytest.fixture(name="router")
def _router(request, netns):
    with folder() as root, inside(netns):
        backend = request.param
        command("sysctl", "-q", "-w", "net.netfilter.nf_conntrack_icmp_timeout=35")
        for line in OTHERS[backend]:
            command(*line.split())
        # The first of them also where the other does NAT: rules that are loaded early go where `iptables` leads.
        yield Router(netns, root, FLAVOURS[:FLAVOURS.index(backend) + 1] if backend in FLAVOURS else ())


@pytest.fixture(name="count")
def _count(request):
    yield from counting(request)


def cases(function):
    rows = [pytest.param(backend, backend, way, step, id="%s-%s" % (backend, way)) for backend, way, step in TRIED]
    return pytest.mark.parametrize("router, backend, way, step", rows, indirect=["router"])(function)


def killing(moments):
    """The moments at which the machine differs from what it was at the moment before."""
    return [n for n, (what, dummy) in enumerate(moments) if not what.startswith("after") or n == len(moments) - 1]


@cases
def test_killed(router, backend, way, step, count):
    case = Case(router, backend, way)
    for turn, left in enumerate(killing(case.moments)[turn_of(backend) % step::step]):
        for go in (case.on, case.back) if ALL else [(case.on, case.back)[turn % 2]]:
            router.killed(case.wanted, left)
            killed = any("/journal" in path and not path.endswith(NEW) for path in router.leftovers())
            assert go()["recovered"] is killed, case.moments[left]
            if go == case.on:
                case.back()
        count(True)


def turn_of(backend):
    """Where the moments begin that are tried of a backend: others for each."""
    return sorted(OTHERS).index(backend)


@cases
@pytest.mark.parametrize("late", [False, True], ids=["not_done", "done"])
def test_refused(router, backend, way, step, late, count):
    case = Case(router, backend, way)
    writes = [moment for moment in case.moments if moment[0].startswith("before")]
    for left in range(turn_of(backend) % step, len(writes), step):
        if late and RESTORE in writes[left][1]:
            continue  # these programs do all or nothing, and fail when they have done nothing
        for reason in ERRNOS if ALL else [ERRNOS[left % len(ERRNOS)]]:
            host = router.host(Refusing)
            host.left, host.reason, host.late = left, reason, late
            count(refused(case, host))


def refused(case, host):
    """The run fails and says why, and everything is as it was; True."""
    with pytest.raises(ConntrackError) as error:
        case.router.run(case.wanted, host)
    what, target = host.refused
    text = str(error.value)
    assert os.strerror(host.reason) in text and target.replace(NEW, "") in text, (what, target, text)
    assert text.endswith(("; everything is as it was before", "; nothing was changed")), text
    assert case.router.leftovers() == [], (what, target, text)
    assert differences(dict(case.router.state(), **case.router.memory()), case.before) == {}, (what, target, text)
    return True

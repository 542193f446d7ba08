# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adoption on a recorded machine; that it keeps connections is shown by tests/integration/test_adopt.py."""
import errno
import os
import pathlib
import sys

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _ctnetlink, _netlink
from ansible_collections.netfleet.conntrack.plugins.module_utils._adopt import TIMEOUT, adopt
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import NetlinkError

RECORDED = pathlib.Path(__file__).parents[2] / "fixtures" / "sockets"
TIMEOUTS = {"syn_recv": 60, "established": 432000, "fin_wait": 120, "close_wait": 61, "last_ack": 30}
NUMBER = 22  # of recorded connections

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the sockets were recorded on a little-endian machine")


class Machine(Host):
    """The recorded sockets, and a kernel whose answers are given in turn; the last one is given to all the rest."""

    def __init__(self, root, *answers, sockets=True, timeouts=None):
        super().__init__(str(root))
        self.answers = answers
        self.entries = []
        os.makedirs(self.root + "/proc/net")
        os.makedirs(self.root + os.path.dirname(TIMEOUT))
        for name in ("tcp", "tcp6") if sockets else ():
            pathlib.Path(self.root + "/proc/net", name).write_bytes((RECORDED / (name + ".txt")).read_bytes())
        for state, seconds in (TIMEOUTS if timeouts is None else timeouts).items():
            pathlib.Path(self.root + TIMEOUT + state).write_text("%d\n" % seconds)

    def netlink_batch(self, requests, timeout=5.0):
        if isinstance(self.answers[0], Exception):
            raise self.answers[0]
        self.entries = [_ctnetlink.entry(payload) for each in requests for dummy, _flags, _sequence, payload in _netlink.messages(each)]
        return (list(self.answers) + [self.answers[-1]] * NUMBER)[: len(requests)]


@pytest.mark.parametrize("answers, made", [
    ((0,), NUMBER), ((errno.EEXIST,), 0), ((0, errno.EEXIST), 1), ((errno.EEXIST, 0), NUMBER - 1),
])
def test_how_many_were_made(answers, made, tmp_path):
    assert adopt(Machine(tmp_path, *answers)) == made


def test_each_has_the_timeout_of_its_state(tmp_path):
    host = Machine(tmp_path, 0)
    adopt(host)
    assert len(host.entries) == NUMBER
    assert {entry["protoinfo"]["tcp"]["state"].lower(): entry["timeout"] for entry in host.entries} == TIMEOUTS


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_timeout_that_would_end_an_entry_at_once_is_one_second(seconds, tmp_path):
    host = Machine(tmp_path, 0, timeouts=dict(TIMEOUTS, established=seconds))
    adopt(host)
    assert {entry["timeout"] for entry in host.entries if entry["protoinfo"]["tcp"]["state"] == "ESTABLISHED"} == {1}


def test_without_connections_nothing_is_asked(tmp_path):
    assert adopt(Machine(tmp_path, OSError(errno.EPERM, "unasked"), sockets=False)) == 0


FIRST = r"such as from 198.51.100.2 port 51144 to 198.51.100.1 port 2017: "
ONE = "^cannot keep 1 of 22 open connections, " + FIRST
ALL = "^cannot keep 22 of 22 open connections, " + FIRST
BEFORE = "^cannot keep open connections: "
MODULE = "the kernel takes no entries by netlink: the module nf_conntrack_netlink must be there$"

# The kernel's answers, what the user is told.
FAULTS = {
    "the table is full": ((errno.ENOMEM,), ALL + "the table of connections is full: raise table.max$"),
    "one has no room": ((errno.ENOMEM, 0), ONE + "the table of connections is full: raise table.max$"),
    "a bucket is full": ((errno.ENOSPC, errno.EEXIST), ONE + "the hash table is too small for the table of connections: raise table.buckets$"),
    "no rights": ((errno.EPERM,), ALL + r"this process may not change .*: it needs CAP_NET_ADMIN in this network namespace$"),
    "no module": ((errno.EINVAL,), ALL + MODULE),
    "no netfilter over netlink": ((OSError(errno.EPROTONOSUPPORT, "Protocol not supported"),), BEFORE + MODULE),
    "something else": ((errno.EIO,), ALL + "Input/output error$"),
    "no answer": ((OSError("timed out"),), BEFORE + "timed out$"),
    "an odd answer": ((NetlinkError("a number of 3 bytes"),), BEFORE + "a number of 3 bytes$"),
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_faults_are_named(name, tmp_path):
    answers, text = FAULTS[name]
    with pytest.raises(ConntrackError, match=text):
        adopt(Machine(tmp_path, *answers))


def test_without_the_module_it_says_so(tmp_path):
    with pytest.raises(ConntrackError, match="^cannot keep open connections: nf_conntrack is not loaded$"):
        adopt(Machine(tmp_path, 0, timeouts={}))

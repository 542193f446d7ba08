# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All or nothing: runs that are killed at every moment, and runs whose every write is refused."""
import errno
import json
import os
import signal

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _boot_read, _initrd, _own, _settings
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import RUNNING, Change, ConntrackError, Part, Plan, Step
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import NEW
from ansible_collections.netfleet.conntrack.plugins.module_utils._transaction import FOLDER, JOURNAL, execute, memo_path
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.requests import ABSENT, options

PART = _settings.PART
FULL = options(
    table={"max": "131072", "expect_max": "2048", "memory_share": 0.5},
    timeouts={"tcp_timeout_established": 86400, "udp_timeout_stream": 180},
    tracking={"tcp_be_liberal": True, "frag6_high_thresh": 2000000, "frag6_low_thresh": 1000000},
)
OTHER = options(
    table={"max": "auto", "load_factor": 2.0},
    timeouts={"tcp_timeout_established": 7440, "icmp_timeout": 60},
    tracking={"acct": True},
)
NOTHING = options()
# What was on the host before, and the request whose run is killed.
SCENARIOS = {"first run": (None, FULL), "another policy": (FULL, OTHER), "absent": (FULL, ABSENT), "a policy let go": (OTHER, NOTHING)}
CASES = (
    ("first run", "trixie-6.12-unloaded"),
    ("first run", "bookworm-6.1"),
    ("first run", "live-6.18"),
    ("another policy", "bookworm-6.1"),
    ("absent", "trixie-6.12-unloaded"),
    ("a policy let go", "live-6.18"),
)
MEMO = memo_path("settings")
OWN = _settings.OWN + (MEMO,)
ERRNOS = (errno.EACCES, errno.EINVAL, errno.ENOSPC, errno.EROFS, errno.EBUSY)


def run(host, request, check=False):
    return execute(host, PART, request, check)


def own_files(host):
    return dict((path, host.read(path)) for path in OWN)


def leftovers(host):
    return [path for path in recorded.snapshot(host) if path.endswith(NEW) or path == JOURNAL]


class Counting(recorded.Machine):
    """Notes its moments."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.moments = []

    def moment(self, what, target):
        self.moments.append((what, target))


class Mortal(recorded.Machine):
    """Is killed when ``left`` moments have passed."""

    left = 0

    def moment(self, what, target):
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Refusing(recorded.Machine):
    """Refuses one of its writes: once, or whenever it is tried again."""

    left, reason, for_good, refused = 0, errno.EACCES, False, None

    def moment(self, what, target):
        if not what.startswith("before"):
            return
        self.left -= 1
        if self.left == -1:
            self.refused = (what, target)
        if self.left == -1 or self.for_good and self.refused == (what, target):
            raise OSError(self.reason, os.strerror(self.reason))


class Case:
    """A host in the state in which the run begins, and how it ends when nothing goes wrong."""

    def __init__(self, scenario, name, folder):
        earlier, self.request = SCENARIOS[scenario]
        self.folder, self.made, self.seen = folder, 0, []
        untouched = recorded.machine(name, folder / "untouched")
        self.origin = recorded.settled(untouched)
        self.values = (untouched.values(), recorded.fresh_values(untouched, folder))
        self.start = recorded.copied(untouched, folder / "start")
        if earlier:
            run(self.start, earlier)
        ended = self.copy(self.start, Counting)
        run(ended, self.request)
        self.moments = ended.moments
        self.before, self.after = own_files(self.start), own_files(ended)

    def copy(self, host, kind=None):
        self.made += 1
        return recorded.copied(host, self.folder / str(self.made), kind)

    def new_to_us(self, host):
        """Whether a machine is in a state from which nothing was tried so far."""
        found = recorded.snapshot(host)
        known = found in self.seen
        self.seen.append(found)
        return not known

    def whole(self, found):
        # While values go back, the memo holds what was before either policy.
        json.loads(found[MEMO] or "{}")
        return all(found[path] in (self.before[path], self.after[path]) for path in OWN if path != MEMO)

    def as_at_first(self, host):
        return recorded.settled(host) == self.origin and host.values() in self.values and not host.exists(FOLDER)


@pytest.fixture(params=CASES, ids=[" on ".join(case) for case in CASES])
def case(request, tmp_path):
    return Case(*request.param, folder=tmp_path)


def killed(host, request, left):
    """Run a request in another process, which kills itself at a moment; the machine as it is then."""
    host.left = left
    child = os.fork()
    if child == 0:
        try:
            run(host, request)
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "it had ended before"
    return recorded.again(host)


def test_killed_at_every_moment(case):
    assert len(case.moments) > 20
    for left, moment in enumerate(case.moments):
        host = killed(case.copy(case.start, Mortal), case.request, left)
        assert case.whole(own_files(host)), moment
        if case.new_to_us(host):
            absent_next(case, case.copy(host), moment)
            put_right(case, host, moment)


def absent_next(case, host, moment):
    """The run after the killed one may also be the one that takes everything away."""
    run(host, ABSENT)
    assert case.as_at_first(host), moment


def put_right(case, host, moment):
    before = recorded.snapshot(host)
    announced = run(host, case.request, check=True)
    assert recorded.snapshot(host) == before, moment
    assert run(host, case.request)["changes"] == announced["changes"], moment
    assert leftovers(host) == [], moment
    assert own_files(host) == case.after, moment
    again = run(host, case.request)
    assert (again["changed"], again["recovered"]) == (False, False), moment
    absent_next(case, host, moment)


def test_killed_again_while_it_is_put_right(tmp_path):
    case = Case("another policy", "bookworm-6.1", tmp_path)
    for left in range(0, len(case.moments), 9):
        host = killed(case.copy(case.start, Mortal), case.request, left)
        counted = case.copy(host, Counting)
        run(counted, case.request)
        for later in (len(counted.moments) // 3, len(counted.moments) - 2):
            put_right(case, killed(case.copy(host, Mortal), case.request, later), (left, later))


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_every_write_refused(case, for_good):
    writes = [moment for moment in case.moments if moment[0].startswith("before")]
    for left, moment in enumerate(writes):
        host = case.copy(case.start, Refusing)
        host.left, host.reason, host.for_good = left, ERRNOS[left % len(ERRNOS)], for_good
        refuses(host, case, moment)
        if case.new_to_us(host):
            put_right(case, recorded.again(host), (moment, host.reason))


def refuses(host, case, moment):
    """The run fails, with everything as it was, unless what is lost only saves the next run work."""
    before = recorded.snapshot(host)
    try:
        run(host, case.request)
    except ConntrackError as error:
        target = host.refused[1].replace(host.root, "").replace(NEW, "")
        assert target in str(error) and os.strerror(host.reason) in str(error), moment
        if "the next run will try again" in str(error):
            assert host.for_good
        else:
            assert recorded.snapshot(host) == before, (moment, str(error))
    else:
        assert _boot_read.CACHE in host.refused[1], moment


@pytest.mark.parametrize("number", ERRNOS, ids=[errno.errorcode[number] for number in ERRNOS])
def test_every_reason_to_refuse(number, tmp_path):
    case = Case("first run", "trixie-6.12-unloaded", tmp_path)
    for left in range(5):
        host = case.copy(case.start, Refusing)
        host.left, host.reason = left, number
        refuses(host, case, left)

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All or nothing: runs that are killed at every moment, and runs whose every write is refused.

C(NETFLEET_MOMENTS=all) takes every moment of every case.
"""
import errno
import json
import os
import pathlib
import shutil
import signal
import tempfile

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _boot_read, _early_load, _hook_rules, _initrd, _policy, _settings, _unit
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import NEW
from ansible_collections.netfleet.conntrack.plugins.module_utils._memo import FOLDER
from ansible_collections.netfleet.conntrack.plugins.module_utils._memo import path as memo_path
from ansible_collections.netfleet.conntrack.plugins.module_utils._transaction import execute
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import policies, recorded
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.requests import ABSENT, options
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.share import half

SETTINGS, EARLY, POLICY = _settings.PART, _early_load.PART, _policy.PART
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
HOOKS = {"module": True, "hooks": True, "backend": "auto", "initramfs": "never", "state": "present"}
MANAGEMENT = {"interfaces": ["mgmt0"], "networks": ["192.0.2.0/24", "2001:db8::/32"], "ports": [22]}
FROM_INITRAMFS = dict(HOOKS, hooks=False, initramfs="always")
NOTHING = options()
WHOLE = policies.request({
    "table": {"max": "131072", "memory_share": 0.5},
    "timeouts": {"tcp_timeout_established": 86400},
    "tracking": {"tcp_be_liberal": True},
    "early_load": {"initramfs": "never", "backend": "nftables"},
    "management": {"interfaces": ["mgmt0"]},
})[0]
PROFILE = policies.request({"profile": "home_router", "table": {"memory_share": 0.5}, "early_load": {"initramfs": "never", "hooks": False}})[0]
NO_POLICY = policies.request({"state": "absent"})[0]
ABSENT_OF = {SETTINGS.name: ABSENT, EARLY.name: dict(HOOKS, state="absent"), POLICY.name: NO_POLICY}
# Host, what was brought about on it before, and the request whose run is killed.
CASES = {
    "first run, loaded": ("bookworm-6.1", [], (SETTINGS, FULL)),
    "first run, built in": ("live-6.18", [], (SETTINGS, FULL)),
    "another policy": ("bookworm-6.1", [(SETTINGS, FULL)], (SETTINGS, OTHER)),
    "a policy let go": ("live-6.18", [(SETTINGS, OTHER)], (SETTINGS, NOTHING)),
    "with an initramfs": ("bookworm-6.1", [(EARLY, FROM_INITRAMFS)], (SETTINGS, FULL)),
    "rules away, settings stay": ("bookworm-6.1", [(SETTINGS, FULL), (EARLY, HOOKS)], (EARLY, dict(HOOKS, state="absent"))),
    "management": ("bookworm-6.1", [(EARLY, HOOKS)], (EARLY, dict(HOOKS, management=MANAGEMENT))),
    "management by iptables": ("bookworm-6.1", [(EARLY, HOOKS)], (EARLY, dict(HOOKS, backend="iptables", management=MANAGEMENT))),
    "a whole policy, not loaded": ("trixie-6.12-unloaded", [], (POLICY, WHOLE)),
    "from one whole policy to another": ("bookworm-6.1", [(POLICY, WHOLE)], (POLICY, PROFILE)),
    "a whole policy away": ("trixie-6.12-unloaded", [(POLICY, WHOLE)], (POLICY, NO_POLICY)),
    "initramfs no more": ("bookworm-6.1", [(SETTINGS, FULL), (EARLY, FROM_INITRAMFS)], (EARLY, HOOKS)),
}
MEMO, JOURNAL = memo_path("settings"), memo_path("journal")
OWN = tuple(_settings.OWN) + (MEMO, memo_path("early_load"), _unit.UNIT, _unit.LOADER, *_hook_rules.FILES.values()) + tuple(_initrd.OWN)
ERRNOS = (errno.EACCES, errno.EINVAL, errno.ENOSPC, errno.EROFS, errno.EBUSY)


def run(host, wanted, check=False):
    part, request = wanted
    return execute(host, part, request, check)


def own_files(host):
    return {path: host.read(path) for path in OWN}


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

    def __init__(self, name, folder):
        host, earlier, self.wanted = CASES[name]
        self.folder, self.made, self.seen = folder, 0, []
        # Of whole policies every other moment: tests/integration/test_policy_killed.py takes each of them.
        untouched = recorded.machine(host, folder / "untouched")
        self.origin = recorded.settled(untouched)
        self.values = (untouched.values(), recorded.fresh_values(untouched, folder))
        self.start = recorded.copied(untouched, folder / "start")
        for wanted in earlier:
            run(self.start, wanted)
        self.parts = [part for part, dummy in [self.wanted] + earlier[::-1]]
        ended = self.copy(self.start, Counting)
        run(ended, self.wanted)
        self.moments = ended.moments
        self.before, self.after = own_files(self.start), self.end(ended)

    def copy(self, host, kind=None):
        self.made += 1
        return recorded.copied(host, self.folder / str(self.made), kind)

    def forget(self):
        """Take the copies away: hundreds of them are made."""
        for number in range(1, self.made + 1):
            shutil.rmtree(str(self.folder / str(number)), ignore_errors=True)
        self.made = 0

    def new_to_us(self, host):
        """Whether a machine is in a state from which nothing was tried so far."""
        found = recorded.snapshot(host)
        known = found in self.seen
        self.seen.append(found)
        return not known

    def whole(self, found):
        # While values go back, the memo holds what was before either policy.
        json.loads(found[MEMO] or "{}")
        return all(found[path] in (self.before[path], self.after[0][path]) for path in OWN if path != MEMO)

    @staticmethod
    def end(host):
        return own_files(host), host.values(), host.image(), [host.loaded(program) for program in recorded.MODULES_OF], host.enabled(_unit.NAME)

    def as_at_first(self, host):
        # An image without the module may keep a copy of what was in modprobe.d: nothing comes of it.
        unloaded = host.image() is None or not host.image().has_module
        same = recorded.settled(host) == self.origin and host.values() in self.values
        return same and unloaded and not host.exists(FOLDER) and not any(map(host.has_rules, recorded.MODULES_OF))


@pytest.fixture(name="memory")
def _memory(tmp_path):
    """A folder in memory, where there is one: thousands of files are synced to it."""
    place = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else str(tmp_path))
    yield pathlib.Path(place)
    shutil.rmtree(place)


@pytest.fixture(params=sorted(CASES))
def case(request, memory):
    return Case(request.param, memory)


def killed(host, wanted, left):
    """Run a request in another process, which kills itself at a moment; the machine as it is then."""
    host.left = left
    child = os.fork()
    if child == 0:
        try:
            run(host, wanted)
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "it had ended before"
    return recorded.again(host)


def test_killed_at_every_moment(case):
    assert len(case.moments) > 10
    for left, moment in half(enumerate(case.moments)):
        host = killed(case.copy(case.start, Mortal), case.wanted, left)
        assert case.whole(own_files(host)), moment
        if case.new_to_us(host):
            absent_next(case, case.copy(host), moment)
            put_right(case, host, moment)
        case.forget()


def absent_next(case, host, moment):
    """The run after the killed one may also be the one that takes everything away."""
    for part in case.parts:
        run(host, (part, ABSENT_OF[part.name]))
    assert case.as_at_first(host), moment


def put_right(case, host, moment):
    before = recorded.snapshot(host)
    announced = run(host, case.wanted, check=True)
    assert recorded.snapshot(host) == before, moment
    assert run(host, case.wanted)["changes"] == announced["changes"], moment
    assert leftovers(host) == [], moment
    assert case.end(host) == case.after, moment
    again = run(host, case.wanted)
    assert (again["changed"], again["recovered"]) == (False, False), moment
    absent_next(case, host, moment)


def test_killed_again_while_it_is_put_right(memory):
    case = Case("another policy", memory)
    for left in range(0, len(case.moments), 9):
        host = killed(case.copy(case.start, Mortal), case.wanted, left)
        counted = case.copy(host, Counting)
        run(counted, case.wanted)
        for later in (len(counted.moments) // 3, len(counted.moments) - 2):
            put_right(case, killed(case.copy(host, Mortal), case.wanted, later), (left, later))


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_every_write_refused(case, for_good):
    writes = [moment for moment in case.moments if moment[0].startswith("before")]
    for left, moment in half(enumerate(writes)):
        host = case.copy(case.start, Refusing)
        host.left, host.reason, host.for_good = left, ERRNOS[left % len(ERRNOS)], for_good
        refuses(host, case, moment)
        if case.new_to_us(host):
            put_right(case, recorded.again(host), (moment, host.reason))
        case.forget()


def refuses(host, case, moment):
    """The run fails, with everything as it was, unless what is lost only saves the next run work."""
    before = recorded.snapshot(host)
    try:
        run(host, case.wanted)
    except ConntrackError as error:
        target = host.refused[1].replace(host.root, "").replace(NEW, "")
        assert target in str(error) and os.strerror(host.reason) in str(error), moment
        if "the next run will try again" in str(error):
            assert host.for_good
        else:
            assert recorded.snapshot(host) == before, (moment, str(error))
    else:
        assert _boot_read.CACHE in host.refused[1], moment


def test_refused_while_it_is_put_right(memory):
    """What a killed run left is not forgotten by one that cannot begin, or not end: it is as it was before either, or left for the next."""
    case = Case("from one whole policy to another", memory)
    for left in range(5, len(case.moments), 11):
        host = killed(case.copy(case.start, Mortal), case.wanted, left)
        for number in range(0, 40, 3):
            refusing = case.copy(host, Refusing)
            refusing.left, refusing.reason = number, ERRNOS[number % len(ERRNOS)]
            try:
                run(refusing, case.wanted)
            except ConntrackError as error:
                assert own_files(refusing) == case.before, (left, refusing.refused, str(error))
                assert refusing.values() == case.start.values() and leftovers(refusing) == [], (left, refusing.refused)
            else:
                assert case.end(refusing) == case.after
        case.forget()


@pytest.mark.parametrize("number", ERRNOS, ids=[errno.errorcode[number] for number in ERRNOS])
def test_every_reason_to_refuse(number, memory):
    case = Case("a whole policy, not loaded", memory)
    for left in range(5):
        host = case.copy(case.start, Refusing)
        host.left, host.reason = left, number
        refuses(host, case, left)

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All or nothing where a policy is to be confirmed: killed at every write, every write refused; then what puts it right does so.

The scripts that take policies back are run by sh on the real kernel; the test is the clock that starts them. C(NETFLEET_MOMENTS=all)
takes every moment and goes every way from it.
"""
import os
import subprocess

import pytest
from policy_router import JOURNAL, UNDO, Connected, Counting, Machine, Mortal, Refusing, Router, command, counting, differences, folder, inside
from test_policy_killed import ERRNOS, FIRST, OTHERS, SECOND, killing, of_backend

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._confirm import TICKS

ALL = os.environ.get("NETFLEET_MOMENTS") == "all"
WITHIN = 60
FORMER, WANTED = of_backend(FIRST, "nftables"), of_backend(SECOND, "nftables")
WAYS = ("over", "on", "back")  # the time is over; the wanted policy again; the former one
# Of a container: what is written for the next boot waits for the confirmation.
AT_BOOT = ({"timeouts": {"icmp_timeout": 61}, "tracking": {"acct": True}}, {"timeouts": {"icmp_timeout": 62, "udp_timeout": 33}})
# In a mount namespace, so that the script finds its places below the test's folder. Its lock is where all look for it.
SCRIPT = "mount --bind %(root)s/var/lib /var/lib && mount --bind %(root)s/run /run && mount --bind %(root)s/etc/sysctl.d /etc/sysctl.d && sh %(script)s"


class First(Connected):
    """Shows a namespace as one that boots set up, such as that of a container."""

    def link(self, path):
        return super().link("/proc/self/ns/net" if path == "/proc/1/ns/net" else path)


def of(kind, base):
    return type(kind.__name__, (base, kind), {})


class Case:
    """A router with a policy, and another one that is to be confirmed."""

    def __init__(self, router, former, wanted, base=Connected):
        self.router, self.former, self.wanted, self.base = router, former, wanted, base
        self.fresh = router.values()
        self.plain(former)
        self.before = self.now()
        self.waiting = self.counted(dict(wanted, confirm_within=WITHIN))
        self.pending = self.now()
        self.confirming = self.counted(dict(wanted, confirm=True))
        self.after = self.now()
        assert differences(self.before, self.after) and router.leftovers() == []
        self.back()

    def host(self, kind=Machine):
        host = self.router.host(of(kind, self.base))
        host.opened = int((float(open("/proc/uptime").read().split()[0]) + 1) * TICKS)
        return host

    def counted(self, document):
        host = self.host(Counting)
        self.router.run(document, host)
        return host.moments

    def now(self):
        return dict(self.router.state(), **self.router.memory())

    def plain(self, document, check=False):
        return self.router.run(document, self.host(), check)

    def pend(self):
        assert self.plain(dict(self.wanted, confirm_within=WITHIN))["awaits_confirmation"]

    def script(self):
        return next((path for path in self.router.leftovers() if UNDO.match(path) and not path.endswith("-new")), None)

    def time_is_over(self):
        """What the timer does; a script that was never finished does nothing."""
        if self.script():
            line = SCRIPT % {"root": self.router.root, "script": self.script()}
            done = subprocess.run(["unshare", "-m", "sh", "-ec", line], capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0 and "everything is as it was before the policy" in done.stdout, done.stdout + done.stderr

    def reboot(self):
        """What a boot does to the namespace."""
        for name, value in self.fresh.items():
            if self.router.values()[name] != value:
                command("sysctl", "-q", "-w", "net.netfilter.%s=%s" % (name, value))
        command("nft", "flush", "ruleset")
        for line in OTHERS["nftables"]:
            command(*line.split())

    def back(self):
        """Have the former policy again."""
        self.plain(self.former)
        self.is_before()

    def is_before(self):
        assert self.router.leftovers() == []
        assert differences(self.now(), self.before) == {}

    def is_after(self):
        assert self.router.leftovers() == []
        assert differences(self.router.state(), {key: value for key, value in self.after.items() if key in self.router.state()}) == {}
        assert not self.plain(self.wanted)["changed"]

    def killed(self, document, left):
        host = self.host(Mortal)
        host.left = left
        self.router.killed(document, left, host)


@pytest.fixture(name="router")
def _router(netns):
    with folder() as root, inside(netns):
        os.makedirs(str(root) + "/etc/sysctl.d")
        for line in OTHERS["nftables"]:
            command(*line.split())
        yield Router(netns, root)


@pytest.fixture(name="count")
def _count(request):
    yield from counting(request)


@pytest.fixture(name="case", params=["rules", "boot"])
def _case(request, router):
    if request.param == "rules":
        return Case(router, FORMER, WANTED)
    return Case(router, *AT_BOOT, base=First)


def test_killed_before_it_waits_or_while_it_does(case, count):
    """The script makes it as it was; where there is none yet, the next run does."""
    document = dict(case.wanted, confirm_within=WITHIN)
    for left in killing(case.waiting):
        case.killed(document, left)
        waited = case.script() is not None
        case.time_is_over()
        if waited:
            case.is_before()
        else:
            case.back()
        count(True)


def test_killed_before_anything_runs_the_script(case, count):
    """Nobody ever does, and when its time is over, a run takes no notice of it."""
    document = dict(case.wanted, confirm_within=WITHIN)
    for left in killing(case.waiting)[:: 1 if ALL else 5]:
        case.killed(document, left)
        later = case.host()
        later.uptime = "1e9 0"
        begun = any(JOURNAL.match(path) for path in later.files())
        told = case.router.run((case.former, case.wanted)[left % 2], later)
        assert told["recovered"] == begun
        (case.is_before, case.is_after)[left % 2]()
        case.back()
        count(True)


def test_killed_before_it_waits_and_a_boot_comes_between(case, count):
    document = dict(case.wanted, confirm_within=WITHIN)
    for left in killing(case.waiting)[:: 1 if ALL else 5]:
        case.killed(document, left)
        case.reboot()
        booted = case.host()
        booted.boot = "another boot"
        case.router.run(case.wanted, booted)
        case.is_after()
        case.back()
        count(True)


def test_killed_while_it_is_confirmed(case, count):
    """Before the script is gone it takes the policy back, or another confirmation completes it; afterwards any run does."""
    document = dict(case.wanted, confirm=True)
    for turn, left in enumerate(killing(case.confirming)):
        for way in WAYS if ALL else WAYS[turn % 3 :][:1]:
            case.pend()
            case.killed(document, left)
            waits = case.script() is not None
            if way == "over":
                case.time_is_over()
            if way == "over" and waits:
                case.is_before()
            elif way == "back":
                case.time_is_over()
                case.back()
            else:
                case.plain(document if waits else case.wanted)
                case.is_after()
                case.back()
        count(True)


@pytest.mark.parametrize("late", [False, True], ids=["not_done", "done"])
def test_refused_while_it_is_applied(case, late, count):
    document = dict(case.wanted, confirm_within=WITHIN)
    for left in range(writes(case.waiting)):
        text = refused(case, document, left, late)
        assert text.endswith(("; everything is as it was before", "; nothing was changed")), text
        case.is_before()
        count(True)


@pytest.mark.parametrize("late", [False, True], ids=["not_done", "done"])
def test_refused_while_it_is_confirmed(case, late, count):
    """Everything is as it was before the policy, at once or, where the script could not be taken away, when the time is over."""
    document = dict(case.wanted, confirm=True)
    for left in range(writes(case.confirming)):
        case.pend()
        text = refused(case, document, left, late)
        if case.script():
            assert "everything is as it was" not in text
            case.time_is_over()
        else:
            assert text.endswith("; everything is as it was before"), text
        case.is_before()
        count(True)


def writes(moments):
    return sum(what.startswith("before") for what, dummy in moments)


def refused(case, document, left, late):
    host = case.host(Refusing)
    host.left, host.reason, host.late = left, ERRNOS[left % len(ERRNOS)], late
    with pytest.raises(ConntrackError) as error:
        case.router.run(document, host)
    assert os.strerror(host.reason) in str(error.value), host.refused
    return str(error.value)

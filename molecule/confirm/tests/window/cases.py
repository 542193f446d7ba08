# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done to the routers: cases that tests then judge. Each begins and ends with the policy `good`."""

import functools
from types import SimpleNamespace

from policies import POLICIES
from routers import drive

WITHIN, GRACE = 30, 5  # seconds
GOOD, OTHER = POLICIES["good"], POLICIES["other"]
# Without systemd's folder, as on a host that has another init, a process of its own waits for the time to be over.
NO_SYSTEMD = "unshare -m sh -c 'mount -t tmpfs none /run/systemd && exec \"$@\"' --"
TRACES = "ls /var/lib/netfleet-conntrack; systemctl list-units --all --plain --no-legend 'netfleet-conntrack-undo-*'"


def in_time(case):
    """A case; once more where it came late, for an emulated machine beside busy others may stand still for seconds."""
    @functools.wraps(case)
    def attempt(router):
        seen = case(router)
        return seen if seen.lasted <= seen.within + GRACE else case(router)

    return attempt


def begin(router, policy, setting, action):
    """Have Ansible apply a policy that goes wrong; return what was seen so far, and Ansible."""
    value = {"max": policy["table"]["max"], "tcp_loose": 0}[setting]
    seen = SimpleNamespace(before=router.state(), within=WITHIN)
    router.watch(setting, value, action)
    return seen, router.ansible(**policy, confirm_within=WITHIN)


def end(router, seen, running):
    """Wait until all is over, and look again."""
    seen.said = running.communicate()[0]
    seen.lasted = router.lasted(WITHIN)
    seen.after, seen.told = router.state(), router.out("journalctl -t netfleet-conntrack -o cat || true")
    return seen


@in_time
def full(router):
    """The table is full: open sessions live, and nobody gets in."""
    session, inside = router.session(), router.session()
    seen, running = begin(router, POLICIES["full"], "max", "fill")
    inside.wait_for("hurts")
    seen.new_connection, seen.open_session = router.connects(), session.ask("echo lives")
    inside.close()
    session.close()
    return end(router, seen, running)


@in_time
def strict(router):
    """What began before is invalid: open sessions are dead."""
    session = router.session()
    session.ask("true")  # its connection is there before the policy
    seen, running = begin(router, POLICIES["strict"], "tcp_loose", "flush")
    while session.ask("sleep 0.5; echo lives") == "lives":
        pass
    seen.dead = session.ask("echo lives")
    seen.afterwards = session.ask("echo lives", 120)
    session.close()
    return end(router, seen, running)


def reset(router):
    """The power fails within the time; the first run afterwards asks for another policy."""
    seen = SimpleNamespace(before=router.state(), said=router.drive(POLICIES["full"], confirm_within=300))
    seen.waiting = router.state()
    router.guest.power_cut()
    seen.after = router.state()
    seen.again, seen.other = router.drive(OTHER), router.state()
    seen.clean = router.drive(GOOD)
    return seen


def confirmed(router):
    """By hand: applied over a session, and confirmed at last, with all that may come in between."""
    seen, session = SimpleNamespace(before=router.state()), router.session()
    seen.applied, seen.unconfirmed = router.drive(OTHER, session, confirm_within=300), router.state()
    seen.reused = router.drive(OTHER, session, confirm=True)
    seen.another = router.drive(GOOD)
    seen.check = router.drive(GOOD, check=True)
    seen.different = router.drive(GOOD, confirm=True)
    seen.still = router.state()
    seen.confirmed = router.drive(OTHER, confirm=True)
    seen.traces, seen.state = router.out(TRACES), router.state()
    session.close()
    router.drive(GOOD)
    return seen


def at_once(router):
    """Two runs with different policies begin at once."""
    commands = drive(OTHER), drive(POLICIES["strict"])
    router.out("%s >/root/first & %s >/root/second; wait" % commands)
    seen = SimpleNamespace(said=router.out("cat /root/first /root/second").splitlines(), state=router.state())
    router.drive(GOOD)
    return seen


@in_time
def no_systemd(router):
    """A host that has another init, and a session that ends at once."""
    seen, session = SimpleNamespace(before=router.state(), within=10), router.session()
    router.watch("udp_timeout", POLICIES["full"]["timeouts"]["udp_timeout"], "wait")
    seen.said = router.drive(POLICIES["full"], session, NO_SYSTEMD, confirm_within=10)
    session.close()
    seen.lasted, seen.after = router.lasted(10), router.state()
    return seen


# Where each is done; with NETFLEET_RESETS=all, that is in `make soak`, on both.
CASES = {full: "trixie", confirmed: "trixie", no_systemd: "trixie", strict: "bookworm", at_once: "bookworm", reset: "bookworm"}

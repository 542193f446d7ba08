# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Commit-confirm: a policy that the host takes back by itself unless it is confirmed over a new connection.

Before the first write the host gets a script that undoes everything, and something that runs it when the time is over,
whatever becomes of this process and of the network. Nothing for the next boot is written until the policy is confirmed,
so a boot within the time comes up with the old one. What waits is an unfinished run: its journal says so, and the run
that confirms it completes it.
"""
from ansible_collections.netfleet.conntrack.plugins.module_utils import _journal, _memo, _own_connection
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError, Step

UPTIME = "/proc/uptime"
TICKS = 100  # a second, of the times of processes (USER_HZ, proc(5))
LEAST, MOST = 10, 86400  # seconds
SYSTEMD = "/run/systemd/system"
# What becomes of a command in the background nobody learns, so it is looked for before.
DETACHED = ("command -v setsid > /dev/null || { echo 'setsid is not installed' >&2; exit 1; }; "
            "cd / && setsid sh -c 'sleep %d; exec sh %s' < /dev/null > /dev/null 2>&1 &")
WAITS = "a policy on this host awaits its confirmation and is taken back in %d seconds"


def refusals(host, options, changes):
    """Yield why a run with these options cannot be confirmed, or confirm."""
    within = options.get("confirm_within")
    if within and options.get("confirm"):
        yield "confirm: it confirms what an earlier run applied, and confirm_within applies anew; give one of them"
    if within and not LEAST <= within <= MOST:
        yield "confirm_within: %d is not between %d and %d seconds, or 0 for nothing to confirm" % (within, LEAST, MOST)
    if changes and _own_connection.opened(host) is None:
        yield ("%s: this run did not come over a connection to an SSH server of this host, so a new one could not prove anything; "
               "leave it out" % ("confirm_within" if within else "confirm"))


def undo_path(waiting):
    """Where the script is that takes back what waits."""
    return "%s/undo-%s" % (_memo.FOLDER, waiting["id"])


def _uptime(host):
    return float((host.read(UPTIME) or "0").split()[0])


def _waits(host, journal):
    """What waits for its confirmation, or None: a boot, the script when it is done, and the end of the time have ended that.

    Who holds the lock when the time is over has come before the script, or the run was killed before it could start the clock.
    """
    waiting = journal.get("awaits")
    if not waiting or waiting["boot"] != _memo.boot(host) or _uptime(host) >= waiting["until"]:
        return None
    return waiting if host.exists(undo_path(waiting)) else None


def warning(host, journal):
    """What a run that changes nothing is to say of a journal; an empty text where nothing waits."""
    waiting = _waits(host, journal)
    return WAITS % _left(host, waiting) if waiting else ""


def _left(host, waiting):
    return max(0, round(waiting["until"] - _uptime(host)))


class Window:
    """How the journal is kept of a run that is to be confirmed within so many seconds."""

    def __init__(self, host, path, within):
        self.host, self.path, self.within = host, path, within
        self.entries = ()
        now = _uptime(host)
        self.waiting = {"id": "%d" % (now * TICKS), "boot": _memo.boot(host), "until": now + within}

    def begin(self, entries):
        """Before the first write: have what undoes it on the disk, and the clock running."""
        from ansible_collections.netfleet.conntrack.plugins.module_utils import _undo_script

        self.entries = entries
        _journal.write(self.host, self.path, entries, awaits=self.waiting)
        text = _undo_script.render(entries, self.waiting["boot"], self.within, self.path)
        _journal.do(self.host, Step("script", undo_path(self.waiting), text))
        _start(self.host, self.waiting, self.within)

    def end(self):
        """After everything was done and read again: only connections from now on confirm it."""
        _journal.write(self.host, self.path, self.entries, awaits=dict(self.waiting, since=int(_uptime(self.host) * TICKS)))

    def cancel(self):
        """Before everything is taken back by this run itself."""
        _stop(self.host, self.waiting)


def _unit(waiting):
    return "netfleet-conntrack-undo-%s" % waiting["id"]


def _start(host, waiting, within):
    """Have the script run when the time is over. Without systemd a process waits for that, which belongs to no session."""
    script = undo_path(waiting)
    if host.exists(SYSTEMD):
        argv = ["systemd-run", "--quiet", "--unit=" + _unit(waiting), "--on-active=%ds" % within, "--timer-property=AccuracySec=100ms",
                "--description=Takes back a policy of netfleet.conntrack that nobody confirms", "/bin/sh", script]
    else:
        argv = ["sh", "-c", DETACHED % (within, script)]
    _journal.do(host, Step("run", "arming what takes the policy back", argv))


def _stop(host, waiting):
    """Take the script away, which is what counts, and what would run it."""
    host.remove_file(undo_path(waiting))
    if host.exists(SYSTEMD):
        host.run(["systemctl", "stop", _unit(waiting) + ".timer"])


def settle(host, path, options, planned):
    """Deal with what an earlier run left, under the lock; return whether that run was killed.

    Raises ConntrackError where this run may not go on.
    """
    journal = _journal.read(host, path)
    waiting = _waits(host, journal)
    if waiting and options.get("confirm"):
        _confirm(host, path, journal, planned)
        return False
    if waiting:
        raise ConntrackError("%s; confirm it (confirm: true), or run again after that" % WAITS % _left(host, waiting))
    if options.get("confirm") and (planned.whole.changes or journal.get("awaits")):
        raise ConntrackError("confirm: nothing awaits a confirmation on this host, and the policy does not hold: it was not confirmed in "
                             "time and taken back, or a boot came between; apply it again")
    if journal.get("awaits"):
        _drop(host, path, journal)
    return bool(journal)


def _confirm(host, path, journal, planned):
    waiting = journal["awaits"]
    opened = _own_connection.opened(host)
    if opened is None or "since" not in waiting or opened <= waiting["since"]:
        raise ConntrackError("confirm: this connection is older than the policy, so it does not prove that new ones get through; "
                             "close the one that is shared (meta: reset_connection) and confirm over a new one")
    if planned.now.changes:
        raise ConntrackError("confirm: what was applied is not this policy (%s); confirm with the same options" % ", ".join(
            sorted({change.name for change in planned.now.changes})))
    # Without the script nothing is taken back any more; without the mark it is the journal of an ordinary run.
    try:
        _stop(host, waiting)
        _journal.write(host, path, journal["undo"])
    except ConntrackError as error:
        if host.exists(undo_path(waiting)):
            raise ConntrackError("%s; the policy still awaits its confirmation" % error) from error
        _journal.roll_back(host, path, journal["undo"], error)
        raise ConntrackError("%s; everything is as it was before" % error) from error


def _drop(host, path, journal):
    """Forget what a boot took back, or what a script did in part: our own files are put back, values of another boot are past."""
    waiting = journal["awaits"]
    past = waiting["boot"] != _memo.boot(host)
    for entry in reversed(journal["undo"] if past else ()):
        if entry["action"] in _journal.MODES:
            _journal.do(host, Step(**entry))
    host.remove_file(undo_path(waiting))
    if past:
        host.remove_file(path)
    else:
        _journal.write(host, path, journal["undo"])

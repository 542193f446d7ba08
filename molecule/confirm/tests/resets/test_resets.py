# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines that are reset in the midst of a run: the old state or the new one, at once or after the next run.

Each router goes to and fro between two policies and is reset on every way, each time before another sync, rename, removal or
command. NETFLEET_RESETS: how many points, spread over all routers and all of the way; `all`: each point, on one of the routers;
`there/35 back/2`: these.
"""

import itertools
import os
from typing import NamedTuple

import pytest
from policies import POLICIES
from routers import JOURNAL, drive

MANY = os.environ.get("NETFLEET_RESETS", "4")
ROW = "{:>9}  {:<70}  {:<22}  {}"


class Row(NamedTuple):
    """What became of a run that was cut short."""

    point: str
    what: str
    booted: bool  # the machine was really reset
    after: str  # what is there after the boot: old, new, unfinished (the next run knows), between
    final: str  # what the next run was asked for, and whether that is what is there
    recovered: bool
    differs: list  # from what was asked for


class Shuttle:
    """A router on its way between two policies."""

    def __init__(self, router):
        self.router, self.at = router, "back"
        self.points, self.states = {}, {}
        for name in ("back", "there", "back"):  # the second time it is on the beaten track
            self.points[name] = router.drive(POLICIES[name])["points"]
            self.states[name] = router.state()

    def reset_at(self, new, point, wants_new):
        """Go from the other policy to this one, and be reset at a point of that; the next run wants the new policy, or the old one again."""
        old = "there" if new == "back" else "back"
        if self.at == new:
            self.router.drive(POLICIES[old])
        boot, what = self.router.boot_id(), self.points[new][point - 1]
        self.router.run(drive(POLICIES[new], reset=point))
        self.router.come_back()
        booted, after = self.router.boot_id() != boot, self.named(self.router.state(), {"old": old, "new": new})
        self.at = new if wants_new else old
        recovered = self.router.drive(POLICIES[self.at])["recovered"]
        state = self.router.state()
        final, differs = self.named(state, {"new" if wants_new else "old": self.at}), sorted(set(state) ^ set(self.states[self.at]))
        row = Row(f"{point}/{len(self.points[new])}", what, booted, after, final, recovered, differs)
        print(ROW.format(row.point, row.what[-70:], row.after, row.final), flush=True)
        return row

    def named(self, state, names):
        """What a state is, by the names of those that it may be."""
        # A journal that was not there yet when the machine was reset was that of a run that had not begun.
        state = [line for line in state if not line.startswith(JOURNAL + ".")]
        found = [name for name, policy in names.items() if self.states[policy] == state]
        unfinished = "unfinished" if any(line.startswith(JOURNAL) for line in state) else "between"
        return (found or [unfinished])[0]


@pytest.fixture(scope="session")
def rows(routers):
    shuttles = routers.each(Shuttle)
    names = list(routers)

    def ways(name):
        """Each policy to go to, and the point of the reset, for this router."""
        lengths = {policy: len(points) for policy, points in shuttles[name].points.items()}
        if not MANY.isdecimal():
            every = [(policy, point) for policy, length in lengths.items() for point in range(1, length + 1)]
            every = every if MANY == "all" else [way for way in every if "%s/%d" % way in MANY.split()]
            return every[names.index(name)::len(names)]
        number = int(MANY) // len(names)
        shares = [(each + (names.index(name) + 0.5) / len(names)) / number for each in range(number)]
        return [(policy, 1 + int(share * lengths[policy])) for share, policy in zip(shares, itertools.cycle(lengths))]

    print("\n" + ROW.format("point", "reset before", "after the boot", "after one more run"))
    done = routers.each(lambda router: [
        shuttles[router.name].reset_at(policy, point, number % 2) for number, (policy, point) in enumerate(ways(router.name))])
    found = sum(done.values(), [])
    print(f"\n{len(found)} resets, {sum(row.final in ('old', 'new') for row in found)} survived")
    return found


def test_machines_were_reset(rows):
    assert rows and all(row.booted for row in rows)


def test_old_or_new_or_known_to_be_unfinished_after_the_boot(rows):
    assert [row for row in rows if row.after == "between"] == []


def test_what_was_asked_for_after_one_more_run(rows):
    assert [row for row in rows if row.final in ("unfinished", "between")] == []


def test_run_that_completes_another_one_says_so(rows):
    assert [row for row in rows if row.recovered != (row.after == "unfinished")] == []

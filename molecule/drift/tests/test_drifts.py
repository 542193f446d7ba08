# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every drift is found where it is made, told apart from the others, and put right by a run. Each begins where the one before was put right."""

import pytest
from drifts import DRIFTS

ROW = "{:<45}  {:<30}  {:>7}  {}"


@pytest.mark.parametrize("drift", DRIFTS, ids=lambda drift: drift.name)
def test_found_told_apart_and_put_right(drift, seen):
    for router, row in seen[drift.name].items():
        found = {(kind, "*" if kind == "foreign_not_random" else name) for kind, name in row["found"]["kinds"]}
        assert (row["found"]["status"], found) == ("drift", set(drift.found)), router
        assert not drift.source or any(source.startswith(drift.source) for source in row["found"]["sources"]), router
        assert not drift.refused or "remove that line" in row["refused"] and row["found"]["problems"], router
        assert (row["after"]["status"], row["after"]["kinds"]) == ("clean", []), router


def test_there_are_enough_and_none_is_missed(seen):
    kinds = {kind for drift in DRIFTS for kind, dummy_name in drift.found}
    print()
    print(ROW.format("what was done", "kinds", "seconds", "found on"))
    for drift in DRIFTS:
        rows = seen[drift.name]
        found = [router for router, row in rows.items() if row["found"]["status"] == "drift"]
        assert rows and len(found) == len(rows)
        told = ", ".join(sorted({kind for kind, dummy_name in drift.found}))
        print(ROW.format(drift.name, told, max(row["seconds"] for row in rows.values()), ", ".join(found)))
    print(f"{len(DRIFTS)} deeds, {len(kinds)} kinds of drift, each found where it was made")
    assert len(DRIFTS) >= 25 and len(kinds) >= 25

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two routers that shall be alike, and somebody raises the table of one of them by hand, as a community network once told of itself."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import POLICIES

BY_HAND = "sysctl -qw net.netfilter.nf_conntrack_max=65536; echo net.netfilter.nf_conntrack_max = 65536 >/etc/sysctl.d/10-table.conf"


def run(playbook, folder):
    """The status of a playbook, and its report."""
    inventory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "inventory", "guests.yml")
    more = json.dumps({"conntrack_policy": POLICIES["router"], "conntrack_drift_directory": str(folder)})
    argv = ["ansible-playbook", f"netfleet.conntrack.{playbook}", "-i", str(inventory), "-e", more]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode in (0, 2), done.stdout + done.stderr
    return done.returncode, json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def told(routers, tmp_path_factory):
    """What each run told, from routers that are alike to routers that are alike again."""
    folder = tmp_path_factory.mktemp("report")
    odd = sorted(routers)[-1]
    found = {"odd": odd, "alike": run("tune", folder)}
    routers[odd].out(BY_HAND)
    try:
        found.update((playbook, run(playbook, folder)) for playbook in ("plan", "drift", "tune"))
    finally:
        routers[odd].out("rm /etc/sysctl.d/10-table.conf")
    return {**found, "after": run("drift", folder)}


def test_the_odd_one_is_found_and_named_first(told):
    assert told["alike"][0] == 0
    for playbook in ("plan", "drift"):
        status, report = told[playbook]
        assert (status, report["exit_status"]) == (2, 2), playbook
        assert [(host["name"] == told["odd"], host["status"]) for host in report["hosts"]] == [(True, "drift"), (False, "clean")]
        rows = [(row["name"], row["layer"], row["kind"], row["wanted"], row["found"]) for row in report["hosts"][0]["differences"]]
        assert rows == [("max", "running", "running_value", 16384, 65536)]
        assert report["hosts"][0]["differences"][0]["source"] == "/etc/sysctl.d/10-table.conf:1"


def test_tuned_they_are_alike_again_and_the_report_says_what_went_away(told):
    status, report = told["tune"]
    assert (status, {host["status"] for host in report["hosts"]}) == (0, {"clean"})
    assert [(host["name"], [row["name"] for row in host["gone"]]) for host in report["hosts"] if host["gone"]] == [(told["odd"], ["max"])]
    assert told["after"][0] == 0

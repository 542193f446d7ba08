# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module settings against this machine's kernel: values are read by sysctl, not by our own code."""

import json
import os
import random
import resource
import subprocess
import time

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME

OURS = "/etc/sysctl.d/zz-netfleet-conntrack.conf"
JOURNAL = "/var/lib/netfleet-conntrack/journal.json"
HEADS = resource.getpagesize() // 8
# Other values than any kernel starts with; all other settings get one that is near to what they have.
OTHER = {
    "max": 40000, "buckets": 39999, "expect_max": 5000, "events": 1, "log_invalid": 6, "tcp_max_retrans": 4,
    "frag6_high_thresh": 5000000, "frag6_low_thresh": 2000000,
}
# Each is applied on top of the one before: raised and lowered, so that only one order of writes is right.
IN_TURN = {
    "table_raised": {"max": 300000, "buckets": 300032},
    "table_raised_again": {"max": 400000, "buckets": 400384, "icmp_timeout": 93},
    "table_lowered": {"max": 1000, "buckets": 8192, "udp_timeout": 90},
    "more_buckets_for_less": {"max": 900, "buckets": 16384, "udp_timeout": 91},
    "thresholds_above_the_old_high": {"frag6_high_thresh": 9000000, "frag6_low_thresh": 8000000, "tcp_loose": 0},
    "thresholds_below_the_old_low": {"frag6_high_thresh": 1000000, "frag6_low_thresh": 900000, "udp_timeout": 92},
    "high_alone": {"frag6_high_thresh": 9000000},
    "low_alone": {"frag6_low_thresh": 1},
    "nothing": {},
}
ONE = {
    "table": {"max": 50000, "buckets": 50176, "expect_max": 5001},
    "timeouts": {"udp_timeout": 61, "tcp_timeout_established": 86400},
    "tracking": {"acct": True},
}
TWO = {
    "table": {"max": 60000, "buckets": 60416, "expect_max": 5002},
    "timeouts": {"udp_timeout": 62, "icmp_timeout": 62},
    "tracking": {"tcp_loose": False},
}
FOREIGN = {
    "after_ours": "# site\nnet.netfilter.nf_conntrack_udp_timeout = 77\n",
    "ignoring_errors": "# site\n-net.netfilter.nf_conntrack_udp_timeout=77\n",
    "slashes": "# site\nnet/netfilter/nf_conntrack_udp_timeout = 77\n",
    "spaces": "# site\n  net.netfilter.nf_conntrack_udp_timeout   =   77  \n",
}


def rounded(buckets):
    return -(-buckets // HEADS) * HEADS


def document(values):
    """The options that ask for these values, by name."""
    found = {"table": {"memory_share": 0.5}, "timeouts": {}, "tracking": {}}
    for name, value in values.items():
        found[BY_NAME[name].group][name] = BY_NAME[name].shown(value)
    return found


def in_kernel(options):
    """The values that options ask for, by name, as sysctl shows them."""
    found = {name: int(value) for group in ("table", "timeouts", "tracking") for name, value in options[group].items() if name in BY_NAME}
    return dict(found, buckets=rounded(found["buckets"])) if "buckets" in found else found


def every_setting(machine):
    def other(setting, value):
        return OTHER.get(setting.name, 1 - value if setting.type == "bool" else value + 7)

    return document({name: other(BY_NAME[name], value) for name, value in machine.first.items()})


def loaders():
    """The programs that apply a file of sysctl.d at boot, as far as they are here."""
    systemd = [path for path in ("/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl") if os.path.exists(path)]
    return [["sysctl", "-q", "-p"], *([path] for path in systemd[:1])]


def shown(result, layer):
    """The names and values in the text of a diff: (before, after)."""
    (found,) = [pair for pair in result["diff"] if pair["before_header"] == layer]
    return tuple(dict(line.split(" = ") for line in found[side].splitlines()) for side in ("before", "after"))


def test_every_setting_in_one_execution(machine):
    options = every_setting(machine)
    wanted = in_kernel(options)
    assert set(wanted) == set(machine.first)
    assert {name for name in wanted if wanted[name] == machine.first[name]} == set()

    announced = machine.settings(options, check=True)
    assert (machine.now(), machine.files()) == (machine.first, machine.fresh)
    done = machine.settings(options)
    assert machine.now() == wanted
    assert {key: done[key] for key in ("changed", "changes", "diff")} == {key: announced[key] for key in ("changed", "changes", "diff")}
    assert {change["name"] for change in done["changes"] if change["layer"] == "running"} == set(wanted)
    for layer in ("running", "boot"):
        before, after = shown(done, layer)
        assert set(before) == set(after) == set(wanted)
        assert after == {name: json.dumps(BY_NAME[name].shown(value)) for name, value in wanted.items()}

    stamps = machine.stamps()
    again = machine.settings(options)
    assert (again["changed"], again["changes"], again["diff"], machine.stamps()) == (False, [], [], stamps)
    assert machine.settings(options, check=True)["changed"] is False

    assert machine.reset()["changed"] is True
    assert machine.settings({"state": "absent"})["changed"] is False


def test_each_document_replaces_the_one_before(machine):
    for name, values in IN_TURN.items():
        machine.settings(document(values))
        assert machine.now() == machine.with_first(**values), name
    assert machine.files() == machine.fresh


def test_what_a_later_document_no_longer_names_goes_back(machine):
    later = {"max": 50000, "buckets": 50176}
    machine.settings(every_setting(machine))
    machine.settings(document(later))
    assert machine.now() == machine.with_first(**later)
    machine.reset()


def test_absent_after_several_documents_gives_the_very_first_values(machine):
    for options in (ONE, TWO, every_setting(machine)):
        machine.settings(options)
    machine.reset()


def test_what_holds_already_is_kept_for_boot_and_stays_when_let_go(machine):
    done = machine.settings(document({"udp_timeout": machine.first["udp_timeout"]}))
    assert [change["layer"] for change in done["changes"]] == ["boot"]
    machine.reset()


def test_values_that_others_changed_are_put_right(machine):
    machine.settings(ONE)
    machine.command("sysctl", "-q", "net.netfilter.nf_conntrack_max=70000", "net.netfilter.nf_conntrack_udp_timeout=5")
    machine.place(OURS).write_text("# emptied\n")
    assert {(c["name"], c["layer"]) for c in machine.settings(ONE)["changes"]} >= {("max", "running"), ("udp_timeout", "running"), (OURS, "boot")}
    assert machine.now() == machine.with_first(**in_kernel(ONE))
    machine.reset()


def test_without_boot(machine):
    machine.settings(ONE)
    machine.settings(dict(ONE, at_boot=False))
    assert machine.now() == machine.with_first(**in_kernel(ONE))
    assert OURS not in machine.files()
    machine.reset()


def test_buckets_follow_max_by_load_factor(machine):
    done = machine.settings({"table": {"max": 40000, "load_factor": 4}})
    assert done["settings"] == {"max": 40000, "buckets": rounded(10000)}
    assert machine.now() == machine.with_first(**done["settings"])


def test_never_lower(machine):
    higher = {"max": machine.first["max"], "buckets": machine.first["buckets"], "expect_max": machine.first["expect_max"]}
    low = {"max": 40000, "buckets": 39999, "expect_max": 100, "never_lower": True, "memory_share": 0.5}
    assert machine.settings({"table": low})["settings"] == higher
    assert machine.now() == machine.first
    assert machine.settings({"table": dict(low, expect_max=higher["expect_max"] + 1)})["settings"] == dict(higher, expect_max=higher["expect_max"] + 1)
    assert machine.now() == machine.with_first(expect_max=higher["expect_max"] + 1)
    machine.reset()


@pytest.mark.parametrize("sizes", [{}, {"memory_share": 0.01, "load_factor": 2}], ids=["default", "small"])
def test_auto_is_steady(machine, sizes):
    options = {"table": dict(sizes, max="auto", expect_max="auto")}
    done = machine.settings(options)
    most, buckets = done["settings"]["max"], done["settings"]["buckets"]
    assert bin(most).count("1") == 1
    assert buckets == rounded(most // sizes.get("load_factor", 1))
    share = sizes.get("memory_share", 0.05)
    assert share / 2.6 < done["memory"]["share"] <= share
    assert machine.now() == machine.with_first(**done["settings"])
    assert machine.settings(options)["changed"] is False
    with subprocess.Popen(["conntrack", "-E"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as listener:
        try:
            assert machine.settings(options)["changed"] is False
        finally:
            listener.terminate()
    machine.reset()


def test_holds_after_boot(machine):
    options = every_setting(machine)
    done = machine.settings(options)
    wanted = in_kernel(options)
    assert {name: int(found["value"]) for name, found in done["boot"].items() if name in wanted} == wanted
    for name in wanted:
        path, dummy, line = done["boot"][name]["source"].partition(":")
        key = machine.place(path).read_text().splitlines()[int(line) - 1].split()[0]
        assert key in (BY_NAME[name].key, "net.nf_conntrack_" + name)
    for argv in loaders():
        machine.forget()
        machine.command(*argv, OURS)
        assert machine.now() == wanted, argv


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_foreign_file_that_wins_at_boot_is_named(machine, text):
    machine.place("/etc/sysctl.d/zzz-site.conf").write_text(text)
    error = machine.refused("settings", document({"udp_timeout": 61}))
    assert "timeouts.udp_timeout: the next boot would give 77, not 61, because of /etc/sysctl.d/zzz-site.conf:2; remove that line" in error


def test_foreign_file_that_is_masked_does_not_matter(machine):
    machine.place("/run/sysctl.d/zzz-site.conf").write_text(FOREIGN["after_ours"])
    machine.place("/etc/sysctl.d/zzz-site.conf").symlink_to("/dev/null")
    done = machine.settings(document({"udp_timeout": 61}))
    assert done["boot"]["udp_timeout"] == {"value": 61, "source": OURS + ":2"}


def test_foreign_file_that_ours_overrides(machine):
    machine.place("/etc/sysctl.d/50-site.conf").write_text("net.netfilter.nf_conntrack_udp_timeout = 77\n")
    done = machine.settings(document({"udp_timeout": 61}))
    assert {(c["layer"], c["before"], c["after"]) for c in done["changes"] if c["name"] == "udp_timeout"} == {
        ("running", machine.first["udp_timeout"], 61), ("boot", 77, 61),
    }
    gone = machine.settings({"state": "absent"})
    assert gone["boot"]["udp_timeout"] == {"value": 77, "source": "/etc/sysctl.d/50-site.conf:1"}
    assert machine.now() == machine.first


@pytest.mark.parametrize("other", [ONE, TWO], ids=["same", "different"])
def test_two_runs_at_the_same_time(machine, other):
    runs = [machine.start("settings", options) for options in (ONE, other)]
    done = [machine.finish(process)["changed"] for process in runs]
    assert done in ([True, False], [False, True], [True, True])
    assert done.count(True) == 1 or other is TWO
    assert machine.now() in [machine.with_first(**in_kernel(options)) for options in (ONE, other)]
    assert JOURNAL not in machine.files()
    machine.reset()


def journal(machine):
    """When the journal was written, or None where there is none."""
    place = machine.place(JOURNAL)
    return place.stat().st_mtime_ns if place.exists() else None


def killed(machine, options, moment):
    """Kill a run so many seconds after it began to write; tell whether that left it half done."""
    before = journal(machine)
    process = machine.start("settings", options)
    while process.poll() is None and journal(machine) in (None, before):
        time.sleep(0.001)
    time.sleep(moment)
    process.kill()
    process.communicate()
    return journal(machine) is not None


def test_killed_at_any_moment(machine):
    """Each time twice, so that the run that puts things right is killed as well."""
    documents = (every_setting(machine), ONE)
    left = []
    for step in range(8):
        options = documents[step % 2]
        left += [killed(machine, options, 0.003 * step), killed(machine, options, random.uniform(0, 0.01))]
        assert machine.settings(options)["recovered"] is left[-1]
        assert machine.now() == (in_kernel(options) if step % 2 == 0 else machine.with_first(**in_kernel(options)))
        assert set(machine.files()) - set(machine.fresh) == {OURS, "/var/lib/netfleet-conntrack/settings.json"}
    assert any(left)
    machine.reset()

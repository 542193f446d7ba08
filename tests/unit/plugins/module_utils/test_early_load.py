# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part early_load on recorded hosts: what holds for all of them, and cases."""
import itertools

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _early_load, _initrd, _own, _unit
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._memo import FOLDER
from ansible_collections.netfleet.conntrack.plugins.module_utils._transaction import execute
from ansible_collections.netfleet.conntrack.plugins.module_utils._view import View
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded

PART = _early_load.PART
DEFAULTS = {name: row.get("default") for name, row in _early_load.spec().items()}
ABSENT = dict(DEFAULTS, state="absent")
PATH = {"interfaces": ["mgmt0", "vpn*"], "networks": ["192.0.2.0/24", "198.51.100.7", "2001:db8::/32"], "ports": [22, 8022, 8023]}
PATHS = (None, PATH, {"interfaces": ["mgmt0"]}, {"networks": ["192.0.2.0/24"]})
REQUESTS = [
    dict(DEFAULTS, module=module, hooks=hooks, backend=backend, initramfs=initramfs, at_boot=number % 5 != 3, management=PATHS[(number + number // 4) % 4])
    for number, (module, hooks, backend, initramfs) in enumerate(itertools.product((True, False), (True, False), ("auto", "iptables"), ("auto", "always")))
]
LOADED, UNLOADED, LIVE = "bookworm-6.1", "trixie-6.12-unloaded", "live-6.18"


def changed(name, folder, without=(), more=()):
    """A recorded host with other files."""
    found = recorded.document(name)
    found["files"] = {path: entry for path, entry in found["files"].items() if not path.endswith(tuple(without))}
    found["files"].update((path, {"dir": True}) for path in more)
    recorded.unpack(found["files"], str(folder / name))
    return recorded.Machine(str(folder / name), found)


def asked(**given):
    return dict(DEFAULTS, **given)


def run(host, request, check=False):
    del host.log[:]
    return execute(host, PART, request, check)


def planned(host, request):
    return PART.plan(PART.read(View(host), request), request)


def refused(host, request):
    before = recorded.snapshot(host)
    if not planned(host, request).refusals:
        return False
    with pytest.raises(ConntrackError):
        run(host, request)
    assert (recorded.snapshot(host), host.log) == (before, [])
    return True


def holds(host, request):
    before = recorded.snapshot(host)
    announced = run(host, request, check=True)
    assert (recorded.snapshot(host), host.log) == (before, [])
    made = run(host, request)
    assert (made["changes"], made["diff"], made["changed"]) == (announced["changes"], announced["diff"], announced["changed"])
    again = run(host, request)
    assert (again["changed"], again["changes"], host.log) == (False, [], [])


@pytest.mark.parametrize("name", recorded.names())
def test_whatever_is_asked_of_a_recorded_host(name, tmp_path):
    host = recorded.machine(name, tmp_path)
    before = recorded.settled(host)
    for request in REQUESTS + REQUESTS[::-3]:
        if not refused(host, request):
            holds(host, request)
    if not refused(host, ABSENT):
        holds(host, ABSENT)
    assert recorded.settled(host) == before
    assert not (any(map(host.has_rules, recorded.MODULES_OF)) or host.enabled(_unit.NAME) or host.exists(FOLDER) or host.exists(_unit.FOLDER))


def test_everything_is_there(tmp_path):
    host = recorded.machine(UNLOADED, tmp_path)
    done = run(host, DEFAULTS)
    assert [(c["name"], c["layer"], c["before"], c["after"]) for c in done["changes"]] == [
        ("nf_conntrack", "running", "not loaded", "loaded"),
        ("hooks", "running", "absent", "present"),
        (_own.MODULES_LOAD, "boot", "absent", "current"),
        (_unit.FOLDER + "/hooks.nft", "boot", "absent", "current"),
        (_unit.LOADER, "boot", "absent", "current"),
        (_unit.UNIT, "boot", "absent", "current"),
        (_unit.NAME, "boot", "disabled", "enabled"),
    ]
    assert host.has_rules("nft") and set(host.enabled(_unit.NAME)) == set(_unit.WANTED_BY)
    assert (done["tracking"]["ipv4"], done["tracking"]["ipv6"]) == ("yes", "yes")
    assert done["loaded_by"].startswith(_own.MODULES_LOAD)


def test_the_unit_is_read_before_it_is_enabled_and_started_last(tmp_path):
    host = recorded.machine(LOADED, tmp_path)
    run(host, DEFAULTS)
    commands = [target for what, target in host.log if what == "run"]
    assert commands == ["nft -f -", "systemctl daemon-reload", "systemctl enable " + _unit.NAME, "systemctl restart " + _unit.NAME]


# What is asked, host: which of our files are there
FILES = {
    "built in": (asked(), LIVE, {_unit.UNIT, _unit.LOADER, _unit.FOLDER + "/hooks.nft"}),
    "no module": (asked(module=False), LOADED, {_unit.UNIT, _unit.LOADER, _unit.FOLDER + "/hooks.nft"}),
    "no hooks": (asked(hooks=False), LOADED, {_own.MODULES_LOAD}),
    "iptables": (asked(backend="iptables"), LOADED, {_own.MODULES_LOAD, _unit.UNIT, _unit.LOADER, _unit.FOLDER + "/hooks.v4", _unit.FOLDER + "/hooks.v6"}),
    "from the initramfs on": (asked(hooks=False, initramfs="always"), LOADED, {_own.MODULES_LOAD, _initrd.HOOK}),
    "nothing": (asked(hooks=False, module=False), LOADED, set()),
}


@pytest.mark.parametrize("name", sorted(FILES))
def test_files(name, tmp_path):
    request, host, expected = FILES[name]
    found = planned(changed(host, tmp_path, more=["/run/systemd/system"]), request)
    assert found.refusals == ()
    assert {path for path, dummy, text in found.files if text} == expected


# What is asked, host, files that it has not: what the refusal says
REFUSALS = {
    "no systemd": (asked(), LOADED, ["/run/systemd/system"],
                   "at_boot: rules are loaded at boot by a systemd unit, and this host does not run systemd; say at_boot: false"),
    "no nft": (asked(backend="nftables"), LOADED, ["/usr/sbin/nft"],
               "backend: nftables needs nft, which is not installed; install it, or say hooks: false"),
    "no iptables": (asked(backend="iptables"), LOADED, ["/usr/sbin/iptables-restore", "/usr/sbin/ip6tables-restore"],
                    "backend: iptables needs iptables-restore and ip6tables-restore, which is not installed; install it, or say hooks: false"),
    "no initramfs-tools": (asked(initramfs="always"), LOADED, ["/usr/sbin/update-initramfs"],
                           "initramfs: neither update-initramfs nor dracut is installed; say initramfs: never"),
    "no module": (asked(), UNLOADED, ["modules.dep"], "there is no connection tracking in kernel "),
}


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_refusal(name, tmp_path):
    request, host, missing, text = REFUSALS[name]
    refusal, = planned(changed(host, tmp_path, without=missing), request).refusals
    assert refusal.startswith(text)


def test_not_root(tmp_path):
    host = recorded.machine(LOADED, tmp_path)
    host.uid = 1000
    for request in (DEFAULTS, ABSENT):
        assert planned(host, request).refusals == ("this needs root; run it with become: true",)


def test_without_nft_iptables_serves(tmp_path):
    host = changed(LOADED, tmp_path, without=["/nft"])
    run(host, DEFAULTS)
    assert host.has_rules("iptables") and not host.has_rules("nft")


def test_a_rule_that_somebody_took_away_comes_back(tmp_path):
    host = recorded.machine(LOADED, tmp_path)
    run(host, DEFAULTS)
    host.run(["nft", "flush", "ruleset"])
    done = run(host, DEFAULTS)
    assert [(c["name"], c["after"]) for c in done["changes"]] == [("hooks", "present")] and host.has_rules("nft")


def test_another_management_path_is_loaded_at_once_and_only_then_for_the_boot(tmp_path):
    host = recorded.machine(LOADED, tmp_path)
    run(host, DEFAULTS)
    done = run(host, asked(management=PATH))
    assert [(c["name"], c["layer"], c["before"]) for c in done["changes"]] == [
        ("management", "running", None), (_unit.FOLDER + "/hooks.nft", "boot", "outdated")]
    assert [target for what, target in host.log if what == "run"] == ["nft -f -", "systemctl restart " + _unit.NAME]
    assert "notrack" in done["changes"][0]["after"] and done["management"] == "untracked"
    (change,) = [c for c in run(host, DEFAULTS)["changes"] if c["layer"] == "running"]
    assert change["before"] == done["changes"][0]["after"] and change["after"] is None


def test_not_at_boot(tmp_path):
    host = changed(LOADED, tmp_path, without=["/run/systemd/system"])
    before = recorded.settled(host)
    done = run(host, asked(management=PATH, at_boot=False))
    assert {c["layer"] for c in done["changes"]} == {"running"} and host.has_rules("nft")
    assert set(recorded.settled(host)) - set(before) == {FOLDER + "/early_load.json"}
    run(host, ABSENT)
    assert recorded.settled(host) == before and not host.has_rules("nft")


def test_another_network_namespace(tmp_path):
    host = recorded.machine("bookworm-6.1-netns", tmp_path)
    before = recorded.settled(host)
    assert planned(host, asked()).refusals == ("at_boot: the next boot sets up another network namespace than this one; say at_boot: false",)
    assert {c["layer"] for c in run(host, asked(at_boot=False))["changes"]} == {"running"}
    run(host, ABSENT)
    assert recorded.settled(host) == before


def test_every_fault_of_the_option_is_told_at_once(tmp_path):
    wrong = planned(recorded.machine(LOADED, tmp_path), asked(management={"interfaces": ["lo"], "ports": [0]}, initramfs="always")).refusals
    assert [text.split(":")[0] for text in wrong] == ["management.interfaces", "management.ports"]


def test_a_unit_that_somebody_disabled_is_enabled(tmp_path):
    host = recorded.machine(LOADED, tmp_path)
    run(host, DEFAULTS)
    host.run(["systemctl", "disable", _unit.NAME])
    done = run(host, DEFAULTS)
    assert [(c["name"], c["after"]) for c in done["changes"]] == [(_unit.NAME, "enabled")]


@pytest.mark.parametrize("half", [False, True], ids=["at once", "having done half"])
def test_a_unit_that_fails_is_undone(half, tmp_path):
    class Broken(recorded.Machine):
        def _run_systemctl(self, argv):
            if "restart" not in argv or half:
                super()._run_systemctl(argv)
            return (1, "", "Job failed.") if "restart" in argv else (0, "", "")

    host = recorded.machine(LOADED, tmp_path, Broken)
    before = recorded.settled(host)
    with pytest.raises(ConntrackError, match="Job failed.; everything is as it was before"):
        run(host, DEFAULTS)
    assert recorded.settled(host) == before
    assert not host.has_rules("nft") and not host.enabled(_unit.NAME)

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SNAT rules and the files that load them at boot: recorded hosts with systemd, whose rules are those of a real network namespace.

The files, the unit and early_load are the recorded host's; nft, iptables and what the unit runs are this machine's own programs.
"""

import os
import re
import signal
import subprocess
import uuid

import pytest
from conftest import command

from ansible_collections.netfleet.conntrack.plugins.module_utils import _early_load, _snat, _unit
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._transaction import execute
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded

HOST = "bookworm-6.1"
LAN = {"name": "lan", "out_interface": "wan*", "source": ["10.16.1.0/24"], "to": "masquerade", "port_selection": "random_fully"}
SIX = {"name": "six", "source": ["fd00::/64"], "to": "2001:db8::1"}
ABSENT = {"state": "absent"}
PROGRAMS = re.compile(r"nft|ip6?tables(-nft|-legacy)?(-save|-restore)?")
FOREIGN = {"nftables": None, "iptables": ["iptables", "-t", "nat", "-A", "POSTROUTING", "-s", "198.51.100.0/24", "-j", "MASQUERADE"]}


class Router(recorded.Machine):
    """A recorded host whose rules are those of the network namespace ``netns``."""

    netns = None
    left = None  # moments until it is killed

    def moment(self, what, target):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def program(self, name):
        return "/usr/sbin/" + name if PROGRAMS.fullmatch(name) else super().program(name)

    def real(self, argv, data=None):
        done = subprocess.run(["ip", "netns", "exec", self.netns, *argv], input=data, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def command(self, argv, data):
        name = os.path.basename(argv[0])
        if not PROGRAMS.fullmatch(name):
            return super().command(argv, data)
        if data is None:
            return self.real([name] + argv[1:])
        return self._around("run", " ".join(argv), lambda: self.real([name] + argv[1:], data))

    def _run_systemctl(self, argv):
        found = super()._run_systemctl(argv)
        return self.boot() if "restart" in argv else found

    def boot(self):
        """Run what the unit runs."""
        if not self.exists(_unit.LOADER):
            return 1, "", "there is no %s" % _unit.LOADER
        return self.real(["sh"], self.read(_unit.LOADER).replace(_unit.FOLDER, self.root + _unit.FOLDER))

    def rules(self):
        saves = ("iptables-save", "ip6tables-save")
        texts = [self.real(["nft", "-s", "list", "ruleset"])[1]] + [self.real([save, "-t", "nat"])[1] for save in saves]
        return sorted(line for text in texts for line in text.splitlines() if not line.startswith(("#", ":")))

    def ours(self):
        return [line for line in self.rules() if "fully" in line or "2001:db8" in line or "-j NETFLEET" in line]


@pytest.fixture(params=sorted(FOREIGN))
def backend(request):
    return request.param


@pytest.fixture
def network():
    """Makes network namespaces."""
    made = []

    def make():
        made.append("netfleet-" + uuid.uuid4().hex[:12])
        command("ip", "netns", "add", made[-1])
        return made[-1]

    yield make
    for name in made:
        command("ip", "netns", "del", name)


def router(folder, netns, backend):
    host = recorded.machine(HOST, folder, Router)
    host.netns = netns
    os.makedirs(host.root + "/sys/module/nf_tables", exist_ok=True)
    host.real(FOREIGN[backend] or ["true"])
    return host


def run(host, rules, check=False, part=_snat.PART, **more):
    return execute(host, part, dict({"rules": rules, "backend": "auto"}, **more), check)


def test_a_boot_gives_the_rules_back(tmp_path, network, backend):
    host = router(tmp_path, network(), backend)
    run(host, [LAN, SIX])
    ours = host.ours()
    assert len(ours) > 1 and set(host.enabled(_unit.NAME)) == set(_unit.WANTED_BY)
    host.netns = network()
    host.real(FOREIGN[backend] or ["true"])
    for dummy in range(2):  # at boot, and again after a firewall service
        assert host.boot()[0] == 0
        assert host.ours() == ours
    assert not run(host, [LAN, SIX])["changed"]


class WithoutNft(Router):
    """A host on which nft is not installed, though today's iptables is."""

    def program(self, name):
        return None if name == "nft" else super().program(name)

    def command(self, argv, data):
        assert os.path.basename(argv[0]) != "nft"
        return super().command(argv, data)


def test_iptables_without_nft(tmp_path, network):
    host = recorded.again(router(tmp_path, network(), "nftables"), WithoutNft)
    host.netns = network()
    assert not run(host, [], state="absent")["changed"]
    done = run(host, [LAN])
    ours = host.ours()
    assert done["backend"] == "iptables-nft" and ours
    assert not run(host, [LAN])["changed"]
    assert host.boot()[0] == 0 and host.ours() == ours
    with pytest.raises(ConntrackError, match="nftables needs nft"):
        run(host, [LAN], backend="nftables")


def test_the_jump_is_first_again(tmp_path, network):
    host = router(tmp_path, network(), "iptables")
    run(host, [LAN])
    host.real(["iptables", "-t", "nat", "-I", "POSTROUTING", "-s", "10.16.1.0/24", "-j", "ACCEPT"])
    assert host.boot()[0] == 0
    assert host.real(["iptables", "-t", "nat", "-S", "POSTROUTING", "1"])[1] == "-A POSTROUTING -j NETFLEET_SNAT\n"


def test_one_file_that_cannot_be_loaded_does_not_keep_the_others_away(tmp_path, network):
    host = router(tmp_path, network(), "nftables")
    run(host, [LAN])
    run(host, (), part=_early_load.PART)
    host.overwrite(_unit.FOLDER + "/hooks.nft", "this is no rule\n")
    host.real(["nft", "flush", "ruleset"])
    status, dummy, errors = host.boot()
    assert (status, "this is no rule" in errors, len(host.ours())) == (1, True, 1)


@pytest.mark.parametrize("last", [_early_load.PART, _snat.PART], ids=lambda part: part.name)
def test_the_unit_stays_while_a_part_wants_it(tmp_path, network, last):
    host = router(tmp_path, network(), "nftables")
    before = recorded.settled(host)
    run(host, [LAN])
    run(host, (), part=_early_load.PART)
    first = _snat.PART if last is _early_load.PART else _early_load.PART
    assert not run(host, [LAN])["changed"] and not run(host, (), part=_early_load.PART)["changed"]
    execute(host, first, dict(ABSENT, rules=[]), False)
    assert host.enabled(_unit.NAME) and host.exists(_unit.LOADER)
    execute(host, last, dict(ABSENT, rules=[]), False)
    assert not host.enabled(_unit.NAME) and recorded.settled(host) == before


def killed(host, rules, left):
    """Run in another process, which kills itself at a moment; whether it came to that."""
    host.left = left
    child = os.fork()
    if child == 0:
        try:
            run(host, rules)
        finally:
            os._exit(0)
    host.left = None
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def test_killed_at_every_moment(tmp_path, network, backend):
    """The next run puts it right, whatever it is asked for."""
    left = 0
    while True:
        host = router(tmp_path / str(left), network(), backend)
        before, fresh = host.rules(), recorded.settled(host)
        run(host, [LAN])
        if not killed(host, [SIX, LAN], left):
            break
        planned, done = run(host, [SIX, LAN], check=True), run(host, [SIX, LAN])
        assert done["changes"] == planned["changes"], left
        assert not run(host, [SIX, LAN])["changed"] and len(host.ours()) >= 2, left
        run(host, [], state="absent")
        assert recorded.settled(host) == fresh, left
        assert set(host.rules()) - set(before) <= EMPTY, left
        left += 1
    assert left > 10


# What the programs of iptables leave of a table that has been used.
EMPTY = {"*nat", "COMMIT"} | {line for family in ("ip", "ip6") for line in ("table %s nat {" % family,)} | {
    "\tchain POSTROUTING {", "\t\ttype nat hook postrouting priority srcnat; policy accept;", "\t}", "}"}

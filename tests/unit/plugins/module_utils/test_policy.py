# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole document: generated pairs of a recorded host and a policy, and the laws of doing all parts at once."""
import os
import random
import tempfile

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import BOOT, RUNNING, Change, ConntrackError, Plan, Step, together
from ansible_collections.netfleet.conntrack.plugins.module_utils._memo import FOLDER
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import policies, recorded
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.share import half

SEEDS = range(24)  # with 10 hosts 240 pairs, half of them on either Python, beside 60 on the real kernel (tests/integration/test_policy.py)
SYSCTLS = ("net.netfilter.nf_conntrack_udp_timeout", "net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_acct", "vm.swappiness")
NUMBERS = (1, 77, 65536)
FOREIGN = ("/etc/sysctl.d/50-site.conf", "/etc/sysctl.d/zzz-site.conf", "/etc/sysctl.conf")


def meddle(host, dice):
    """What others have on a host: files that a boot reads, and values of now."""
    for path in dice.sample(FOREIGN, dice.randint(0, 2)):
        text = "# site\n%s = %d\n" % (dice.choice(SYSCTLS), dice.choice(NUMBERS))
        host.overwrite(path, text)
    for name in dice.sample(("icmp_timeout", "udp_timeout", "acct"), dice.randint(0, 2)):
        path = recorded.NETFILTER + "nf_conntrack_" + name
        if host.exists(path):
            host.overwrite(path, "1\n" if name == "acct" else "%d\n" % dice.randint(1, 100))


def everything(host):
    return recorded.snapshot(host), [host.loaded(program) for program in recorded.MODULES_OF]


def went_back(found, fresh):
    """Where the module was not loaded before, values are those that a boot gives: the kernel's, or those of a file of others."""
    return found.keys() == fresh.keys() and all(value == fresh[name] or int(value) in NUMBERS for name, value in found.items())


@pytest.fixture(name="memory")
def _memory(tmp_path):
    """A folder in memory, where there is one: thousands of files are synced to it."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else str(tmp_path)) as place:
        yield place


@pytest.mark.parametrize("seed", half(SEEDS))
@pytest.mark.parametrize("name", recorded.names())
def test_what_is_announced_is_done(name, seed, memory):
    host, dice = recorded.machine(name, memory), random.Random("%s %d" % (name, seed))
    meddle(host, dice)
    origin, values = recorded.settled(host), (host.values(), recorded.fresh_values(host, memory))
    documents = policies.Documents("%s %d" % (name, seed), host, at_boot="netns" not in name)
    for dummy in range(dice.randint(0, 2)):
        policies.tried(host, documents.document())
    policies.announced_is_done(host, documents.document(), lambda: everything(host))
    policies.run(host, policies.ABSENT)
    assert recorded.settled(host) == origin
    assert host.values() == values[0] or went_back(host.values(), values[1])
    assert not host.exists(FOLDER) and not any(host.has_rules(program) for program in recorded.MODULES_OF)


def test_most_documents_that_are_tried_are_carried_out(tmp_path):
    found = []
    for name in recorded.names():
        host = recorded.machine(name, tmp_path)
        for seed in range(0, len(SEEDS), 6):
            document = policies.Documents("%s %d" % (name, seed), host, at_boot="netns" not in name).document()
            found.append(isinstance(policies.tried(host, document, check=True), dict))
    assert found.count(True) > len(found) / 3
    assert found.count(False) > len(found) / 20


# What is wrong

LOADED, LIVE = "bookworm-6.1", "live-6.18"


def error(host, document):
    with pytest.raises(ConntrackError) as found:
        policies.run(host, document)
    return str(found.value)


def test_everything_that_is_wrong_is_said_at_once_and_where(tmp_path):
    host = recorded.machine(LIVE, tmp_path)
    document = {"timeouts": {"udp_timeout": 0}, "table": {"max": "many"}, "early_load": {"backend": "nftables", "initramfs": "always"},
                "management": {"interfaces": ["eth0"], "ports": [0]},
                "snat": {"rules": [dict(policies.RULES[0], to="nowhere"), dict(policies.RULES[0], source=["10.0.0.1/8"])]}}
    before = everything(host)
    text = error(host, document)
    for place in ("timeouts.udp_timeout: ", "table.max: ", "management.ports: ", "snat.rules[0].to: ", "snat.rules[1].source: ", "snat.rules[1].name: "):
        assert place in text, (place, text)
    assert everything(host) == before


@pytest.mark.parametrize("place", sorted(policies.WRONG))
def test_a_fault_is_told_by_its_place_in_the_document(place, tmp_path):
    host = recorded.machine(LOADED, tmp_path)
    if place.startswith("early_load"):
        host.program = lambda name: None if name.startswith("ip") else "/usr/sbin/" + name
    text = error(host, policies.WRONG[place])
    assert place in text or place == "unsupported" and "no such option" in text, text


# All parts in one plan

def plan(*steps, **more):
    return Plan(steps=steps, **more)


ONE, TWO, THREE = (Step("file", "/etc/%d" % number, "text\n") for number in range(3))
FIRST, SECOND = Step("run", "reading", ["reload"]), Step("run", "other", ["restart"])
TOGETHER = {
    "one plan is as it is": ([(ONE, FIRST, ONE)], (ONE, FIRST, ONE)),
    "in the order of the parts": ([(ONE,), (TWO,)], (ONE, TWO)),
    "what two want is done once, at its first place": ([(ONE, TWO), (ONE, THREE)], (ONE, TWO, THREE)),
    "a program reads after the last file": ([(ONE, FIRST), (TWO, FIRST)], (ONE, TWO, FIRST)),
    "what one plan does twice is done twice": ([(ONE, TWO, ONE)], (ONE, TWO, ONE)),
    "also beside another": ([(ONE, TWO, ONE), (THREE, ONE)], (ONE, TWO, ONE, THREE)),
    "another program keeps its place": ([(ONE, SECOND), (TWO, FIRST)], (ONE, SECOND, TWO, FIRST)),
    "the same file with another text is another step": ([(ONE,), (ONE._replace(value=None),)], (ONE, ONE._replace(value=None))),
}


@pytest.mark.parametrize("name", sorted(TOGETHER))
def test_steps_of_several_parts(name):
    plans, expected = TOGETHER[name]
    for field in ("steps", "boot_steps"):
        assert getattr(together([Plan(**{field: steps}) for steps in plans]), field) == expected


def test_what_two_parts_say_is_said_once():
    change = Change("one", "nf_conntrack", RUNNING, "not loaded", "loaded")
    plans = [Plan(changes=(change,), warnings=("w",), refusals=("r",), files=(("/etc/1", None, "t"),), namespace="-net-1"),
             Plan(changes=(change._replace(part="two"), change._replace(layer=BOOT)), warnings=("w", "x"), refusals=("r",), files=(("/etc/1", None, "t"),))]
    found = together(plans)
    assert found.changes == (change, change._replace(layer=BOOT))
    assert (found.warnings, found.refusals, found.files, found.namespace) == (("w", "x"), ("r",), (("/etc/1", None, "t"),), "-net-1")


def test_everything_runs_before_anything_is_written_for_the_boot(tmp_path):
    host = recorded.machine(LOADED, tmp_path)
    del host.log[:]
    policies.run(host, {"timeouts": {"icmp_timeout": 60}, "early_load": {}})
    kinds = [what for what, target in host.log if "/etc/" in target or what == "value"]
    assert "value" in kinds and "replace" in kinds
    assert max(place for place, what in enumerate(kinds) if what == "value") < kinds.index("replace")

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole documents for C(policy) made at random from a seed, and what holds of every one of them on every host."""
import random

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError

from ansible_collections.netfleet.conntrack.plugins.module_utils import _policy, _profiles, _settings, _spec
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._transaction import execute
from ansible_collections.netfleet.conntrack.plugins.module_utils._view import View
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.requests import Dice

SPEC = ArgumentSpecValidator(_policy.spec())
ABSENT = {"state": "absent"}
RULES = [
    {"name": "lan", "out_interface": "wan*", "source": ["10.16.1.0/24", "10.17.0.0/16"], "to": "masquerade", "port_selection": "random_fully"},
    {"name": "inside", "destination": ["10.0.0.0/8"], "to": "exempt"},
    {"name": "dns", "protocol": ["udp"], "destination_ports": ["53"], "source": ["10.18.0.0/16"], "to": "192.0.2.1-192.0.2.9", "persistent": True},
    {"name": "vpn", "mark": "0x10/0xff", "protocol": ["tcp", "udp"], "to": "192.0.2.1", "ports": "1024-65535"},
    {"name": "six", "source": ["fd00::/64"], "to": "2001:db8::1", "comment": "a 'comment'"},
]
PATHS = [
    {"interfaces": ["mgmt0"]},
    {"networks": ["192.0.2.0/24", "2001:db8::/64"], "ports": [22, 443]},
    {"interfaces": ["mgmt*", "eth9"], "networks": ["198.51.100.7"], "ports": [22]},
]
# What is wrong with a document -> where the complaint says that it is.
WRONG = {
    "early_load.backend: ": {"early_load": {"backend": "iptables"}},  # where it is not installed
    "snat.rules[0].to: ": {"snat": {"rules": [dict(RULES[0], to="nowhere")]}},
    "snat.rules[1].source: ": {"snat": {"rules": [RULES[1], dict(RULES[0], source=["10.0.0.1/8"])]}},
    "management.ports: ": {"management": {"interfaces": ["eth0"], "ports": [0]}},
    "timeouts.udp_timeout: ": {"timeouts": {"udp_timeout": 0}},
    "table.max: ": {"table": {"max": "many"}},
    "unsupported": {"timeouts": {"no_such": 1}},
    "value of profile must be one of": {"profile": "palace"},
}


def request(document):
    """A document as the module's frame hands it over, and what that finds wrong with it."""
    found = SPEC.validate(document)
    faults = ["no such option" if isinstance(error, UnsupportedError) else error.msg for error in found.errors or ()]
    return found.validated_parameters, tuple(faults)


def run(host, document, check=False):
    options, faults = request(document)
    return execute(host, _policy.PART, options, check, faults)


def tried(host, document, check=False):
    """What comes of a run: its result, or its error."""
    try:
        return run(host, document, check)
    except ConntrackError as error:
        return str(error)


class Documents:
    """Random documents; ``snat``: the host knows what the rules of SNAT are made of. Some of them are nonsense."""

    def __init__(self, seed, host, snat=False, at_boot=True):
        self.random = random.Random(seed)
        self.dice = Dice(seed, host, _settings.PART.read(View(host), {}), bad=0.05)
        self.snat, self.at_boot = snat, at_boot

    def document(self):
        if self.random.random() < 0.08:
            return ABSENT
        asked = self.dice.request()
        found = {group: _given(asked[group]) for group in _spec.GROUPS if asked[group]}
        found["at_boot"] = self.at_boot and self.random.random() < 0.8
        for name, chance in (("profile", 0.25), ("early_load", 0.5), ("management", 0.3), ("snat", 0.7 if self.snat else 0.15)):
            if self.random.random() < chance:
                found[name] = getattr(self, "_" + name)()
        if self.random.random() < 0.12:
            found.update(WRONG[self.random.choice(sorted(WRONG))])
        return found

    def _profile(self):
        return self.random.choice([profile.name for profile in _profiles.PROFILES])

    def _early_load(self):
        pick = self.random.choice
        found = {"module": pick([True, False]), "hooks": pick([True, True, False]), "initramfs": pick(["auto", "never", "always"])}
        return dict(found, backend=pick(["auto", "nftables", "iptables"])) if self.random.random() < 0.4 else found

    def _management(self):
        return self.random.choice(PATHS)

    def _snat(self):
        found = {"rules": self.random.sample(RULES, self.random.randint(0, len(RULES))) if self.snat else []}
        return dict(found, foreign=self.random.choice(["leave", "report"]), backend=self.random.choice(["auto", "nftables", "iptables"]))


def _given(section):
    return {name: value for name, value in section.items() if value is not None}


SAME = ("changed", "changes", "withheld", "diff", "policy", "awaits_confirmation", "memory", "boot")


def announced_is_done(host, document, everything):
    """A check run says what the run does, or why it does nothing; then there is nothing to do. Return whether it did something.

    ``everything`` (): the whole state of the host.
    """
    before = everything()
    announced = tried(host, document, check=True)
    assert everything() == before
    made = tried(host, document)
    if isinstance(announced, str) or isinstance(made, str):
        assert made == announced
        assert everything() == before
        return False
    for key in SAME:
        assert made[key] == announced[key] or key == "boot", key
    again = tried(host, document)
    assert (again["changed"], again["changes"], again["withheld"], again["diff"], again["recovered"]) == (False, [], [], [], False)
    if document is not ABSENT:
        told = run(host, again["policy"])
        assert (told["changes"], told["policy"]) == ([], again["policy"]), "what is returned is what applies"
    return made["changed"]

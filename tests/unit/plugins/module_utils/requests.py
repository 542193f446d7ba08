# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests for C(settings): as users write them, and made at random from a seed."""
import random

from ansible_collections.netfleet.conntrack.plugins.module_utils import _spec
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import settable

BAD_SECONDS = (0, -1, 2 ** 31)
BAD_SIZES = ("0", "-5", "many", "0x10", str(2 ** 31))


def options(**given):
    """Options as AnsibleModule hands them over: every sub-option is there, most of them None."""
    found = {group: _complete(group, given.pop(group)) for group in _spec.GROUPS if group in given}
    return dict({"at_boot": True, "state": "present", "table": None, "timeouts": None, "tracking": None}, **dict(found, **given))


def _complete(group, given):
    rows = _spec.group_spec(group)
    unknown = set(given) - set(rows)
    assert not unknown, "no such option: %s" % unknown
    return {name: given.get(name, row.get("default")) for name, row in rows.items()}


ABSENT = options(state="absent")


class Dice:
    """Random requests that a host can carry out, and, now and then, some that it cannot."""

    def __init__(self, seed, host, state, bad=0.1):
        self.random = random.Random(seed)
        self.host = host
        self.state = state
        self.bad = bad

    def request(self):
        found = {}
        for group in _spec.GROUPS:
            if self.random.random() < 0.7:
                found[group] = getattr(self, "_" + group)()
        return options(at_boot=self.state.kernel.boots and self.random.random() < 0.8, **found)

    def _spoilt(self):
        return self.random.random() < self.bad / 3

    def _table(self):
        if not self.state.kernel.initial:
            return {}
        found = {"max": self._max()}
        if self.random.random() < 0.5:
            number = int(found["max"]) if found["max"].isdigit() else 65536
            found["buckets"] = self.random.choice(["auto", str(max(1, number // self.random.choice([1, 2, 3, 4, 7])))])
        for name in ("expect_max", "expect_hashsize"):
            if self.random.random() < 0.3 and not (name == "expect_hashsize" and self.state.kernel.builtin):
                found[name] = self.random.choice(["auto", "1", "4096", "10000"])
        if self.random.random() < 0.3:
            found["load_factor"] = self.random.choice([0.125, 0.5, 0.3, 1.0, 2.0, 8.0])
        found["memory_share"] = self.random.choice([0.05, 0.2, 0.5])
        found["never_lower"] = self.random.random() < 0.2
        if self._spoilt():
            found[self.random.choice(["max", "buckets", "expect_max"])] = self.random.choice(BAD_SIZES)
        return found

    def _max(self):
        return self.random.choice(["auto", "512", "10000", "65536", "131072", "262144", str(self.random.randint(512, 300000))])

    def _pick(self, group):
        known = [s for s in settable(group) if self.host.has(s) or self._lacking()]
        return self.random.sample(known, self.random.randint(0, len(known)))

    def _lacking(self):
        # What a kernel lacks is known beforehand only while its module is loaded.
        return self.state.kernel.available and self._spoilt()

    def _timeouts(self):
        found = {}
        for setting in self._pick("timeouts"):
            found[setting.name] = self.random.choice([1, 30, 120, 7440, setting.bounds[1], self.random.randint(1, 100000)])
            if self._spoilt():
                found[setting.name] = self.random.choice(BAD_SECONDS)
        return found

    def _tracking(self):
        return {s.name: self._value(s) for s in self._pick("tracking")}

    def _value(self, setting):
        if setting.type == "bool":
            return self.random.random() < 0.5
        if setting.name.startswith("frag6"):
            return self.random.randint(1, 2000000) + 2000000 * ("high" in setting.name)
        return self.random.randint(setting.bounds[0], min(setting.bounds[1], 255))

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that are ours: what they hold, and that a boot reads from them what was put in."""
import itertools

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _modprobed, _modulesload, _own, _settings, _sysctld, _udev
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import ALIASES, BY_KEY, CATALOGUE
from ansible_collections.netfleet.conntrack.plugins.module_utils._dropins import File

PROGRAM = "/usr/lib/systemd/systemd-sysctl"
VALUES = {"buckets": 131072, "max": 524288, "expect_hashsize": 512, "tcp_timeout_established": 86400, "acct": 1}
FILES = {
    _own.MODPROBE: "# %s\noptions nf_conntrack hashsize=131072 expect_hashsize=512\n",
    _own.MODULES_LOAD: "# %s\nnf_conntrack\n",
    _own.SYSCTL: "# %s\n"
                 "net.netfilter.nf_conntrack_buckets = 131072\n"
                 "net.netfilter.nf_conntrack_max = 524288\n"
                 "net.netfilter.nf_conntrack_tcp_timeout_established = 86400\n"
                 "net.netfilter.nf_conntrack_acct = 1\n"
                 "net.nf_conntrack_max = 524288\n",
}


def files(values, builtin=False, others=False):
    return _own.settings_files(values, builtin, PROGRAM, others)


@pytest.mark.parametrize("path", sorted(FILES))
def test_text(path):
    assert files(VALUES)[path] == FILES[path] % _own.HEADER


def test_the_rule_of_udev_applies_our_sysctls_when_the_module_appears():
    text = files(VALUES)[_own.UDEV]
    command, = _udev.find([File(_own.UDEV, text)])
    assert text.startswith("# " + _own.HEADER)
    assert (command.program, command.prefixes) == ("systemd-sysctl", ("/net/netfilter", "/net/nf_conntrack_max"))
    assert PROGRAM in text


def test_whatever_is_written_is_read_back():
    every = {s.name: s.bounds[1] for s in CATALOGUE if s.access != "ro"}
    found = files(every)
    sysctls = {write.key: int(write.value) for write in _sysctld.effective([File(_own.SYSCTL, found[_own.SYSCTL])], frozenset(BY_KEY) | set(ALIASES))}
    assert sysctls == dict({s.key: every[s.name] for s in CATALOGUE if s.key and s.access != "ro"}, **{a: every[n] for a, n in ALIASES.items()})
    parameters = _modprobed.parameters(_modprobed.parse_all([File(_own.MODPROBE, found[_own.MODPROBE])]))
    assert {p.name: int(p.value) for p in parameters} == {"hashsize": every["buckets"], "expect_hashsize": every["expect_hashsize"]}
    assert [entry.module for entry in _modulesload.parse(found[_own.MODULES_LOAD])] == ["nf_conntrack"]


# values, built in, another part wants the module: which files there are
NEEDED = {
    "all": (VALUES, False, False, {_own.MODPROBE, _own.MODULES_LOAD, _own.UDEV, _own.SYSCTL}),
    "no hash size": ({"acct": 1}, False, False, {_own.MODULES_LOAD, _own.UDEV, _own.SYSCTL}),
    "parameters only": ({"expect_hashsize": 512}, False, False, {_own.MODPROBE, _own.MODULES_LOAD}),
    "built in": (VALUES, True, False, {_own.SYSCTL}),
    "nothing": ({}, False, False, set()),
    "nothing, but for others": ({}, False, True, {_own.MODULES_LOAD}),
}


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_a_file_is_there_where_it_is_needed(name):
    values, builtin, others, expected = NEEDED[name]
    found = files(values, builtin, others)
    assert set(found) == set(_settings.OWN)
    assert {path for path, text in found.items() if text is not None} == expected


def test_the_text_depends_on_the_values_only():
    for order in itertools.permutations(sorted(VALUES), 3):
        values = {name: VALUES[name] for name in order}
        assert files(values) == files(dict(values))


@pytest.mark.parametrize("there, program", [
    ((PROGRAM, "/lib/systemd/systemd-sysctl"), PROGRAM), (("/lib/systemd/systemd-sysctl",), "/lib/systemd/systemd-sysctl"), ((), "/sbin/sysctl"),
], ids=["merged /usr", "split /usr", "no systemd"])
def test_what_udev_runs(there, program):
    assert _own.sysctl_program(there.__contains__) == program

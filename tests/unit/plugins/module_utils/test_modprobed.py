# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of modprobe.d, as kmod reads them, and what nf_conntrack makes of its options."""
import random

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _modprobed
from ansible_collections.netfleet.conntrack.plugins.module_utils._modprobed import Line, Parameter, parameters, parse, render

LINES = {
    "options nf_conntrack hashsize=5": Line(1, "options", "nf_conntrack", "hashsize=5", "f"),
    "options\tnf-conntrack   hashsize=5 ": Line(1, "options", "nf_conntrack", "hashsize=5", "f"),
    "options nf_conntrack \\\nhashsize=5": Line(2, "options", "nf_conntrack", "hashsize=5", "f"),
    "install nf_conntrack /bin/true": Line(1, "install", "nf_conntrack", "/bin/true", "f"),
    "blacklist nf-conntrack": Line(1, "blacklist", "nf_conntrack", "", "f"),
    "alias ip-conntrack nf-conntrack": Line(1, "alias", "ip_conntrack", "nf_conntrack", "f"),
    "softdep nf_tables post: nf_conntrack": Line(1, "softdep", "nf_tables", "post: nf_conntrack", "f"),
    "remove nf_conntrack /bin/true": None,
    "options nf_conntrack": None,
    "install nf_conntrack": None,
    "# options nf_conntrack hashsize=5": None,
    "  # options nf_conntrack hashsize=5": None,
    "": None,
    "include /etc/x": None,
}


@pytest.mark.parametrize("text", sorted(LINES))
def test_line(text):
    assert parse(text, "f") == ([LINES[text]] if LINES[text] else [])


def test_what_is_rendered_is_parsed():
    chance = random.Random(3)
    for dummy in range(100):
        names = chance.sample(sorted(_modprobed.PARAMETERS), chance.randrange(1, 5))
        pairs = [(name, str(chance.randrange(1 << 20))) for name in names]
        found = parameters(parse(render("nf_conntrack", pairs, "Ours."), "f"))
        assert found == [Parameter(name, value, "f:2") for name, value in pairs]


def test_nothing_to_say_renders_no_line():
    assert parse(render("nf_conntrack", [], "Ours.")) == []


# The words of an options line: the problems with it, as (fatal, a piece of the text).
OPTIONS = {
    "hashsize=262144 acct=1 tstamp=y enable_hooks": [],
    "hashsize=0x10 acct=on": [],
    "hashsize = 262144": [(True, "hashsize has no value"), (False, '"="'), (False, '"262144"')],
    "hashsize= 262144": [(True, "blank after"), (False, '"262144"')],
    "hashsize =262144": [(True, "has no value"), (False, '"=262144"')],
    "hashsize=256k": [(True, "hashsize=256k is no number")],
    "hashsize=-1": [(True, "is no number")],
    "hashsize=08": [(True, "is no number")],
    "hashsize=4294967295": [(True, "more than any kernel")],
    "acct=2": [(True, "is no switch")],
    "hashsize=5 # comment": [(False, '"#"'), (False, '"comment"')],
    "nf_conntrack_max=5": [(False, "no parameter")],
}


@pytest.mark.parametrize("words", sorted(OPTIONS))
def test_problems(words):
    found = _modprobed.problems(parse("\noptions nf_conntrack " + words, "/etc/modprobe.d/ct.conf"))
    assert [(problem.fatal, problem.where) for problem in found] == [(fatal, "/etc/modprobe.d/ct.conf:2") for fatal, dummy in OPTIONS[words]]
    assert all(piece in str(problem) for problem, (dummy, piece) in zip(found, OPTIONS[words]))


def test_options_of_the_old_name_are_named():
    found = _modprobed.problems(parse("options ip_conntrack hashsize=5", "f"))
    assert [str(problem) for problem in found] == ["f:1: options of ip_conntrack do not reach nf_conntrack, which it is called today"]


def test_the_last_value_counts():
    found = parameters(parse("options nf_conntrack hashsize=5 acct\noptions nf_conntrack hashsize=0x10", "f"))
    assert _modprobed.value_of(found, "hashsize") == (16, "f:2 hashsize=0x10")
    assert _modprobed.value_of(found, "acct") == (1, "f:1 acct")
    assert _modprobed.value_of(found, "tstamp") is None


def test_words_of_one_module():
    assert _modprobed.options("options a x=1\noptions nf_conntrack enable_hooks=1 acct=1", "nf_conntrack") == [(2, ["enable_hooks=1", "acct=1"])]


@pytest.mark.parametrize("command, loads", [
    ("/bin/true", False), ("/bin/false", False),
    ("/sbin/modprobe --ignore-install nf_conntrack $CMDLINE_OPTS && /sbin/sysctl -p", True),
    ("insmod /x/nf_conntrack.ko", True),
])
def test_install_command(command, loads):
    line = _modprobed.install(parse("install nf_* " + command, "f"), "nf_conntrack")
    assert (line.rest, _modprobed.loads(line.rest)) == (command, loads)


def test_options_within_an_install_command():
    line = parse("install nf_conntrack /sbin/modprobe -i nf_conntrack hashsize=64 && true", "f")[0]
    assert _modprobed.install_parameters(line) == [Parameter("hashsize", "64", "f:1")]
    assert _modprobed.install_parameters(None) == []


def test_names():
    lines = parse("alias net-* off\nblacklist a\nsoftdep b pre: nf-conntrack", "f")
    assert _modprobed.stands_for(lines, "net_x") == ("off", "f:1")
    assert _modprobed.stands_for(lines, "c") == ("c", "")
    assert _modprobed.blacklist(lines, "a") == "f:2 blacklist a"
    assert _modprobed.softdeps(lines, frozenset(["nf_conntrack"])) == frozenset("b")

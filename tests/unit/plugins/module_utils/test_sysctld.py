# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of sysctl.d, as systemd-sysctl and procps read them."""
import random

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils._dropins import File
from ansible_collections.netfleet.conntrack.plugins.module_utils._sysctld import (
    Assignment,
    below,
    effective,
    matches,
    normal,
    parse,
    render,
)

MAX = "net.netfilter.nf_conntrack_max"
ALIAS = "net.nf_conntrack_max"
UDP = "net.netfilter.nf_conntrack_udp_timeout"
STREAM = "net.netfilter.nf_conntrack_udp_timeout_stream"
KEYS = (MAX, ALIAS, UDP, STREAM)

LINES = {
    "a = 1": Assignment(1, "a", "1"),
    "a=1": Assignment(1, "a", "1"),
    "  a\t =  1 2\t3  ": Assignment(1, "a", "1 2\t3"),
    "a =": Assignment(1, "a", ""),
    "a = b = c": Assignment(1, "a", "b = c"),
    "a = 1 # not a comment": Assignment(1, "a", "1 # not a comment"),
    "-a = 1": Assignment(1, "a", "1", True),
    "- a = 1": Assignment(1, "a", "1", True),
    "-a": Assignment(1, "a", None),
    "net/netfilter/nf_conntrack_max = 1": Assignment(1, MAX, "1"),
    "/net//netfilter/nf_conntrack_max = 1": Assignment(1, MAX, "1"),
    "net.ipv4.conf.eth0/1.x = 1": Assignment(1, "net.ipv4.conf.eth0/1.x", "1"),
    "net/ipv4/conf/eth0.1/x = 1": Assignment(1, "net.ipv4.conf.eth0/1.x", "1"),
    "net.netfilter.* = 1": Assignment(1, "net.netfilter.*", "1"),
    "# a = 1": None,
    " ; a = 1": None,
    "": None,
    "no assignment": None,
    "a = 1\r": Assignment(1, "a", "1"),
}


@pytest.mark.parametrize("line", sorted(LINES))
def test_line(line):
    assert parse(line) == ([LINES[line]] if LINES[line] else [])


def test_lines_are_numbered():
    assert [found.line for found in parse("# x\r\n\na = 1\nbad\nb = 2")] == [3, 5]


def test_what_is_rendered_is_parsed():
    chance = random.Random(1)
    for dummy in range(200):
        pairs = [("net.netfilter.nf_%s" % chance.choice("abcdef") + str(n), str(chance.randrange(1 << 31))) for n in range(chance.randrange(9))]
        text = render(pairs, "Ours.\n\nSecond line.")
        assert [(found.key, found.value) for found in parse(text)] == pairs
        assert text.startswith("# Ours.\n#\n# Second line.\n")


def writes(texts, systemd=True):
    files = [File(str(number), text) for number, text in enumerate(texts)]
    return [(write.key, write.value, write.where) for write in effective(files, KEYS, systemd)]


# texts of files: (what systemd writes, what procps writes), as (key, value, file:line)
EFFECTIVE = {
    "a later file wins": (
        [UDP + "=1", UDP + "=2"], [(UDP, "2", "1:1")], [(UDP, "1", "0:1"), (UDP, "2", "1:1")],
    ),
    "a replaced key moves to the end": (
        [MAX + "=1\n" + ALIAS + "=2\n" + MAX + "=3"],
        [(ALIAS, "2", "0:2"), (MAX, "3", "0:3")],
        [(MAX, "1", "0:1"), (ALIAS, "2", "0:2"), (MAX, "3", "0:3")],
    ),
    "the same value again keeps its place, so the alias between wins": (
        [MAX + "=1", ALIAS + "=2", MAX + "=1"],
        [(MAX, "1", "2:1"), (ALIAS, "2", "1:1")],
        [(MAX, "1", "0:1"), (ALIAS, "2", "1:1"), (MAX, "1", "2:1")],
    ),
    "a later exclusion undoes an assignment for systemd only": ([UDP + "=1", "-" + UDP], [], [(UDP, "1", "0:1")]),
    "an earlier exclusion does not stop an assignment": ([("-" + UDP), UDP + "=1"], [(UDP, "1", "1:1")], [(UDP, "1", "1:1")]),
    "a pattern means the keys that no line names, wherever": (
        ["net.netfilter.nf_conntrack_udp_* = 5\n-" + MAX, STREAM + "=6"],
        [(UDP, "5", "0:1"), (STREAM, "6", "1:1")],
        [(UDP, "5", "0:1"), (STREAM, "6", "1:1")],
    ),
    "an explicit line wins over a later pattern": (
        [UDP + "=1", "net/netfilter/*_udp_timeout = 9"], [(UDP, "1", "0:1")], [(UDP, "1", "0:1")],
    ),
    "an excluded key is left out of a pattern": (
        ["net.netfilter.*_udp_*=9", "-" + STREAM], [(UDP, "9", "0:1")], [(UDP, "9", "0:1")],
    ),
    "a key that does not exist is kept": (["x.y=1"], [("x.y", "1", "0:1")], [("x.y", "1", "0:1")]),
    "an ignored error is a write": (["-x.y=1"], [("x.y", "1", "0:1")], [("x.y", "1", "0:1")]),
}


@pytest.mark.parametrize("name", sorted(EFFECTIVE))
def test_effective(name):
    texts, systemd, procps = EFFECTIVE[name]
    assert writes(texts) == systemd
    assert writes(texts, False) == procps


def test_the_last_file_decides_every_key_that_it_names():
    chance = random.Random(2)
    for dummy in range(200):
        foreign = ["%s%s = %d" % (chance.choice(["", "-"]), chance.choice(KEYS + ("net.netfilter.*",)), chance.randrange(4)) for dummy in range(6)]
        ours = render([(UDP, "3"), (STREAM, "2")])
        last = {key: value for key, value, dummy in writes(["\n".join(foreign), ours])}
        assert (last[UDP], last[STREAM]) == ("3", "2")


@pytest.mark.parametrize("key, pattern, same", [
    (UDP, "net.netfilter.*", True), (UDP, "net.*", False), (UDP, "net.*.nf_conntrack_udp_timeout", True),
    (UDP, "net.netfilter.nf_conntrack_ud?_timeout", True), (UDP, "net.netfilter.nf_conntrack_[a-t]*", False),
    (UDP, "net.netfilter.nf_conntrack_[^a-t]*", True),
])
def test_pattern(key, pattern, same):
    assert matches(key, pattern) == same


def test_below_takes_paths_and_whole_parts():
    found = effective([File("f", "net.netfilter.a=1\nnet.nf_conntrack_max=2\nnet.nf_conntrack_max2=3\nnet.netfilter2.b=4")])
    assert [write.value for write in below(found, ("/net/netfilter", "/net/nf_conntrack_max"))] == ["1", "2"]
    assert [write.value for write in below(found, ("/proc/sys/net/netfilter",))] == ["1"]


def test_normal_leaves_dots_alone():
    assert normal(MAX) == MAX

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each part of a filter against a plain reading of the same words, on entries made by chance."""
import collections
import ipaddress
import random

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _ctnetlink, _flow_filter, _flow_layout
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import STATUS
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import flow_entries as made

CHANCE = random.Random("entries")
PAYLOADS = [made.payload(CHANCE, shuffled, rich) for shuffled, rich in ((False, 0.2), (True, 0.3)) for _entry in range(300)]
PAYLOADS += [made.payload(CHANCE, False, 0.0) for _entry in range(300)]
BATCHES = made.batches(PAYLOADS)
ENTRIES = [_ctnetlink.entry(data) for data in PAYLOADS]
NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "sctp": 132, "gre": 47, "esp": 50, "ah": 51, "dccp": 33, "udplite": 136}
OFFLOAD = STATUS["offload"] | STATUS["hw_offload"]


# What each word says of an entry, in plain Python.

def within(address, word):
    network = ipaddress.ip_network(word, strict=False)
    return ipaddress.ip_address(address).version == network.version and ipaddress.ip_address(address) in network


def in_range(port, word):
    first, dummy, last = word.partition("-")
    return int(first) <= port <= int(last or first)


def has_ports(entry):
    return entry["orig"].protocol in made.PORTED


def states(entry):
    return [told["state"] for told in entry.get("protoinfo", {}).values() if "state" in told]


def marked(entry, word):
    value, dummy, mask = word.partition("/")
    mask = int(mask or "0xffffffff", 0)
    return entry.get("mark", 0) & mask == int(value, 0) & mask


def has_status(entry, word):
    bits = entry["status"]
    negative, name = {"unassured": (True, "assured"), "unreplied": (True, "seen_reply"), "replied": (False, "seen_reply")}.get(word, (False, word))
    if word in ("offload", "not_offload"):
        return (word == "offload") == bool(bits & OFFLOAD)
    return bool(bits & STATUS[name]) != negative


MEANT = {
    "family": lambda entry, words: any((":" in entry["orig"].source) == (word == "ipv6") for word in words),
    "protocol": lambda entry, words: any(entry["orig"].protocol == NUMBERS.get(word.lower(), word) or str(entry["orig"].protocol) == word for word in words),
    "state": lambda entry, words: any(word in states(entry) for word in words),
    "source": lambda entry, words: any(within(entry["orig"].source, word) for word in words),
    "destination": lambda entry, words: any(within(entry["orig"].destination, word) for word in words),
    "source_port": lambda entry, words: has_ports(entry) and any(in_range(entry["orig"].source_port, word) for word in words),
    "destination_port": lambda entry, words: has_ports(entry) and any(in_range(entry["orig"].destination_port, word) for word in words),
    "nat_address": lambda entry, words: entry["status"] & 0x10 and any(within(entry["reply"].destination, word) for word in words),
    "mark": marked,
    "zone": lambda entry, numbers: entry.get("zone", 0) in numbers,
    "status": lambda entry, words: all(has_status(entry, word) for word in words),
    "min_remaining": lambda entry, seconds: "timeout" in entry and entry["timeout"] >= seconds,
}
# What each option may say.
WORDS = {
    "family": ["ipv4", "ipv6"],
    "protocol": ["tcp", "UDP", "icmp", "icmpv6", "sctp", "gre", "50", "6", "ah", "dccp", "udplite", "255", "0"],
    "state": ["ESTABLISHED", "SYN_SENT", "TIME_WAIT", "CLOSE", "COOKIE_WAIT", "NONE", "HEARTBEAT_ACKED", "SYN_SENT2"],
    "source": ["10.0.0.1", "10.0.0.0/8", "10.1.0.0/31", "0.0.0.0/0", "::/0", "fd00::/8", "fd00::a00:2", "fd00::a01:3/127", "172.16.0.0/12", "10.1.0.3/16"],
    "destination": ["192.1.0.0/16", "192.0.0.1", "::c001:0/128", "fd00::c001:0/112", "0.0.0.0/0", "192.0.0.0/255.255.0.0"],
    "source_port": ["1024", "0-1024", "5000-65535", "65535", "0", "1025-4999"],
    "destination_port": ["53", "80-443", "443", "1-52", "0-65535"],
    "nat_address": ["198.0.0.0/15", "198.0.0.1", "0.0.0.0/0", "::/0", "fd00::c600:0/112", "10.0.0.0/8"],
    "mark": ["0", "1", "0x10", "0x10/0xf0", "0/0x1", "0xffffffff", "0xF/15", "0x1f/0xf", "4294967295", "0/0"],
    "zone": [0, 1, 2, 3, 65535],
    "status": ["assured", "unassured", "replied", "unreplied", "src_nat", "dst_nat", "expected", "offload", "not_offload"],
    "min_remaining": [0, 1, 10, 30, 300, 432000, 432001],
}


def meant(options):
    return [data for data, entry in zip(PAYLOADS, ENTRIES) if all(MEANT[name](entry, value) for name, value in options.items())]


def chosen(options):
    choose = _flow_filter.read(options)
    found = [choose.chosen(batch) for batch in BATCHES]
    assert all(batch is None or len(batch) > 0 for batch in found)
    return [message[:-_flow_layout.TAIL] for batch in found if batch for message in batch.messages]


def agrees(options):
    assert _flow_filter.problems(options) == []
    assert collections.Counter(chosen(options)) == collections.Counter(meant(options)), options


@pytest.mark.parametrize("name", WORDS)
def test_each_word(name):
    for word in WORDS[name]:
        agrees({name: word if name in ("mark", "min_remaining") else [word]})


def value(chance, name):
    words = WORDS[name]
    return chance.choice(words) if name in ("mark", "min_remaining") else chance.sample(words, chance.randrange(1, min(len(words), 4) + 1))


def test_words_together():
    chance, sizes = random.Random(7), set()
    for _filter in range(200):
        options = {name: value(chance, name) for name in chance.sample(sorted(WORDS), chance.choice((1, 2, 2, 3, 4)))}
        agrees(options)
        sizes.add(min(len(meant(options)), 3))
    assert len(sizes) == 4


@pytest.mark.parametrize("options", [None, {}, {"family": None, "mark": None}])
def test_no_condition_means_all(options):
    assert _flow_filter.problems(options) == []
    choose = _flow_filter.read(options)
    assert all(choose.chosen(batch) is batch for batch in BATCHES)


def test_what_is_chosen_is_a_batch_like_any_other():
    for batch in BATCHES:
        found = _flow_filter.read({"status": ["replied"]}).chosen(batch)
        if found:
            assert found.columns(("source", "status"))["source"] == tuple(
                source for source, bits in zip(*(batch.columns(("source", "status"))[name] for name in ("source", "status"))) if bits & STATUS["seen_reply"])


def test_more_values_than_are_remembered(monkeypatch):
    monkeypatch.setattr(_flow_filter, "MOST_REMEMBERED", 3)
    for options in ({"source": ["10.0.0.0/31"]}, {"destination_port": ["80-443"], "mark": "1"}):
        agrees(options)


# What is wrong with an option, and what is said about it.
WRONG = {
    "protocol": (["frob", "256", "-1", "1000", ""], "filter.protocol: %s is neither a number up to 255 nor one of ah, dccp, "),
    "source": (["10.0.0", "300.1.1.1", "10.0.0.0/33", "fd00::/129", "host", ""], "filter.source: %s is neither an address nor a network such as 192.0.2.0/24"),
    "destination": (["1.2.3.4-1.2.3.9"], "filter.destination: %s is neither an address nor a network such as 192.0.2.0/24"),
    "nat_address": (["any"], "filter.nat_address: %s is neither an address nor a network such as 192.0.2.0/24"),
    "source_port": (["65536", "2-1", "http", "-1", "1-65536", "1-", "", "1 - 2"], "filter.source_port: %s is neither a port up to 65535 nor a range such as"),
    "destination_port": (["99999"], "filter.destination_port: %s is neither a port up to 65535 nor a range such as 1024-65535"),
    "zone": ([-1, 65536], "filter.zone: %s is no zone; they are 0 to 65535"),
}
WRONG_MARKS = ["-1", "0x", "one", "4294967296", "0x100000000", "1/0x100000000", "1/", "/1", "", "010", "1/010", "0x10/0xg", " 1"]


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_of_each(name):
    words, text = WRONG[name]
    found = _flow_filter.problems({name: words})
    assert len(found) == len(words)
    for word, told in zip(words, found):
        assert told.startswith(text % word)


@pytest.mark.parametrize("word", WRONG_MARKS)
def test_a_mark_that_is_none(word):
    assert _flow_filter.problems({"mark": word}) == ["filter.mark: %s is no mark of 32 bits such as 0x10, or 0x10/0xf0 with a mask" % word]


def test_everything_that_is_wrong_is_said_at_once():
    options = {name: list(words) for name, (words, dummy) in WRONG.items()}
    options.update({"mark": "x", "min_remaining": -1, "family": [], "status": []})
    found = _flow_filter.problems(options)
    assert len(found) == sum(len(words) for words, dummy in WRONG.values()) + 4
    assert {text.partition(":")[0] for text in found} == {"filter." + name for name in options}
    assert "filter.min_remaining: -1 seconds; it cannot be less than 0" in found


@pytest.mark.parametrize("name", [name for name, spec in _flow_filter.SPEC.items() if spec["type"] == "list"])
def test_an_empty_list_is_an_error(name):
    assert _flow_filter.problems({name: []}) == ["filter.%s: an empty list; leave it out where all are meant" % name]


def test_every_option_is_looked_at():
    assert set(_flow_filter.SPEC) == set(MEANT) == set(WORDS)
    assert set(WORDS["status"]) == set(_flow_filter.SPEC["status"]["choices"])


def test_words_of_state_are_those_of_both_protocols():
    assert set(_flow_filter.STATES) == set(_ctnetlink.TCP_STATES) | set(_ctnetlink.SCTP_STATES)

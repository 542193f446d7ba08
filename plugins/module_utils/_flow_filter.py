# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Which flows are meant: the option ``filter`` of flow_info and flow, and the choice from a batch of entries.

Addresses and ports are those of the original direction. A flow has to meet every part of the filter, and of a part that
is a list, one of its members; of ``status`` all. Pure.
"""
import ipaddress
import re
from itertools import compress
from typing import NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import IPV4, IPV6, SCTP_STATES, STATUS, TCP_STATES
from ansible_collections.netfleet.conntrack.plugins.module_utils._flow_layout import Batch
from ansible_collections.netfleet.conntrack.plugins.module_utils._protocols import NUMBERS

FAMILIES = {"ipv4": IPV4, "ipv6": IPV6}
OFFLOADED = STATUS["offload"] | STATUS["hw_offload"]
# Word: the bits of the status that are looked at, and what they have to be; None: any of them.
STATUS_WORDS = {
    "assured": (STATUS["assured"], STATUS["assured"]),
    "unassured": (STATUS["assured"], 0),
    "replied": (STATUS["seen_reply"], STATUS["seen_reply"]),
    "unreplied": (STATUS["seen_reply"], 0),
    "src_nat": (STATUS["src_nat"], STATUS["src_nat"]),
    "dst_nat": (STATUS["dst_nat"], STATUS["dst_nat"]),
    "expected": (STATUS["expected"], STATUS["expected"]),
    "offload": (OFFLOADED, None),
    "not_offload": (OFFLOADED, 0),
}
STATES = sorted(set(TCP_STATES + SCTP_STATES))
MOST_REMEMBERED = 65536
# What is looked for in messages before they are understood: bytes that are rare enough, and few enough of them.
SHORTEST_NEEDLE, MOST_NEEDLES = 3, 8

SPEC = {
    "family": {"type": "list", "elements": "str", "choices": sorted(FAMILIES)},
    "protocol": {"type": "list", "elements": "str"},
    "state": {"type": "list", "elements": "str", "choices": STATES},
    "source": {"type": "list", "elements": "str"},
    "destination": {"type": "list", "elements": "str"},
    "source_port": {"type": "list", "elements": "str"},
    "destination_port": {"type": "list", "elements": "str"},
    "nat_address": {"type": "list", "elements": "str"},
    "mark": {"type": "str"},
    "zone": {"type": "list", "elements": "int"},
    "status": {"type": "list", "elements": "str", "choices": sorted(STATUS_WORDS)},
    "min_remaining": {"type": "int"},
}


class Test(NamedTuple):
    """A condition on one field."""

    field: str
    accepts: object  # a function of the field's value
    absent: object = None  # what a flow without the field is taken to have; None: it does not meet the condition
    is_quick: bool = False  # accepts() takes no longer than it takes to remember what it returned
    needles: tuple = ()  # bytes of which one is in every message that meets the condition, where that is known


class Remembered(dict):
    """What a function returned for a value that it has been asked before: tables have many flows and few values."""

    def __init__(self, function):
        super().__init__()
        self._function = function

    def __missing__(self, value):
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        self[value] = found = self._function(value)
        return found


class Filter:
    """The flows that are meant; without conditions, all."""

    def __init__(self, families=(), protocols=(), states=(), tests=()):
        self._families, self._protocols = frozenset(families), frozenset(protocols)
        self._states = tuple(states)
        self._tests = tuple(tests)
        self._fields = tuple(sorted({test.field for test in tests}))
        self._answers = [test.accepts if test.is_quick else Remembered(test.accepts).__getitem__ for test in tests]
        known = sorted((test.needles for test in tests if test.needles), key=len)
        self.needles = known[0] if known and len(known[0]) <= MOST_NEEDLES else ()  # as of a Test, of the whole filter

    def chosen(self, batch):
        """The flows of a batch that are meant, as a batch or None."""
        layout = batch.layout
        if self._families and layout.family not in self._families or self._protocols and layout.protocol not in self._protocols:
            return None
        hits = list(self._hits(batch))
        if not hits:
            return batch
        keep = hits[0] if len(hits) == 1 else map(all, zip(*hits))
        found = list(compress(batch.messages, keep))
        return Batch(layout, found) if found else None

    def _hits(self, batch):
        """Yield for each condition whether the flows meet it, one after the other."""
        columns = batch.columns(self._fields)
        for test, answer in zip(self._tests, self._answers):
            if test.field in columns:
                yield map(answer, columns[test.field])
            elif test.absent is None or not answer(test.absent):
                yield [False] * len(batch)
        if self._states:
            yield self._state_hits(batch)

    def _state_hits(self, batch):
        for field, names in (("tcp_state", TCP_STATES), ("sctp_state", SCTP_STATES)):
            if batch.has(field):
                wanted = frozenset(number for number, name in enumerate(names) if name in self._states)
                return map(wanted.__contains__, batch.octets(field))
        return [False] * len(batch)


def problems(options):
    """Return what is wrong with the option, each in a sentence; types are looked at elsewhere."""
    options = _given(options)
    found = ["filter.%s: an empty list; leave it out where all are meant" % name for name in SPEC if options.get(name) == []]
    _made(options, found)
    return found


def read(options):
    """Make a Filter of the option, which has no problems; None stands for no condition."""
    return _made(_given(options), [])


def is_status(bits, word):
    """Whether the status bits of a flow are what a word of STATUS_WORDS says."""
    mask, wanted = STATUS_WORDS[word]
    return bool(bits & mask) if wanted is None else bits & mask == wanted


def _given(options):
    return {name: value for name, value in (options or {}).items() if value is not None}


def _made(options, found):
    return Filter(
        [FAMILIES[name] for name in options.get("family", ())],
        _protocols(options.get("protocol", ()), found),
        options.get("state", ()),
        [make(name, options[name], found) for name, make in MAKERS if name in options],
    )


def _protocols(words, problems):
    for word in words:
        number = NUMBERS.get(word.lower(), int(word) if re.fullmatch("[0-9]{1,3}", word) else None)
        if number is None or number > 255:
            problems.append("filter.protocol: %s is neither a number up to 255 nor one of %s" % (word, ", ".join(NUMBERS)))
        else:
            yield number


def _addresses(field):
    def make(name, words, problems):
        networks = [network for network in (_network(name, word, problems) for word in words) if network]
        firsts = frozenset(network.network_address.packed for network in networks)
        needles = tuple(network.network_address.packed[:network.prefixlen // 8] for network in networks)
        needles = needles if all(len(needle) >= SHORTEST_NEEDLE for needle in needles) else ()
        if all(network.prefixlen == network.max_prefixlen for network in networks):
            return Test(field, firsts.__contains__, is_quick=True, needles=needles)
        tops = [(network.max_prefixlen // 8, network.max_prefixlen - network.prefixlen, _top(network)) for network in networks]
        return Test(field, lambda packed: any(_begins(packed, *top) for top in tops), needles=needles)
    return make


def _network(name, word, problems):
    try:
        return ipaddress.ip_network(word, strict=False)
    except ValueError:
        problems.append("filter.%s: %s is neither an address nor a network such as 192.0.2.0/24" % (name, word))
        return None


def _begins(packed, width, spare, top):
    return len(packed) == width and int.from_bytes(packed, "big") >> spare == top


def _top(network):
    return int(network.network_address) >> network.max_prefixlen - network.prefixlen


def _ports(field):
    def make(name, words, problems):
        ranges = [_range(name, word, problems) for word in words]
        return Test(field, lambda port: any(first <= port <= last for first, last in ranges))
    return make


def _range(name, word, problems):
    match = re.fullmatch("([0-9]{1,5})(?:-([0-9]{1,5}))?", word)
    first, last = (int(match.group(1)), int(match.group(2) or match.group(1))) if match else (1, 0)
    if not first <= last <= 65535:
        problems.append("filter.%s: %s is neither a port up to 65535 nor a range such as 1024-65535" % (name, word))
    return first, last


def _mark(name, word, problems):
    match = re.fullmatch("{0}(?:/{0})?".format("(0x[0-9a-fA-F]+|0|[1-9][0-9]*)"), word)
    value, mask = (int(part or "0xffffffff", 0) for part in match.groups()) if match else (-1, 0)
    if not 0 <= value <= 0xffffffff or mask > 0xffffffff:
        problems.append("filter.%s: %s is no mark of 32 bits such as 0x10, or 0x10/0xf0 with a mask" % (name, word))
    return Test("mark", lambda mark: mark & mask == value & mask, 0)


def _zone(name, numbers, problems):
    for number in numbers:
        if not 0 <= number <= 65535:
            problems.append("filter.%s: %d is no zone; they are 0 to 65535" % (name, number))
    return Test("zone", frozenset(numbers).__contains__, 0, is_quick=True)


def _status(dummy_name, words, dummy_problems):
    return Test("status", lambda bits: all(is_status(bits, word) for word in words))


def _remaining(name, seconds, problems):
    if seconds < 0:
        problems.append("filter.%s: %d seconds; it cannot be less than 0" % (name, seconds))
    return Test("timeout", seconds.__le__, is_quick=True)


def _natted(*dummy):
    return Test("status", STATUS["src_nat"].__and__, is_quick=True)


MAKERS = (
    ("source", _addresses("source")),
    ("destination", _addresses("destination")),
    ("source_port", _ports("source_port")),
    ("destination_port", _ports("destination_port")),
    ("nat_address", _addresses("reply_destination")),
    ("nat_address", _natted),
    ("mark", _mark),
    ("zone", _zone),
    ("status", _status),
    ("min_remaining", _remaining),
)

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Breakdowns of entries made by chance against plain counters over what the reader of single entries says."""
import collections
import ipaddress
import random

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _ctnetlink, _flow_info, _flow_report, _flow_row, _flows
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import STATUS
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import flow_entries as made

NAMES = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 47: "gre", 50: "esp", 58: "icmpv6", 132: "sctp", 136: "udplite"}
CLASSES = ("0-9", "10-29", "30-59", "60-119", "120-299", "300-599", "600-3599", "3600-86399", "86400-431999", "432000-")


def network(address, prefixes):
    return str(ipaddress.ip_network("%s/%d" % (address, prefixes[":" in address]), strict=False))


def words(entry):
    bits = entry["status"]
    offload = bits & (STATUS["offload"] | STATUS["hw_offload"])
    return [
        "assured" if bits & STATUS["assured"] else "unassured", "replied" if bits & STATUS["seen_reply"] else "unreplied",
        "offload" if offload else "not_offload", *(name for name in ("src_nat", "dst_nat", "expected") if bits & STATUS[name])
    ]


def remaining(entry):
    if "timeout" not in entry:
        return "offloaded"
    return [name for name in CLASSES if entry["timeout"] >= int(name.partition("-")[0])][-1]


# What each breakdown counts an entry under: a list of values.
VALUES = {
    "family": lambda entry, dummy: ["ipv6" if ":" in entry["orig"].source else "ipv4"],
    "protocol": lambda entry, dummy: [NAMES[entry["orig"].protocol]],
    "tcp_state": lambda entry, dummy: [told["state"] for name, told in entry.get("protoinfo", {}).items() if name == "tcp"],
    "status": lambda entry, dummy: words(entry),
    "zone": lambda entry, dummy: [entry.get("zone", 0)],
    "mark": lambda entry, dummy: [entry.get("mark", 0)],
    "source": lambda entry, dummy: [entry["orig"].source],
    "source_network": lambda entry, prefixes: [network(entry["orig"].source, prefixes)],
    "destination": lambda entry, dummy: [entry["orig"].destination],
    "destination_port": lambda entry, dummy: ["%d/%s" % (entry["orig"].destination_port, NAMES[entry["orig"].protocol])]
    if entry["orig"].protocol in (6, 17, 33, 132, 136) else [],
    "nat_address": lambda entry, dummy: [entry["reply"].destination] if entry["status"] & STATUS["src_nat"] else [],
    "remaining": lambda entry, dummy: [remaining(entry)],
}
PREFIXES = [(24, 64), (32, 128), (0, 0), (31, 127), (8, 12), (9, 96), (16, 126)]


def surveyed(payloads, by, prefixes=(24, 64), longest=0):
    counter = _flows.Longest(longest)
    survey = _flows.Survey(_flows.counters(by, prefixes) + [counter])
    for batch in made.batches(payloads):
        survey.add(batch)
    return survey, counter


def counted(payloads, name, prefixes):
    return collections.Counter(value for data in payloads for value in VALUES[name](_ctnetlink.entry(data), prefixes))


@pytest.mark.parametrize("prefixes", PREFIXES)
def test_breakdowns_agree_with_a_plain_count(prefixes):
    chance = random.Random("%d %d" % prefixes)
    for shuffled in (False, True):
        payloads = [made.payload(chance, shuffled) for _entry in range(400)]
        survey = surveyed(payloads, _flows.BREAKDOWNS, prefixes)[0]
        whole = _flow_report.Sample(survey.flows, survey.flows)
        lists, notes = _flow_report.breakdowns(survey.tallies(), whole, 10000, prefixes)
        assert survey.flows == 400 and set(lists) == {"by_" + name for name in VALUES}
        for name in VALUES:
            truth = counted(payloads, name, prefixes)
            rows = lists["by_" + name]
            assert {row["value"]: row["flows"] for row in rows if row["flows"]} == truth, name
            assert len({row["value"] for row in rows}) == len(rows)
            assert all(row["low"] == row["share"] == row["high"] == round(row["flows"] / 400.0, 6) for row in rows)
            assert notes[name]["bound"] == 0
            if name not in ("status", "remaining"):
                assert notes[name]["distinct"] == len(truth)
                assert [row["flows"] for row in rows] == sorted(truth.values(), reverse=True)


@pytest.mark.parametrize("name", sorted(VALUES))
def test_each_breakdown_alone_and_its_top(name):
    payloads = [made.payload(random.Random(number), True) for number in range(300)]
    survey = surveyed(payloads, (name,))[0]
    tallies = {each: tally for each, tally in survey.tallies().items() if each == name}
    rows = _flow_report.breakdowns(tallies, _flow_report.Sample(300, 300), 2, (24, 64))[0]["by_" + name]
    truth = counted(payloads, name, (24, 64))
    if name in _flow_report.ALL_LISTED:
        assert {row["value"]: row["flows"] for row in rows if row["flows"]} == truth
    else:
        assert [row["flows"] for row in rows] == [count for dummy, count in truth.most_common(2)]


def test_classes_of_time_are_all_shown_in_their_order():
    lists = _flow_report.breakdowns(surveyed([], ("remaining",))[0].tallies(), _flow_report.Sample(0, 0), 1, (24, 64))[0]
    assert tuple(row["value"] for row in lists["by_remaining"]) == CLASSES
    assert all(row["flows"] == 0 for row in lists["by_remaining"])


def test_numbers_of_a_sample():
    row = _flow_report.Sample(1000, 100000).row(250)
    assert (row["flows"], row["share"]) == (25000, 0.25)
    assert row["low"] < 0.25 < row["high"]
    assert _flow_report.Sample(1000, 100000).row(250, missed=100)["high"] > row["high"]
    assert _flow_report.Sample(1000, 100000).row(250, 0, 10, 10000)["high"] > row["high"]
    assert _flow_report.Sample(10, 10).row(3, missed=99)["high"] == 1.0
    assert _flow_report.Sample(0, 0).row(0)["flows"] == 0


@pytest.mark.parametrize("whole", [1, 3, 7, 999983, 1999999, 4000037])
def test_bounds_of_an_exact_number_are_that_number(whole):
    for count in (1, whole // 3, whole // 2, whole - 1, whole):
        assert _flow_report.Sample(whole, whole).bounds(count) == (count, count)
        assert _flow_report.Sample(whole, whole).bounds(count, whole) == (count, whole)


def test_bounds_of_a_sample_are_whole_flows():
    low, high = _flow_report.Sample(1000, 100000).bounds(250)
    assert isinstance(low, int) and 22000 < low < 25000 < high < 28000


@pytest.mark.parametrize("most", [1, 5, 1000])
def test_the_longest(most):
    payloads = [made.payload(random.Random(number), number % 2) for number in range(200)] * 2
    counter = surveyed(payloads, (), longest=most)[1]
    rows = [_flow_row.flow(message) for message in counter.messages()]
    times = sorted((entry["timeout"] for entry in map(_ctnetlink.entry, payloads) if "timeout" in entry), reverse=True)
    assert [row["remaining"] for row in rows] == times[:most]
    assert surveyed(payloads, (), longest=0)[1].messages() == []


def test_a_flow_is_shown_with_what_is_known_of_it():
    for number in range(300):
        data = made.payload(random.Random(number), True)
        entry, row = _ctnetlink.entry(data), _flow_row.flow(data + bytes(4))
        assert row["protocol"] == NAMES[entry["orig"].protocol]
        assert (row["source"], row["destination"]) == (entry["orig"].source, entry["orig"].destination)
        assert (row["remaining"], row["mark"], row["zone"]) == (entry.get("timeout"), entry.get("mark", 0), entry.get("zone", 0))
        assert row["status"] == sorted(name for name, bit in STATUS.items() if entry["status"] & bit)
        assert row.get("destination_port", 0) == entry["orig"].destination_port and row.get("icmp_id", 0) == entry["orig"].icmp_id
        assert ("nat_address" in row) == bool(entry["status"] & STATUS["src_nat"])
        assert row.get("nat_address", entry["reply"].destination) == entry["reply"].destination
        assert row.get("state") == next((told["state"] for told in entry.get("protoinfo", {}).values()), None)
        assert row.get("packets_orig") == entry.get("counters_orig", {}).get("packets")


# Options of flow_info that are wrong, and what is said of them.
RIGHT = {"show": ["source"], "top": 10, "source_network": {"ipv4": 24, "ipv6": 64}, "filter": None, "sample": "auto", "time_limit": None}
WRONG = {
    "top": ([0, -1, 10001], "top: %s; give 1 to 10000"),
    "sample": (["99", "0", "-5", "many", "", "1e5", "100.0", " 100", "\u00b2\u00b2\u00b2"], "sample: %s; give auto, exact, or a number of entries from 100 on"),
    "time_limit": ([0.0, -1.0, float("nan")], "time_limit: %s; give seconds, more than 0"),
}
FINE = {"top": [1, 10000], "sample": ["auto", "exact", "100", "1000000"], "time_limit": [None, 0.001, 60.0]}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_options(name):
    for value in WRONG[name][0]:
        assert list(_flow_info.problems(dict(RIGHT, **{name: value}))) == [WRONG[name][1] % value]
    for value in FINE[name]:
        assert list(_flow_info.problems(dict(RIGHT, **{name: value}))) == []


@pytest.mark.parametrize("family, most", [("ipv4", 32), ("ipv6", 128)])
def test_lengths_of_prefixes(family, most):
    for length in (0, 1, most):
        assert list(_flow_info.problems(dict(RIGHT, source_network=dict(RIGHT["source_network"], **{family: length})))) == []
    for length in (-1, most + 1):
        assert list(_flow_info.problems(dict(RIGHT, source_network=dict(RIGHT["source_network"], **{family: length})))) == [
            "source_network.%s: %d; give the length of a prefix, 0 to %d" % (family, length, most)]


def test_all_that_is_wrong_is_said_at_once():
    found = list(_flow_info.problems({
        "show": [], "top": 0, "source_network": {"ipv4": 33, "ipv6": 129}, "filter": {"mark": "x", "zone": []}, "sample": "x", "time_limit": -1.0}))
    assert [text.partition(":")[0] for text in found] == [
        "top", "source_network.ipv4", "source_network.ipv6", "sample", "time_limit", "filter.zone", "filter.mark"]

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents checked without their hosts: what is refused here is what the host would refuse, and never anything else."""
import itertools
import re
import tempfile

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _drift, _facts, _planning, _policy, _profiles, _view
from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _offline, _offline_host, _report
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import policies, recorded
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.share import half

DOCUMENTS = 8  # for each recorded host
GIB = 1 << 30
# What only the host itself can tell.
OF_HOST = re.compile(r"at_boot: rules are loaded at boot by a systemd unit")
NOW = re.compile(r"\(now \w+\)")
LOOK = {"document": {"profile": "nat_gateway"}, "state": "present", "headroom": False}


def recorded_facts(host):
    return _offline_host.of_facts(_facts.facts(host, {})["ansible_facts"]["netfleet_conntrack"])


def recorded_report(host):
    name = host.document["name"]
    return _offline_host.of_report(_report.build({name: _drift.drift_info(host, LOOK)}, 1795282200), name)


def planned(host, document):
    """What the host refuses, and what its modules would return."""
    options, faults = _policy.opened(document)
    rows = _planning.rows(_view.View(host), _policy.PART, options)
    returned = dict(itertools.chain.from_iterable((row.plan.returns or {}).items() for row in rows))
    refused = list(faults) + [text for row in rows for text in row.plan.refusals]
    return refused, None if refused else _policy.tell(options, returned)


def of_document(texts):
    """What is refused because of the document; what is running now is known to nobody but the host."""
    return {NOW.sub("", text) for text in texts if not OF_HOST.match(text)}


@pytest.fixture(name="documents", params=half(recorded.names()))
def _documents(request):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        host = recorded.machine(request.param, place)
        found = policies.Documents(request.param, host, at_boot="netns" not in request.param)
        yield host, [found.document() for dummy in range(DOCUMENTS)]


def test_with_facts_of_a_host_it_says_what_the_host_says(documents):
    host, some = documents
    known, taken = recorded_facts(host), 0
    for document in some:
        (refused, told), found = planned(host, document), _offline.check(document, known)
        assert (of_document(found["problems"]), found["facts_from"]) == (of_document(refused), "facts"), document
        if told:
            assert (found["policy"], found["memory"]) == (told["policy"], told.get("memory"))
            taken += 1
    assert taken


def test_what_is_not_known_is_no_reason_to_refuse(documents):
    host, some = documents
    for known in (None, recorded_report(host)):
        for document in some[:3]:
            assert of_document(_offline.check(document, known)["problems"]) <= of_document(planned(host, document)[0]), (known, document)


@pytest.mark.parametrize("where", sorted(policies.WRONG))
def test_everything_wrong_is_named_with_its_place(where):
    here = {"unsupported": "no such option: timeouts.no_such"}.get(where, where)
    found = "; ".join(_offline.check(policies.WRONG[where])["problems"])
    assert (here in found) == (where != "early_load.backend: "), found  # whether a program is installed only its host can tell


def test_everything_wrong_is_said_at_once():
    wrong = {name: value for each in policies.WRONG.values() for name, value in each.items()}
    found = "; ".join(_offline.check(dict(wrong, tracking={"acct": "perhaps"}, table={"buckets": 0, "per_cpu": 5}))["problems"])
    for part in ("profile", "no such option", "table.buckets: 0", "table.per_cpu: ", "management.ports: ", "snat.rules[1].source: ", "acct"):
        assert part in found


@pytest.mark.parametrize("profile", [profile.name for profile in _profiles.PROFILES])
def test_profiles_are_right_on_every_host(profile):
    for known in (None, _offline_host.of_facts({"kernel": "6.1.0", "mem_total": 4 * GIB, "cpus": 4, "page_size": 4096})):
        assert _offline.check({"profile": profile}, known)["problems"] == []


@pytest.mark.parametrize("value", [None, "text", 5, [], ["x" * 500], True])
def test_what_is_no_document_is_one_error(value):
    (text,) = _offline.check(value)["problems"]
    assert text.startswith("conntrack_policy: ") and "is no document" in text and len(text) < 200


# What facts add

FACTS = {"kernel": "6.1.0-56-amd64", "mem_total": GIB, "cpus": 4, "page_size": 4096, "count": 5000, "memory": {"entry_bytes": 384}}
AUTO = {"table": {"max": "auto"}}
CASES = {
    "budget": ({"table": {"max": 5000000}}, {}, r"table.max: 5000000 connections can take \d+ MiB, 1\d\d.\d % of the memory"),
    "shrinking": ({"table": {"max": 4096}}, {}, r"table.max: 4096 is below the 5000 connections in the table"),
    "other namespace": ({"table": {"expect_max": 512}}, {"namespace": "other"}, "table.expect_max: only the initial network namespace may set it"),
    "built in": ({"table": {"expect_hashsize": 512}}, {"builtin": True}, r"nf_conntrack.expect_hashsize="),
    "removed": ({"timeouts": {"dccp_timeout_open": 9}}, {"kernel": "6.17.1"}, r"dccp_timeout_open: it was removed in Linux 6.17"),
    "not yet": ({"timeouts": {"gre_timeout": 60}}, {"kernel": "5.3.0", "settings": {"max": {"running": 5}}}, "it came with Linux 5.4"),
    "not yet in a rule": (
        {"snat": {"rules": [{"name": "a", "in_interface": "lan0", "to": "masquerade"}]}}, {"kernel": "5.4.0"}, r"rules\[0\].in_interface: Linux 5.5"),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_facts_refuse_more(name):
    document, more, expected = CASES[name]
    (text,) = _offline.check(document, _offline_host.of_facts(dict(FACTS, **more)))["problems"]
    assert re.search(expected, text), text
    assert _offline.check(document)["problems"] == []


def test_what_distributions_may_have_brought_back_is_a_warning():
    found = _offline.check({"timeouts": {"gre_timeout": 60}}, _offline_host.of_facts(dict(FACTS, kernel="4.18.0-553.el8.x86_64")))
    assert found["problems"] == [] and any("it came with Linux 5.4" in text for text in found["warnings"])


WORKED_OUT = {
    "nothing known": ({}, {}, "auto", None),
    "memory": ({}, {"kernel": "6.1", "mem_total": GIB}, 65536, 0.0283),
    "cheaper entries": ({}, FACTS, 65536, 0.0244),
    "CPUs unknown": ({"per_cpu": 32768}, {"kernel": "6.1", "mem_total": 64 * GIB}, "auto", None),
    "CPUs known": ({"per_cpu": 32768}, {"kernel": "6.1", "mem_total": 64 * GIB, "cpus": 2}, 65536, 0.0004),
    "a rate": ({"connections_per_second": 1000, "mean_life": 100}, {}, 125952, None),
}


@pytest.mark.parametrize("name", sorted(WORKED_OUT))
def test_auto_is_worked_out_as_far_as_it_can_be(name):
    more, facts, most, share = WORKED_OUT[name]
    found = _offline.check({"table": dict(more, max="auto")}, _offline_host.of_facts(facts))
    assert (found["problems"], found["policy"]["table"]["max"]) == ([], most)
    assert (found["memory"] or {}).get("share") == share
    assert (found["memory"] is None) == (most == "auto")


def test_a_hash_size_is_not_held_against_a_number_that_nobody_knows():
    found = _offline.check({"table": {"max": "auto", "buckets": 65536}})
    assert (found["problems"], found["policy"]["table"]) == ([], {"max": "auto", "buckets": 65536})
    assert _offline.check({"table": {"max": "auto", "buckets": 0}})["problems"]


def test_rules_are_held_against_what_the_document_asks_for():
    document = {"timeouts": {"tcp_timeout_established": 600}, "snat": {"rules": [
        {"name": "lan", "out_interface": "wan*", "to": "masquerade", "port_selection": "random_fully"}]}}
    (text,) = [text for text in _offline.check(document)["warnings"] if "comes back with another port" in text]
    assert "600 seconds" in text
    assert not any("there is no interface" in text for text in _offline.check(document)["warnings"])


# What was recorded may be anything

NONSENSE = (None, "", 5, [], {}, {"kernel": 5}, {"kernel": None})
HOSTILE = (None, "9" * 9000, -1, 0, True, 1.5, "9" * 400, [], {}, 2 ** 400)


@pytest.mark.parametrize("facts", NONSENSE)
def test_facts_that_tell_nothing_are_none(facts):
    assert _offline_host.of_facts(facts) is None
    assert _offline_host.of_report({"hosts": [dict(facts, name="r1") if isinstance(facts, dict) else facts]}, "r1") is None


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:9])
def test_facts_of_wrong_types_are_not_known(value):
    names = ("kernel", "mem_total", "cpus", "page_size", "count", "memory", "settings", "namespace", "builtin", "table", "compared")
    for name in names:
        facts = dict(FACTS, name="r1", **{name: value})
        for known in (_offline_host.of_facts(facts), _offline_host.of_report({"hosts": [facts]}, "r1")):
            assert _offline.check(dict(AUTO, profile="nat_gateway"), known)["problems"] == [], (name, known)


def test_a_report_tells_what_an_entry_takes():
    table = {"max": 262144, "buckets": 65536, "table_bytes": 262144 * 384 + 16 * 65536, "count": 7}
    found = _offline_host.of_report({"written": "2026-11-21T17:30:00Z", "hosts": [{"name": "r2"}, dict(FACTS, name="r1", table=table)]}, "r1")
    assert (found.entry_bytes, found.count, dict(found.running), found.source) == (
        384, 7, {"max": 262144, "buckets": 65536}, "report of 2026-11-21T17:30:00Z")
    assert _offline_host.of_report({"hosts": [dict(FACTS, name="r1", table=table)]}, "r3") is None

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""flow_info against this machine's kernel: every figure is what `conntrack -L` tells, and intervals of samples hold it.

C(NETFLEET_TABLES) says how many tables samples are drawn from.
"""

import collections
import contextlib
import os
import random
import subprocess
import threading

import pytest
from flow_filters import PINGS, drawn, meet, source_translated, status, told

from ansible_collections.netfleet.conntrack.plugins.module_utils import _flow_info, _flows
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.tests.flowtables import kinds, oracle, tables

EXACT_TABLES, TABLES = 100, int(os.environ.get("NETFLEET_TABLES", "8"))
EDGES = (10, 30, 60, 120, 300, 600, 3600, 86400, 432000)
CLASSES = ("0-9", "10-29", "30-59", "60-119", "120-299", "300-599", "600-3599", "3600-86399", "86400-431999", "432000-")
DEFAULTS = {
    "show": list(_flow_info.SHOWN), "top": 10000, "source_network": {"ipv4": 24, "ipv6": 64}, "filter": None, "sample": "exact", "time_limit": None,
}


def run(argv, data=None):
    done = subprocess.run(argv, input=data, capture_output=True, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def asked(netns, host=None, **options):
    """The answer of flow_info in a namespace, and its warnings."""
    options = {**DEFAULTS, **options}
    assert list(_flow_info.problems(options)) == []
    with tables.inside(netns):
        found = _flow_info.flow_info(host or Host(run=run), options)
    return found["flows"], found["warnings"]


def expected(flows, prefixes):
    """Name of a breakdown -> value -> number."""
    histogram = oracle.histogram(flows, EDGES)
    return {
        "family": oracle.counted(flows, oracle.family),
        "protocol": oracle.counted(flows, oracle.protocol),
        "tcp_state": oracle.counted(flows, oracle.tcp_state),
        "status": collections.Counter(word for flow in flows for word in status(flow)),
        "zone": oracle.counted(flows, oracle.zone),
        "mark": oracle.counted(flows, oracle.mark),
        "source": oracle.counted(flows, oracle.source),
        "source_network": oracle.counted(flows, oracle.source_network(**prefixes)),
        "destination": oracle.counted(flows, oracle.destination),
        "destination_port": oracle.counted(flows, oracle.destination_port),
        "nat_address": collections.Counter(flow.reply.destination for flow in flows if source_translated(flow)),
        "remaining": collections.Counter(dict(zip(CLASSES, histogram, strict=True))),
    }


def headroom(flows):
    """What takes up ports of the addresses that some source is translated to; a reply is looked for in its zone."""
    flows = [flow for flow in flows if flow.protocol in oracle.PORTED + PINGS]
    addresses = {flow.reply.destination for flow in flows if source_translated(flow)}
    return collections.Counter(
        (flow.protocol, flow.zone or flow.zone_reply, flow.reply.destination, flow.reply.source, None if flow.protocol in PINGS else flow.reply.source_port)
        for flow in flows if flow.reply.destination in addresses
    )


def agrees(found, chosen, flows, prefixes=None):
    """Whether an exact answer is what is told of the chosen flows, and of all flows."""
    prefixes = prefixes or DEFAULTS["source_network"]
    assert found["exact"] and found["sample_size"] == len(flows)
    assert found["total"] == len(chosen)
    for name, truth in expected(chosen, prefixes).items():
        rows = {row["value"]: row for row in found["by_" + name]}
        assert {value: row["flows"] for value, row in rows.items() if row["flows"]} == +truth, name
        for row in rows.values() if chosen else ():
            assert row["low"] == row["share"] == row["high"] == round(row["flows"] / len(chosen), 6)
    longest = [flow.timeout for flow in oracle.longest(chosen, len(chosen))]
    assert len(longest) == len(found["longest"])
    assert all(abs(row["remaining"] - timeout) < 60 for row, timeout in zip(found["longest"], longest, strict=True))
    uses = {(use["protocol"], use["zone"], use["nat_address"], use["destination"], use["destination_port"]): use for use in found["snat_headroom"]}
    assert {key: use["used"] for key, use in uses.items()} == headroom(flows)
    assert all(use["low"] == use["used"] == use["high"] for use in uses.values())


@pytest.mark.parametrize("part", range(10))
def test_every_figure_is_what_conntrack_tells(part):
    with tables.table(5000, labels=True, acct=part % 2, timestamp=part % 3 == 1) as netns:
        for seed in range(part, EXACT_TABLES, 10):
            dice = random.Random(seed)
            tables.fill(netns, dice.choice((0, 1, 150, 600, 1500, 3000)), kinds.mixed(seed, labelled=True, fleeting=seed % 3 == 0), seed)
            flows = told(netns)
            prefixes = {"ipv4": dice.choice((24, 24, 8, 0, 32, 19)), "ipv6": dice.choice((64, 48, 0, 128, 77))}
            agrees(asked(netns, source_network=prefixes)[0], flows, flows, prefixes)
            for _filter in range(4 if flows else 0):
                options = drawn(dice, flows)
                agrees(asked(netns, source_network=prefixes, filter=options)[0], meet(flows, options), flows, prefixes)
            tables.flush(netns)


def test_as_a_whole_process(machine):
    with tables.table(3000) as netns:
        for seed in range(3):
            tables.fill(netns, 2000, kinds.mixed(seed), seed)
            flows = told(netns)
            result = machine.run("flow_info", {"sample": "exact", "top": 10000}, netns=netns)
            agrees(result["flows"], flows, flows)
            assert not result.get("changed") and not result.get("warnings")
            options = drawn(random.Random(seed), flows)
            agrees(machine.run("flow_info", {"top": 10000, "filter": options}, netns=netns, check=True)["flows"], meet(flows, options), flows)
            tables.flush(netns)


def tried(rows):
    """How many intervals there are, and how many hold the truth, of rows of the two bounds with the truth between them."""
    return collections.Counter(intervals=len(rows), held=sum(low - 1e-6 <= share <= high + 1e-6 for low, share, high in rows))


def sampled(found, chosen, flows):
    """(what they are of, rows) of the intervals in a sample's answer about the chosen ones of all flows."""
    assert not found["exact"] and found["sample_size"] < len(flows) == found["count"]
    yield "total", [(found["low"], len(chosen) / len(flows), found["high"])]
    for name, truth in expected(chosen, DEFAULTS["source_network"]).items() if found["total"] else ():
        yield name, [(row["low"], truth[row["value"]] / len(chosen), row["high"]) for row in found["by_" + name]]
    truth = headroom(flows)
    uses = [(use["low"], truth[tuple(use[name] for name in USE)], use["high"]) for use in found["snat_headroom"]]
    yield "snat_headroom", uses


USE = ("protocol", "zone", "nat_address", "destination", "destination_port")


@pytest.mark.skipif(not TABLES, reason="NETFLEET_TABLES=0")
def test_intervals_of_samples_hold_the_truth():
    held = collections.defaultdict(collections.Counter)
    with tables.table(20000) as netns:
        for seed in range(TABLES):
            dice = random.Random(f"sample {seed}")
            tables.fill(netns, 20000, dice.choice((kinds.HEAVY, kinds.FLAT, kinds.mixed(seed))), seed)
            flows, sample = told(netns), dice.choice(("1000", "1000", "5000"))
            for options in ({}, drawn(dice, flows)):
                for name, rows in sampled(asked(netns, top=10, sample=sample, filter=options)[0], meet(flows, options), flows):
                    held[name].update(tried(rows))
            tables.flush(netns)
    held["all"] = sum(held.values(), collections.Counter())
    print(f"\n{TABLES} tables of 20000 flows, two samples each, of 1000 or 5000 flows: intervals that hold the truth")
    for name, row in held.items():
        print(f"{name:<18} {row['held']:>6} of {row['intervals']:>6}  {100 * row['held'] / max(1, row['intervals']):6.2f} %")
    assert held["all"]["intervals"] >= 40 * TABLES
    assert held["all"]["held"] >= 0.93 * held["all"]["intervals"]


def test_auto_reads_a_small_table_exactly_and_samples_a_large_one():
    small, sample = _flow_info.SMALL, _flow_info.SAMPLE
    with tables.table(2 * small) as netns:
        tables.fill(netns, small, kinds.HEAVY)
        assert asked(netns, sample="auto", show=["family"])[0]["exact"]
        tables.fill(netns, small, kinds.FLAT, 2)
        found = asked(netns, sample="auto", show=["family"])[0]
        assert not found["exact"] and found["count"] == 2 * small == found["total"]
        assert sample <= found["sample_size"] < sample + 400
        assert asked(netns, sample="%d" % (3 * small), show=["family"])[0]["exact"]


class Resizing(Host):
    """A host whose hash table is resized while it is read, so many times."""

    def __init__(self, times):
        super().__init__(run=run)
        self.times = times
        self.home = None

    @classmethod
    @contextlib.contextmanager
    def at_home(cls, times):
        """Such a host that sets sizes in the namespace in which this is called, for others may not."""
        with open("/proc/thread-self/ns/net") as home:
            host = cls(times)
            host.home = home
            yield host

    def resize(self):
        path = tables.SYSCTLS / "nf_conntrack_buckets"
        with open("/proc/thread-self/ns/net") as here:
            tables.enter(self.home)
            try:
                path.write_text(f"{int(path.read_text()) + (8192 if self.times % 2 else -8192)}\n")
            finally:
                tables.enter(here)

    def netlink_stream(self, request, timeout=5.0):
        with contextlib.closing(super().netlink_stream(request, timeout)) as datagrams:
            for number, datagram in enumerate(datagrams):
                if number == 5 and self.times:
                    self.times -= 1
                    self.resize()
                yield datagram


@pytest.mark.parametrize("times", [1, 2])
def test_a_table_that_is_resized_is_read_again(times):
    buckets = int((tables.SYSCTLS / "nf_conntrack_buckets").read_text())
    with Resizing.at_home(times) as host, tables.table(6000, buckets) as netns:
        tables.fill(netns, 5000, kinds.mixed(1), 1)
        flows = told(netns)
        found, warnings = asked(netns, host)
        assert warnings == []
        agrees(found, flows, flows)


def test_a_table_that_is_resized_all_the_time_is_told():
    buckets = int((tables.SYSCTLS / "nf_conntrack_buckets").read_text())
    with Resizing.at_home(9) as host, tables.table(6000, buckets) as netns:
        tables.fill(netns, 5000, kinds.mixed(1), 1)
        found, warnings = asked(netns, host, show=["source"])
        assert not found["exact"] and len(warnings) == 1 and "resized each time" in warnings[0]
    assert int((tables.SYSCTLS / "nf_conntrack_buckets").read_text()) == buckets


def test_flows_that_stay_are_counted_while_others_come_and_go():
    pool = kinds.Pool("20.0.0.1", 1000)
    lasting = kinds.Kind(1, "tcp", kinds.Pool("10.0.0.2", 50), pool, "ESTABLISHED")
    passing = kinds.Kind(1, "udp", kinds.Pool("10.77.0.2", 50), pool)
    ended = threading.Event()
    with tables.table(20000) as netns:
        tables.fill(netns, 4000, (lasting,))

        def churn():
            seed = 0
            while not ended.is_set():
                seed += 1
                tables.fill(netns, 2000, (passing,), seed)
                run(["ip", "netns", "exec", netns, "conntrack", "-D", "-p", "udp"])

        thread = threading.Thread(target=churn)
        thread.start()
        try:
            for _reading in range(20):
                # The kernel goes through a chain again when the entry where it stopped has gone in the meantime.
                found = asked(netns, show=["source"], filter={"protocol": ["tcp"]})[0]
                assert found["exact"] and 4000 <= found["total"] <= 4040
        finally:
            ended.set()
            thread.join()


def test_a_time_limit_leaves_what_was_read_as_a_sample():
    with tables.table(6000) as netns:
        tables.fill(netns, 5000, kinds.HEAVY)
        flows = told(netns)
        found = asked(netns, time_limit=1e-9, show=["family"])[0]
        assert not found["exact"] and 0 < found["sample_size"] < 300 and found["total"] == found["count"] == 5000
        truth = oracle.counted(flows, oracle.family)
        assert all(row["low"] <= truth[row["value"]] / 5000 <= row["high"] for row in found["by_family"])
        agrees(asked(netns, time_limit=60.0)[0], flows, flows)


def test_a_table_without_flows():
    with tables.table() as netns:
        found, warnings = asked(netns)
        agrees(found, [], [])
    assert warnings == [] and found["count"] == found["total"] == found["sample_size"] == 0
    assert all(not row["flows"] for name in _flows.BREAKDOWNS for row in found["by_" + name])
    assert tuple(row["value"] for row in found["by_remaining"]) == CLASSES
    assert found["longest"] == found["snat_headroom"] == [] and found["unknown_sockets"]["total"] == 0
    assert set(found["breakdowns"]) == set(_flows.BREAKDOWNS)


def test_only_what_is_asked_for_is_answered():
    with tables.table(200) as netns:
        tables.fill(netns, 100, kinds.HEAVY)
        every = set(asked(netns)[0])
        for name in _flow_info.SHOWN:
            listed = {name if name in ("longest", "snat_headroom", "unknown_sockets") else "by_" + name}
            found = set(asked(netns, show=[name])[0])
            assert listed <= found <= every
            assert found - listed == {"schema_version", "total", "count", "exact", "sample_size", "share", "low", "high", "breakdowns"}


def test_ports_that_rules_give(netns):
    rules = "table ip nat { chain postrouting { type nat hook postrouting priority 100; meta l4proto tcp snat to 198.51.100.1:20000-29999; }; }"
    kind = kinds.Kind(1, "tcp", kinds.Pool("10.0.0.2", 50), kinds.Pool("20.0.0.1", 1), "TIME_WAIT", ports=(443,), snat=kinds.NAT[:1])
    subprocess.run(["ip", "netns", "exec", netns, "nft", rules], check=True)
    tables.fill(netns, 1000, (kind,))
    (use,) = asked(netns, show=["snat_headroom"])[0]["snat_headroom"]
    wait = int(subprocess.check_output(["ip", "netns", "exec", netns, "sysctl", "-n", "net.netfilter.nf_conntrack_tcp_timeout_time_wait"]))
    assert (use["used"], use["available"], use["share"], use["flows_per_second"]) == (1000, 10000, 0.1, round(10000 / wait, 1))


def test_without_rights(machine):
    told_why = machine.refused("flow_info", {}, user="nobody")
    assert told_why == "cannot count the flows: it needs root, or CAP_NET_ADMIN in this network namespace"


def test_all_that_is_wrong_is_said_at_once(machine):
    told_why = machine.refused("flow_info", {"sample": "some", "top": 0, "time_limit": -1, "filter": {"mark": "x", "protocol": ["frob"], "zone": []}})
    assert {"top", "sample", "time_limit", "filter.zone", "filter.protocol", "filter.mark"} <= {text.partition(":")[0] for text in told_why.split("; ")}


@pytest.mark.parametrize("answer, text", [
    (PermissionError(1, "Operation not permitted"), "cannot read the flows: it needs root"), (OSError(105, "No buffer space"), "the kernel had no memory")])
def test_what_goes_wrong_while_reading_is_said(answer, text, netns):
    class Failing(Host):
        def netlink_stream(self, request, timeout=5.0):
            if answer:
                raise answer
            yield b""

    with pytest.raises(ConntrackError, match=text):
        asked(netns, Failing(run=run))


def test_rows_hold_what_they_promise():
    with tables.table(2000) as netns:
        tables.fill(netns, 1000, kinds.HEAVY)
        found = asked(netns)[0]
    for name in _flows.BREAKDOWNS:
        assert all(set(row) == {"value", "flows", "share", "low", "high"} for row in found["by_" + name])
        assert found["breakdowns"][name] == {"distinct": found["breakdowns"][name]["distinct"], "bound": 0}

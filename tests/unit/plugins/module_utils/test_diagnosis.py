# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Diagnosis of recorded hosts: healthy ones have no findings, and files with mistakes are found, and well after the cure that is printed.

What packets and counters show is found on the live kernel, in tests/integration.
"""
import collections
import json
import random
import subprocess

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _ctnetlink, _diagnosis, _diagnosis_flows, _diagnosis_texts, _profiles
from ansible_collections.netfleet.conntrack.plugins.module_utils._ctnetlink import STATUS
from ansible_collections.netfleet.conntrack.plugins.module_utils._findings_row import Queue
from ansible_collections.netfleet.conntrack.plugins.module_utils._flow_read import Reading
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import flow_entries, policies, recorded

MODULAR, LIVE, LATE = "bookworm-6.1", "live-6.18", "bookworm-6.1-late"
POLICY = {"table": {"max": 8192, "memory_share": 0.1}, "timeouts": {"udp_timeout": 33, "icmp_timeout": 61}}


def diagnosed(host, interval=0.0):
    before = recorded.snapshot(host)
    result = _diagnosis.diagnosis_info(recorded.again(host), {"interval": interval})
    assert recorded.snapshot(host) == before and result["changed"] is False and result["warnings"] == []
    json.dumps(result)
    return result


def ids(host):
    return [found["id"] for found in diagnosed(host)["findings"]]


def put(host, path, text):
    recorded.put(host.root + path, {"text": text})


def carry_out(host, finding):
    """The commands as printed, below the root of the recorded host."""
    assert finding["evidence"]["commands"]
    for line in finding["evidence"]["commands"]:
        assert line in finding["cure"]
        subprocess.run(["sh", "-ec", line.replace(" /etc/", " %s/etc/" % host.root)], check=True)


@pytest.mark.parametrize("name", [name for name in recorded.names() if name != LATE])
def test_recorded_hosts_are_healthy(name, tmp_path):
    result = diagnosed(recorded.machine(name, tmp_path), 0.01)
    assert result["findings"] == []
    assert result["interval"] >= (0.01 if result["facts"]["available"] else 0)


@pytest.mark.parametrize("name", [MODULAR, MODULAR + "-unloaded", "bullseye-5.10"])
def test_a_host_with_a_document_is_healthy(name, tmp_path):
    host = recorded.machine(name, tmp_path)
    policies.run(host, dict(POLICY, early_load={}))
    assert ids(host) == []


@pytest.mark.parametrize("profile", sorted(_profiles.BY_NAME))
def test_a_host_with_a_profile_is_healthy(profile, tmp_path):
    host = recorded.machine(MODULAR, tmp_path)
    policies.run(host, {"profile": profile, "early_load": {}})
    assert ids(host) == []


def test_a_value_that_comes_too_early(tmp_path):
    host = recorded.machine(LATE, tmp_path)
    (found,) = diagnosed(host)["findings"]
    assert (found["id"], found["severity"]) == ("lost_at_boot", "warning")
    assert [(row["name"], row["asked"], row["source"]) for row in found["evidence"]["values"]] == [
        ("max", "55555", "/etc/sysctl.d/60-conntrack.conf:1"), ("tcp_timeout_established", "4321", "/etc/sysctl.d/60-conntrack.conf:2")]
    assert found["policy"] == {"early_load": {}, "table": {"max": 55555}, "timeouts": {"tcp_timeout_established": 4321}}
    policies.run(host, found["policy"])
    assert "lost_at_boot" not in ids(host)


def test_a_value_that_somebody_typed(tmp_path):
    host = recorded.machine(MODULAR, tmp_path)
    host.overwrite("/proc/sys/net/netfilter/nf_conntrack_max", "16384\n")
    host.overwrite("/proc/sys/net/netfilter/nf_conntrack_buckets", "16384\n")
    host.overwrite("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established", "86400\n")
    (found,) = diagnosed(host)["findings"]
    rows = found["evidence"]["values"]
    assert [(row["name"], row["asked"], row["boot"]) for row in rows] == [("max", 16384, 4096), ("tcp_timeout_established", 86400, 432000)]
    policies.run(host, found["policy"])
    assert "lost_at_boot" not in ids(host)


OLD = "# old\nnet.ipv4.netfilter.ip_conntrack_max = 8192\nnet.ipv4.ip_conntrack_max=8192\nnet.ipv4.netfilter.ip_conntrack_tcp_timeout_established = 7440\n"


def test_names_of_old_kernels(tmp_path):
    host = recorded.machine(LIVE, tmp_path)
    put(host, "/etc/sysctl.d/90-old.conf", OLD)
    (found,) = diagnosed(host)["findings"]
    assert (found["id"], found["severity"], found["policy"]) == (
        "legacy_names", "warning", {"table": {"max": 8192}, "timeouts": {"tcp_timeout_established": 7440}})
    assert {row["where"]: row["write"] for row in found["evidence"]["lines"]} == {
        "/etc/sysctl.d/90-old.conf:2": "net.netfilter.nf_conntrack_max = 8192", "/etc/sysctl.d/90-old.conf:3": "net.netfilter.nf_conntrack_max = 8192",
        "/etc/sysctl.d/90-old.conf:4": "net.netfilter.nf_conntrack_tcp_timeout_established = 7440"}
    carry_out(host, found)
    assert "legacy_names" not in ids(host) and "ip_conntrack" not in host.read("/etc/sysctl.d/90-old.conf").replace("nf_conntrack", "")


# A line of modprobe.d, and what the printed command makes of it.
TYPOS = {
    "options nf_conntrack hashsize = 65536": "options nf_conntrack hashsize=65536",
    "options nf_conntrack hashsize= 65536 acct=1": "options nf_conntrack hashsize=65536 acct=1",
    "options nf_conntrack hashsize=64k": "# options nf_conntrack hashsize=64k",
}


@pytest.mark.parametrize("line", sorted(TYPOS))
def test_a_line_that_keeps_the_module_from_loading(line, tmp_path):
    host = recorded.machine(MODULAR, tmp_path)
    path = "/etc/modprobe.d/conntrack.conf"
    put(host, path, "# ours\n%s\n" % line)
    found = diagnosed(host)["findings"][0]
    assert (found["id"], found["severity"]) == ("bad_boot_file", "warning")
    assert {(row["where"], row["line"], row["write"]) for row in found["evidence"]["problems"]} == {(path + ":2", line, TYPOS[line])}
    carry_out(host, found)
    assert host.read(path) == "# ours\n%s\n" % TYPOS[line] and "bad_boot_file" not in ids(host)


def test_a_line_that_has_kept_the_module_from_loading(tmp_path):
    host = recorded.machine(MODULAR + "-unloaded", tmp_path)
    put(host, "/etc/modprobe.d/conntrack.conf", "options nf_conntrack hashsize = 65536\n")
    assert [(each["id"], each["severity"]) for each in diagnosed(host)["findings"]] == [("bad_boot_file", "critical")]


def test_a_key_that_this_kernel_does_not_have_is_a_notice(tmp_path):
    host = recorded.machine(LIVE, tmp_path)
    put(host, "/etc/sysctl.d/90-site.conf", "net.netfilter.nf_conntrack_helper = 0\n")
    assert [(each["id"], each["severity"]) for each in diagnosed(host)["findings"]] == [("bad_boot_file", "notice")]


def test_another_program_that_writes_other_values(tmp_path):
    host = recorded.machine(LIVE, tmp_path)
    policies.run(host, {"table": {"max": 524288}})
    assert ids(host) == ["not_tracking"]  # a document, and no rule that has anything tracked
    put(host, "/etc/sysctl.conf", "# by hand\nnet.netfilter.nf_conntrack_max = 65536\n")
    found = next(each for each in diagnosed(host)["findings"] if each["id"] == "foreign_owner")
    assert found["severity"] == "warning" and "/etc/sysctl.conf:2" in json.dumps(found["evidence"]) and "take" in found["cure"]
    put(host, "/etc/sysctl.conf", "# by hand\n")
    assert ids(host) == ["not_tracking"]


ESTABLISHED_SECONDS = 10 ** 7  # more than any entry has left that is made up


def under(entry):
    """The timeout that an entry is under, by the plain reader of entries; None of what no finding asks for."""
    assured, protocol = bool(entry["status"] & STATUS["assured"]), entry["orig"].protocol
    if protocol == 6:
        return "tcp_timeout_" + entry["protoinfo"]["tcp"]["state"].lower() if "tcp" in entry.get("protoinfo", {}) else None
    named = {1: "icmp_timeout", 58: "icmpv6_timeout", 17: "udp_timeout" + "_stream" * assured, 47: "gre_timeout" + "_stream" * assured, 33: None, 132: None}
    return named.get(protocol, "generic_timeout")


def is_idle(entry):
    left = entry.get("timeout", 0)
    return under(entry) == "tcp_timeout_established" and entry["status"] & STATUS["assured"] and 600 <= left <= ESTABLISHED_SECONDS - 3600


@pytest.mark.parametrize("seed", range(4))
def test_flows_are_counted_as_the_plain_reader_has_them(seed):
    chance = random.Random("diagnosis %d" % seed)
    payloads = [flow_entries.payload(chance) for dummy in range(2000)]
    entries = [_ctnetlink.entry(payload) for payload in payloads]
    watch = _diagnosis_flows.Watch(ESTABLISHED_SECONDS)
    for batch in flow_entries.batches(payloads):
        watch.add(batch)
    found = watch.flows(Reading(len(entries), len(entries), True, False))
    expected = collections.Counter(map(under, entries))
    known = {"tcp_timeout_" + state.lower() for state in _ctnetlink.TCP_STATES}
    assert found.timeouts == {name: number for name, number in expected.items() if name and (name in known or "tcp" not in name)}
    assert found.assured == sum(1 for entry in entries if entry["status"] & STATUS["assured"])
    assert found.natted == sum(1 for entry in entries if entry["status"] & (STATUS["src_nat"] | STATUS["dst_nat"]))
    questions = [entry for entry in entries if (entry["orig"].protocol, entry["orig"].destination_port) == (17, 53)]
    assert found.dns == sum(1 for entry in questions if entry["status"] & STATUS["dst_nat"]) > 0
    idle = collections.Counter(entry["orig"].source for entry in filter(is_idle, entries))
    assert found.idle.flows == sum(idle.values()) > 0 and found.idle.source_flows == idle[found.idle.source] == max(idle.values())
    left = sorted(entry["timeout"] for entry in filter(is_idle, entries) if entry["orig"].source == found.idle.source)
    assert found.idle.remaining == (left[0], left[len(left) // 2], left[-1])


QUEUES = "    0  12345     5 2 65531     0     0       12  1\n    7 4294963200     0 2 65531     3     1       99  1\n"


def test_queues_are_read():
    assert _diagnosis_texts.queues(QUEUES) == {0: Queue(0, 12345, 5, 0, 12), 7: Queue(7, 4294963200, 0, 4, 99)}
    assert _diagnosis_texts.queues(None) == _diagnosis_texts.queues("") == {}


LOG = """[    1.000000] Linux version 6.18.44
[  100.250000] nf_conntrack: nf_conntrack: table full, dropping packet
[  104.250000] nf_conntrack: nf_conntrack: table full, dropping packet
[  105.000000] nf_conntrack: nf_conntrack: table full in netns 4026532177, dropping packet
[  109.000000] net_ratelimit: 8 callbacks suppressed
"""


def test_lines_of_the_log_are_of_one_namespace():
    assert tuple(_diagnosis_texts.log(LOG, None, 110.25)) == (2, 6.0)
    assert tuple(_diagnosis_texts.log(LOG, "4026532177", 110.0)) == (1, 5.0)
    assert tuple(_diagnosis_texts.log(LOG, "4026532178", 110.0)) == (0, 0.0)


SOCKETS = """sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
00000000e6d6cd8d 0   12345      00000000 0        0        0     2        0        4
000000009c29d32f 12  12345      00000000 0        0        0     2        0        562
"""


ESTABLISHED = """0      0               192.0.2.1:47166      198.51.100.2:443
\t ts sack cubic rto:204 lastsnd:90000 lastrcv:89000 lastack:88000 pacing_rate 1bps
0      0      [::ffff:192.0.2.1]:22 [::ffff:192.0.2.9]:4000
\t ts sack cubic rto:204 lastsnd:5000 lastrcv:4000 pacing_rate 1bps
0      0      [fe80::1%eth0]:179 [fe80::2]:4000 ts sack lastsnd:1000 lastrcv:2000 lastack:3000
"""


def test_how_long_sockets_are_silent():
    assert _diagnosis_texts.silences(ESTABLISHED) == {
        ("192.0.2.1", 47166, "198.51.100.2", 443): 88.0, ("192.0.2.1", 22, "192.0.2.9", 4000): 0.0, ("fe80::1", 179, "fe80::2", 4000): 1.0}
    assert _diagnosis_texts.silences("") == _diagnosis_texts.silences(None) == {}


def test_the_owner_of_a_queue_is_found_by_its_socket():
    assert _diagnosis_texts.owner_socket(SOCKETS, 12345) == "562"
    assert _diagnosis_texts.owner_socket(SOCKETS, 1) is _diagnosis_texts.owner_socket(None, 1) is None


def test_what_cannot_be_read_is_a_warning(tmp_path):
    """The table is full by its count; netlink cannot be asked on a recorded host, and the log cannot be read."""
    host = recorded.machine(MODULAR, tmp_path)
    host.overwrite("/proc/sys/net/netfilter/nf_conntrack_count", "4096\n")
    result = _diagnosis.diagnosis_info(recorded.again(host), {"interval": 0.0})
    assert [(each["id"], each["severity"]) for each in result["findings"]] == [("not_tracking", "critical"), ("table_filling", "warning")]
    assert any("flows" in text for text in result["warnings"]) and any("log" in text for text in result["warnings"])
    user = recorded.again(host)
    user.uid = 1000
    result = _diagnosis.diagnosis_info(user, {"interval": 0.0})
    assert [each["id"] for each in result["findings"]] == ["not_tracking", "table_filling"] and result["warnings"] == [_diagnosis.NOT_ROOT]


def test_bad_intervals_are_told():
    assert list(_diagnosis.problems({"interval": 2.0})) == []
    assert [text.partition(" ")[0] for text in _diagnosis.problems({"interval": 301.0})] == ["interval:"]

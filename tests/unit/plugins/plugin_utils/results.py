# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What C(drift_info) gives for a fleet, made up and always the same: results of every status, and texts that mean harm.

C(results(count)) is one dict by host, C(None) where a host has no result. C(report(count)) is the report of them. The first
nine hosts are one of each kind (KINDS), of the others most are as wanted. A second look, C(ago) days earlier, has lower
counters and other differences, so that there is something to compare with.
"""
import random

from ansible_collections.netfleet.conntrack.plugins.module_utils import _patterns
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import CATALOGUE

NOW = 1795282200  # 2026-11-21T17:30:00Z
DAY = 86400
UNIT = "netfleet-conntrack.service"
OURS = "/etc/sysctl.d/zz-netfleet-conntrack.conf"
# What hosts say that wish the reader ill: markup, a script, a link, a mention, a terminal's escape, NUL, a lone surrogate, a table's border.
HOSTILE = (
    "<script>alert('owned')</script>", '"><img src=x onerror=alert(1)>', "[click](javascript:alert(1)) @everyone !1 #2", "`a` | b | c\n| d",
    "\x1b[31mred\x1b[0m \x00 \x07", "\udc80\udcff and \ud800", "]]> &lt; &#60; <!-- --> <![CDATA[",
    "\u202egnp.exe \ufffe\uffff", "</details></pre></code>```\n# head",
    "x" * 20000,
)
EVIL_NAME = 'evil"><script>alert(1)</script>|`x`'
WANTED = {
    "max": 524288, "buckets": 524288, "tcp_timeout_established": 7440, "tcp_timeout_time_wait": 60, "udp_timeout_stream": 120, "icmp_timeout": 60,
    "tcp_loose": True, "acct": True, "helper": False, "events": 2,
}
KERNELS = ("6.8.0-48-generic", "6.1.0-27-amd64", "5.15.0-1072-raspi", "4.18.0-553.el8.x86_64", "6.12.1")
MEMORY = (256 << 20, 4 << 30, 8 << 30, 64 << 30)
SNAT = (
    ("lan", 'oifname "wan0" ip saddr 10.16.0.0/16 masquerade fully-random', "masquerade", "random_fully"),
    ("guests", 'oifname "wan0" ip saddr 10.17.0.0/16 snat to 198.51.100.10-198.51.100.13 fully-random', "198.51.100.10-198.51.100.13", "random_fully"),
    ("voice", 'oifname "wan0" ip saddr 10.18.0.0/20 snat to 198.51.100.14:20000-40000', "198.51.100.14", "keep"),
    ("vpn", 'oifname "tun*" ip saddr 10.16.0.0/16 masquerade', "masquerade", "keep"),
    ("site-to-site", 'oifname "wan0" ip daddr 192.168.0.0/16 accept', "exempt", "keep"),
)
WANTED_ELSE = {UNIT: "enabled"}  # of what is no value
# part, name, layer, kind, what is found (None: nothing), source, why
DRIFTS = (
    ("settings", "max", "running", "running_value", 65536, "", "somebody set it by hand, or a program did"),
    ("settings", "max", "boot", "foreign_sysctl", 262144, "/etc/sysctl.d/zzz-site.conf:3", "the file is read after ours"),
    ("settings", "buckets", "boot", "foreign_modprobe", 16384, "/etc/modprobe.d/nf.conf:1", "options of the module"),
    ("settings", "tcp_timeout_established", "boot", "sysctl_file_edited", 432000, OURS + ":8", "our file has been edited"),
    ("settings", "tcp_loose", "running", "running_value", False, "", "somebody set it by hand, or a program did"),
    ("early_load", "hooks", "running", "hooks_gone", "absent", "", "no rule asks for tracking"),
    ("early_load", UNIT, "boot", "unit_disabled", "disabled", UNIT, "systemd does not start our unit"),
    ("early_load", "/etc/modules-load.d/zz-netfleet-conntrack.conf", "boot", "modules_load_file_missing", "absent", "", "our own file"),
    ("snat", "lan", "running", "rule_changed", 'oifname "wan0" ip saddr 10.16.0.0/16 masquerade', "table ip netfleet_conntrack chain snat", "another rule"),
    ("snat", "voice", "running", "rules_reordered", "at place 1", "table ip netfleet_conntrack chain snat", "the first rule that fits counts"),
    ("early_load", "management", "running", "management_gone", "absent", "", "the rules that keep the management path untracked are gone"),
)
COUNTERS = ("found", "invalid", "insert", "insert_failed", "drop", "early_drop", "error", "search_restart", "clash_resolve", "chain_toolong")

# Counters that rise on a host; on most only what loses nothing.
RISING = (("found", "search_restart"),) * 20 + (("found", "clash_resolve"), ("early_drop", "drop", "found"), ("found", "insert_failed", "drop"), ("invalid",))


def results(count, seed=0, ago=0):
    """What each of C(count) hosts gave at NOW, or so many days before."""
    return {name(index): _result(index, seed, ago) for index in range(count)}


def report(count, seed=0, previous=True, **more):
    """The report of these results. With C(previous) there were thirty runs before, a day apart, the last of which was kept."""
    from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report

    told = dict({"kind": "drift", "title": "Routers of the north", "version": "0.1.0"}, **more)
    earlier = _report.build(results(count, seed, 1), written=NOW - DAY, **told) if previous else None
    history = {name(index): past(index, seed) for index in range(count)} if previous else {}
    return _report.build(results(count, seed), written=NOW, previous=earlier, history=history, **told)


def name(index):
    """The name of a host in the inventory."""
    return EVIL_NAME if index == 6 else "r%d.example.net" % (index + 1)


def past(index, seed=0, runs=30):
    """The points of a host's history, a run a day."""
    rng = _rng(index, seed, "past")
    return [[NOW - day * DAY, max(0, _count(index, seed, day) + rng.randrange(3000)), WANTED["max"]] for day in range(runs, 0, -1)]


def _count(index, seed, ago):
    """Connections so many days before; in the table of one host of five they grow."""
    rng = _rng(index, seed, "count")
    return int(WANTED["max"] * rng.choice((0.02, 0.1, 0.2, 0.2, 0.4, 0.4, 0.7, 0.97))) - ago * (4000 if index == 8 else rng.choice((0, 0, 0, 0, 4000)))


def _rng(index, seed, what=""):
    return random.Random("%s %s %s" % (index, seed, what))


def _clean(index, seed, ago):
    return _looked(index, seed, ago, ())


def _drift(index, seed, ago):
    rng = _rng(index, seed, "drift %s" % (ago > 0 and index % 2))
    return _looked(index, seed, ago, rng.sample(DRIFTS, 1 + index % 4))


def _hostile(index, seed, ago):
    """A host whose every text means harm, and that has every kind of difference."""
    found = _looked(index, seed, ago, DRIFTS)
    for number, row in enumerate(found["differences"]):
        row.update(source=HOSTILE[number % len(HOSTILE)], why=HOSTILE[(number + 3) % len(HOSTILE)])
    found["differences"][-1]["found"] = HOSTILE[-1]
    for number, row in enumerate(found["compared"]):
        row["source"] = HOSTILE[number % len(HOSTILE)]
    found["problems"] = found["warnings"] = list(HOSTILE)
    for number, rule in enumerate(found["facts"]["snat_rules"]):
        rule["comment"] = HOSTILE[number]
    found["facts"].update(kernel=HOSTILE[0], owners=[{"name": HOSTILE[1], "where": HOSTILE[2], "effect": HOSTILE[3], "settings": {}}])
    return found


def _failed(index, dummy_seed, dummy_ago):
    return {"failed": True, "changed": False, "msg": "table.max: 99 is below the present count; %s" % HOSTILE[index % len(HOSTILE)]}


def _unreachable(dummy_index, dummy_seed, dummy_ago):
    return {"unreachable": True, "changed": False, "msg": "Failed to connect to the host via ssh: connect to host 192.0.2.4 port 22: No route to host"}


def _absent(dummy_index, dummy_seed, dummy_ago):
    return None


def _unread(index, seed, ago):
    found = _looked(index, seed, ago, ())
    for row in found["compared"][-5:]:
        row.update(running=None, boot=None, source="")
    return dict(found, status="unknown", problems=["cannot read the rules: nft list ruleset: Operation not permitted"])


def _container(index, seed, ago):
    """A container: no table, nothing to set."""
    found = _looked(index, seed, ago, ())
    facts = {"schema_version": 1, "available": False, "error": "cannot read /proc/sys/net/netfilter: not this namespace", "builtin": False,
             "kernel": KERNELS[0], "namespace": "other", "settings": {}, "owners": [], "snat_rules": [], "counters": {"total": {}, "cpus": []}}
    return dict(found, status="unknown", facts=facts, headroom=None, memory=None, compared=[], problems=["table.max: this is a container"])


def _foreign(index, seed, ago):
    """As wanted now, while other programs will write other values."""
    found = _looked(index, seed, ago, DRIFTS[1:2])
    writers = [{"name": "ufw", "source": "/etc/ufw/sysctl.conf:12", "value": 65536, "when": "always"}]
    writers.append({"name": "tuned", "source": "/etc/tuned/site/tuned.conf:4", "value": 1048576, "when": "if it was lower"})
    next(row for row in found["compared"] if row["name"] == "max")["writers"] = writers
    found["warnings"] = ["ufw writes net.netfilter.nf_conntrack_max = 65536 whenever it starts (/etc/ufw/sysctl.conf:12)"]
    return found


KINDS = (_clean, _drift, _failed, _unreachable, _absent, _unread, _hostile, _container, _foreign)


def _result(index, seed, ago):
    if index < len(KINDS):
        return KINDS[index](index, seed, ago)
    kinds, weights = zip((_clean, 88), (_drift, 6), (_foreign, 1), (_failed, 1), (_unread, 1), (_container, 1), (_unreachable, 2))
    return _rng(index, seed, "kind").choices(kinds, weights)[0](index, seed, ago)


def _looked(index, seed, ago, drifts):
    rng = _rng(index, seed)
    mem_total = rng.choice(MEMORY)
    values = _values(mem_total)
    differences = [_differ(values, drift) for drift in drifts]
    return {
        "changed": False, "schema_version": 1, "status": "drift" if drifts else "clean", "compared": values, "differences": differences, "problems": [],
        "policy": {"profile": "nat_gateway", "table": {"max": "auto", "memory_share": 0.1}},
        "memory": {"entry_bytes": 320, "table_bytes": 176160768, "share": round(176160768 / mem_total, 4)},
        "facts": _facts(index, seed, ago, mem_total), "headroom": _headroom(rng), "warnings": [],
    }


def _row(part, name_, value, source):
    return {"part": part, "name": name_, "wanted": value, "running": value, "boot": value, "source": source, "reason": "", "differs": [], "writers": []}


def _values(dummy_mem_total):
    settings = [setting for setting in CATALOGUE if setting.access == "rw" and not setting.name.startswith(("dccp", "udplite"))]
    rows = [_row("settings", each.name, _wanted(each), "%s:%d" % (OURS, line)) for line, each in enumerate(settings, 2)]
    rows += [_row("early_load", name_, value, UNIT) for name_, value in (("hooks", "present"), ("management", "untracked"))]
    return rows + [_row("snat", name_, text, UNIT) for name_, text, dummy_to, dummy_ports in SNAT]


def _wanted(setting):
    value = WANTED.get(setting.name, setting.default((6, 8)))
    return setting.shown(4096 if value is None else value)


def _differ(values, drift):
    """Put a difference into the rows of values; return its own row."""
    part, name_, layer, kind, found, source, why = drift
    row = next((each for each in values if (each["part"], each["name"]) == (part, name_)), {"wanted": WANTED_ELSE.get(name_, "current")})
    if layer in row:
        row[layer], row["differs"] = found, row["differs"] + [layer]
    for each in values if name_ == UNIT else ():  # the rules that it does not load
        if each["source"] == UNIT:
            each["boot"], each["differs"] = found, each["differs"] + ["boot"]
    if layer == "boot":
        row["source"] = source
    return {"part": part, "name": name_, "layer": layer, "kind": kind, "wanted": row["wanted"], "found": found, "source": source, "why": why}


def _facts(index, seed, ago, mem_total):
    rng = _rng(index, seed, "facts")
    count = max(0, _count(index, seed, ago))
    cpus = rng.choice((1, 4, 8, 64))
    rising = RISING[-3] if index == 1 else rng.choice(RISING)
    total = {name_: 1000 + (10 - ago) * rng.randrange(1, 200000) * (name_ in rising) for name_ in COUNTERS}
    return {
        "schema_version": 1, "available": True, "error": "", "builtin": index % 5 == 0, "kernel": KERNELS[index % len(KERNELS)], "namespace": "initial",
        "settings": {"max": {"running": WANTED["max"], "boot": WANTED["max"], "source": OURS + ":3", "reason": ""}},
        "loaded_by": "/etc/modules-load.d/zz-netfleet-conntrack.conf:2", "boot_problems": [],
        "tracking": {"ipv4": "yes", "ipv6": rng.choice(("yes", "no", "unknown")), "because": "rule with ct state in table inet netfleet_conntrack chain x"},
        "owners": [{"name": "docker", "where": "/run/docker.pid", "effect": "its rules have connections tracked", "settings": {}}] if index % 7 == 0 else [],
        "snat_rules": [_rule(place, rng, *rule) for place, rule in enumerate(SNAT, 1)],
        "count": count, "max": WANTED["max"], "usage": round(count / WANTED["max"], 4), "buckets": WANTED["buckets"], "load_factor": 1.0,
        "expect_max": 4096, "expect_count": 0, "memory": {"entry_bytes": 320, "table_bytes": 176160768, "share": round(176160768 / mem_total, 4)},
        "counters": {"total": total, "cpus": []}, "mem_total": mem_total, "cpus": cpus, "page_size": 4096,
    }


def _rule(place, rng, label, text, to, selection):
    return {"backend": "nftables", "family": "ipv4", "table": "netfleet_conntrack", "chain": "snat", "handle": place + 3, "owner": "netfleet.conntrack",
            "match": text.split(" masquerade")[0].split(" snat")[0], "to": to, "ports": "20000-40000" if label == "voice" else "", "port_selection": selection,
            "persistent": False, "comment": label, "packets": rng.randrange(10 ** 7), "priority": 100}


def _headroom(rng):
    rows = []
    for address, available in (("198.51.100.10", 64512), ("198.51.100.14", 20001)):
        share = rng.choice((0.001, 0.01) * 10 + (0.2, 0.5, 0.85, 0.99))
        used = int(available * share)
        rows.append({"nat_address": address, "protocol": "tcp", "destination": "203.0.113.7", "destination_port": 443, "zone": 0, "used": used,
                     "available": available, "share": round(used / available, 6), "flows_per_second": available / 60, "low": used, "high": used})
    return rows


assert set(COUNTERS) >= {name_ for row in _patterns.PATTERNS for sums in row.sums for name_ in sums}

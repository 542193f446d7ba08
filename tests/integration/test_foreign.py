# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SNAT rules of others on the kernel: read without a trace, given random ports with all else kept, given their words back.

Needs root, nft, iptables of both kinds, and iproute2. Each test is in a network namespace of its own.
"""

import contextlib
import ctypes
import functools
import itertools
import json
import os
import re
import socket
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _foreign, _foreign_back, _journal, _memo, _nat_rules, _rulesets
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_row import stateless, untouchable

CLONE_NEWNET = 0x40000000
RELEASE = os.uname().release
NEW, OLD = (6, 18), (4, 18)  # kernels that take random for fully-random, or not
BOOT = _memo.boot(Host())
FLAVOURS = ("iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy")
PROGRAMS = {name: name for name in FLAVOURS}
NAMES = [Path("/proc/net/ip_tables_names"), Path("/proc/net/ip6_tables_names")]

# Every kind of rule there is: sets, maps, ranges, marks, sub-chains, odd comments, and those that are to be left alone.
NFT = r"""
table ip office {
    comment "all but a rule"
    counter named { packets 7 bytes 700 }
    set lan { type ipv4_addr; flags interval; elements = { 10.0.0.0/24, 10.1.0.7 }; }
    map public { type ipv4_addr : ipv4_addr; elements = { 10.0.0.1 : 192.0.2.1, 10.0.0.2 : 192.0.2.2 }; }
    map leads { type ifname : verdict; elements = { "ppp0" : jump by_map }; }
    chain sub {
        ip daddr @lan counter masquerade comment "$(reboot) `id` \ -j ACCEPT # handle 3"
        meta l4proto { tcp, udp } masquerade to :1024-65535
    }
    chain by_map { counter name named masquerade persistent; }
    chain post {
        type nat hook postrouting priority 100;
        oifname "out0" ip saddr { 192.0.2.1, 10.0.0.3 } counter masquerade
        oifname "ppp*" ip saddr != 10.0.0.0/8 ip daddr 192.0.2.0/24 counter masquerade comment "a   b	c"
        meta l4proto tcp counter snat to 192.0.2.1-192.0.2.9:1024-65535 persistent
        tcp dport { 80, 443-500 } ip dscp ef meta mark & 0xff == 0x12 ct state new,related snat to 192.0.2.5:5000
        ip saddr { 10.2.0.0/16, 10.3.0.1 } counter masquerade comment "networks { 1-2 }"
        ip saddr { 10.2.0.0/16, 10.3.0.1 } counter masquerade comment "networks { 1-2 }"
        counter snat to ip saddr map { 10.4.0.0/31 : 192.0.2.1, 10.5.0.0/16 : 192.0.2.2 }
        snat ip to ip saddr map { 10.0.0.1 : 192.0.2.1-192.0.2.5 } persistent
        counter snat to ip saddr map @public
        counter snat to ip saddr map { 10.0.0.9 : 192.0.2.3, 10.0.0.10 : 192.0.2.4 } persistent
        snat to oifname map { "masquerade" : 192.0.2.3, "snat to" : 192.0.2.4 }
        ip protocol udp snat to numgen inc mod 2 map { 0 : 192.0.2.3, 1 : 192.0.2.4 }
        ip saddr 10.9.0.0/16 limit rate 3/second quota 5 mbytes log prefix "masquerade " masquerade random
        ip saddr 10.9.0.1 masquerade fully-random,persistent
        ip saddr 10.9.0.2 snat to ip saddr
        snat ip prefix to ip saddr map { 10.7.0.0/24 : 192.0.2.0/24 }
        oifname "out0" counter masquerade comment "two
<tab>lines # handle 5"
        jump sub
        oifname vmap @leads
    }
    chain filter { type filter hook forward priority 0; counter accept comment "masquerade"; }
    chain pre { type nat hook prerouting priority -100; tcp dport 80 dnat to 10.0.0.1; tcp dport 81 redirect to :8080; }
}
table ip6 office {
    chain post {
        type nat hook postrouting priority 101;
        ip6 saddr fd00::/8 meta l4proto tcp counter masquerade to :2000-3000
        ip6 saddr 2001:db8::1 tcp dport 80 counter snat to [2001:db8::5]:1024-2048 random
        counter snat to 2001:db8::1-2001:db8::9
    }
}
table inet office {
    chain post {
        type nat hook postrouting priority 102;
        ip saddr 10.0.0.0/8 counter snat ip to 192.0.2.1
        ip6 saddr fd00::/8 counter snat ip6 to 2001:db8::1 persistent
        meta nfproto ipv6 oif "lo" masquerade
        counter masquerade
    }
}
""".replace("<tab>", "\t")
SAVED = r"""*nat
:SUB - [0:0]
-A POSTROUTING -o out0 -p udp -m comment --comment "a \"q\" b\\c $(reboot) `id` -j SNAT --to-source" -j MASQUERADE
-A POSTROUTING -s %(net)s -o out+ -p tcp -j MASQUERADE --to-ports 1024-65535
-A POSTROUTING -j SUB
-A POSTROUTING -o twice -j MASQUERADE
-A POSTROUTING -m mark --mark 0x1/0xff -j ACCEPT
-A POSTROUTING -o twice -j MASQUERADE
-A POSTROUTING -o last -m comment --comment plain -j SNAT --to-source %(address)s --random
-A POSTROUTING -o done -j MASQUERADE --random-fully
-A POSTROUTING -s %(net)s -d %(net)s -j NETMAP --to %(net)s
-A SUB ! -s %(net)s -p tcp %(odd)s -m multiport --dports 80,443:500 -j SNAT --to-source %(range)s --persistent
-A SUB -p udp -j SNAT --to-source %(ported)s
-A SUB -j MASQUERADE
-A PREROUTING -i out0 -p tcp -m tcp --dport 80 -j DNAT --to-destination %(address)s
COMMIT
"""
ODD = "-m limit --limit 3/sec -m statistic --mode nth --every 3 --packet 0 -m conntrack --ctstate NEW"
WORDS = {
    "iptables": {"net": "10.0.0.0/8", "address": "192.0.2.1", "range": "192.0.2.1-192.0.2.9", "ported": "192.0.2.1:1024-65535", "odd": ODD},
    "ip6tables": {"net": "fd00::/8", "address": "2001:db8::1", "range": "2001:db8::1-2001:db8::9", "ported": "[2001:db8::1]:1024-65535", "odd": ODD},
}
# What random ports are told by, in the words of each program.
FLAG = re.compile(r"( --random-fully| random-fully| fully-random)(?= |$)|(?<= )fully-random,", re.MULTILINE)
# Rules that some versions of nft cannot replace get another handle.
MOVED = re.compile(r"^(\t\t.*\{[^\"\n]*[0-9][-/][0-9].*) # handle [0-9]+$", re.MULTILINE)


def command(*argv, data=None):
    done = subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert done.returncode == 0, "%s: %s" % (" ".join(argv), done.stderr)
    return done.stdout


def run(argv, data=None):
    done = subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(autouse=True)
def inside():
    """This thread, and what it starts, is in a network namespace with an interface out0."""
    if os.geteuid() != 0:
        pytest.fail("these tests make network namespaces: run them as root")
    libc, name = ctypes.CDLL(None), "netfleet-" + uuid.uuid4().hex[:12]
    command("ip", "netns", "add", name)
    with contextlib.ExitStack() as stack:
        stack.callback(command, "ip", "netns", "del", name)
        for place in ("/proc/%d/ns/net" % os.getpid(), "/run/netns/" + name):
            handle = os.open(place, os.O_RDONLY)
            stack.callback(os.close, handle)
            if not place.startswith("/run"):
                stack.callback(libc.setns, handle, CLONE_NEWNET)
        assert libc.setns(handle, CLONE_NEWNET) == 0
        command("ip", "link", "add", "out0", "type", "veth", "peer", "name", "far0")
        for argv in (["link", "set", "lo", "up"], ["link", "set", "far0", "up"], ["link", "set", "out0", "up"], ["addr", "add", "192.0.2.1/24", "dev", "out0"],
                     ["-6", "addr", "add", "2001:db8::1/64", "dev", "out0", "nodad"]):
            command("ip", *argv)
        yield


@pytest.fixture
def host():
    return Host(run=run)


def send():
    """Packets that meet the rules, so that counters count."""
    for family, address in ((socket.AF_INET, "192.0.2.77"), (socket.AF_INET6, "2001:db8::77")):
        for port in range(40000, 40007):
            with socket.socket(family, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
                sender.bind(("", port))
                sender.sendto(b"x", (address, 9))


@functools.cache
def keeps_counters(program):
    """Tell whether a program takes counters; ip6tables-nft 1.8.9 does not, and does not say so."""
    restored = "printf '*nat\\n[3:4] -A POSTROUTING -j MASQUERADE\\nCOMMIT\\n' | %s-restore --counters; %s-save -c" % (program, program)
    return "[3:4]" in command("unshare", "-n", "sh", "-c", restored)


def saved(program):
    """Without the counters of whole chains, which iptables-legacy begins anew at every change of its table."""
    text = command(program + "-save", "-c")
    lines = [re.sub(r"^(:.*) \[.*", r"\1", line) for line in text.splitlines() if not line.startswith("#")]
    return lines if keeps_counters(program) else [re.sub(r"^\[[0-9]+:[0-9]+\]", "", line) for line in lines]


def legacy_there():
    return any(path.exists() and path.read_text().strip() for path in NAMES)


def shown(table):
    """A table in nft's words. Handles of rules that iptables-nft made are no part of its words."""
    if re.match("table ip6? nat ", table):
        table = re.sub("(?m) # handle [0-9]+$", "", table)
    if table.startswith("table ip6 nat ") and not keeps_counters("ip6tables-nft"):
        table = re.sub("counter packets [0-9]+ bytes [0-9]+", "counter", table)
    return MOVED.sub(r"\1", table)


def seen():
    """All rules, with their counters and handles."""
    tables = re.split(r"(?m)^(?=table )", command("nft", "-a", "list", "ruleset"))
    return ["".join(map(shown, tables))] + [saved(name) for name in FLAVOURS if "legacy" not in name or legacy_there()]


def plain(things):
    """The same without the flag, wherever it is."""
    return [FLAG.sub("", thing) if isinstance(thing, str) else [FLAG.sub("", line) for line in thing] for thing in things]


def rows(host):
    found, unread = _nat_rules.read(host, _rulesets.read(host, RELEASE))
    assert unread == ()
    return found


def alike(row):
    """A row without what is to change: the flag, and the handle of some."""
    return unmoved(row)._replace(nat=row.nat._replace(port_selection=""), text="", behind="")


def unmoved(row):
    """A row without what its program cannot keep."""
    forgets = row.backend == "iptables-nft" and row.family == "ipv6" and not keeps_counters("ip6tables-nft")
    row = row._replace(packets=None, text=stateless(row.text)) if forgets else row
    return row._replace(place=0) if row.moves else row


def load_nft():
    command("nft", "-f", "-", data=NFT)


def load_saved(program):
    command(program + "-restore", "--noflush", data=SAVED % WORDS[program.partition("-")[0]])


def load_all():
    load_nft()
    for program in FLAVOURS:
        load_saved(program)


def planned(host, memo=(), version=NEW):
    return _foreign.plan(rows(host), version, PROGRAMS, memo=memo, boot=BOOT)


def execute(host, steps):
    for step in steps[1:]:
        _journal.do(host, step)


def take_back(host, steps):
    (memo,) = steps[0].undo
    assert [step.undo for step in steps[1:]] == [()] * len(steps[1:])
    _foreign_back.put_back(host, json.loads(json.dumps(memo)))


LOADS = {
    "nftables": (load_nft, 22, 3),
    **{name: (lambda name=name: load_saved(name), 7, 1) for name in FLAVOURS},
    "all": (load_all, 50, 7),
}


@pytest.mark.parametrize("load, number, steps", LOADS.values(), ids=LOADS)
def test_there_and_back(host, load, number, steps):
    load()
    send()
    before, rows_before = seen(), rows(host)
    assert sum(row.packets or 0 for row in rows_before) > 0
    found = planned(host)
    assert (found.refusals, len(found.changes)) == ((), number)
    # One transaction for each backend and family, after what takes all of them back.
    assert [step.action for step in found.steps] == ["foreign"] + ["feed"] * steps
    execute(host, found.steps)
    after, rows_after = seen(), rows(host)
    assert plain(after) == plain(before) and after != before
    assert [alike(row) for row in rows_after] == [alike(row) for row in rows_before]
    assert {row.nat.port_selection for row in rows_after if not untouchable(row)} == {"random", "random_fully"}
    assert list(_foreign.unproven(rows_after, found.memo, BOOT)) == []
    again = planned(host, found.memo)
    assert (again.changes, again.steps, len(again.memo)) == ((), (), number)
    back = _foreign.undo(rows_after, PROGRAMS, found.memo, BOOT)
    assert (back.warnings, len(back.changes)) == ((), number)
    execute(host, back.steps)
    assert seen() == before
    assert [unmoved(row) for row in rows(host)] == [unmoved(row) for row in rows_before]


def test_taken_back_by_its_journal(host):
    load_all()
    send()
    before = seen()
    steps = planned(host).steps
    execute(host, steps)
    take_back(host, steps)
    assert seen() == before


def test_old_kernels_do_not_take_random_for_enough(host):
    load_all()
    before = seen()
    found = planned(host, version=OLD)
    execute(host, found.steps)
    assert {row.nat.port_selection for row in rows(host) if not untouchable(row)} == {"random_fully"}
    assert not [row.text for row in rows(host) if re.search(r"--random( |$)|[ ,]random\b", row.text)]
    execute(host, _foreign.undo(rows(host), PROGRAMS, found.memo, BOOT).steps)
    assert seen() == before


def failing(host, steps):
    before = seen()
    for step in steps[1:]:
        with pytest.raises(ConntrackError):
            _journal.do(host, step)
    take_back(host, steps)
    assert seen() == before


@pytest.mark.parametrize("program", FLAVOURS)
def test_a_rule_of_iptables_that_moved_is_not_hit(host, program):
    """Another program deletes a rule between reading and writing: nothing is done, where iptables -R would have hit its neighbour."""
    load_saved(program)
    steps = planned(host).steps
    command(program, "-w", "-t", "nat", "-D", "POSTROUTING", "2")
    failing(host, steps)


def test_a_rule_of_nft_that_is_gone(host):
    load_nft()
    steps = planned(host).steps
    for family in ("ip", "ip6", "inet"):
        listing = command("nft", "-a", "list", "chain", family, "office", "post")
        command("nft", "delete", "rule", family, "office", "post", "handle", re.search("counter .* # handle ([0-9]+)", listing).group(1))
    failing(host, steps)


def test_a_failing_load_leaves_everything(host):
    """The last line is one that the kernel does not take."""
    load_all()
    steps = planned(host).steps
    failing(host, steps[:1] + tuple(step._replace(value=[step.value[0], spoiled(*step.value)]) for step in steps[1:]))


def spoiled(argv, text):
    return text + "delete table ip nothere\n" if argv[0] == "nft" else text.replace("COMMIT\n", "-A SUB -j NOWHERE\nCOMMIT\n")


def test_what_changed_since_is_left_alone(host):
    load_all()
    found = planned(host)
    execute(host, found.steps)
    listing = command("nft", "-a", "list", "chain", "ip6", "office", "post")
    handle = re.search("handle ([0-9]+)", listing[listing.index("masquerade"):]).group(1)
    command("nft", "replace", "rule", "ip6", "office", "post", "handle", handle, "masquerade fully-random")
    for program in FLAVOURS:
        command(program, "-w", "-t", "nat", "-I", "POSTROUTING", "1", "-o", "new0", "-j", "ACCEPT")
        command(program, "-w", "-t", "nat", "-D", "SUB", "3")
    undone = _foreign.undo(rows(host), PROGRAMS, found.memo, BOOT)
    execute(host, undone.steps)
    assert len(undone.changes) == len(found.changes) - 5
    assert undone.warnings[0].startswith("5 of the SNAT rules of others")
    mine = [row for row in rows(host) if row.text.endswith("-o twice -j MASQUERADE")]
    assert [row.place for row in mine] == [5, 7] * 4
    assert "masquerade fully-random # handle " + handle in command("nft", "-a", "list", "chain", "ip6", "office", "post")


def test_a_table_made_anew_is_no_longer_ours(host):
    """The administrator takes the advice, writes the flag into his file and reloads: his own rules are not changed back."""
    load_nft()
    found = planned(host)
    execute(host, found.steps)
    listing = command("nft", "list", "ruleset")
    command("nft", "-f", "-", data="flush ruleset\n" + listing)
    assert _foreign.undo(rows(host), PROGRAMS, found.memo, BOOT).steps == ()
    assert _foreign.undo(rows(host), PROGRAMS, found.memo, "another boot").steps == ()


@pytest.mark.parametrize("program", FLAVOURS)
def test_a_rule_inserted_twice(host, program):
    """A script adds its rule once more at each call: all of them are changed, and all of them back."""
    memo = ()
    for dummy in range(3):
        command(program, "-w", "-t", "nat", "-A", "POSTROUTING", "-o", "out0", "-j", "MASQUERADE")
        found = planned(host, memo)
        assert len(found.changes) == 1 or memo and not found.changes
        execute(host, found.steps)
        memo = found.memo
    execute(host, _foreign.undo(rows(host), PROGRAMS, memo, BOOT).steps)
    assert {row.nat.port_selection for row in rows(host)} == {"keep"}


def test_a_table_that_a_program_holds(host):
    """nft -i makes a table that only it can change; nft of some versions cannot even show it as JSON, and older ones do not know it."""
    if run(["nft", "-c", "add table ip own { flags owner; }"])[0] != 0:
        pytest.skip("nft does not know flags owner")
    with subprocess.Popen(["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as holder:
        holder.stdin.write("add table ip own { flags owner; }\nadd chain ip own c { type nat hook postrouting priority 5; }\nadd rule ip own c masquerade\n")
        holder.stdin.flush()
        for dummy in range(100):
            if "masquerade" in command("nft", "list", "ruleset"):
                break
            time.sleep(0.05)
        status, dummy, dummy = run(["nft", "replace", "rule", "ip", "own", "c", "handle", "2", "masquerade", "random"])
        found, unread = _nat_rules.read(host, _rulesets.read(host, RELEASE))
        refusals = _foreign.plan(found, NEW, PROGRAMS).refusals
        holder.stdin.close()
    assert status != 0
    assert unread or "flags owner" in refusals[0]


@pytest.mark.parametrize("nft", [False, True], ids=["nothing", "nft"])
def test_reading_leaves_nothing_behind(host, nft):
    if nft:
        load_nft()
    before = command("nft", "-a", "list", "ruleset")
    first = rows(host)
    assert bool(first) == nft and rows(host) == first
    assert command("nft", "-a", "list", "ruleset") == before
    assert not legacy_there()


def test_odd_names_are_never_commands(host):
    """A comment with a quotation mark, which only JSON can make: shown in the facts, and not changed."""
    command("nft", "-f", "-", data="table ip x { chain c { type nat hook postrouting priority 100; }; }\nadd rule ip x c ip saddr 10.0.0.1 masquerade")
    rule = {"family": "ip", "table": "x", "chain": "c", "comment": 'a" ; flush ruleset #', "expr": [{"masquerade": None}]}
    command("nft", "-j", "-f", "-", data=json.dumps({"nftables": [{"add": {"rule": rule}}]}))
    found = rows(host)
    assert [(row.comment, bool(row.text)) for row in found] == [("", True), ('a" ; flush ruleset #', False)]
    assert "cannot be changed" in _foreign.plan(found, NEW, PROGRAMS).refusals[0]


def test_many_rules(host):
    lines = ["add rule ip x c ip saddr 10.%d.%d.1 counter masquerade comment \"number %d\"" % (*divmod(number, 250), number) for number in range(5000)]
    command("nft", "-f", "-", data="table ip x { chain c { type nat hook postrouting priority 100; }; }\n" + "\n".join(lines))
    saves = ["-A POSTROUTING -s 10.%d.%d.1/32 -m comment --comment \"number %d\" -j MASQUERADE" % (*divmod(number, 250), number) for number in range(5000)]
    command("iptables-legacy-restore", "--noflush", data="*nat\n%s\nCOMMIT\n" % "\n".join(saves))
    before = seen()
    found = planned(host)
    assert len(found.changes) == 10000
    execute(host, found.steps)
    assert plain(seen()) == plain(before)
    assert {row.nat.port_selection for row in rows(host)} == {"random_fully"}
    for row in itertools.islice(rows(host), 3):
        assert row.text

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The management path by real packets: a client, a router whose table is full, and a server behind it.

Needs root, nft, iptables of both kinds, conntrack-tools, iproute2, and a kernel with conntrack.
"""
import contextlib
import fcntl
import os
import socket

import pytest
from lab import ADDRESSES, CLIENT, FAMILIES, ROUTER, SERVER, connected
from test_snat_boot import Router

from ansible_collections.netfleet.conntrack.plugins.module_utils import _early_load, _management, _management_meets, _rulesets, _unit
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.plugins.module_utils._transaction import execute
from ansible_collections.netfleet.conntrack.tests.flowtables import tables
from ansible_collections.netfleet.conntrack.tests.flowtables.kinds import ASSURED, Kind, Pool
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded

BACKENDS = ("nftables", "iptables")
MAX = "/proc/sys/net/netfilter/nf_conntrack_max"
MANY = 3000  # far more than other namespaces have, for which the limit is the same
HELD = Kind(1, "udp", Pool("203.0.113.0", 100), Pool("203.0.113.100", 100), status=ASSURED)  # may not be deleted to make room
NETWORKS = ["192.0.2.0/24", "2001:db8:1::/64"]
PATH = {"interfaces": ["inner"], "networks": NETWORKS, "ports": [22]}
# What the path may be told by.
PATHS = {
    "both": PATH,
    "interfaces": {"interfaces": ["eth7", "inn*"]},
    "networks": {"networks": NETWORKS + ["198.18.0.0/15", "198.20.0.0/16"], "ports": [8022, 22, 23]},
}


def options(backend, path=None, **more):
    return dict({"backend": backend, "management": path, "at_boot": False}, **more)


def told(done):
    """The warnings of a run; newer cores give more than the text."""
    return [found["event"]["msg"] if isinstance(found, dict) else found for found in done["warnings"]]


def rules(lab):
    """Every rule of the router but its counters; tables of iptables that are empty are nothing."""
    texts = [lab.command(ROUTER, "nft", "-s", "list", "ruleset")]
    texts += [lab.command(ROUTER, program + "-save") for program in ("iptables-legacy", "ip6tables-legacy")]
    lines = [line for text in texts for line in text.splitlines() if "netfleet" in line.lower() or "track" in line]
    return [line.replace(" packets 0 bytes 0", "") for line in lines]


@contextlib.contextmanager
def full(lab):
    """The router's table is full, for a moment: the limit is one number for all namespaces."""
    tables.flush(lab.names[ROUTER])
    tables.fill(lab.names[ROUTER], MANY, (HELD,))
    with open(tables.LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        handle = os.open(MAX, os.O_RDWR)
        before = os.pread(handle, 99, 0)
        os.pwrite(handle, b"%d" % MANY, 0)
        try:
            yield
        finally:
            os.pwrite(handle, before, 0)
            os.close(handle)


def listening(lab, node, family, address, port):
    made = lab.socket(node, family, socket.SOCK_STREAM, (address, port))
    made.listen(99)
    return made


def connects(lab, family, address, port, seconds=0.4):
    """Whether a new connection of the client is made, and carries data to and fro."""
    with lab.inside(CLIENT), socket.socket(FAMILIES[family], socket.SOCK_STREAM) as made:
        made.setblocking(False)
        made.connect_ex((address, port))
        return bool(connected([made], seconds))


def entries(lab, family, port):
    text = lab.command(ROUTER, "conntrack", "-L", "-f", family, "-p", "tcp", "--orig-port-dst", "%d" % port)
    return text.splitlines()


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


@pytest.fixture
def early(machine, lab):
    """Runs the module on the router."""
    def run(*args, **more):
        return machine.run("early_load", options(*args, **more), netns=lab.names[ROUTER])
    return run


@pytest.mark.parametrize("path", PATHS)
def test_a_full_table_locks_nobody_out(early, lab, backend, path):
    done = early(backend, PATHS[path])
    assert (done["changed"], done["management"], done["tracking"]["ipv4"], done["tracking"]["ipv6"]) == (True, "untracked", "yes", "yes")
    assert not early(backend, PATHS[path])["changed"]
    for family in FAMILIES:
        here = ADDRESSES[family]
        for port in (22, 80):
            listening(lab, ROUTER, family, here.inner, port)
            listening(lab, SERVER, family, here.server, port)
            assert connects(lab, family, here.inner, port) and connects(lab, family, here.server, port)
        # What is sent on to port 22 of others is tracked as before.
        assert not any("dst=%s " % here.inner in line for line in entries(lab, family, 22)), family
        assert len(entries(lab, family, 22)) == 1 and len(entries(lab, family, 80)) == 2
    with full(lab):
        found = {(family, port): connects(lab, family, ADDRESSES[family].inner, port) for family in FAMILIES for port in (22, 80)}
        forwarded = [connects(lab, family, ADDRESSES[family].server, 22, 0.1) for family in FAMILIES]
    assert found == {(family, port): port == 22 for family in FAMILIES for port in (22, 80)} and forwarded == [False, False]


def test_without_it_a_full_table_locks_out(early, lab, backend):
    early(backend)
    listening(lab, ROUTER, "ipv4", ADDRESSES["ipv4"].inner, 22)
    assert connects(lab, "ipv4", ADDRESSES["ipv4"].inner, 22)
    with full(lab):
        assert not connects(lab, "ipv4", ADDRESSES["ipv4"].inner, 22)


def test_one_family_alone(early, lab, backend):
    early(backend, {"networks": ["192.0.2.0/24"]})
    for family in FAMILIES:
        listening(lab, ROUTER, family, ADDRESSES[family].inner, 22)
        assert connects(lab, family, ADDRESSES[family].inner, 22)
    assert (len(entries(lab, "ipv4", 22)), len(entries(lab, "ipv6", 22))) == (0, 1)


def test_what_the_host_sends_to_itself_is_tracked(early, lab, backend):
    early(backend, {"networks": NETWORKS})
    address = ADDRESSES["ipv4"].inner
    listening(lab, ROUTER, "ipv4", address, 22)
    with lab.inside(ROUTER), socket.create_connection((address, 22), 1):
        assert len(entries(lab, "ipv4", 22)) == 1 and "ESTABLISHED" in entries(lab, "ipv4", 22)[0]


# What somebody does by hand, and what is found different.
BY_HAND = {
    "nftables": {
        "flush ruleset": ("nft flush ruleset", {"hooks", "management"}),
        "flush of a chain": ("nft flush chain inet netfleet_conntrack management_out", {"management"}),
        "another rule": ("nft add rule inet netfleet_conntrack management_in tcp dport 443 notrack", {"management"}),
        "no rule": ("nft flush chain inet netfleet_conntrack early_load", {"hooks"}),
        "another chain": ("nft add chain inet netfleet_conntrack mine", {"chain mine"}),
    },
    "iptables": {
        "flush": ("iptables -t raw -F", {"hooks", "management"}),
        "jump": ("iptables -t raw -D OUTPUT -j NETFLEET_MANAGEMENT_OUT", {"management"}),
        "not the first": ("ip6tables -t raw -I PREROUTING -p udp -j ACCEPT", {"management"}),
        "another rule": ("ip6tables -t raw -A NETFLEET_MANAGEMENT_IN -p tcp -j CT --notrack", {"management"}),
    },
}


@pytest.mark.parametrize("name", [(backend, name) for backend in BACKENDS for name in BY_HAND[backend]], ids="-".join)
def test_what_was_changed_by_hand_is_put_right(early, lab, name):
    backend, (line, expected) = name[0], BY_HAND[name[0]][name[1]]
    early(backend, PATH)
    ours = rules(lab)
    lab.command(ROUTER, *line.split())
    done = early(backend, PATH)
    assert {change["name"] for change in done["changes"]} == expected
    assert rules(lab) == ours
    assert not early(backend, PATH)["changed"]


def test_counters_make_no_difference(early, lab):
    early("nftables", PATH)
    lab.command(ROUTER, "nft", "-f", "-", data=lab.command(ROUTER, "nft", "list", "table", "inet", "netfleet_conntrack").replace(
        "table inet netfleet_conntrack {", "flush ruleset\ntable inet netfleet_conntrack {").replace("notrack", "counter packets 7 bytes 420 notrack"))
    assert not early("nftables", PATH)["changed"]


def test_another_path_another_backend_and_away(early, machine, lab):
    before, files = rules(lab), machine.files()
    for backend, path in (("nftables", PATH), ("nftables", PATHS["interfaces"]), ("iptables", PATHS["interfaces"]), ("iptables", PATH),
                          ("iptables", None), ("nftables", None), ("iptables", PATH), ("nftables", PATHS["networks"])):
        assert early(backend, path)["changed"] and not early(backend, path)["changed"]
    early("auto", hooks=False, path=PATH)
    assert not [line for line in rules(lab) if "ct state" in line] and [line for line in rules(lab) if line.endswith("notrack")]
    assert early("auto", state="absent")["changed"]
    assert rules(lab) == before and not early("auto", state="absent")["changed"]
    assert machine.files() == files


# At boot


class Here(Router):
    """A recorded host with the rules of a real network namespace, also those of the old iptables."""

    def read_bytes(self, path):
        if path in recorded.TABLES_NAMES:
            return self.real(["cat", path])[1].encode()
        return super().read_bytes(path)

    def ours(self):
        texts = [self.real(["nft", "-s", "list", "ruleset"])[1]]
        texts += [self.real([name, "-t", "raw"])[1] for name in ("iptables-legacy-save", "ip6tables-legacy-save")]
        return [line for text in texts for line in text.splitlines() if "track" in line or "NETFLEET" in line]


class Old(Here):
    """One on which `iptables` is the old one."""

    def real(self, argv, data=None):
        name = argv[0].replace("tables", "tables-legacy", 1) if argv[0].startswith("ip") and "legacy" not in argv[0] and "nft" not in argv[0] else argv[0]
        if name == "sh":
            data = data.replace('"$program-restore"', '"${program}-legacy-restore"').replace('jump "$program" raw', 'jump "$program-legacy" raw')
        return super().real([name] + argv[1:], data)


@pytest.mark.parametrize("kind", [Here, Old])
def test_a_boot_gives_the_rules_back(tmp_path, netns, backend, kind):
    host = recorded.machine("bookworm-6.1", tmp_path, kind)
    host.netns = netns
    os.makedirs(host.root + "/sys/module/nf_tables", exist_ok=True)
    given = {"backend": backend, "management": PATH}
    execute(host, _early_load.PART, given, False)
    ours = host.ours()
    assert len(ours) > 4 and not execute(host, _early_load.PART, given, False)["changed"]
    execute(host, _early_load.PART, dict(given, state="absent", at_boot=False), False)
    assert not [line for line in host.ours() if "NETFLEET" in line or "netfleet" in line]
    execute(host, _early_load.PART, given, False)
    for flush in (["nft", "flush", "ruleset"], ["iptables", "-t", "raw", "-F"], ["true"]):  # at boot, and again after a firewall service
        host.real(flush)
        assert host.boot()[0] == 0 and sorted(host.ours()) == sorted(ours)
    assert not execute(host, _early_load.PART, given, False)["changed"] and host.exists(_unit.LOADER)


class Failing(Here):
    """One whose systemd does not start our unit."""

    def _run_systemctl(self, argv):
        return (1, "", "Job failed.") if "restart" in argv else super()._run_systemctl(argv)


@pytest.mark.parametrize("before", [None, PATHS["interfaces"]], ids=["nothing", "another path"])
def test_a_run_that_fails_puts_back_what_was_there(tmp_path, netns, backend, before):
    host = recorded.machine("bookworm-6.1", tmp_path, Here)
    host.netns = netns
    os.makedirs(host.root + "/sys/module/nf_tables", exist_ok=True)
    if before:
        execute(host, _early_load.PART, {"backend": backend, "management": before}, False)
        host.real(["nft", "add", "rule", "inet", "netfleet_conntrack", "management_in", "tcp", "dport", "443", "notrack"])
    ours, files = host.ours(), recorded.settled(host)
    with pytest.raises(ConntrackError, match="Job failed.; everything is as it was before"):
        failing = recorded.again(host, Failing)
        failing.netns = netns
        execute(failing, _early_load.PART, {"backend": backend, "management": PATH}, False)
    assert [line for line in host.ours() if "NETFLEET" in line or "notrack" in line] == [line for line in ours if "NETFLEET" in line or "notrack" in line]
    assert recorded.settled(host) == files


# What would be met, with rules as the tools print them: a filter that lets the path in, or not, once it is not tracked


def met(lab, path=None):
    """What is told of the rules that the router has."""
    def run(argv, data):
        done = lab.command(ROUTER, *argv, data=data)
        return 0, done, ""

    management, wrong = _management.wanted({"management": path or PATH})
    assert not wrong
    with lab.inside(ROUTER):
        host = Host(run=run)
        return _management_meets.read(host, _rulesets.read(host, os.uname().release), management)


INPUT = "table inet f { chain i { type filter hook input priority 0; policy drop; %s }; }"
OUTPUT = "table inet f { chain o { type filter hook output priority 0; policy drop; %s }; }"
PRE = "table ip n { chain p { type nat hook prerouting priority -100; %s }; }"
USUAL = "ct state established,related accept; ct state invalid drop; iif lo accept; "
# Rules of nft: whether the path can be untracked.
FILTERS = {
    "no rule": ("table inet f { chain i { type filter hook input priority 0; policy accept; ct state invalid drop; }; }", True),
    "usual": (INPUT % (USUAL + "tcp dport { 22, 443 } accept;"), True),
    "interface": (INPUT % (USUAL + 'iifname "inner" accept;'), True),
    "from some of it": (INPUT % (USUAL + "ip saddr 192.0.2.0/25 tcp dport 22 accept; ip6 nexthdr tcp tcp dport 22 accept;"), True),
    "untracked": (INPUT % "ct state established,related,untracked accept; tcp dport 22 ct state new accept;", True),
    "map of states": (INPUT % "ct state vmap { established : accept, related : accept, invalid : drop }; tcp dport 22 accept;", True),
    "another interface": (INPUT % (USUAL + 'iifname "outer" ct state new tcp dport 22 accept; iifname "inner" tcp dport 22 accept;'), True),
    "blacklist before it": (INPUT % (USUAL + "ip saddr 192.0.2.66 drop; tcp dport 22 accept;"), True),
    "named ports": ("table inet f { set open { type inet_service; elements = { 22, 80 }; }; chain i { type filter hook input priority 0; policy drop; %s }; }"
                    % (USUAL + "tcp dport @open accept;"), True),
    "through a chain": ("table inet f { chain sub { tcp dport 22 accept; }; chain i { type filter hook input priority 0; policy drop; %s }; }"
                        % (USUAL + "jump sub;"), True),
    "closed with nothing stateful": (INPUT % "tcp dport 80 accept;", True),
    "only new": (INPUT % "ct state established,related accept; ct state new tcp dport 22 accept;", False),
    "only established": (INPUT % "ct state established,related accept;", False),
    "drops untracked": (INPUT % "ct state untracked,invalid drop; tcp dport 22 accept;", False),
    "drops what is not known": (INPUT % "ct state != { established, related, new } drop; tcp dport 22 accept;", False),
    "limit on new": (INPUT % (USUAL + "tcp dport 22 limit rate over 3/minute drop; tcp dport 22 accept;"), False),
    "limited": (INPUT % (USUAL + "tcp dport 22 limit rate 3/minute accept;"), False),
    "by the mark of the connection": (INPUT % "ct mark 7 accept;", False),
    "way out": (OUTPUT % "ct state established,related accept;", False),
    "way out by port": (OUTPUT % "ct state established,related accept; tcp sport 22 accept;", True),
    "routed by mark": ("table inet m { chain o { type route hook output priority -150; meta mark set ct mark; }; }", False),
    "redirect": (PRE % "tcp dport 22 redirect to :2222;", False),
    "redirect of another port": (PRE % "tcp dport 80 redirect to :8080;", True),
    "dnat from outside": (PRE % 'iifname "outer" tcp dport 22 dnat to 198.51.100.2;', True),
    "dnat": (PRE % "dnat to tcp dport map { 22 : 198.51.100.2 };", False),
    "masquerade": ('table ip n { chain p { type nat hook postrouting priority 100; oifname "inner" masquerade; }; }', True),
}


@pytest.mark.parametrize("name", FILTERS)
def test_what_rules_of_nft_would_be_met(lab, name):
    text, free = FILTERS[name]
    lab.command(ROUTER, "nft", "-f", "-", data=text)
    found = met(lab)
    assert (not found) is free, found
    agrees(lab, name, free)


def agrees(lab, name, free):
    """By packets: where the path is said to be free, what is not tracked gets in as what is tracked does."""
    made = listening(lab, ROUTER, "ipv4", ADDRESSES["ipv4"].inner, 22)
    before = connects(lab, "ipv4", ADDRESSES["ipv4"].inner, 22, 0.2)
    lab.command(ROUTER, "nft", "table inet t { chain p { type filter hook prerouting priority -300; notrack; }; "
                "chain o { type filter hook output priority -300; notrack; }; }")
    after = connects(lab, "ipv4", ADDRESSES["ipv4"].inner, 22, 0.2)
    assert before == after or not free, name
    made.close()


TOOLS = ("iptables-nft", "iptables-legacy")
OLD = {
    "ufw": (["-P INPUT DROP", "-N before", "-N user", "-A INPUT -j before", "-A INPUT -j user", "-A before -i lo -j ACCEPT",
             "-A before -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A before -m conntrack --ctstate INVALID -j DROP",
             "-A before -m addrtype --dst-type LOCAL -j RETURN", "-A before -j DROP", "-A user -p tcp -m tcp --dport 22 -j ACCEPT"], True),
    "only new": (["-P INPUT DROP", "-A INPUT -m state --state ESTABLISHED -j ACCEPT",
                  "-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT"], False),
    "not syn": (["-A INPUT -m state --state ESTABLISHED -j ACCEPT", "-A INPUT -p tcp ! --syn -j DROP", "-A INPUT -p tcp --dport 22 -j ACCEPT"], False),
    "other ports": (["-P INPUT DROP", "-A INPUT -p tcp -m multiport --dports 80,443 -m conntrack --ctstate NEW -j ACCEPT"], True),
    "redirect": (["-t nat -A PREROUTING -p tcp -m multiport --dports 20:30 -j REDIRECT --to-ports 2222"], False),
    "docker": (["-t nat -N DOCKER", "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
                "-t nat -A DOCKER -p tcp --dport 8080 -j DNAT --to-destination 198.51.100.2:80"], True),
    "marks": (["-t mangle -A OUTPUT -j CONNMARK --restore-mark"], False),
}


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("name", OLD)
def test_what_rules_of_iptables_would_be_met(lab, tool, name):
    lines, free = OLD[name]
    for line in lines:
        lab.command(ROUTER, tool, *line.split())
    found = met(lab)
    assert (not found) is free, found
    agrees(lab, name, free)


def test_met_rules_are_told_and_the_path_stays_tracked(early, lab, backend):
    lab.command(ROUTER, "nft", "-f", "-", data=FILTERS["only new"][0])
    done = early(backend, PATH)
    (text,) = [text for text in told(done) if text.startswith("management: ")]
    assert "`ct state new tcp dport 22 accept` (nft, table inet f, chain i)" in text and "say management.force: true" in text
    assert done["management"] == "tracked" and not [line for line in rules(lab) if "notrack" in line]
    # The line that is told is what helps.
    remedy = text.split("as by `")[1].split("`")[0]
    for line in remedy.split("; "):
        lab.command(ROUTER, *line.split(" ", 1)[:1], line.split(" ", 1)[1])
    assert early(backend, PATH)["management"] == "untracked"
    listening(lab, ROUTER, "ipv6", ADDRESSES["ipv6"].inner, 22)
    assert connects(lab, "ipv6", ADDRESSES["ipv6"].inner, 22)


def test_force(early, lab, backend):
    lab.command(ROUTER, "nft", "-f", "-", data=FILTERS["only established"][0])
    done = early(backend, dict(PATH, force=True))
    assert done["management"] == "untracked" and [line for line in rules(lab) if "notrack" in line]
    assert [text for text in told(done) if text.startswith("management.force: ")]

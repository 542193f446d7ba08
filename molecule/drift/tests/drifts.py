# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drift by hand, as data: what is done on a router, and what has to be found, no more and no less."""

from typing import NamedTuple

SYSCTL = "/etc/sysctl.d/zz-netfleet-conntrack.conf"
MODPROBE = "/etc/modprobe.d/zz-netfleet-conntrack.conf"
MODULES_LOAD = "/etc/modules-load.d/zz-netfleet-conntrack.conf"
UDEV = "/etc/udev/rules.d/zz-netfleet-conntrack.rules"
UNIT = "/etc/systemd/system/netfleet-conntrack.service"
SERVICE = "netfleet-conntrack.service"
FOLDER = "/etc/netfleet-conntrack"
LOADER, HOOKS_FILE, SNAT_FILE = FOLDER + "/load", FOLDER + "/hooks.nft", FOLDER + "/snat.nft"
JOURNAL = "/var/lib/netfleet-conntrack/journal.json"
SITE = "/etc/sysctl.d/zzz-site.conf"
OPTIONS = "/etc/modprobe.d/zzz-site.conf"
OURS, INET = "ip netfleet_conntrack", "inet netfleet_conntrack"
KEY = "net.netfilter.nf_conntrack_"
HANDLE = "nft -a list table %s | sed -n 's/.*\"%s\".* handle \\([0-9]*\\)$/\\1/p'"
VALUES = ("acct", "buckets", "expect_hashsize", "max", "tcp_loose", "tcp_timeout_established", "udp_timeout")
RULES = ("inside", "mail", "lan")
OWNER = """nft -f - <<'END'
table ip owner {
    chain postrouting {
        type nat hook postrouting priority 100;
        oifname "eth8" masquerade
    }
}
END"""
# Modules that need others go first, whatever there is of them.
UNLOAD = """nft flush ruleset
while grep -q '^nf_conntrack ' /proc/modules; do
    grep -o '^\\(nf_conntrack\\|nf_nat\\|nft_\\|xt_\\)[a-zA-Z0-9_]* [0-9]* 0 ' /proc/modules | cut -d' ' -f1 | xargs rmmod
done"""


class Drift(NamedTuple):
    """One deed. `found`: pairs of the kind of drift and its name; a set of these is all that may be told."""

    name: str
    make: str
    found: frozenset
    clean: str = ""  # takes away what is not ours, which no run of ours does
    policy: str = "router"
    refused: bool = False  # a run does nothing until that is gone
    source: str = ""  # a line that has to be named


def drift(name, make, *found, **more):
    return Drift(name, make, frozenset(found), **more)


def of_rule(name):
    return f"$({HANDLE % (OURS, name)})"


def edited(path):
    return f"echo '# edited' >>{path}"


def masked(path):
    return f"ln -sf /dev/null {path}"


DRIFTS = (
    # Running values
    drift("a timeout set by hand", f"sysctl -qw {KEY}udp_timeout=31", ("running_value", "udp_timeout")),
    drift("a switch set by hand", "echo 0 >/proc/sys/net/netfilter/nf_conntrack_acct", ("running_value", "acct")),
    drift("the limit set by hand", "sysctl -qw net.nf_conntrack_max=9999", ("running_value", "max")),
    drift("the hash size set by hand", "echo 4096 >/sys/module/nf_conntrack/parameters/hashsize", ("running_value", "buckets")),
    drift("a value that a file of others holds, applied", f"echo {KEY}udp_timeout=20 >{SITE}; sysctl -qp {SITE}",
          ("running_value", "udp_timeout"), ("foreign_sysctl", "udp_timeout"), clean=f"rm {SITE}", refused=True, source=SITE + ":1"),
    # sysctl.d
    drift("our sysctl file edited", f"sed -i 's/udp_timeout = .*/udp_timeout = 50/' {SYSCTL}",
          ("sysctl_file_edited", SYSCTL), ("own_file_decides", "udp_timeout")),
    drift("a comment in our sysctl file", edited(SYSCTL), ("sysctl_file_edited", SYSCTL)),
    drift("our sysctl file gone", f"rm {SYSCTL}", ("sysctl_file_missing", SYSCTL), ("own_file_decides", "max"),
          *[("not_set_at_boot", name) for name in ("tcp_timeout_established", "udp_timeout", "acct")]),
    drift("our sysctl file masked", masked(SYSCTL), ("sysctl_file_masked", SYSCTL), ("own_file_decides", "max"),
          *[("not_set_at_boot", name) for name in ("tcp_timeout_established", "udp_timeout", "acct")]),
    drift("a later file of others", f"echo {KEY}udp_timeout=20 >{SITE}", ("foreign_sysctl", "udp_timeout"),
          clean=f"rm {SITE}", refused=True, source=SITE + ":1"),
    drift("a later file with the old alias", f"printf '# site\\nnet.nf_conntrack_max = 5000\\n' >{SITE}", ("foreign_sysctl", "max"),
          clean=f"rm {SITE}", refused=True, source=SITE + ":2"),
    # modprobe.d
    drift("our module options edited", f"sed -i 's/expect_hashsize=[0-9]*/expect_hashsize=4096/' {MODPROBE}",
          ("modprobe_file_edited", MODPROBE), ("own_file_decides", "expect_hashsize")),
    drift("our module options gone", f"rm {MODPROBE}", ("modprobe_file_missing", MODPROBE),
          ("not_set_at_boot", "expect_hashsize")),
    drift("our module options masked", masked(MODPROBE), ("modprobe_file_masked", MODPROBE),
          ("not_set_at_boot", "expect_hashsize")),
    drift("module options of others", f"echo options nf_conntrack expect_hashsize=2048 >{OPTIONS}", ("foreign_modprobe", "expect_hashsize"),
          clean=f"rm {OPTIONS}", refused=True, source=OPTIONS + ":1"),
    drift("an install line that prevents the module", f"echo install nf_conntrack /bin/false >{OPTIONS}",
          *[("module_prevented", name) for name in VALUES], clean=f"rm {OPTIONS}", refused=True),
    # What loads the module
    drift("the module list gone", f"rm {MODULES_LOAD}", ("modules_load_file_missing", MODULES_LOAD)),
    drift("the module list edited", f"sed -i s/^nf_conntrack/#nf_conntrack/ {MODULES_LOAD}", ("modules_load_file_edited", MODULES_LOAD)),
    drift("the udev rule gone", f"rm {UDEV}", ("udev_file_missing", UDEV)),
    drift("the udev rule edited", edited(UDEV), ("udev_file_edited", UDEV)),
    drift("the module list and the udev rule gone", f"rm {MODULES_LOAD} {UDEV}",
          ("modules_load_file_missing", MODULES_LOAD), ("udev_file_missing", UDEV),
          *[("lost_at_boot", name) for name in ("max", "tcp_timeout_established", "udp_timeout", "acct")]),
    # What loads the rules
    drift("the unit disabled", f"systemctl -q disable {SERVICE} 2>/dev/null", ("unit_disabled", SERVICE)),
    drift("the unit not with one firewall", f"rm /etc/systemd/system/nftables.service.wants/{SERVICE}", ("unit_disabled", SERVICE)),
    drift("the unit masked", masked(UNIT), ("unit_file_masked", UNIT)),
    drift("the unit gone", f"rm {UNIT}; systemctl daemon-reload", ("unit_file_missing", UNIT)),
    drift("the unit edited", edited(UNIT), ("unit_file_edited", UNIT)),
    drift("the loader gone", f"rm {LOADER}", ("loader_file_missing", LOADER)),
    drift("the loader edited", edited(LOADER), ("loader_file_edited", LOADER)),
    drift("the file of hooks gone", f"rm {HOOKS_FILE}", ("hooks_file_missing", HOOKS_FILE)),
    drift("the file of SNAT rules edited", f"sed -i s/10.16.0.25/10.16.0.26/ {SNAT_FILE}", ("snat_file_edited", SNAT_FILE)),
    drift("the file of SNAT rules gone", f"rm {SNAT_FILE}", ("snat_file_missing", SNAT_FILE)),
    # Rules
    drift("hooks gone", f"nft flush chain {INET} early_load; nft delete chain {INET} early_load", ("hooks_gone", "hooks")),
    drift("hooks altered", f"nft add rule {INET} early_load counter", ("hooks_altered", "hooks")),
    drift("management path gone", f"for way in in out; do nft flush chain {INET} management_$way; nft delete chain {INET} management_$way; done",
          ("management_gone", "management")),
    drift("management path altered", f"nft flush chain {INET} management_in", ("management_altered", "management")),
    drift("a chain of others in our table", f"nft add chain {INET} mine", ("stranger_in_table", "chain mine")),
    drift("a SNAT rule gone", f"nft delete rule {OURS} postrouting handle {of_rule('mail')}", ("rule_missing", "mail")),
    drift("a SNAT rule changed", f"nft replace rule {OURS} postrouting handle {of_rule('lan')} oifname eth9 ip saddr 10.16.0.0/16 masquerade comment lan",
          ("rule_changed", "lan")),
    drift("a SNAT rule added", f"nft add rule {OURS} postrouting oifname eth9 masquerade comment more", ("rule_unwanted", "more")),
    drift("SNAT rules in another order", f"nft delete rule {OURS} postrouting handle {of_rule('inside')}; "
          f"nft add rule {OURS} postrouting ip daddr 10.0.0.0/8 counter snat to ip saddr comment inside",
          ("rules_reordered", "order")),
    drift("the SNAT table gone", f"nft delete table {OURS}", *[("rule_missing", name) for name in RULES]),
    drift("every rule flushed", "nft flush ruleset", ("hooks_gone", "hooks"), ("management_gone", "management"), *[("rule_missing", name) for name in RULES]),
    drift("the module unloaded", UNLOAD,
          ("module_unloaded", "nf_conntrack"), ("hooks_gone", "hooks"), ("management_gone", "management"),
          *[("running_value", name) for name in VALUES if name != "expect_hashsize"], *[("rule_missing", name) for name in RULES]),
    # A run of ours
    drift("a run that was killed", f"echo '{{}}' >{JOURNAL}", ("unfinished_run", JOURNAL)),
    # iptables
    drift("the jump to our rules gone", "iptables -t nat -D POSTROUTING -j NETFLEET_SNAT", ("rules_not_first", "hook"), policy="iptables"),
    drift("a rule of others before the jump", "iptables -t nat -I POSTROUTING -s 198.51.100.0/24 -j ACCEPT", ("rules_not_first", "hook"),
          clean="iptables -t nat -D POSTROUTING -s 198.51.100.0/24 -j ACCEPT", policy="iptables"),
    drift("an iptables rule gone", "iptables -t nat -D NETFLEET_SNAT 2", ("rule_missing", "mail"), policy="iptables"),
    drift("the jump to the management path gone", "iptables -t raw -D PREROUTING -j NETFLEET_MANAGEMENT_IN", ("management_altered", "management"),
          policy="iptables"),
    # Rules of others
    drift("a rule of others loaded again by its owner", f"{OWNER}", ("foreign_not_random", "*"), clean="nft delete table ip owner", policy="foreign"),
    # Nothing of ours is wanted at boot
    drift("our file where none is wanted", f"echo {KEY}udp_timeout=20 >{SYSCTL}", ("sysctl_file_left", SYSCTL), policy="unkept"),
)

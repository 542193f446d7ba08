# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The systemd unit that loads our rules before the network, and again after the firewalls of others.

Every part that has rules lays a file of them into our folder; the unit and what it runs are the same for all
parts, and are there while one of them wants them. Only the function C(read) looks at the host.
"""
from typing import NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import BOOT, Change, Step, reread
from ansible_collections.netfleet.conntrack.plugins.module_utils._own import FOLDERS, HEADER

FOLDER = FOLDERS[1]
NAME = "netfleet-conntrack.service"
UNIT = "/etc/systemd/system/" + NAME
LOADER = FOLDER + "/load"
OWN = (LOADER, UNIT)
STOP = ["systemctl", "stop", NAME]
# Programs of others that empty or replace the rules when they start, stop or reload.
FIREWALLS = ("nftables.service", "netfilter-persistent.service", "ufw.service", "firewalld.service", "iptables.service", "ip6tables.service")
WANTED_BY = ("multi-user.target",) + FIREWALLS
WANTS_LINKS = tuple("/etc/systemd/system/%s.wants/%s" % (unit, NAME) for unit in WANTED_BY)

# PartOf and ReloadPropagatedFrom: Debian's nftables.service flushes every table when it stops, starts
# and reloads; being wanted by it as well brings us back when it is stopped and started by hand.
SERVICE = """\
# %(header)s
[Unit]
Description=Connection tracking and SNAT before the network (netfleet.conntrack)
Documentation=https://github.com/netfleet/ansible-conntrack
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
After=local-fs.target systemd-modules-load.service systemd-sysctl.service %(firewalls)s
Conflicts=shutdown.target
PartOf=%(firewalls)s
ReloadPropagatedFrom=%(firewalls)s

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh %(loader)s
ExecReload=/bin/sh %(loader)s

[Install]
WantedBy=%(wanted_by)s
""" % {"header": HEADER, "firewalls": " ".join(FIREWALLS), "loader": LOADER, "wanted_by": " ".join(WANTED_BY)}

# A file of iptables rules is loaded by the flavour that it was written for, whatever `iptables` has come to mean since.
# A jump that is not first gets another before it; what the second one meets, the first has let pass.
SCRIPT = """\
#!/bin/sh
# %(header)s
# Loads every file of rules that lies beside it, each at once; one that cannot be loaded does not keep the others away.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin
cd %(folder)s || exit
failed=0

load() {
    file=$1
    shift
    test ! -e "$file" || "$@" < "$file" || failed=1
}

jump() {
    test "$("$1" -w -t "$2" -S "$3" 1 2> /dev/null)" = "-A $3 -j $4" ||
        "$1" -w -t "$2" -I "$3" -j "$4" || failed=1
}

load hooks.nft nft -f -
for program in iptables ip6tables; do
    file=hooks.v4
    test "$program" = iptables || file=hooks.v6
    load "$file" "$program-restore" -w --noflush
    grep -q NETFLEET_MANAGEMENT "$file" 2> /dev/null || continue
    jump "$program" raw PREROUTING NETFLEET_MANAGEMENT_IN
    jump "$program" raw OUTPUT NETFLEET_MANAGEMENT_OUT
done
load snat.nft nft -f -
for program in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do
    file=snat.$program
    test -e "$file" || continue
    command -v "$program" > /dev/null || program=${program%%-*}
    load "$file" "$program-restore" -w --noflush
    jump "$program" nat POSTROUTING NETFLEET_SNAT
done
exit "$failed"
""" % {"header": HEADER, "folder": FOLDER}


class Unit(NamedTuple):
    """What is known of the unit on a host."""

    systemd: bool  # systemd runs here
    enabled: bool  # every link that starts the unit is there
    linked: bool  # one of them is


def read(host):
    """Read how the unit is linked."""
    links = [host.link(path) is not None for path in WANTS_LINKS]
    return Unit(systemd=host.exists("/run/systemd/system"), enabled=all(links), linked=any(links))


def files(wanted):
    """Path -> text of the unit and of what it runs; None where they are to be gone."""
    return {LOADER: SCRIPT, UNIT: SERVICE} if wanted else dict.fromkeys(OWN)


def changes(part, unit, wanted):
    """Yield the Change that starting the unit at boot, or no more, is."""
    if wanted and not unit.enabled:
        yield Change(part, NAME, BOOT, "disabled", "enabled", "it loads our rules before the network")
    if not wanted and unit.linked:
        yield Change(part, NAME, BOOT, "enabled", "disabled", "no rule of ours is to be loaded")


def around(steps, changed, unit_changes, wanted):
    """``steps`` that write the files ``changed``, with what systemd has to be told of them."""
    if UNIT in changed:
        steps = reread(steps, "telling systemd of its new unit", ["systemctl", "daemon-reload"])
    if unit_changes and wanted:
        return steps + (_systemctl("run", "enable", "disable"),)
    return ((_systemctl("first", "disable", "enable", "--now"),) if unit_changes else ()) + steps


def _systemctl(action, verb, undo, *options):
    commands = [["systemctl", word] + list(options) + [NAME] for word in (verb, undo)]
    return Step(action, "%s of %s" % (verb, NAME), commands[0], (commands[1],))


def restart(why, undo=()):
    """The step that has the unit load our files now; ``undo`` takes the rules away that came with it."""
    return Step("run", why, ["systemctl", "restart", NAME], undo)

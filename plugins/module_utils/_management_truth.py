# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The management path on a host: what is wanted, what is wrong with it, and what users should know before they rely on it.

Only the function C(read) looks at the host.
"""
from typing import Any, NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils import _management

PORT_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"


class Truth(NamedTuple):
    """What is known of the path."""

    management: Any  # _management.Management, or None where the option is wrong
    wrong: Any  # what is wrong with it
    met: Any  # what it would meet, each in words; where there is anything, the path stays tracked
    forced: Any  # the same, where it is to be untracked all the same
    links: Any  # dict: name of each network interface -> the one that it belongs to, or None
    vrfs: Any  # those of them that are a VRF
    local_ports: Any  # (first, last) of those that connections of this host get

    def refusals(self, backend):
        """Yield everything that is wrong with the option."""
        yield from self.wrong
        if self.management:
            yield from _management.refusals(self.management, backend)

    def warnings(self):
        """Yield what the user should know."""
        for text in self.met:
            yield "management: the path stays tracked, for %s; then run again, or say management.force: true" % text
        for text in self.forced:
            yield "management.force: the path is untracked although %s" % text
        if not self.management:
            return
        for name in self.management.interfaces:
            yield from self._of_interface(name)
        for first, last in self.management.ports:
            if self.local_ports and first <= self.local_ports[1] and self.local_ports[0] <= last:
                yield ("management.ports: connections that this host makes may get port %d as well (net.ipv4.ip_local_port_range), and are then "
                       "untracked to the same networks; choose a port outside of it" % max(first, self.local_ports[0]))

    def _of_interface(self, name):
        found = [link for link in self.links if link == name or name.endswith("*") and link.startswith(name[:-1])]
        if not found:
            yield "management.interfaces: there is no interface %s now; nothing is reserved through it until there is" % name
        for link in found:
            if {link, self.links[link]} & self.vrfs:
                # inet_dev_addr_type() of the kernel looks into the table `local` alone.
                yield "management.interfaces: %s is in a VRF, whose addresses no rule takes for those of this host; the path through it stays tracked" % link
            elif self.links[link] and self.links[link] not in self.management.interfaces:
                yield "management.interfaces: %s belongs to %s, which packets may come in by; name %s as well" % (link, self.links[link], self.links[link])


def read(view, options):
    """Read what is known of the path."""
    management, wrong = _management.wanted(options)
    links = _links(view.host)
    return Truth(
        management=management,
        wrong=wrong,
        met=_met(view, management) if management and not management.force else (),
        forced=_met(view, management) if management and management.force else (),
        links=links,
        vrfs=frozenset(name for name in links if "DEVTYPE=vrf" in (view.host.read("/sys/class/net/%s/uevent" % name) or "").split()),
        local_ports=tuple(map(int, (view.host.read(PORT_RANGE) or "").split()[:2])),
    )


def _met(view, management):
    # Imported here because a policy that is wrong does without.
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _management_meets

    return _management_meets.read(view.host, view.rulesets, management)


def _links(host):
    names = [line.partition(":")[0].strip() for line in (host.read("/proc/net/dev") or "").splitlines() if ":" in line]
    masters = {name: host.link("/sys/class/net/%s/master" % name) for name in names}
    return {name: master.rpartition("/")[2] if master else None for name, master in masters.items()}

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""One look at a host: what several parts need to know is read once, when the first of them asks."""
from ansible_collections.netfleet.conntrack.plugins.module_utils import _boot, _boot_read, _initrd, _kernel, _memo


def _once(read):
    """A property that is read when it is first asked for."""
    name = read.__name__

    def known(view):
        if name not in view.seen:
            view.seen[name] = read(view)
        return view.seen[name]

    return property(known, doc=read.__doc__)


class View:
    """What is known of ``host``; after something was changed, another View is needed."""

    def __init__(self, host):
        self.host = host
        self.seen = {}

    @_once
    def _boot_inputs(self):
        return _boot_read.read(self.host)

    @_once
    def kernel(self):
        """The running kernel (_kernel.Kernel)."""
        return _kernel.read(self.host, self._boot_inputs)

    @_once
    def inputs(self):
        """What decides about the next boot (_boot.BootInputs)."""
        return _kernel.as_booted(self.kernel, self._boot_inputs)

    @_once
    def boot(self):
        """What the next boot would give as things stand (_boot.Boot)."""
        return _boot.boot(self.inputs)

    @_once
    def owners(self):
        """Other programs that write what we write (_owners.Owner); those of a host say nothing about other namespaces."""
        from ansible_collections.netfleet.conntrack.plugins.module_utils import _owners

        return _owners.read(self.host, self.inputs) if self.kernel.boots else ()

    @_once
    def initrd(self):
        """What makes the initramfs (_initrd.Tools), or None."""
        return _initrd.tools(self.host, self.kernel.release)

    @_once
    def unit(self):
        """How our unit is linked (_unit.Unit)."""
        from ansible_collections.netfleet.conntrack.plugins.module_utils import _unit

        return _unit.read(self.host)

    @_once
    def rulesets(self):
        """Every rule of the host as the programs print it (_rulesets.Rulesets)."""
        from ansible_collections.netfleet.conntrack.plugins.module_utils import _rulesets

        return _rulesets.read(self.host, self.kernel.release)

    @_once
    def tracking(self):
        """Whether packets are tracked: a dict of ipv4, ipv6 and because; no packet is sent to see."""
        from ansible_collections.netfleet.conntrack.plugins.module_utils import _evidence

        return _evidence.read(self.host, self.kernel, self.inputs, rulesets=self.rulesets)

    def memo(self, part):
        """What a part remembered."""
        return _memo.read(self.host, part, self.kernel.namespace)

    def wanted_by_others(self, part):
        """What the other parts want at boot (_memo.Wants)."""
        return _memo.wanted_by_others(self.host, part)

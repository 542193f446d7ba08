# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""ufw: the sysctls that it writes when it starts.

Source: ufw 0.36, src/ufw-init-functions: after the rules are in, ``sysctl -e -q -p`` of the
files in IPT_SYSCTL. ufw.service is ordered after local-fs.target only, so at boot it comes
at about the time of systemd-sysctl, and mostly later, because its rules take longer.
"""
from ansible_collections.netfleet.conntrack.plugins.module_utils._dropins import File
from ansible_collections.netfleet.conntrack.plugins.module_utils._owners_row import Owner, assignment, of_file

CONF = "/etc/ufw/ufw.conf"
DEFAULTS = "/etc/default/ufw"
EFFECT = "when it starts at boot, about when ours are written, and by every ufw enable and ufw reload"
REMEDY = "take that out of %s, or say IPT_SYSCTL= in " + DEFAULTS


def read(host, inputs):
    """The Owners that ufw is: one for each file of sysctls; none while it is disabled."""
    if assignment(host.read(CONF), CONF, "ENABLED")[0].lower() != "yes":
        return []
    paths = assignment(host.read(DEFAULTS), DEFAULTS, "IPT_SYSCTL")[0].split()
    pairs = ((path, of_file(File(path, host.read(path) or ""), inputs)) for path in paths)
    return [Owner("ufw", "ufw", path, EFFECT, writes, REMEDY % path) for path, writes in pairs if writes]

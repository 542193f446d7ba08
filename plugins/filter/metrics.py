# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is found to be, as text for node_exporter's textfile collector."""
from __future__ import annotations

import time
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError

from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report_metrics


def conntrack_metrics(looked, when=None):
    """The metrics of one host; see conntrack_metrics.yml."""
    if not isinstance(looked, Mapping):
        raise AnsibleFilterError("conntrack_metrics: this is no result of netfleet.conntrack.drift_info, but a %s" % type(looked).__name__)
    seconds = time.time() if when is None else when
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise AnsibleFilterError("when: %r is no number of seconds since 1970" % (when,))
    return _report_metrics.of_host(looked, round(seconds))


class FilterModule:
    """The filter of this file."""

    @staticmethod
    def filters():
        return {"conntrack_metrics": conntrack_metrics}

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends a host's run as its status in the report says, so that the status of C(ansible-playbook) does."""
from __future__ import annotations

from ansible.plugins.action import ActionBase

# What each status is to Ansible, whose own status is 4 where a host is unreachable, else 2 where one failed.
RESULTS = {"clean": {}, "drift": {"failed": True}, "unknown": {"failed": True}, "unreachable": {"unreachable": True}}
SPEC = {"status": {"type": "str", "choices": sorted(RESULTS), "required": True}, "message": {"type": "str", "default": ""}}
MESSAGES = {
    "clean": "as wanted",
    "drift": "not as wanted; the report tells what differs",
    "unknown": "it could not be read; the report tells why",
    "unreachable": "it could not be reached",
}


class ActionModule(ActionBase):
    """Nobody is asked; the host may be unreachable."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """The host's own result."""
        result = super().run(tmp, task_vars)
        args = self.validate_argument_spec(SPEC)[1]
        status = args["status"]
        return dict(result, changed=False, status=status, msg=args["message"] or MESSAGES[status], **RESULTS[status])

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module C(policy) and, where it is to be confirmed, confirms it over a new connection in the same task.

A document that a variable holds is opened here, for one variable is quicker to work out than an option for each of its sections.
"""
from __future__ import annotations

import time

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

PAUSE = 1  # seconds between two attempts to connect
AFTERWARDS = 60  # seconds for which a host is waited for that has taken its policy back
ONCE = ("confirm_within", "confirm")
NO_DOCUMENT = "document: %r is no document; give a mapping of its sections, such as a variable that holds one"
TAKEN_BACK = ("the policy was applied, but no new connection to this host could be opened within %d seconds, so the host took it back: %s; "
              "it now says: %s")
BROKEN = ("the connection broke off while the policy was being applied, so nobody confirms it: the host takes it back within %d seconds by "
          "itself: %s")
LOST = ("the policy was applied, but no new connection to this host could be opened within %d seconds, nor in the %d seconds after the host "
        "should have taken it back: %s")

display = Display()


class ActionModule(ActionBase):
    """One execution of the module, and one more that confirms it."""

    _supports_async = True

    def run(self, tmp=None, task_vars=None):
        """Apply, and confirm what awaits a confirmation."""
        result = super().run(tmp, task_vars)
        args = opened(self._task.args)
        wrap = self._task.async_val and not self._connection.has_native_async
        try:
            result.update(self._execute_module(module_args=args, task_vars=task_vars, wrap_async=wrap))
        except AnsibleConnectionFailure as error:
            within = int(args.get("confirm_within") or 0)
            if not within or self._task.check_mode:
                raise
            return dict(result, unreachable=True, msg=BROKEN % (within, error))
        if not result.get("awaits_confirmation"):
            return result
        if not self._task.check_mode:
            within = int(args["confirm_within"])
            confirmation = self._confirmed(args, task_vars, within)
            if confirmation.get("failed") or confirmation.get("unreachable"):
                return dict(confirmation, changes=result["changes"], withheld=result["withheld"])
        # A confirmed run has done what it withheld, and a check run announces the whole.
        return dict(result, changes=result["changes"] + result["withheld"], withheld=[], awaits_confirmation=False)

    def _confirmed(self, args, task_vars, within):
        """The result of the confirmation. When it is too late for one the host knows; its clock runs since before the result came."""
        args = dict({name: value for name, value in args.items() if name not in ONCE}, confirm=True)
        found, reason = self._until(time.monotonic() + within + AFTERWARDS, args, task_vars)
        if found is None:
            return {"unreachable": True, "msg": LOST % (within, AFTERWARDS, reason)}
        return dict(found, msg=TAKEN_BACK % (within, reason, found["msg"])) if found.get("failed") and reason else found

    def _until(self, end, args, task_vars):
        """Execute the module over a new connection; return its result, or None, and why none could be opened for some time."""
        reason = ""
        while time.monotonic() < end:
            try:
                self._connection.reset()
                return self._execute_module(module_args=args, task_vars=task_vars), reason
            except AnsibleConnectionFailure as error:
                reason = str(error)
                display.vvv("confirming over a new connection: %s" % reason, host=task_vars.get("inventory_hostname"))
                time.sleep(PAUSE)
        return None, reason


def opened(args):
    """The options with those of C(document) among them; what is given by itself counts more."""
    document = args.get("document")
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise AnsibleActionFail(NO_DOCUMENT % (document,))
    return dict(document, **{name: value for name, value in args.items() if name != "document"})

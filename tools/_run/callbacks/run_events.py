# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes what a playbook does as lines of JSON to a file descriptor; for tools/run.py, and no part of the collection."""

DOCUMENTATION = """
name: run_events
type: aggregate
short_description: Tasks and results as lines of JSON
description: Writes to the file descriptor that the environment variable NETFLEET_RUN_EVENTS names.
"""

import json
import os

from ansible.plugins.callback import CallbackBase

KEPT = ("changes", "msg", "facts", "differences", "problems")


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "run_events"

    def __init__(self):
        super().__init__()
        self._out = open(int(os.environ["NETFLEET_RUN_EVENTS"]), "w", encoding="utf-8")

    def _write(self, **event):
        self._out.write(json.dumps(event, default=str) + "\n")
        self._out.flush()

    def _result(self, status, result):
        kept = {name: result.result[name] for name in KEPT if name in result.result}
        self._write(event="result", status=status, host=result.host.get_name(), action=result.task.action, result=kept)

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._write(event="task", action=task.action, name=task.name)

    def v2_runner_on_ok(self, result):
        self._result("changed" if result.result.get("changed") else "as wanted", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._result("failed", result)

    def v2_runner_on_unreachable(self, result):
        self._result("unreachable", result)

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks a document on the controller; no host is contacted."""
from __future__ import annotations

import json
import os

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _offline, _offline_host, _report_json

VARIABLE = "conntrack_policy"
SPEC = {"document": {"type": "raw"}, "facts": {"type": "dict"}, "report": {"type": "path"}}
NO_REPORT = "report: %s %s; give a report.json that the role conntrack_drift has written, or leave it out"
VALID = "nothing is wrong with the document"


class ActionModule(ActionBase):
    """Everything comes from variables and, where it is wanted, an earlier report."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """What is wrong with the document, all at once."""
        result = super().run(tmp, task_vars)
        args = self.validate_argument_spec(SPEC)[1]
        known = self._known(args, task_vars)
        document, fault = self._document(args, task_vars)
        found = {"problems": [fault]} if fault else _offline.check(document, known)
        wrong = found["problems"]
        return dict(result, changed=False, msg="; ".join(wrong) or VALID, **found, **({"failed": True} if wrong else {}))

    def _document(self, args, task_vars):
        """Return (the document, why there is none)."""
        found = args["document"]
        if found is None:
            if VARIABLE not in task_vars:
                return None, _offline.UNDEFINED
            try:
                found = self._templar.template(task_vars[VARIABLE])
            except AnsibleError as error:
                return None, "%s: %s" % (VARIABLE, error.message)
        return _plain(found), None

    @staticmethod
    def _known(args, task_vars):
        """What was recorded of the host: what is given, the facts in a cache, or what the report tells."""
        cached = (task_vars.get("ansible_facts") or {}).get("netfleet_conntrack")
        for facts in (args["facts"], cached):
            found = _offline_host.of_facts(_plain(facts))
            if found:
                return found
        return _of_report(args["report"], task_vars["inventory_hostname"]) if args["report"] else None


def _of_report(path, name):
    """What an earlier report tells of a host; a path that is no absolute one begins where ansible-playbook was started."""
    try:
        text = Host().read(os.path.abspath(path))
        found = None if text is None else _report_json.of_host(text, name)
    except (ConntrackError, OSError, ValueError) as error:
        raise AnsibleActionFail(NO_REPORT % (path, "is no JSON" if isinstance(error, ValueError) else "cannot be read: %s" % error)) from error
    if not isinstance(found, dict) or not isinstance(found.get("hosts"), list):
        raise AnsibleActionFail(NO_REPORT % (path, "is not there" if text is None else "is no report"))
    return _offline_host.of_report(found, name)


def _plain(value):
    """What a module on the host would be given."""
    return json.loads(json.dumps(value, default=str))

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes one report of what C(drift_info) gave on all hosts of the play, and writes it on the controller in every form that is asked for."""
from __future__ import annotations

import json
import os
import time

import yaml
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report, _report_files, _report_history, _report_lines

SPEC = {
    "directory": {"type": "path", "default": "conntrack-report"},
    "formats": {"type": "list", "elements": "str", "choices": sorted(_report_files.FORMS), "default": list(_report_files.FORMS)},
    "kind": {"type": "str", "choices": list(_report.KINDS), "default": "drift"},
    "title": {"type": "str", "default": ""},
    "previous": {"type": "path"},
    "history": {"type": "path"},
    "variable": {"type": "str", "default": "conntrack_drift_looked"},
    "applied": {"type": "str", "default": "conntrack_applied"},
    "hosts": {"type": "list", "elements": "str"},
}
NAMES = ("variable", "applied")
NO_OPTION = "%s: there is no such option; there are %s"
NO_NAME = "%s: %r is no name of a variable; give a word of letters, digits and underscores"
NO_HOSTS = "hosts: there is none to report on; give names of the inventory, or leave it out to report on all hosts of the play"
NO_DIRECTORY = "directory: it is empty; give a folder, such as conntrack-report"
COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class ActionModule(ActionBase):
    """Runs once for all hosts, and asks none of them."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Write the report, in check mode too: it is no change of a host."""
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        options = checked(self._task.args, task_vars)
        try:
            report, written, warning = reported(options, task_vars["hostvars"])
        except ConntrackError as error:
            raise AnsibleActionFail(str(error)) from error
        return dict(result, changed=True, written=written, warnings=[warning] if warning else [], **told(report, options["hosts"]))


def reported(options, hostvars):
    """Write the report; return it, the paths and a warning, or an empty text. Raises ConntrackError where a file cannot be read or written."""
    host, now, path = Host(), int(time.time()), options["history"]
    found = {name: registered(hostvars, name, options["variable"], options["applied"]) for name in options["hosts"]}
    results = {name: pair[0] for name, pair in found.items()}
    applied = {name: pair[1] for name, pair in found.items()} if options["kind"] == "tune" else {}
    previous, warning = _report_files.previous(host, options["previous"], options["asked_for"])
    history = _report_files.points(host, path, now) if path else {}
    report = _report.build(results, now, options["kind"], options["title"], version(host), previous, history, applied)
    written = _report_files.write(host, options["directory"], options["formats"], report)
    if path:
        _report_files.remember(host, path, _report_history.line(report))
    return report, written, warning


def checked(args, task_vars):
    """The options, completed, with absolute paths. Raises AnsibleActionFail with all that is wrong."""
    validated = ArgumentSpecValidator(SPEC).validate({name: value for name, value in args.items() if name in SPEC})
    options = validated.validated_parameters
    if options.get("hosts") is None:
        options["hosts"] = task_vars.get("ansible_play_hosts_all") or []
    problems = [NO_OPTION % (name, ", ".join(SPEC)) for name in args if name not in SPEC] + validated.error_messages
    problems += [NO_NAME % (name, options[name]) for name in NAMES if not str(options.get(name)).isidentifier()]
    problems += [NO_HOSTS] if not options["hosts"] else []
    problems += [NO_DIRECTORY] if not options.get("directory") else []
    if problems:
        raise AnsibleActionFail("; ".join(problems))
    directory = absolute(options["directory"])
    asked_for = bool(options["previous"])
    history = os.path.join(directory, _report_files.HISTORY) if options["history"] is None else options["history"] and absolute(options["history"])
    return dict(
        options, directory=directory, history=history, asked_for=asked_for, formats=list(dict.fromkeys(options["formats"])),
        hosts=list(dict.fromkeys(options["hosts"])),
        previous=absolute(options["previous"]) if asked_for else os.path.join(directory, _report_files.FORMS["json"][0]),
    )


def absolute(path):
    """A path from where ansible-playbook was started."""
    return os.path.abspath(path)


def registered(hostvars, name, *variables):
    """What a host's variables hold, None where there is none, as they are: nothing that a host has said is taken for a template."""
    found = hostvars.raw_get(name)
    return [found.get(variable) if isinstance(found, dict) else None for variable in variables]


def version(host):
    """The version of the collection, installed or from its repository; an empty text where neither tells it."""
    manifest, galaxy = host.read(COLLECTION + "/MANIFEST.json"), host.read(COLLECTION + "/galaxy.yml")
    if manifest is not None:
        return str(json.loads(manifest)["collection_info"]["version"])
    return "" if galaxy is None else str(yaml.safe_load(galaxy).get("version"))


def told(report, names):
    """What the task returns of a report."""
    by_name = {each["name"]: {"status": each["status"], "message": _report_lines.message(each)} for each in report["hosts"]}
    return {
        "summary": report["summary"],
        "exit_status": report["exit_status"],
        "lines": _report_lines.lines(report) + [_report_lines.headline(report)],
        "hosts": dict(zip(names, map(by_name.get, _report.names(names)), strict=True)),
    }

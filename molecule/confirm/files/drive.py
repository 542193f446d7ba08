# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module's code on a guest, without the frame of a module: who calls this chooses the connection, and where the machine ends.

Takes one JSON object. `policy`: the module's options. `check`: only say. `reset`: the machine is reset at once, with nothing
written out, before the so many-eth sync, rename, removal or command. Prints the module's result as JSON, or
{"failed": why}; `points` are what `reset` counts.
"""

import json
import os
import subprocess
import sys

sys.path.insert(0, "/root/collections")

from ansible_collections.netfleet.conntrack.plugins.module_utils import _policy, _transaction
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host


class Doomed:
    """Counts, and resets the machine at a point."""

    def __init__(self, point):
        self.point, self.points = point, []

    def __call__(self, text):
        self.points.append(text)
        if len(self.points) == self.point:
            with open("/proc/sysrq-trigger", "w") as trigger:
                trigger.write("b")


def command(argv, data):
    given = data.encode() if isinstance(data, str) else data
    done = subprocess.run(argv, input=given or b"", capture_output=True, check=False, env={**os.environ, "LC_ALL": "C", "LANGUAGE": "C"})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def watched(doomed):
    """A Host that tells beforehand what it does to the disk, and which commands it runs while it writes."""
    fsync, unlink = os.fsync, os.unlink

    def syncing(handle):
        doomed("sync " + os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    def renaming(old, new):
        doomed("rename " + new)
        os.rename(old, new)

    def removing(path):
        if os.path.exists(path):
            doomed("remove " + path)
        unlink(path)

    def running(argv, data):
        doomed("run " + " ".join(argv)) if host.is_writing else None
        return command(argv, data)

    class Watched(Host):
        is_writing = False

        def lock(self):
            self.is_writing = True
            return super().lock()

    os.fsync, Host._unlink = syncing, staticmethod(removing)
    host = Watched(run=running, replace=renaming)
    return host


def filled(spec, given):
    """Options as AnsibleModule hands them over: all that there are, of the types that the spec has."""
    return {name: typed(row, given.get(name, row.get("default"))) for name, row in spec.items()}


def typed(row, value):
    if value is None:
        return None
    if row["type"] == "list":
        return [typed(dict(row, type=row.get("elements", "raw")), each) for each in (value if isinstance(value, list) else [value])]
    if row["type"] == "dict" and "options" in row:
        return filled(row["options"], value)
    return str(value) if row["type"] == "str" else value


def main():
    asked = json.loads(sys.argv[1])
    doomed = Doomed(asked.get("reset"))
    try:
        result = _transaction.execute(watched(doomed), _policy.PART, filled(_policy.spec(), asked["policy"]), asked.get("check", False))
    except ConntrackError as error:
        result = {"failed": str(error)}
    print(json.dumps(dict(result, points=doomed.points)))


if __name__ == "__main__":
    main()

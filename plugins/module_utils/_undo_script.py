# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The entries of a journal as a script that people can read, and that needs nothing but a shell.

Pure. The script does what the next run would do with the journal, in the same order.
"""
import re

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import LOCK, NEW
from ansible_collections.netfleet.conntrack.plugins.module_utils._journal import FED, MODES

LOCK_SECONDS = 120  # longer than a run waits for another one
END = "END_OF_TEXT"

HEAD = """\
#!/bin/sh
# Written by the Ansible collection netfleet.conntrack.
# Takes back a policy that nobody confirmed in time. It is gone once the policy is confirmed.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin
failed=0

tell() {
    echo "netfleet-conntrack: $*"
    ! command -v logger > /dev/null || logger -t netfleet-conntrack -- "$*"
}

# Runs a command; what fails does not keep the rest from being taken back.
try() {
    "$@" || { failed=1; tell "failed: $*"; }
}

# Puts a text in place of a file, with the permissions that are given.
put() {
    cat > "$2%(new)s" && chmod "$1" "$2%(new)s" && sync "$2%(new)s" && mv -f "$2%(new)s" "$2"
}

give() {
    printf '%%s' "$1" > "$2"
}

# A run that is confirming the policy takes this script away before it lets go of the lock.
exec 9> %(lock)s
! command -v flock > /dev/null || flock -w %(seconds)d 9
test -e "$0" || exit 0
test "$(cat /proc/sys/kernel/random/boot_id)" = %(boot)s || exit 0
tell "the policy was not confirmed within %(within)d seconds and is taken back"

"""

TAIL = """
if test "$failed" = 0; then
    rm -f %(journal)s %(journal)s%(new)s
    tell "everything is as it was before the policy"
else
    tell "not everything could be taken back; the next run of the collection will try again"
fi
rm -f "$0"
rmdir %(folder)s 2> /dev/null
sync
exit "$failed"
"""


def render(entries, boot, within, journal):
    """The text of the script; ``entries`` are those of the journal, carried out from the last to the first.

    ``boot`` is the number of the boot in which it means something, ``within`` the seconds that the policy had.
    """
    places = {"boot": boot, "within": within, "journal": quoted(journal), "folder": quoted(journal.rpartition("/")[0]),
              "lock": quoted(LOCK), "seconds": LOCK_SECONDS, "new": NEW}
    blocks = [_block(entry) for entry in reversed(entries)]
    return HEAD % places + "\n".join(block for block in blocks if block) + TAIL % places


def quoted(word):
    """A word as the shell takes it as it is."""
    return word if re.match(r"[A-Za-z0-9_./:=@%+,-]+\Z", word) else "'" + word.replace("'", "'\"'\"'") + "'"


def _block(entry):
    action, target, value = entry["action"], entry["target"], entry["value"]
    if action in MODES:
        return _file(MODES[action], target, value)
    if value is None or action == "adopt":
        return ""
    if action == "value":
        return "try give %s %s" % (quoted(value.strip()), quoted(target))
    if action in FED:
        argv, text = value
        return _commented(target, _fed(("try " if action == "feed" else "") + _words(argv), text, "" if action == "feed" else " 2> /dev/null"))
    if action == "load":
        # Others may have come to use the module.
        return _commented(target, "%s 2> /dev/null" % _words(value))
    if action == "foreign":
        raise ConntrackError("rules of others cannot be given back by a script")
    return _commented(target, "try " + _words(value))


def _commented(target, text):
    return "# takes back: %s\n%s" % (" ".join(target.split()), text)


def _words(argv):
    return " ".join(map(quoted, argv))


def _file(mode, path, text):
    if text is None:
        return "try rm -f %s %s" % (quoted(path), quoted(path + NEW))
    return _fed("try put %o %s" % (mode, quoted(path)), text)


def _fed(command, text, rest=""):
    """A command that reads ``text``, whose last line has an end in every file of ours."""
    if text is None:
        return command + rest
    end = END
    while end in text.splitlines():
        end += "_"
    return "%s%s << '%s'\n%s%s%s" % (command, rest, end, text, "\n" if text and not text.endswith("\n") else "", end)

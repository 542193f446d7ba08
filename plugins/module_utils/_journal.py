# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Steps: how each is done, noted beforehand in a journal, and taken back.

A journal is on the disk before the first step. A run that is killed leaves it, and the next run has
in it everything that takes the host back to what it was.
"""
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError, Step
from ansible_collections.netfleet.conntrack.plugins.module_utils._memo import dump, load
from ansible_collections.netfleet.conntrack.plugins.module_utils._memo import path as memo_path
from ansible_collections.netfleet.conntrack.plugins.module_utils._own import FOLDERS

FED = ("feed", "jump")
COMMANDS = ("run", "first", "reread", "load", "adopt", "foreign") + FED
MODES = {"file": 0o644, "script": 0o755, "private": 0o600}


def path(namespace=""):
    """What holds, while a run changes something, how to take it back; network namespaces on one file system have one each."""
    return memo_path("journal", namespace)


def read(host, place):
    """A journal; an empty dict where no run was killed.

    ``undo``: entries that are carried out from the last to the first. ``awaits``: what _confirm has to know.
    """
    return load(host, place)


def write(host, place, entries, **more):
    """Have the entries of a journal on the disk."""
    host.write_file(place, dump(dict(more, undo=entries)), MODES["private"])


def forget(host, place):
    """Take a journal away where that can be done; it did not come to anything."""
    try:
        host.remove_file(place)
    except ConntrackError:
        pass


class Closed:
    """How the journal of an ordinary run is kept: it goes when everything is done."""

    def __init__(self, host, place):
        self.host, self.path = host, place

    def begin(self, entries):
        """Before the first write."""
        write(self.host, self.path, entries)

    def end(self):
        """After everything was done and read again."""
        self.host.remove_file(self.path)

    def cancel(self):
        """Before everything is taken back."""


def undo(host, step):
    """The entries that take a step back."""
    before = step.undo[::-1] if step.action in COMMANDS else (host.read(step.target),)
    return [{"action": step.action, "target": step.target, "value": value} for value in before]


def do_noted(host, step, entries, done):
    """Do a step, and note beforehand what takes it back, for a step that fails may have been done, or half of it.

    What is fed to iptables is loaded or not, and a jump that was not taken away must not be put there again.
    """
    if step.action != "feed":
        done.extend(entries)
        do(host, step)
        return
    try:
        do(host, step)
    except ConntrackError:
        # What nft refused is not there, unless it was stopped after it was done; so taking it back may fail as well.
        done.extend(dict(entry, action="jump") for entry in entries if step.value[0][0] == "nft")
        raise
    done.extend(entries)


def do(host, step):
    if step.action == "value":
        host.write_value(step.target, step.value)
    elif step.action in ("adopt", "foreign"):
        _to_connections(host, step)
    elif step.action in COMMANDS:
        _command(host, step)
    elif step.value is None:
        host.remove_file(step.target)
    else:
        host.write_file(step.target, step.value, MODES[step.action])


def _to_connections(host, step):
    # Imported here because hardly any run needs them, and imports cost time.
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _adopt, _foreign_back

    if step.action == "adopt":
        _adopt.adopt(host)
    elif step.value:
        _foreign_back.put_back(host, step.value)


def _command(host, step):
    if step.value is None:
        return
    argv, data = step.value if step.action in FED else (step.value, None)
    status, output, errors = host.run(argv, data)
    if status != 0:
        raise ConntrackError("%s failed (%s): %s" % (step.target, " ".join(argv), (errors or output).strip()))


def clear(host, left):
    """Take away the half-written files of a run that was killed and left these entries."""
    for entry in left:
        if entry["action"] in MODES:
            host.clear(entry["target"])


def reread(host, left):
    """Have the files of a run that was killed read, which it may not have come to."""
    for entry in left:
        if entry["action"] == "reread":
            do(host, Step(**entry))


def roll_back(host, path, entries, error):
    """Put everything back as it was, and forget the journal; ``error`` is what made this necessary."""
    failed = _failures(host, [Step(**entry) for entry in reversed(entries)]) or _failures(host, [Step("private", path, None)])
    if failed:
        raise ConntrackError("%s; putting back what was before failed, and the next run will try again: %s" % (error, "; ".join(failed)))
    tidy(host, path)


def tidy(host, path):
    """Take away what a killed run left of a journal, and our folders where they are empty."""
    host.clear(path)
    for folder in FOLDERS:
        host.remove_folder(folder)


def _failures(host, steps):
    """Do what can be done; return what is wrong with the rest."""
    failed = []
    for step in steps:
        try:
            _take_back(host, step)
        except ConntrackError as error:
            failed.append(str(error))
    return failed


def _take_back(host, step):
    # A value with nothing before it has nothing to go back to: its module was not loaded.
    # A module that others have come to use stays: it does no harm, and unloading it is not to be had.
    # A jump that a killed run did not come to set is not there to be taken away.
    # What was refused is as it was, and would be refused again.
    if step.action not in COMMANDS and host.read(step.target) == step.value:
        return
    if step.action == "load":
        host.run(step.value)
    elif step.action == "jump":
        host.run(*step.value)
    elif step.action in MODES or step.value is not None:
        do(host, step)

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Findings about the next boot, about other programs, and about tracking that is not on. Pure: as _findings_table."""
import re
import shlex

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _boot,
    _boot_load,
    _findings_size,
    _kernelvalues,
    _modprobed,
    _own,
    _owners,
    _sizing,
    _sysctld,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME, CATALOGUE
from ansible_collections.netfleet.conntrack.plugins.module_utils._findings_row import CRITICAL, NOTICE, SHOWN, WARNING, finding, together

PLACE = re.compile(r"(/.*?):([0-9]+)(?: .*)?$")
LEGACY = re.compile(r"(\S+): (net\.ipv4\.\S+) is gone since Linux 4\.9")
LEGACY_OPTIONS = "options of ip_conntrack"
FATAL = "does not load because of it"
# Problems that change nothing of what is there: somebody's line about a key or parameter that this kernel has no more, or never had.
HARMLESS = re.compile("this kernel has no |is ignored$|built into this kernel")
# A size that was worked out for the memory of another boot differs by less.
OTHER_SIZE = 1.5
ON = "add table inet conntrack_on; add chain inet conntrack_on never; add rule inet conntrack_on never ct state new"
TO_TODAY = r"s/net\.ipv4\.\(netfilter\.\)\{0,1\}ip_conntrack_/net.netfilter.nf_conntrack_/"


def _place(e, where):
    """The (path, number, text) of a line that is named as path:number; (None, 0, "") of what is no line of a file."""
    found = PLACE.match(where)
    text = e.inputs.files.get(found.group(1)) if found else None
    lines = (text or "").splitlines()
    if not found or int(found.group(2)) > len(lines):
        return None, 0, ""
    return found.group(1), int(found.group(2)), lines[int(found.group(2)) - 1]


# Lines that are wrong

def bad_boot_file(e):
    told = [text for text in e.boot.problems if text not in e.inputs.read_problems and not LEGACY.match(text) and LEGACY_OPTIONS not in text]
    if not told:
        return None
    rows = [_repair(e, text) for text in told[:SHOWN]]
    commands = [row["command"] for row in rows if "command" in row]
    fatal = [text for text in told if FATAL in text]
    severity = CRITICAL if fatal and not e.kernel.available else NOTICE if all(HARMLESS.search(text) for text in told) else WARNING
    evidence = {"problems": rows, "prevented_by": e.boot.prevented_by or None, "commands": commands}
    cure = "Put the lines right: %s." % ("; ".join(commands) or "as the evidence says")
    return finding("bad_boot_file", severity, evidence, cure)


def _repair(e, text):
    """What is wrong, the line as it is, the line to write, and the command that writes it."""
    where, dummy, problem = text.partition(": ")
    path, number, line = _place(e, where)
    if path is None:
        return {"where": where, "problem": problem or text}
    better = re.sub(r"[ \t]*=[ \t]*", "=", line)
    right = path.endswith(".conf") and "modprobe.d" in path and better != line and not _modprobed.problems(_modprobed.parse(better))
    write = better if right else "# " + line
    return {
        "where": where, "problem": problem, "line": line, "write": write,
        "command": "sed -i %s %s" % (shlex.quote("%dc\\%s" % (number, write)), shlex.quote(path)),
    }


# Names that are gone

def legacy_names(e):
    named = [LEGACY.match(text).groups() for text in e.boot.problems if LEGACY.match(text)]
    rows = [_today(e, where.rstrip(":"), key) for where, key in named]
    others = [text for text in e.boot.problems if LEGACY_OPTIONS in text]
    if not rows and not others:
        return None
    paths = sorted({path for path in (_place(e, row["where"])[0] for row in rows) if path})
    commands = ["sed -i %s %s" % (shlex.quote(TO_TODAY), shlex.quote(path)) for path in paths]
    asked = {row["name"]: row["value"] for row in rows if row["value"] is not None}
    held = all(e.running(name) == value for name, value in asked.items())
    cure = "Take the lines out and commit the fragment, or translate them where they are: %s." % "; ".join(commands) if commands else (
        "Write options nf_conntrack in place of options ip_conntrack.")
    severity = NOTICE if held and e.kernel.available else WARNING
    evidence = {"lines": rows[:SHOWN], "options": others or None, "commands": commands}
    return finding("legacy_names", severity, evidence, cure, _document(e, asked))


def _today(e, where, key):
    """A line with an old name: where, what it asks for, and what to write today."""
    path, number, dummy = _place(e, where)
    name = _boot.LEGACY.match(key).group(1)
    found = [each for each in _sysctld.parse(e.inputs.files[path]) if each.line == number] if path else []
    text = found[0].value if found else None
    known = BY_NAME.get(name)
    value = _kernelvalues.accepted(known, text, e.kernel.version, e.inputs.hertz) if known and text is not None else None
    today = _boot.OURS + name
    write = "%s = %s" % (today, text) if text is not None else today
    return {"where": where, "key": key, "name": name, "value": value, "write": write, "running": e.running(name)}


def _document(e, asked):
    """The fragment that asks for these numbers; a table that the memory budget does not hold is left out."""
    found = {}
    for name, value in asked.items():
        setting = BY_NAME.get(name)
        if setting and setting.access == "rw" and setting.bounds[0] <= value <= setting.bounds[1] and name != "buckets":
            found.setdefault(setting.group, {})[name] = setting.shown(value)
    most = found.get("table", {}).get("max")
    fitting = [share for share in _findings_size.SHARES if most and _sizing.table_bytes(most, most, e.kernel.entry_bytes) <= share * e.kernel.mem_total]
    if most and not fitting:
        del found["table"]["max"]
    elif most and fitting[0] != _findings_size.DEFAULT_SHARE:
        found["table"]["memory_share"] = fitting[0]
    return {group: values for group, values in found.items() if values}


# Values that are lost

def lost_at_boot(e):
    if not e.kernel.boots or e.boot.stage == _boot_load.NEVER:
        return None
    rows = [{"name": loss.name, "asked": loss.asked, "boot": e.boot.values[loss.name].value, "source": loss.where, "why": loss.why} for loss in e.boot.lost]
    named = {row["name"] for row in rows}
    rows += [
        {"name": name, "asked": e.running(name), "boot": e.boot.values[name].value, "source": "the running kernel", "why": "no file sets it"}
        for name in _by_hand(e) if name not in named]
    if not rows:
        return None
    asked = {row["name"]: _kernelvalues.number("%s" % row["asked"]) for row in rows}
    early = {"early_load": {}} if e.boot.stage == _boot_load.LATE else {}
    evidence = {"values": rows[:SHOWN], "loaded_by": e.boot.loaded_by, "stage": e.boot.stage}
    words = " It loads nf_conntrack before the files are read: %s." % _own.MODULES_LOAD if early else ""
    policy = together(early, _document(e, {name: value for name, value in asked.items() if value is not None}))
    return finding("lost_at_boot", WARNING, evidence, "Commit the fragment to the document of this host, and apply it." + words, policy)


def _by_hand(e):
    """The settings that have a value of nobody's that is known: no file gives it, no program writes it, and no kernel starts with it.

    One that is below its floor is not worth keeping.
    """
    if not (e.kernel.available and e.kernel.initial):
        return
    written = {(write.name, write.value) for owner in e.owners for write in owner.writes}
    unsure = {write.name for owner in e.owners for write in owner.writes if write.value is None}
    for setting in CATALOGUE:
        at_boot, value = e.boot.values.get(setting.name), e.running(setting.name)
        if value is None or at_boot is None or at_boot.source != _boot.DEFAULT or not at_boot.value or value == at_boot.value:
            continue
        told = setting.name == "max" and not 1 / OTHER_SIZE < value / float(at_boot.value) < OTHER_SIZE or _is_plain(setting)
        if told and value >= setting.floor and (setting.name, value) not in written and setting.name not in unsure:
            yield setting.name


def _is_plain(setting):
    """Tell whether all kernels start with the same value: what a distribution has changed in its own is not told by a version."""
    return setting.group == "timeouts" and setting.module == _modprobed.MODULE and len(setting.defaults) == 1


# Others

def foreign_owner(e):
    values = {name: found.value for name, found in e.boot.values.items() if found.source.startswith("/") and found.value is not None}
    if not e.kernel.boots or not values:
        return None
    owners = [(owner, text) for owner in e.owners for text in _owners.warnings((owner,), values)]
    if not owners:
        return None
    rows = [
        {
            "name": owner.name, "where": owner.where, "effect": owner.effect,
            "settings": [_written(e, write, values) for write in owner.writes if write.name in values],
        }
        for owner, dummy in owners]
    return finding("foreign_owner", WARNING, {"owners": rows[:SHOWN]}, " ".join(text + "." for dummy, text in owners))


def _written(e, write, values):
    return {
        "name": write.name, "value": write.value, "source": write.source, "when": write.when, "boot": values[write.name], "running": e.running(write.name),
        "decided_by": e.boot.values[write.name].source}


# Tracking that is not on

def not_tracking(e):
    tracking = e.facts["tracking"]
    if not e.kernel.available or (tracking["ipv4"], tracking["ipv6"]) != ("no", "no"):
        return None
    asked = sorted(name for name, found in e.boot.values.items() if found.source.startswith("/")) if e.kernel.boots else []
    entries = e.facts["count"]
    if not (entries or e.hook_files or asked):
        return None
    evidence = {"because": tracking["because"], "entries": entries, "hook_files": list(e.hook_files) or None, "settings": asked or None}
    commands = ["systemctl restart netfleet-conntrack.service"] if e.hook_files else ["nft " + shlex.quote(ON)]
    cure = "Load your rules again (systemctl restart nftables, or your firewall's unit). What only switches tracking on, at once: %s." % commands[0]
    severity = CRITICAL if entries else WARNING if e.hook_files else NOTICE
    return finding("not_tracking", severity, dict(evidence, commands=commands), cure, {"early_load": {}})

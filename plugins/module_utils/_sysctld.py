# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Files of sysctl.d: text <-> assignments, and what many of them give together.

Pure: no files, no Ansible. Keys are written with dots here, whatever the file has.
Source: systemd's src/sysctl/sysctl.c and src/basic/sysctl-util.c; for hosts without
systemd, procps' src/sysctl.c.
"""
from collections import OrderedDict
from fnmatch import fnmatchcase
from typing import NamedTuple, Optional

COMMENTS = "#;"
BLANKS = " \t\r\n"
GLOB = "*?["
SWAP = str.maketrans("./", "/.")


class Assignment(NamedTuple):
    """One line of a file. A value of None excludes the key from patterns, and undoes what stands before."""

    line: int
    key: str
    value: Optional[str]
    ignore_errors: bool = False


class Write(NamedTuple):
    """One write to a key; ``path`` and ``line`` say who asks for it."""

    key: str
    value: str
    path: str
    line: int = 0  # 0: no file

    @property
    def where(self):
        return "%s:%d" % (self.path, self.line) if self.line else self.path


def normal(key):
    """A key with dots between its parts: net/ipv4/conf/eth0.1/x becomes net.ipv4.conf.eth0/1.x.

    The first separator decides what the others mean (sysctl_normalize()).
    """
    first = next((letter for letter in key if letter in "./"), ".")
    if first == ".":
        return key
    return "/".join(part for part in key.split("/") if part).translate(SWAP)


def _assignment(number, line):
    text = line.strip(BLANKS)
    if not text or text[0] in COMMENTS:
        return None
    key, equals, value = text.partition("=")
    marked = key.startswith("-")
    if not equals and not marked:
        return None
    key = normal((key[1:] if marked else key).strip(BLANKS))
    return Assignment(number, key, value.strip(BLANKS) if equals else None, bool(marked and equals))


def parse(text):
    """Return the Assignments of a file; lines that are none are left out, as every reader does."""
    lines = text.replace("\r\n", "\n").split("\n")
    found = (_assignment(number, line) for number, line in enumerate(lines, 1))
    return [assignment for assignment in found if assignment]


def render(values, header=""):
    """Return the text of a file with (key, value) pairs, below ``header`` as a comment."""
    lines = ["# " + line if line else "#" for line in header.splitlines()]
    return "".join(line + "\n" for line in lines + ["%s = %s" % pair for pair in values])


def is_pattern(key):
    """Tell whether a key stands for all that it matches."""
    return any(letter in GLOB for letter in key)


def matches(key, pattern):
    """Tell whether a pattern means a key; a star does not reach over the end of a part."""
    parts, wanted = key.split("."), pattern.replace("[^", "[!").split(".")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def _collected(files):
    """The lines that systemd keeps: one a key, in the order in which they are applied.

    A later line with another value takes the earlier one's place and moves to the end; with
    the same value the earlier one keeps its place. The later one is named, because it is the
    one to be edited.
    """
    kept = OrderedDict()
    for file in files:
        for found in parse(file.text):
            if found.key in kept and kept[found.key].value != found.value:
                del kept[found.key]
            kept[found.key] = Write(found.key, found.value, file.path, found.line)
    return list(kept.values())


def _in_order(files):
    return [Write(found.key, found.value, file.path, found.line) for file in files for found in parse(file.text)]


def _expanded(write, keys, named):
    if not is_pattern(write.key):
        return [write]
    return [write._replace(key=key) for key in sorted(keys) if key not in named and matches(key, write.key)]


def effective(files, keys=(), systemd=True):
    """Return the Writes that a boot makes, in their order. ``files`` are read in the order given.

    A pattern means those of ``keys`` that no line names, wherever that line stands. A write
    to a key that does not exist is among them: only the caller knows what exists by then.

    procps (``systemd`` false) differs in two things: it writes every line in turn, and a
    line that only excludes a key does not undo an assignment before it.
    """
    lines = _collected(files) if systemd else _in_order(files)
    named = {line.key for line in lines}
    asked = (line for line in lines if line.value is not None)
    return [write for line in asked for write in _expanded(line, keys, named)]


def below(writes, prefixes):
    """The Writes to keys below one of the ``prefixes``, which are paths as systemd-sysctl takes them."""
    wanted = [normal(prefix.replace("/proc/sys/", "/", 1)) for prefix in prefixes]
    return [write for write in writes if any((write.key + ".").startswith(prefix + ".") for prefix in wanted)]

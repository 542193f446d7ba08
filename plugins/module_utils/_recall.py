# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The answer of the last run, where everything that it rests on is as it was.

A run that finds nothing to change keeps what it asked the host (each file, folder, link and netlink question, and what came
back) together with its result. The next run with the same options and the same code asks all of it again, and where every
answer is the same, the result is. Understanding the answers is what costs: the code that does it need not even be loaded.
What cannot be asked again cheaply and surely is not kept. Rules stand for a number that the kernel raises with each change
of them (NFT_MSG_GETGEN, net/netfilter/nf_tables_api.c).
"""
import hashlib
import json
import os
import re
import struct
from collections import OrderedDict

from ansible_collections.netfleet.conntrack.plugins.module_utils import _netlink
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host

SCHEMA_VERSION = 1
FOLDER = "/var/lib/netfleet-conntrack"
BEGINNING = "look-"
# What holds in this boot, and in the network namespace that boots set up: the initial one, which alone has the alias of max, or
# that of the first process. Other namespaces come and go, and one may get the number of another.
BOOT_ID = "/proc/sys/kernel/random/boot_id"
INITIAL = "/proc/sys/net/nf_conntrack_max"
NAMESPACES = ("/proc/1/ns/net", "/proc/self/ns/net")
# Files that change by themselves: what of them a plan can rest on.
LASTING = {
    "/proc/meminfo": re.compile(rb"^MemTotal:.*$", re.MULTILINE),
    "/proc/cpuinfo": re.compile(rb"^processor\b.*$", re.MULTILINE),
    "/proc/net/dev": re.compile(rb"^ *[^\s:]+:", re.MULTILINE),
    "/proc/slabinfo": re.compile(rb"^nf_conntrack +[0-9]+ +[0-9]+ +([0-9]+)", re.MULTILINE),
    "/proc/self/mounts": re.compile(rb"^\S+ (?:/proc|/proc/sys|/sys) .*$", re.MULTILINE),
    # A limit below the count is refused; one that is as wanted is not looked at.
    "/proc/sys/net/netfilter/nf_conntrack_count": re.compile(rb"\A(?=[0-9])"),
}
NFT_SUBSYSTEM, GET_GENERATION = 10, 16  # include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h


def _path(name):
    return "%s/%s%s.json" % (FOLDER, BEGINNING, name)


def _digest(data):
    return hashlib.sha256(data).hexdigest()


def _content(path, data):
    return data if data is None else _digest(repr(LASTING[path].findall(data)).encode() if path in LASTING else data)


def _told(answers):
    return _digest(repr([(kind, payload) for kind, _flags, _sequence, payload in answers]).encode())


def _netlink_answers(host, question):
    request, dump = question
    try:
        return _told(host.netlink(bytes.fromhex(request), dump))
    except OSError as error:
        return error.errno


def _generation(host, _none):
    """The number of the present ruleset of nftables, which that of today's iptables is part of."""
    (answer,) = host.netlink(_netlink.message(NFT_SUBSYSTEM, GET_GENERATION, 0, 0, b""), False)
    (number,) = [value for kind, value in _netlink.attributes(_netlink.body(answer[3])[2]) if kind == 1]
    return struct.unpack(">I", number)[0]


# kind of question: how it is asked
ASKED = {
    "bytes": lambda host, path: _content(path, host.read_bytes(path)),
    "list": lambda host, path: host.list(path),
    "link": lambda host, path: host.link(path),
    "exists": lambda host, path: host.exists(path),
    "mode": lambda host, path: host.mode(path),
    "stat": lambda host, path: host.stat_key(path),
    "netlink": _netlink_answers,
    "rules": _generation,
}


class Witness(Host):
    """A host that remembers what it was asked, and what it answered."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.plain = Host(*args, **kwargs)
        self.answers = OrderedDict()
        self.sound = True

    def _note(self, kind, question, answer):
        known = self.answers.setdefault((kind, question), answer)
        self.sound = self.sound and known == answer

    def _asked(self, kind, question):
        answer = ASKED[kind](self.plain, question)
        self._note(kind, question, answer)
        return answer

    def read_bytes(self, path):
        """As Host does."""
        try:
            data = super().read_bytes(path)
        except ConntrackError:
            self.sound = False
            raise
        self._note("bytes", path, _content(path, data))
        return data

    def list(self, path):
        """As Host does."""
        return list(self._asked("list", path))

    def link(self, path):
        """As Host does."""
        return self._asked("link", path)

    def exists(self, path):
        """As Host does."""
        return self._asked("exists", path)

    def mode(self, path):
        """As Host does."""
        return self._asked("mode", path)

    def stat_key(self, path):
        """As Host does."""
        return self._asked("stat", path)

    def netlink(self, request, dump, timeout=5.0):
        """As Host does."""
        question = (bytes(request).hex(), dump)
        try:
            answers = super().netlink(request, dump, timeout)
        except OSError as error:
            self._note("netlink", question, error.errno)
            raise
        self._note("netlink", question, _told(answers))
        return answers

    def run(self, argv, data=None):
        """As Host does. What only shows rules that have a generation can be told again by it."""
        program = self.program(argv[0])
        shows = argv[0] == "nft" or argv[0].endswith("-nft-save") or list(argv[1:]) == ["--version"]
        if program and shows and data is None:
            self._asked("stat", program)
            self._rules()
        elif program:
            self.sound = False
        return super().run(argv, data)

    def _rules(self):
        try:
            self._asked("rules", None)
        except (OSError, ValueError, _netlink.NetlinkError):
            self.sound = False


def _tells(name):
    """A method of Witness that does as Host's, after which nothing is kept: it changes the host, or cannot be asked again."""
    def method(self, *args, **kwargs):
        self.sound = False
        return getattr(super(Witness, self), name)(*args, **kwargs)

    method.__doc__ = "As Host does."
    return method


for _name in ("write_value", "write_file", "lock", "filter", "netlink_batch", "netlink_many", "netlink_stream", "loopback_udp", "clock"):
    setattr(Witness, _name, _tells(_name))


def code(loader):
    """What tells this code from any other, to whose answers an earlier one's need not be equal."""
    archive = getattr(loader, "archive", None)
    if archive:
        import zipfile  # imported here because where there is no archive it is not needed

        with zipfile.ZipFile(archive) as found:
            # At its top Ansible adds a file with the archive's own path, which is another one each time.
            return _digest(repr(sorted((each.filename, each.CRC) for each in found.infolist() if "/" in each.filename)).encode())
    folder = os.path.dirname(os.path.abspath(__file__))
    return _digest(repr(sorted((name, os.stat(os.path.join(folder, name)).st_mtime_ns) for name in os.listdir(folder))).encode())


def key(name, options, loader):
    """What has to be the same for a result to be: the module, its options and its code."""
    return _digest(json.dumps([SCHEMA_VERSION, name, options, code(loader)], sort_keys=True).encode())


def recalled(host, name, wanted):
    """The result of the last run with this key, where the host answers as it did; None elsewhere."""
    try:
        kept = json.loads(host.read(_path(name)) or "{}")
        return kept["result"] if kept.get("key") == wanted and _holds(host, kept["answers"]) else None
    except (ConntrackError, OSError, AttributeError, ValueError, KeyError, TypeError, _netlink.NetlinkError):
        return None


def _holds(host, rows):
    return all(ASKED[kind](host, question) == answer for kind, question, answer in rows)


def keep(witness, name, wanted, result):
    """Keep the result of a run that changed nothing, on a host where something is ours, for the next one to find."""
    host = witness.plain
    first, own = (witness.link(path) for path in NAMESPACES)
    lasts = witness.exists(INITIAL) or first is not None and first == own
    witness.read_bytes(BOOT_ID)
    if not (witness.sound and lasts and host.exists(FOLDER)) or result["changed"]:
        return
    rows = [[kind, question, answer] for (kind, question), answer in witness.answers.items()]
    text = json.dumps({"schema_version": SCHEMA_VERSION, "key": wanted, "result": result, "answers": rows}) + "\n"
    try:
        # What changes by itself would be written at every run, and recalled at none.
        if _holds(host, json.loads(text)["answers"]):
            host.write_file(_path(name), text, 0o600)
    except (ConntrackError, OSError, ValueError):
        pass


def forget(host):
    """Take away what was kept; a host that is about to change answers otherwise."""
    for name in host.list(FOLDER):
        if name.startswith(BEGINNING):
            host.remove_file("%s/%s" % (FOLDER, name))

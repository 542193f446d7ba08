# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network namespace in which whole policies are applied by this process, with files of its own.

The kernel, nft and iptables are real. Every write passes through a moment, at which the run can be killed or the write refused.
"""

import contextlib
import errno
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from lab import enter

from ansible_collections.netfleet.conntrack.plugins.module_utils import _policy
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import NEW, Host
from ansible_collections.netfleet.conntrack.plugins.module_utils._transaction import execute

OURS = ("/etc/", "/run/", "/var/lib/", "/boot/")  # below a folder of the test; all else is this machine's
FOLDERS = ("/etc", "/run", "/var/lib", "/boot")
MEMORY = "/var/lib/netfleet-conntrack/"
JOURNAL = re.compile(MEMORY + r"journal.*\.json\Z")
UNDO = re.compile(MEMORY + "undo-")
NETFILTER = "/proc/sys/net/netfilter/"
FLAVOURS = ("iptables-nft", "iptables-legacy")
SPEC = _policy.spec()
# What only prints; every other command is a write.
READS = ("-save", "--version", "list", "-S", "-L")
ARMING = "setsid"  # in the command that has a policy taken back; the test is the clock


def request(document):
    """A document as the module's frame hands it over."""
    found = ArgumentSpecValidator(SPEC).validate(document)
    assert not found.error_messages, found.error_messages
    return found.validated_parameters


def quiet(argv, data=None):
    """Run a command as the module does: (status, output, errors)."""
    done = subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


class Machine(Host):
    """This machine's kernel as the present network namespace sees it, and files below a folder of the test."""

    def __init__(self, root, **more):
        super().__init__(str(root), run=self.command, **more)
        self._rename, self._replace = self._replace, self._replaced

    def moment(self, what, target):
        """Called before and after everything that changes the machine, and in the middle of a file."""

    def _around(self, what, target, act):
        target = target.replace(self.root, "")
        self.moment("before " + what, target)
        found = act()
        self.moment("after " + what, target)
        return found

    def _below(self, path):
        return super()._below(path) if path.startswith(OURS) else path

    def link(self, path):
        """Links of this machine are read where they are."""
        try:
            return os.readlink(self.root + path if path.startswith(OURS) else path)
        except OSError:
            return None

    def _write_synced(self, path, text, mode):
        self.moment("before file", path.replace(self.root, ""))
        super()._write_synced(path, text[: len(text) // 2], mode)
        self.moment("in the middle of file", path.replace(self.root, ""))
        super()._write_synced(path, text, mode)
        self.moment("after file", path.replace(self.root, ""))

    def _replaced(self, new, path):
        self._around("replace", path, lambda: self._rename(new, path))

    def _unlink(self, path):
        if os.path.lexists(path):
            self._around("remove", path, lambda: super(Machine, self)._unlink(path))

    def _give(self, place, text):
        self._around("value", place, lambda: super(Machine, self)._give(place, text))

    def netlink_batch(self, requests, timeout=5.0):
        """Entries that are put into the table."""
        return self._around("entries", "netlink", lambda: super(Machine, self).netlink_batch(requests, timeout))

    def command(self, argv, data):
        """Run a command; one that is refused has failed as one that cannot be run."""
        words = " ".join([os.path.basename(argv[0])] + argv[1:])
        if any(sign in words for sign in READS):
            return quiet(argv, data)
        try:
            return self._around("run", words, lambda: (0, "", "") if ARMING in words else quiet(argv, data))
        except OSError as error:
            return error.errno or 1, "", error.strerror

    def has(self, setting):
        """Tell whether a namespace may set it."""
        return setting.scope != "global" and self.exists(setting.path)

    def files(self):
        """Path -> text of every file below the test's folder, but the locks."""
        found = {}
        for folder, dummy, names in os.walk(self.root):
            for name in names:
                place = pathlib.Path(folder, name)
                found[str(place).replace(self.root, "", 1)] = place.read_text()
        return {path: text for path, text in found.items() if not path.endswith(".lock")}


class Counting(Machine):
    """Notes its moments."""

    def __init__(self, root):
        super().__init__(root)
        self.moments = []

    def moment(self, what, target):
        self.moments.append((what, target))


class Mortal(Machine):
    """Is killed when ``left`` moments have passed."""

    left = 0

    def moment(self, what, target):
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Refusing(Machine):
    """Refuses one of its writes, before it is done or after it."""

    left, reason, late, refused = 0, errno.EACCES, False, None

    def moment(self, what, target):
        if not what.startswith("after" if self.late else "before"):
            return
        self.left -= 1
        if self.left == -1:
            self.refused = (what, target)
            raise OSError(self.reason, os.strerror(self.reason))


class Router:
    """The namespace, its files, and what is compared of it."""

    def __init__(self, name, root, flavours=()):
        self.name, self.root, self.flavours = name, root, flavours
        for folder in FOLDERS:
            os.makedirs(str(root) + folder, exist_ok=True)

    def host(self, kind=Machine, **more):
        """The machine as another process finds it."""
        return kind(self.root, **more)

    def run(self, document, host=None, check=False):
        return execute(host or self.host(), _policy.PART, request(document), check)

    def ended(self, document):
        """The moments of a run, and the state in which it ends."""
        host = self.host(Counting)
        self.run(document, host)
        return host.moments, self.state()

    def killed(self, document, left, host=None):
        """Have another process carry a document out, which is killed at a moment."""
        host = host or self.host(Mortal)
        host.left = left
        child = os.fork()
        if child == 0:
            try:
                self.run(document, host)
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL, "it had ended before"

    def state(self):
        """What is compared: values, rules of everybody without counters and handles, and files but those of the memory."""
        found = {"value " + name: value for name, value in self.values().items()}
        found.update(("rules " + table, lines) for table, lines in self.rules().items())
        found.update((path, text) for path, text in self.host().files().items() if not path.startswith(MEMORY))
        return found

    def memory(self):
        """What is remembered: path -> text."""
        return {path: text for path, text in self.host().files().items() if path.startswith(MEMORY)}

    def leftovers(self):
        """Of a run that did not end: journals, undo scripts, half-written files."""
        return [path for path in self.host().files() if path.endswith(NEW) or JOURNAL.match(path) or UNDO.match(path)]

    @staticmethod
    def values():
        found = {}
        for name in sorted(os.listdir(NETFILTER)):
            if name.startswith("nf_conntrack_") and name != "nf_conntrack_count":
                with open(NETFILTER + name) as stream:
                    found[name] = stream.read().strip()
        return found

    def rules(self):
        """Table -> what is in it, in order; tables have none among themselves."""
        found = {}
        for item in json.loads(command("nft", "-j", "list", "ruleset"))["nftables"]:
            ((kind, thing),) = item.items()
            if kind != "metainfo" and not self._by_iptables(thing):
                table = "nftables %s %s" % (thing["family"], thing.get("table", thing["name"] if kind == "table" else ""))
                found.setdefault(table, []).append((kind, plain(thing)))
        for flavour in self.flavours:
            for program in ("iptables", "ip6tables"):
                for table, line in _lines(command(program + flavour[len("iptables"):] + "-save")):
                    found.setdefault("%s %s" % (program, table), []).append(line)
        return found

    def _by_iptables(self, thing):
        return "iptables-nft" in self.flavours and thing["family"] in ("ip", "ip6") and thing.get("table", thing.get("name")) in ("nat", "raw", "filter")


def _lines(printed):
    """Of what a save command printed, tables that hold something: their rules and the chains that somebody made."""
    table = ""
    for line in printed.splitlines():
        if line.startswith("*"):
            table = line
        elif line.startswith("-") or line.startswith(":") and " - [" in line:
            yield table, line.partition(" [")[0]


def differences(found, wanted):
    """What is not as it should be."""
    return {key: (found.get(key), wanted.get(key)) for key in set(found) | set(wanted) if found.get(key) != wanted.get(key)}


def plain(thing):
    """A thing of nftables without what differs from one loading to another."""
    if isinstance(thing, list):
        return [plain(each) for each in thing]
    if isinstance(thing, dict):
        return {key: "counter" if key == "counter" else plain(value) for key, value in thing.items() if key != "handle"}
    return thing


def command(*argv, data=None):
    status, output, errors = quiet(argv, data)
    assert status == 0, "%s: %s%s" % (" ".join(argv), output, errors)
    return output


@contextlib.contextmanager
def inside(name):
    """This thread, and the commands that it starts, are in a network namespace."""
    home, there = (os.open(path, os.O_RDONLY) for path in ("/proc/thread-self/ns/net", "/run/netns/" + name))
    try:
        enter(there)
        yield
    finally:
        enter(home)
        os.close(there)
        os.close(home)


def counting(request):
    """Yield what counts the points that were tried and survived, and tell their number at the end."""
    counted = []
    yield counted.append
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n%s: %d points tried and survived" % (request.node.name, len(counted)))


@contextlib.contextmanager
def folder():
    """A folder in memory, where there is one: thousands of files are synced to it."""
    place = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    try:
        yield pathlib.Path(place)
    finally:
        shutil.rmtree(place)


# Over SSH

SESSION, SERVER = "77", "50"  # the processes of a run, and above it
LINE = "  sl  local_address ...\n   0: 010200C0:0016 630200C0:C350 01 00000000:00000000 00:00000000 00000000 0 0 900 1 0 20 4 0 10 -1\n"


class Connected:
    """Makes a machine one whose run came over SSH, by a connection that was opened ``opened`` ticks after the boot."""

    opened, boot, uptime = 0, None, None

    def _shown(self, path):
        """What there is of /proc where the real one has no SSH server above; None elsewhere."""
        start = "%%s (x) S %%s%s %d" % (" 0" * 17, self.opened)
        return {
            "/proc/self": SESSION,
            "/proc/%s/stat" % SESSION: start % (SESSION, SERVER),
            "/proc/%s/stat" % SERVER: start % (SERVER, "0"),
            "/proc/%s/comm" % SESSION: "python3\n",
            "/proc/%s/comm" % SERVER: "sshd-session\n",
            "/proc/%s/fd/4" % SERVER: "socket:[900]",
            "/proc/%s/net/tcp" % SERVER: LINE,
            "/proc/sys/kernel/random/boot_id": self.boot,
            "/proc/uptime": self.uptime,
        }.get(path)

    def read_bytes(self, path):
        shown = self._shown(path)
        return super().read_bytes(path) if shown is None else shown.encode()

    def list(self, path):
        return ["4"] if path == "/proc/%s/fd" % SERVER else super().list(path)

    def link(self, path):
        return self._shown(path) or super().link(path)

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The only door to the machine: files below a root directory, commands, netlink sockets.

Nothing else opens a file or a socket, so a recorded tree of files stands in for a
machine, and a test that watches this door sees everything that is written.
"""
import errno
import os
import socket
import time

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._netlink import BUFFER

ABSENT = (errno.ENOENT, errno.ENOTDIR)
NEW = ".netfleet-new"  # no boot program reads a file that ends so
LOCK = "/run/netfleet-conntrack.lock"
LOCK_SECONDS = 60
INPUT, OUTPUT = "{input}", "{output}"
NETLINK_NETFILTER = 12  # include/uapi/linux/netlink.h
MAX_LINKS = 8


class Host:
    """A machine, or a recorded one below ``root``.

    ``run`` takes a list of arguments and returns (status, output, errors), and takes
    ``data`` and ``binary_data``; ``replace`` moves a file over another one at once.
    """

    def __init__(self, root="/", run=None, replace=None, page_size=None, uid=None):
        self.root = root.rstrip("/")
        self._run = run
        self._replace = replace or os.rename
        self.page_size = page_size or os.sysconf("SC_PAGE_SIZE")
        self.uid = os.geteuid() if uid is None else uid

    # Reading

    def _real(self, path):
        """The file behind ``path``: links of a recorded tree stay inside it."""
        for dummy in range(MAX_LINKS if self.root else 0):
            parent = os.path.dirname(path)
            path = os.path.join(self._real(parent) if parent != "/" else "/", os.path.basename(path))
            try:
                target = os.readlink(self.root + path)
            except OSError:
                break
            path = os.path.normpath(os.path.join(os.path.dirname(path), target))
        return path

    def _below(self, path):
        return self.root + self._real(path)

    def read_bytes(self, path):
        """The content of a file, or None where there is none; ConntrackError when it cannot be read."""
        try:
            with open(self._below(path), "rb") as stream:
                return stream.read()
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise ConntrackError("cannot read %s: %s" % (path, error.strerror)) from error

    def read(self, path):
        """The text of a file, or None where there is none."""
        data = self.read_bytes(path)
        return None if data is None else data.decode("utf-8", "surrogateescape")

    def number(self, path):
        """The number that a file holds, or None where there is none."""
        text = self.read(path)
        return None if text is None else int(text.split()[0])

    def list(self, path):
        """The names in a folder, sorted; none where there is no folder."""
        try:
            return sorted(os.listdir(self._below(path)))
        except OSError as error:
            if error.errno in ABSENT:
                return []
            raise ConntrackError("cannot list %s: %s" % (path, error.strerror)) from error

    def link(self, path):
        """Where a symbolic link points, or None when it is none."""
        try:
            return os.readlink(self.root + os.path.join(self._real(os.path.dirname(path)), os.path.basename(path)))
        except OSError:
            return None

    def exists(self, path):
        return os.path.exists(self._below(path))

    def mode(self, path):
        """The permission bits of a file, or None where there is none."""
        try:
            return os.stat(self._below(path)).st_mode & 0o7777
        except OSError:
            return None

    def stat_key(self, path):
        """A text that changes when the file does, or None where there is none."""
        try:
            found = os.stat(self._below(path))
        except OSError:
            return None
        return "%d-%d-%d" % (found.st_size, found.st_mtime_ns, found.st_ino)

    def program(self, name):
        """The path of a program, or None where it is not installed."""
        for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin"):
            if self.exists(folder + "/" + name):
                return folder + "/" + name
        return None

    # Writing

    def write_value(self, path, text):
        """Give the kernel a value; ConntrackError with the errno's text when it refuses."""
        try:
            self._give(self._below(path), text)
        except (OSError, ValueError) as error:
            raise ConntrackError("cannot write %s to %s: %s" % (text, path, getattr(error, "strerror", error))) from error

    def write_file(self, path, text, mode=0o644):
        """Put a whole file in place of what was there, on the disk when this returns."""
        new = path + NEW
        try:
            self._make_folder(os.path.dirname(path))
            self._write_synced(self.root + new, text, mode)
            self._replace(self.root + new, self.root + path)
            self._sync_folder(os.path.dirname(path))
        except OSError as error:
            self.clear(path)
            raise ConntrackError("cannot write %s: %s" % (path, error.strerror)) from error

    def append(self, path, line, mode=0o644):
        """Add a line to the end of a file, on the disk when this returns, while nobody else adds one.

        A line that a killed run left unfinished is ended first. Other than with write_file, a reader may see a part of the line.
        """
        import fcntl  # imported here because hardly any run needs it, and imports cost time

        try:
            self._make_folder(os.path.dirname(path))
            with os.fdopen(os.open(self.root + path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode), "ab") as stream:
                fcntl.flock(stream.fileno(), fcntl.LOCK_EX)
                size = os.fstat(stream.fileno()).st_size
                if not size:
                    os.fchmod(stream.fileno(), mode)
                torn = size > 0 and os.pread(stream.fileno(), 1, size - 1) != b"\n"
                stream.write(b"\n" * torn + line.encode("utf-8", "surrogateescape") + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise ConntrackError("cannot add to %s: %s" % (path, error.strerror)) from error

    def remove_file(self, path):
        """Take a file away, and what a killed run left of it."""
        self.clear(path)
        try:
            self._unlink(self.root + path)
            self._sync_folder(os.path.dirname(path))
        except OSError as error:
            if error.errno not in ABSENT:
                raise ConntrackError("cannot remove %s: %s" % (path, error.strerror)) from error

    def clear(self, path):
        """Take away what a killed or failed run left beside a file; nothing reads that, so it may also stay."""
        try:
            self._unlink(self.root + path + NEW)
        except OSError:
            pass

    def remove_folder(self, path):
        """Take an empty folder away; one that holds something stays."""
        try:
            os.rmdir(self.root + path)
        except OSError:
            pass

    # The writes themselves

    @staticmethod
    def _give(place, text):
        with open(place, "w") as stream:
            stream.write(text)

    @staticmethod
    def _unlink(place):
        os.unlink(place)

    def _make_folder(self, path):
        if not os.path.isdir(self.root + path):
            os.makedirs(self.root + path, 0o755, exist_ok=True)  # another process may make it as well
            self._sync_folder(os.path.dirname(path))

    def _write_synced(self, path, text, mode):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())

    def _sync_folder(self, path):
        try:
            handle = os.open(self.root + path, os.O_RDONLY)
        except OSError as error:
            if error.errno in ABSENT:
                return
            raise
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    # Commands and sockets

    def run(self, argv, data=None):
        """Run a command; return its (status, output, errors). A missing program has the status 127."""
        if self.program(argv[0]) is None:
            return 127, "", "%s is not installed" % argv[0]
        return self._run([self.program(argv[0])] + list(argv[1:]), data)

    def filter(self, argv, data):
        """Have a program make one file of another; return what it made of ``data``, or None where it cannot.

        INPUT and OUTPUT stand for the two files in ``argv``.
        """
        import tempfile  # imported here because hardly any run needs it, and imports cost time

        with tempfile.TemporaryDirectory(prefix="netfleet-conntrack-") as folder:
            places = {INPUT: folder + "/input", OUTPUT: folder + "/output"}
            with open(places[INPUT], "wb") as stream:
                stream.write(data)
            status = self.run([places.get(word, word) for word in argv])[0]
            if status != 0:
                return None
            with open(places[OUTPUT], "rb") as stream:
                return stream.read()

    def netlink(self, request, dump, timeout=5.0):
        """Send a request to netfilter; return the answers as (type, flags, sequence, payload)."""
        from ansible_collections.netfleet.conntrack.plugins.module_utils import _netlink

        with self._channel(timeout) as channel:
            return _netlink.exchange(channel, request, dump)

    def netlink_batch(self, requests, timeout=5.0):
        """Send requests; return the errno of each, 0 where it was done."""
        from ansible_collections.netfleet.conntrack.plugins.module_utils import _netlink_batch

        return _netlink_batch.outcomes(self.netlink_many([requests], timeout))

    def netlink_many(self, parts, timeout=5.0):
        """Send lists of requests; yield what became of each list, as _netlink_batch.answered does."""
        from ansible_collections.netfleet.conntrack.plugins.module_utils import _netlink_batch

        with self._channel(timeout) as channel:
            yield from _netlink_batch.answered(channel, parts, channel.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))

    def netlink_stream(self, request, timeout=5.0):
        """Send a request to netfilter; yield the datagrams that come back, without end. Closing the generator ends the answer."""
        with self._channel(timeout) as channel:
            channel.send(request)
            while True:
                yield channel.recv(BUFFER)

    @staticmethod
    def _channel(timeout):
        channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        channel.settimeout(timeout)
        channel.bind((0, 0))
        return channel

    def loopback_udp(self, family):
        """Send one datagram to ourselves; return its (address, source port, destination port).

        Raises OSError where the family is not to be had.
        """
        kind, address = {"ipv4": (socket.AF_INET, "127.0.0.1"), "ipv6": (socket.AF_INET6, "::1")}[family]
        with socket.socket(kind, socket.SOCK_DGRAM) as receiver, socket.socket(kind, socket.SOCK_DGRAM) as sender:
            receiver.bind((address, 0))
            receiver.settimeout(2.0)
            sender.connect((address, receiver.getsockname()[1]))
            sender.send(b"netfleet.conntrack probe")
            receiver.recv(64)
            return address, sender.getsockname()[1], receiver.getsockname()[1]

    @staticmethod
    def clock():
        """Seconds since some moment in the past; no change of the date moves it."""
        return time.monotonic()

    @staticmethod
    def pause(seconds):
        """Do nothing for so long."""
        time.sleep(seconds)

    def lock(self):
        """Let one run at a time change this host; ConntrackError when another does not end."""
        return _Lock(self.root + LOCK)


class _Lock:
    def __init__(self, path):
        self.path = path
        self.handle = None

    def __enter__(self):
        import fcntl

        try:
            self.handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConntrackError("cannot lock %s: %s" % (self.path, error.strerror)) from error
        for dummy in range(LOCK_SECONDS * 10):
            try:
                return fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(0.1)
        raise ConntrackError("another run has been changing this host for %d seconds (%s)" % (LOCK_SECONDS, self.path))

    def __exit__(self, *dummy):
        os.close(self.handle)

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Network namespaces whose conntrack table is filled through ctnetlink. Needs root and iproute2.

    with table() as name:
        written = fill(name, 10000, kinds.HEAVY, seed=1)

By hand, in the environment in which the collection can be imported:

    python tests/flowtables/fill.py fill --netns NAME --entries 1000000 --kind heavy|flat|mixed --seed 1
"""

import contextlib
import ctypes
import errno
import fcntl
import itertools
import os
import random
import socket
import struct
import subprocess
import tempfile
import uuid
from pathlib import Path

from ansible_collections.netfleet.conntrack.plugins.module_utils import _ctnetlink, _netlink
from ansible_collections.netfleet.conntrack.tests.flowtables import kinds as kinds_

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
SYSCTLS = Path("/proc/sys/net/netfilter")
LOCK = Path(tempfile.gettempdir()) / "netfleet-conntrack-sizes.lock"  # who changes the sizes, which are every namespace's, holds it

SOL_NETLINK, NETLINK_CAP_ACK = 270, 10  # include/uapi/linux/netlink.h
NEW, DELETE = 0, 2
EXCL, CREATE = 0x200, 0x400
CHUNK = 200  # messages in a datagram
ROUNDS = 200  # of trying again what was there already

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "icmpv6": 58, "sctp": 132, "udplite": 136}
# Type of the question, type of the answer, first attribute.
ECHO = {"icmp": (8, 0, 4), "icmpv6": (128, 129, 7)}


class Field(str):
    """A hole in a message: the name of the column that fills it, and how it is laid out."""

    def __new__(cls, name, layout):
        made = super().__new__(cls, name)
        made.layout = layout
        return made


def size(piece):
    return struct.calcsize(">" + piece.layout) if isinstance(piece, Field) else len(piece)


def attribute(number, *pieces):
    """The pieces of an attribute; pieces are bytes or fields."""
    length = sum(map(size, pieces))
    return (_netlink.ATTRIBUTE.pack(4 + length, number), *pieces, b"\0" * (-length % 4))


def nest(number, *attributes):
    return attribute(number | _netlink.NESTED, *itertools.chain(*attributes))


def half(number, kind, ends, family):
    """The pieces of one direction's tuple."""
    first, layout = (1, "4s") if family == 4 else (3, "16s")
    addresses = (attribute(first + place, Field(name, layout)) for place, name in enumerate(ends))
    protocol = bytes([PROTOCOLS.get(kind.protocol) or int(kind.protocol)])
    zone = [attribute(3, struct.pack(">H", kind.zone))] if kind.zone and kind.zone_of == number else []
    return nest(number, nest(1, *addresses), nest(2, attribute(1, protocol), *details(number, kind)), *zone)


def details(number, kind):
    if kind.protocol in ECHO:
        *types, first = ECHO[kind.protocol]
        parts = (Field("source_port", "H"),), (bytes([types[number - 1]]),), (b"\0",)
        return [attribute(first + place, *part) for place, part in enumerate(parts)]
    if kind.protocol not in PROTOCOLS:
        return []
    names = ("source_port", "port") if number == 1 else ("port", "source_port")
    return [attribute(2 + place, Field(name, "H")) for place, name in enumerate(names)]


def protoinfo(kind):
    if kind.protocol == "tcp":
        state = _ctnetlink.TCP_STATES.index(kind.state or "ESTABLISHED")
        return nest(4, nest(1, attribute(1, bytes([state])), attribute(4, b"\x0a\x0a"), attribute(5, b"\x0a\x0a")))
    if kind.protocol == "sctp":
        state = _ctnetlink.SCTP_STATES.index(kind.state)
        return nest(4, nest(3, attribute(1, bytes([state])), attribute(2, b"\0\0\0\1"), attribute(3, b"\0\0\0\2")))
    return ()


def translation(number, column, family, port):
    """What source (6) or destination (13) is translated to: one address, and one port if there is a field for it."""
    first, layout = (1, "4s") if family == 4 else (4, "16s")
    ends = [attribute(first + place, Field(column, layout)) for place in range(2)]
    ports = [nest(3, *(attribute(1 + place, Field(port, "H")) for place in range(2)))] if port else []
    return nest(number, *ends, *ports)


def pieces_of(kind, family):
    """A request that makes an entry, as pieces."""
    status = sum(_ctnetlink.STATUS[bit] for bit in ("confirmed", *kind.status))
    parts = [
        half(1, kind, ("source", "destination"), family),
        half(2, kind, ("destination", "source"), family),
        attribute(3, struct.pack(">I", status)),
        attribute(7, Field("timeout", "I")),
        attribute(8, Field("mark", "I")),
        protoinfo(kind),
    ]
    if kind.zone and not kind.zone_of:
        parts.append(attribute(18, struct.pack(">H", kind.zone)))
    if kind.helper:
        parts.append(nest(5, attribute(1, kind.helper.encode() + b"\0")))
    if kind.labels:
        parts.append(attribute(22, kind.labels))
    if kind.snat:
        parts.append(translation(6, "snat", family, "nat_port"))
    if kind.dnat:
        parts.append(translation(13, "dnat", family, ""))
    body = list(itertools.chain(*parts))
    length = _netlink.HEADER.size + _netlink.NFGENMSG.size + sum(map(size, body))
    header = _netlink.HEADER.pack(length, _ctnetlink.SUBSYSTEM << 8 | NEW, CREATE | EXCL | _netlink.REQUEST, 1, 0)
    return [header, _netlink.NFGENMSG.pack(_ctnetlink.IPV4 if family == 4 else _ctnetlink.IPV6, 0, 0), *body]


def joined(pieces):
    """The same with neighbouring bytes in one piece."""
    waiting = b""
    for piece in pieces:
        if isinstance(piece, Field):
            yield from (waiting, piece)
            waiting = b""
        else:
            waiting += piece
    yield waiting


def requests(kind, dice, pools):
    """Requests that make entries of this kind, without end. ``pools`` are the addresses without end that kinds share."""
    family = 6 if ":" in kind.sources.first else 4
    packed = socket.AF_INET if family == 4 else socket.AF_INET6
    values = {
        "source": pools[kind.sources], "destination": pools[kind.destinations],
        "source_port": kinds_.endless(dice, kind.source_ports), "port": kinds_.endless(dice, kind.ports),
        "timeout": kinds_.endless(dice, kind.timeouts), "mark": kinds_.endless(dice, kind.marks),
        "nat_port": kinds_.endless(dice, kind.nat_ports),
    }
    values.update((name, kinds_.endless(dice, [socket.inet_pton(packed, text) for text in getattr(kind, name)]))
                  for name in ("snat", "dnat") if getattr(kind, name))
    pieces = list(joined(pieces_of(kind, family)))
    layout = struct.Struct(">" + "".join(piece.layout if isinstance(piece, Field) else f"{len(piece)}s" for piece in pieces))
    return map(layout.pack, *columns(pieces, values))


def columns(pieces, values):
    """An iterator for each piece; fields of one name get the same values."""
    fields = [piece for piece in pieces if isinstance(piece, Field)]
    copies = {name: iter(itertools.tee(values[name], fields.count(name))) for name in set(fields)}
    return [next(copies[piece]) if isinstance(piece, Field) else itertools.repeat(piece) for piece in pieces]


def counts(entries, composition):
    """How many flows of each kind, so many in all."""
    ends = [round(entries * share) for share in itertools.accumulate(kind.share for kind in composition)]
    ends[-1] = entries
    return [end - begin for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def fill(netns, entries, composition, seed=1):
    """Write so many new entries; return [(kind, number written)]. ``netns`` is a name, or None for this namespace."""
    dice = random.Random(seed)
    pools = {pool: pool.packed(dice) for kind in composition for pool in (kind.sources, kind.destinations)}
    with connection(netns) as link:
        return [(kind, write(link, requests(kind, dice, pools), number)) for kind, number in zip(composition, counts(entries, composition), strict=True)]


def write(link, made, number):
    """Write so many entries; whatever meets a tuple that is there already is tried again with the next one."""
    missing = number
    for _round in range(ROUNDS):
        if not missing:
            return number
        refused = 0
        for begin in range(0, missing, CHUNK):
            link.send(b"".join(itertools.islice(made, min(CHUNK, missing - begin))))
            refused += refusals(link)
        missing = refused
    raise RuntimeError(f"{missing} of {number} entries find no free tuple: the kind has too few")


def refusals(link):
    """How many of the requests just sent met an entry that was there already; the kernel has answered before send() returns."""
    found = 0
    while True:
        try:
            data = link.recv(_netlink.BUFFER, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return found
        for _kind, _flags, _sequence, payload in _netlink.messages(data):
            code = _netlink.error_number(payload)
            if code != errno.EEXIST:
                raise OSError(code, f"the kernel refused an entry: {os.strerror(code)}")
            found += 1


def flush(netns):
    """Delete every entry of the namespace."""
    with connection(netns) as link:
        _netlink.exchange(link, _netlink.message(_ctnetlink.SUBSYSTEM, DELETE, _netlink.ACK), False)


@contextlib.contextmanager
def connection(netns):
    """A netlink socket of the namespace."""
    with inside(netns):
        link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    with link:
        link.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        link.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE: a datagram's worth of refusals, whatever they weigh
        link.bind((0, 0))
        yield link


@contextlib.contextmanager
def inside(netns):
    """This thread, the sockets that it makes and the commands that it starts are in the namespace; None for where it is."""
    with contextlib.ExitStack() as stack:
        if netns:
            home = stack.enter_context(open("/proc/thread-self/ns/net"))
            enter(stack.enter_context(open(f"/run/netns/{netns}")))
            stack.callback(enter, home)
        yield


def enter(handle):
    if LIBC.setns(handle.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def table(entries=0, buckets=None, acct=False, timestamp=False, labels=False):
    """The name of a new namespace that may hold so many entries. At the end it is gone, and the sizes are what they were.

    ``labels`` puts in a rule that no packet meets, without which the kernel refuses labels.
    """
    with sizes(entries, buckets), namespace() as name:
        with inside(name):
            if labels:
                subprocess.run(["nft", "table ip labels { chain unused { ct label set 1; }; }"], check=True)
            for key, value in (("acct", acct), ("timestamp", timestamp)):
                (SYSCTLS / f"nf_conntrack_{key}").write_text(f"{int(value)}\n")
        yield name


@contextlib.contextmanager
def namespace():
    name = f"netfleet-{uuid.uuid4().hex[:12]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield name
    finally:
        with contextlib.suppress(OSError):
            flush(name)  # at once, while the kernel gets round to a dead namespace later
        subprocess.run(["ip", "netns", "del", name], check=True)


@contextlib.contextmanager
def sizes(entries, buckets=None):
    """Room for so many entries in each namespace, some to spare; one process at a time, where room must be made."""
    most, chains = SYSCTLS / "nf_conntrack_max", SYSCTLS / "nf_conntrack_buckets"
    spare = entries + entries // 8  # from 95 % on the kernel may delete what is about to close, when any table was full (nf_conntrack_core.c, gc_worker)
    if int(most.read_text()) >= spare and buckets is None:
        yield
        return
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = {path: int(path.read_text()) for path in (most, chains)}
        try:
            write_sizes({most: max(spare, before[most]), chains: buckets or before[chains]})
            yield
        finally:
            write_sizes(before)


def write_sizes(values):
    for path, value in values.items():
        if int(path.read_text()) != value:
            path.write_text(f"{value}\n")

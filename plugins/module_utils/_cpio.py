# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""Reads the archives that an initramfs is made of.

Pure: bytes in, files out; what the standard library cannot unpack is handed to a function
of the caller. Source: Documentation/driver-api/early-userspace/buffer-format.rst of Linux.
"""
from typing import NamedTuple, Tuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError

HEADER = 110  # bytes: a magic of 6 and 13 numbers of 8 hexadecimal digits
MAGICS = (b"070701", b"070702")
LAST = b"TRAILER!!!"
NAME_MAX = 4096
DEPTH = 2  # packed archives within packed archives
KIND, REGULAR, LINK = 0o170000, 0o100000, 0o120000

# How each compression begins, and what undoes it: a module of the standard library, or a program.
COMPRESSIONS = (
    (b"\x1f\x8b", "gzip", True),
    (b"\xfd7zXZ\x00", "lzma", True),
    (b"\x5d\x00\x00", "lzma", True),
    (b"BZh", "bz2", True),
    (b"\x28\xb5\x2f\xfd", "zstd", False),
    (b"\x02\x21\x4c\x18", "lz4", False),
    (b"\x04\x22\x4d\x18", "lz4", False),
    (b"\x89LZO", "lzop", False),
)


class InitramfsError(ConntrackError):
    """An image that cannot be read."""


class Entry(NamedTuple):
    """A file of an archive."""

    name: str  # with a leading slash
    data: bytes  # of a link: its target
    link: bool


class Header(NamedTuple):
    """What stands before a file of an archive."""

    inode: Tuple[int, int, int]  # the same for all names of one file
    kind: int
    links: int
    size: int
    name: bytes
    body: int  # where the data begin
    end: int  # where the next header begins


def _padded(place):
    return (place + 3) & ~3


def _slice(data, start, length):
    part = data[start:start + length]
    if len(part) != length:
        raise InitramfsError("the archive ends in the middle of a file")
    return part


def _numbers(head, start):
    if head[:6] not in MAGICS:
        raise InitramfsError("the archive is damaged at byte %d" % start)
    try:
        return [int(head[place:place + 8], 16) for place in range(6, HEADER, 8)]
    except ValueError:
        raise InitramfsError("the archive is damaged at byte %d" % start) from None


def _header(data, start):
    numbers = _numbers(_slice(data, start, HEADER), start)
    inode, mode, links, size, name_size = (numbers[field] for field in (0, 1, 4, 6, 11))
    if not 0 < name_size <= NAME_MAX:
        raise InitramfsError("the archive has a file name of %d bytes" % name_size)
    name = _slice(data, start + HEADER, name_size).rstrip(b"\0")
    body = _padded(start + HEADER + name_size)
    return Header((inode, numbers[7], numbers[8]), mode & KIND, links, size, name, body, _padded(body + size))


def _path(header):
    return "/" + header.name.decode("utf-8", "surrogateescape").lstrip("./")


def archive(data, start, wanted):
    """Read one archive; return (its wanted Entries, where it ends). ``wanted`` is asked of each name.

    Of a file with several names only the last one has the data.
    """
    found, waiting = {}, {}
    while True:
        header = _header(data, start)
        start = header.end
        if header.name == LAST:
            return list(found.values()), start
        names = waiting.pop(header.inode, []) if header.size else []
        path = _path(header)
        if header.kind not in (REGULAR, LINK) or not (names or wanted(path)):
            continue
        content = _slice(data, header.body, header.size)
        names += [path] if wanted(path) else []
        found.update((name, Entry(name, content, header.kind == LINK)) for name in names)
        if header.links > 1 and not header.size:
            waiting.setdefault(header.inode, []).append(path)


def _whole(machine, data):
    """Unpack the first stream of ``data``; return what it held, and what comes after it."""
    found = machine.decompress(data)
    if not machine.eof:
        raise EOFError("it ends in the middle")
    return found, machine.unused_data


def _inflated(data, name):
    if name == "gzip":
        import zlib

        return _whole(zlib.decompressobj(31), data)
    if name == "lzma":
        import lzma

        return _whole(lzma.LZMADecompressor(), data)
    import bz2

    return _whole(bz2.BZ2Decompressor(), data)


def _unpacked(data, decompress):
    """Return what the first packed stream of ``data`` held, and what comes after it."""
    row = next((row for row in COMPRESSIONS if data.startswith(row[0])), None)
    if row is None:
        raise InitramfsError("it is packed in a way that is not known here")
    if row[2]:
        return _by_library(data, row[1])
    found = decompress(row[1], data)
    if found is None:
        raise InitramfsError("%s is needed to read it, and is missing or failed" % row[1])
    return found, b""


def _by_library(data, name):
    try:
        return _inflated(data, name)
    except (OSError, EOFError, ValueError, ImportError) as error:
        raise InitramfsError("it cannot be unpacked: %s" % error) from None
    except Exception as error:  # zlib.error and lzma.LZMAError, which are not to be imported on every run
        if type(error).__name__ not in ("error", "LZMAError"):
            raise
        raise InitramfsError("it cannot be unpacked: %s" % error) from None


def archives(data, wanted, decompress, depth=0):
    """Return the wanted Entries of all archives of an image, in their order; a later file hides an earlier one.

    ``decompress(name, data)`` returns what a program unpacks, or None.
    """
    if depth > DEPTH:
        raise InitramfsError("it is packed over and over")
    found = []
    data = data.lstrip(b"\0")
    while data:
        if data[:6] in MAGICS:
            more, end = archive(data, 0, wanted)
            data = data[end:].lstrip(b"\0")
        else:
            inner, rest = _unpacked(data, decompress)
            more, data = archives(inner, wanted, decompress, depth + 1), rest.lstrip(b"\0")
        found.extend(more)
    return found

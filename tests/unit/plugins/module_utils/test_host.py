# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door to the machine: whole files, links inside a recorded tree, programs, the lock."""
import errno
import os
import stat

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _host
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import LOCK, NEW, Host

FILE = "/etc/sysctl.d/x.conf"


@pytest.fixture
def host(tmp_path):
    return Host(str(tmp_path / "root"))


def place(host, path, text="", link=None):
    where = host.root + path
    os.makedirs(os.path.dirname(where), exist_ok=True)
    if link is not None:
        os.symlink(link, where)
        return
    with open(where, "w") as stream:
        stream.write(text)


def mode(host, path):
    return stat.S_IMODE(os.stat(host.root + path).st_mode)


# Reading

def test_what_is_not_there_is_none(host):
    place(host, "/file", "text")
    for path in ("/nothing", "/no/folder", "/file/below"):
        assert (host.read(path), host.read_bytes(path), host.number(path), host.mode(path), host.stat_key(path), host.link(path)) == (None,) * 6
        assert host.list(path) == [] and not host.exists(path)


def test_what_cannot_be_read_says_why(host):
    place(host, "/folder/file")
    with pytest.raises(ConntrackError, match="^cannot read /folder: Is a directory$"):
        host.read("/folder")
    with pytest.raises(ConntrackError, match="^cannot read /loop: "):
        place(host, "/loop", link="loop")
        host.read("/loop")


def test_text_that_is_not_utf8_comes_back_as_it_was(host):
    place(host, "/x")
    with open(host.root + "/x", "wb") as stream:
        stream.write(b"caf\xe9\n")
    host.write_file("/y", host.read("/x"))
    assert host.read_bytes("/y") == b"caf\xe9\n"


@pytest.mark.parametrize("text, number", [("65536\n", 65536), ("5 6\n", 5), ("-1", -1)])
def test_number(text, number, host):
    place(host, "/x", text)
    assert host.number("/x") == number


# (link, where it points): all of them are read as /usr/lib/file below the root
LINKS = {
    "relative": ("/lib", "usr/lib"),
    "absolute": ("/lib", "/usr/lib"),
    "up and down": ("/lib", "../../usr/lib"),
    "through another": ("/lib", "other"),
}


@pytest.mark.parametrize("name", sorted(LINKS))
def test_links_stay_inside_the_tree(name, host):
    link, target = LINKS[name]
    place(host, "/usr/lib/file", "ours")
    place(host, "/other", link="/usr/lib")
    place(host, link, link=target)
    assert host.read(link + "/file") == "ours"
    assert host.list(link) == ["file"]
    assert host.exists(link + "/file") and host.mode(link + "/file") is not None
    assert host.link(link) == target and host.link(link + "/file") is None


def test_a_link_out_of_the_tree_is_not_followed(host, tmp_path):
    (tmp_path / "secret").write_text("not ours")
    place(host, "/a", link=str(tmp_path / "secret"))
    place(host, "/b", link="../../secret")
    assert host.read("/a") is None
    assert host.read("/b") is None


def test_without_a_root_it_is_this_machine(tmp_path):
    (tmp_path / "file").write_text("text")
    assert Host().read(str(tmp_path / "file")) == "text"
    assert Host("/").root == ""
    assert Host().page_size == os.sysconf("SC_PAGE_SIZE") and Host().uid == os.geteuid()


def test_a_stat_key_changes_with_the_file(host):
    place(host, "/x", "a")
    first = host.stat_key("/x")
    assert first == host.stat_key("/x")
    host.write_file("/x", "b")
    assert first != host.stat_key("/x")


# Writing

@pytest.mark.parametrize("bits", [0o644, 0o755, 0o600], ids=oct)
@pytest.mark.parametrize("umask", [0o022, 0o077], ids=oct)
@pytest.mark.parametrize("before", [None, 0o640], ids=["new", "replaced"])
def test_a_file_gets_its_mode_whatever_the_umask(bits, umask, before, host):
    place(host, FILE)
    if before is None:
        os.unlink(host.root + FILE)
    else:
        os.chmod(host.root + FILE, before)
    old = os.umask(umask)
    try:
        host.write_file(FILE, "text", bits)
    finally:
        os.umask(old)
    assert mode(host, FILE) == bits
    assert host.list("/etc/sysctl.d") == ["x.conf"]


def test_folders_are_made(host):
    host.write_file("/a/b/c", "text")
    assert host.read("/a/b/c") == "text"
    host.remove_file("/a/b/c")
    host.remove_folder("/a/b")
    assert host.list("/a") == []


class Watching(Host):
    """Notes what of a file others see at each step of its writing."""

    def __init__(self, root):
        super().__init__(root)
        self.seen = []

    def note(self, step):
        self.seen.append((step, self.read(FILE), self.read(FILE + NEW)))

    def _write_synced(self, path, text, mode):
        super()._write_synced(path, text, mode)
        self.note("written")

    def _sync_folder(self, path):
        self.note("folder")
        super()._sync_folder(path)


def test_a_file_is_replaced_at_once(host):
    place(host, FILE, "old")
    watching = Watching(host.root)
    watching.write_file(FILE, "new")
    assert watching.seen == [("written", "old", "new"), ("folder", "new", None)]


def test_what_replaces_may_be_the_modules(tmp_path):
    moved = []

    def replace(new, path):
        moved.append((new, path))
        os.rename(new, path)

    Host(str(tmp_path), replace=replace).write_file("/x", "text")
    assert moved == [(str(tmp_path / "x") + NEW, str(tmp_path / "x"))]


def test_a_link_is_replaced_and_what_it_points_at_is_not(host):
    place(host, "/dev/null", "theirs")
    place(host, FILE, link="/dev/null")
    host.write_file(FILE, "ours")
    assert (host.link(FILE), host.read(FILE), host.read("/dev/null")) == (None, "ours", "theirs")


def test_a_write_that_fails_names_the_path_and_leaves_nothing(host):
    os.makedirs(host.root + FILE)
    with pytest.raises(ConntrackError, match="^cannot write %s: Is a directory$" % FILE):
        host.write_file(FILE, "text")
    assert host.list("/etc/sysctl.d") == ["x.conf"]


def test_a_failed_rename_leaves_nothing_beside_the_file(host):
    def busy(dummy_new, dummy_path):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    place(host, FILE, "old")
    with pytest.raises(ConntrackError, match="^cannot write %s: Device or resource busy$" % FILE):
        Host(host.root, replace=busy).write_file(FILE, "new")
    assert (host.read(FILE), host.list("/etc/sysctl.d")) == ("old", ["x.conf"])


def test_removing_takes_what_a_killed_run_left(host):
    place(host, FILE, "text")
    place(host, FILE + NEW, "te")
    host.remove_file(FILE)
    assert host.list("/etc/sysctl.d") == []
    host.remove_file(FILE)
    host.remove_file("/no/folder/file")


def test_a_removal_that_fails_names_the_path(host):
    os.makedirs(host.root + FILE)
    with pytest.raises(ConntrackError, match="^cannot remove %s: " % FILE):
        host.remove_file(FILE)


def test_a_folder_that_holds_something_stays(host):
    place(host, "/folder/file")
    host.remove_folder("/folder")
    host.remove_folder("/nothing")
    assert host.list("/") == ["folder"]


def test_a_value_goes_through_links(host):
    place(host, "/proc/sys/real", "1\n")
    place(host, "/proc/sys/link", link="/proc/sys/real")
    host.write_value("/proc/sys/link", "2")
    assert host.read("/proc/sys/real") == "2"


@pytest.mark.parametrize("path", ["/proc/sys", "/no/folder/value"])
def test_a_value_that_is_refused_names_value_path_and_reason(path, host):
    os.makedirs(host.root + "/proc/sys")
    with pytest.raises(ConntrackError, match="^cannot write 7 to %s: " % path):
        host.write_value(path, "7")


# Programs

def test_programs_are_found_where_root_looks_and_run_by_their_paths(tmp_path):
    ran = []
    host = Host(str(tmp_path), run=lambda argv, data: ran.append((argv, data)) or (0, "", ""))
    place(host, "/usr/sbin/nft")
    place(host, "/bin/nft")
    place(host, "/home/x/bin/modprobe")
    assert host.run(["nft", "list"], b"data") == (0, "", "")
    assert ran == [(["/usr/sbin/nft", "list"], b"data")]
    assert host.run(["modprobe", "x"]) == (127, "", "modprobe is not installed")


def test_filter_hands_over_files(tmp_path):
    def copy(argv, dummy_data):
        with open(argv[1], "rb") as source, open(argv[2], "wb") as target:
            target.write(source.read())
        return 0, "", ""

    place(Host(str(tmp_path)), "/usr/bin/cp")
    assert Host(str(tmp_path), run=copy).filter(["cp", _host.INPUT, _host.OUTPUT], b"data\xff") == b"data\xff"
    assert Host(str(tmp_path), run=lambda argv, data: (1, "", "")).filter(["cp", _host.INPUT, _host.OUTPUT], b"data") is None
    assert Host(str(tmp_path), run=copy).filter(["zstd", _host.INPUT, _host.OUTPUT], b"data") is None


# The lock

def test_one_at_a_time(host, monkeypatch):
    monkeypatch.setattr(_host, "LOCK_SECONDS", 1)
    place(host, LOCK)
    with host.lock():
        with pytest.raises(ConntrackError, match="another run has been changing this host"):
            with host.lock():
                pass
    with host.lock():
        pass


def test_a_lock_that_cannot_be_made_says_why(host):
    with pytest.raises(ConntrackError, match="^cannot lock %s/run/netfleet-conntrack.lock: No such file or directory$" % host.root):
        with host.lock():
            pass


def test_the_lock_ends_with_the_process(host):
    place(host, LOCK)
    child = os.fork()
    if child == 0:
        host.lock().__enter__()
        os._exit(0)
    os.waitpid(child, 0)
    with host.lock():
        pass

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Base images: one read-only Debian disk a suite, with the kernel and the two initramfs images that start it."""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
import re
import shutil
import subprocess
import tarfile

from vm_common import VmError, cache_dir, digest, lock, log, run

MERGE_USR = "--setup-hook=for d in bin sbin lib lib64; do mkdir -p $1/usr/$d; ln -s usr/$d $1/$d; done"


@dataclasses.dataclass(frozen=True)
class Suite:
    """What a suite needs besides the packages and arguments that all have in common."""

    packages: tuple = ()
    arguments: tuple = ()
    # Instead of the suite with its updates and security updates.
    mirrors: tuple = ()


SUITES = {
    # Debian's installer merges /usr since buster, bullseye's packages alone do not. Its security archive is past its
    # support and names files that are gone; the last point release is whole.
    "bullseye": Suite(arguments=(MERGE_USR,), mirrors=("deb http://deb.debian.org/debian bullseye main",)),
    "bookworm": Suite(),
    # Recommended by systemd since 257, thus present on an installed system.
    "trixie": Suite(packages=("linux-sysctl-defaults",)),
}
COMMON_PACKAGES = """
    linux-image-cloud-amd64 systemd-sysv udev dbus openssh-server python3 python3-apt kmod procps iproute2 iputils-ping
    nftables iptables conntrack initramfs-tools zstd e2fsprogs sudo
""".split()

ADDRESS = "10.0.2.15"
DISK_SIZE = "2G"
PROBE_WORD = "netfleet.probe"
PROBE_ANSWER = "NETFLEET-GUEST-RUNS"

MMDEBSTRAP = [
    "mmdebstrap",
    "--variant=apt",
    "--format=tar",
    # A suite that is past its support still builds.
    '--aptopt=Acquire::Check-Valid-Until "false"',
    '--aptopt=Apt::Install-Recommends "false"',
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
]

# Nothing here has to do with connection tracking, and each costs boot time under emulation. Masked by name rather than
# by removing packages, so that the rest stays as Debian ships it.
MASKED_UNITS = """
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
    man-db.timer systemd-tmpfiles-clean.timer getty.target getty@tty1.service serial-getty@ttyS0.service
    systemd-networkd.service systemd-networkd.socket systemd-timesyncd.service systemd-pstore.service
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-hwdb-update.service ldconfig.service
    systemd-journal-catalog-update.service systemd-update-done.service systemd-binfmt.service systemd-firstboot.service
    systemd-machine-id-commit.service systemd-repart.service proc-sys-fs-binfmt_misc.automount dev-hugepages.mount
    dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount
    sys-fs-fuse-connections.mount modprobe@drm.service modprobe@efi_pstore.service
""".split()
MASKED_GENERATORS = """
    systemd-cryptsetup-generator systemd-debug-generator systemd-fstab-generator systemd-getty-generator
    systemd-gpt-auto-generator systemd-hibernate-resume-generator systemd-integritysetup-generator
    systemd-rc-local-generator systemd-run-generator systemd-ssh-generator systemd-system-update-generator
    systemd-sysv-generator systemd-tpm2-generator systemd-veritysetup-generator
""".split()

SSHD_CONFIG = """\
UseDNS no
UsePAM no
PermitRootLogin prohibit-password
HostKey /etc/ssh/ssh_host_ed25519_key
"""

# The unit waits by itself: ordered after systemd-udev-trigger alone it runs before the driver has made eth0.
ADDRESS_UNIT = f"""\
[Unit]
Description=Address of the management interface
DefaultDependencies=no
Before=network-pre.target
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done'
ExecStart=/bin/sh -c 'ip address replace {ADDRESS}/24 dev eth0 && ip link set eth0 up'
"""

# Debian's own initramfs takes 6 s of a boot under emulation, this one 2.6 s: it loads little, mounts, and goes.
INIT = f"""\
#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
case "$($bb cat /proc/cmdline)" in
  *{PROBE_WORD}*) echo {PROBE_ANSWER} >/dev/console; $bb sleep 1; $bb reboot -f ;;
esac
while read -r module; do $bb insmod "/modules/$module"; done </modules/order
until [ -e /dev/vda ]; do $bb sleep 0.1; done
$bb mount -t ext4 -o rw /dev/vda /root
for tree in dev proc sys; do $bb mount --move "/$tree" "/root/$tree"; done
exec $bb switch_root /root /sbin/init
"""
INITRAMFS_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "ext4")


@dataclasses.dataclass(frozen=True)
class Base:
    """A built base image: the files in one folder of the cache."""

    suite: str
    folder: pathlib.Path

    @property
    def disk(self):
        """The read-only disk below every overlay."""
        return self.folder / "base.qcow2"

    @property
    def kernel(self):
        """The kernel as the package shipped it."""
        return self.folder / "vmlinuz"

    @property
    def tiny_initramfs(self):
        """Our initramfs: quick, but deaf to what the guest does to its own."""
        return self.folder / "tiny.img"

    @property
    def own_initramfs(self):
        """The initramfs that Debian made when the kernel was installed."""
        return self.folder / "initrd.img"


def ssh_key():
    """The private key that every guest of this cache accepts."""
    key = cache_dir("ssh") / "id_ed25519"
    with lock("ssh"):
        if not key.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "netfleet-conntrack-tests", "-f", key])
    return key


def guest_files(suite):
    """Path -> (mode, text) of every file that we put into a guest."""
    public_key = ssh_key().with_suffix(".pub").read_text(encoding="utf-8")
    return {
        "etc/hostname": (0o644, f"{suite}\n"),
        "etc/hosts": (0o644, "127.0.0.1 localhost\n::1 localhost\n"),
        # A fixed identity: an empty one makes systemd preset every unit at the first boot.
        "etc/machine-id": (0o444, f"{digest(['machine-id', suite]):0<32}\n"),
        "etc/ssh/sshd_config.d/netfleet.conf": (0o644, SSHD_CONFIG),
        "etc/systemd/system/vm-address.service": (0o644, ADDRESS_UNIT),
        "root/.ssh/authorized_keys": (0o600, public_key),
    }


def guest_links():
    """Path -> target of every symbolic link that we put into a guest."""
    links = {f"etc/systemd/system/{unit}": "/dev/null" for unit in MASKED_UNITS}
    links.update({f"etc/systemd/system-generators/{name}": "/dev/null" for name in MASKED_GENERATORS})
    links["etc/systemd/system/sysinit.target.wants/vm-address.service"] = "/etc/systemd/system/vm-address.service"
    return links


def recipe(suite):
    """Everything a base image is made from; its digest names the folder in the cache."""
    return {
        "suite": suite,
        "packages": [*COMMON_PACKAGES, *SUITES[suite].packages],
        "mmdebstrap": [*MMDEBSTRAP, *SUITES[suite].arguments],
        "mirrors": SUITES[suite].mirrors,
        "size": DISK_SIZE,
        "files": guest_files(suite),
        "links": guest_links(),
        "init": INIT,
        "modules": INITRAMFS_MODULES,
    }


def base(suite):
    """The base image of `suite`, built at the first use of its recipe."""
    if suite not in SUITES:
        raise VmError(f"no suite {suite!r}; there are {', '.join(SUITES)}")
    inputs = recipe(suite)
    folder = cache_dir("base") / f"{suite}-{digest(inputs)}"
    with lock(folder.name):
        if not folder.exists():
            _build(inputs, folder)
    return Base(suite, folder)


def _build(inputs, folder):
    """Builds beside the final place and renames at the end, so that a folder that exists is whole."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    log(f"{inputs['suite']}: installing packages (about 45 s)")
    _install(inputs, partial)
    with tarfile.open(partial / "root.tar") as root:
        log(f"{inputs['suite']}: kernel and initramfs")
        _extract_boot(root, partial)
        _write_tiny_initramfs(root, partial)
    log(f"{inputs['suite']}: disk")
    _write_disk(partial)
    for name in ("root.tar", "config.tar"):
        (partial / name).unlink()
    partial.rename(folder)
    log(f"{inputs['suite']}: built {folder}")


def _install(inputs, partial):
    """Makes root.tar: the packages and our files, as the guest's root directory."""
    _write_config(inputs, partial / "config.tar")
    run(
        inputs["mmdebstrap"]
        + [f"--include={','.join(inputs['packages'])}", f"--customize-hook=tar-in {partial / 'config.tar'} /"]
        + [inputs["suite"], partial / "root.tar", *inputs["mirrors"]]
    )


def _write_config(inputs, path):
    """Our files and links as a tar archive owned by the guest's root, whoever runs this."""
    with tarfile.open(path, "w") as archive:
        for name, (mode, text) in inputs["files"].items():
            member = tarfile.TarInfo(name)
            member.mode, member.size = mode, len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
        for name, target in inputs["links"].items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)


def _extract_boot(root, partial):
    """Copies the kernel and Debian's initramfs out of the root directory."""
    for member in root.getmembers():
        found = re.fullmatch(r"\./boot/(vmlinuz|initrd\.img)-.*", member.name)
        if found:
            (partial / found.group(1)).write_bytes(root.extractfile(member).read())


def _write_tiny_initramfs(root, partial):
    """Makes tiny.img: busybox, the modules that find the disk and the network card, and the script above."""
    tree = partial / "tiny"
    for folder in ("bin", "dev", "proc", "sys", "root", "modules"):
        (tree / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    (tree / "init").write_text(INIT, encoding="utf-8")
    (tree / "init").chmod(0o755)
    _copy_modules(root, tree / "modules")
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    archive = subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"],
        input=names.encode(),
        cwd=tree,
        check=True,
        capture_output=True,
    )
    (partial / "tiny.img").write_bytes(archive.stdout)
    shutil.rmtree(tree)


def _copy_modules(root, folder):
    """Copies the modules with all they depend on, and writes `order`: each after what it needs."""
    members = {
        member.name.partition("/modules/")[2]: member for member in root.getmembers() if "/modules/" in member.name
    }
    listing = next(name for name in members if name.endswith("/modules.dep"))
    dependencies = root.extractfile(members[listing]).read().decode()
    names = []
    for path in load_order(dependencies, INITRAMFS_MODULES):
        data = root.extractfile(members[f"{listing.partition('/')[0]}/{path}"]).read()
        name = os.path.basename(path).removesuffix(".xz")
        # busybox's insmod does not unpack.
        (folder / name).write_bytes(_unxz(data) if path.endswith(".xz") else data)
        names.append(name)
    (folder / "order").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _unxz(data):
    """The module in `data`, which is xz-compressed."""
    return subprocess.run(["xz", "-dc"], input=data, check=True, capture_output=True).stdout


def load_order(dependencies, wanted):
    """Paths of the `wanted` modules and their needs in loading order; `dependencies` is modules.dep."""
    order = []
    for line in dependencies.splitlines():
        path, dummy, needs = line.partition(":")
        if os.path.basename(path).partition(".")[0] in wanted:
            # modules.dep lists what a module needs with the deepest last.
            order += [*reversed(needs.split()), path]
    return list(dict.fromkeys(order))


def _write_disk(partial):
    """Makes base.qcow2 from root.tar."""
    features = "-O ^metadata_csum,^64bit -E lazy_itable_init=1 -m0"
    script = (
        "mkdir root && tar -x -p --numeric-owner --exclude='./dev/*' -C root -f root.tar && "
        f"mke2fs -q -t ext4 {features} -d root base.raw {DISK_SIZE} && rm -rf root"
    )
    # The files belong to many users; whoever is not root can only hold them in a user namespace, as mmdebstrap does.
    wrapper = [] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--map-auto", "--"]
    run([*wrapper, "sh", "-c", script], cwd=partial)
    run(["qemu-img", "convert", "-O", "qcow2", "base.raw", "base.qcow2"], cwd=partial)
    (partial / "base.raw").unlink()
    (partial / "base.qcow2").chmod(0o444)


def extract_own_boot(disk, folder):
    """Copies the newest kernel and initramfs of the guest's own /boot from its (unused) `disk` into `folder`.

    From the disk and not over ssh, so that it also works for a guest that does not come up any more.
    """
    raw = folder / "boot.raw"
    try:
        run(["qemu-img", "convert", "-O", "raw", disk, raw])
        # debugfs does not replay the journal. e2fsck ends with 1 when it did.
        if subprocess.run(["e2fsck", "-fp", raw], check=False, stdout=subprocess.DEVNULL).returncode > 1:
            raise VmError(f"e2fsck finds the file system of {disk} broken")
        names = re.findall(r"/vmlinuz-([^/]+)/", run(["debugfs", "-R", "ls -p /boot", raw]))
        release = max(names, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])
        for name in ("vmlinuz", "initrd.img"):
            _dump(raw, f"/boot/{name}-{release}", folder / name)
    finally:
        raw.unlink(missing_ok=True)


def _dump(disk, source, target):
    """Copies a file out of the file system on `disk`; debugfs ends with 0 even when there is no such file."""
    target.unlink(missing_ok=True)
    run(["debugfs", "-R", f"dump {source} {target}", disk])
    if not target.exists():
        raise VmError(f"the guest has no {source}")

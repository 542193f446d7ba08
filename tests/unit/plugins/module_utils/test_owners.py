# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else writes settings of connection tracking: trees of the programs' own files, and what is said of each."""
import json
import os

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _boot_read, _owners
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded

TREES = os.path.join(os.path.dirname(recorded.HOSTS), "owners")
WANTED = {"max": 524288, "buckets": 524288, "tcp_timeout_established": 7440}
EVERYTHING = dict.fromkeys(BY_NAME, 123456)
OWN = "/etc/sysctl.d/zz-netfleet-conntrack.conf"
MAX, BUCKETS, ESTABLISHED = ("net.netfilter.nf_conntrack_" + name for name in ("max", "buckets", "tcp_timeout_established"))
# A host as every boot has it: modular, systemd, nf_conntrack loaded.
HOST = {
    "/proc/sys/kernel/osrelease": "6.1.0-50-amd64\n",
    "/proc/cmdline": "root=/dev/vda1 ro\n",
    "/proc/meminfo": "MemTotal:       8000000 kB\n",
    "/run/systemd/system/x": "",
    "/sys/module/nf_conntrack/initstate": "live\n",
    "/proc/sys/net/netfilter/nf_conntrack_max": "262144\n",
    "/proc/sys/net/netfilter/nf_conntrack_buckets": "262144\n",
    "/proc/sys/net/netfilter/nf_conntrack_count": "5\n",
    "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established": "432000\n",
    "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait": "60\n",
}


def entry(value):
    return value if isinstance(value, dict) else {"text": value}


def tree(name):
    """The files of a recorded program; none for ""."""
    if not name:
        return {}
    with open(os.path.join(TREES, name + ".json")) as stream:
        return json.load(stream)["files"]


@pytest.fixture
def owners(tmp_path):
    """What is read from a program's files, with others put over them; None takes one away."""

    def made(name, changed=()):
        files = dict(HOST, **tree(name))
        files.update(changed)
        recorded.unpack({path: entry(value) for path, value in files.items() if value is not None}, str(tmp_path))
        host = Host(str(tmp_path), page_size=4096, uid=0)
        return _owners.read(host, _boot_read.read(host))

    return made


def settings(found):
    """(name of the owner, setting, value, where) of everything that is written."""
    return [(fact["name"], name, row["value"], row["source"]) for fact in _owners.facts(found) for name, row in fact["settings"].items()]


def assigned(*pairs):
    return "".join("%s = %s\n" % pair for pair in pairs)


def profile(text, include="throughput-performance"):
    """A tuned profile of the user's own, which is the active one."""
    return {"/etc/tuned/active_profile": "mine\n", "/etc/tuned/mine/tuned.conf": "[main]\ninclude=%s\n%s" % (include, text)}


KUBE_PROXY = "/proc/4711/root/var/lib/kube-proxy/config.conf"
CMDLINE = "/proc/4711/cmdline"
SWITCHED_OFF = "conntrack:\n  maxPerCore: 0\n  tcpEstablishedTimeout: 0s\n  tcpCloseWaitTimeout: 0s\nmode: \"\"\n"
UNLOADS = {"/etc/firewalld/firewalld.conf": "CleanupOnExit=yes\nCleanupModulesOnExit=yes\n"}
OLD_FIREWALLD = {
    "/etc/firewalld/firewalld.conf": "DefaultZone=public\nCleanupOnExit=yes\n",
    "/usr/lib/python3/dist-packages/firewall/config/__init__.py": "FALLBACK_CLEANUP_ON_EXIT = True\n",
}
BUILTIN = {"/sys/module/nf_conntrack/initstate": None, "/sys/module/nf_conntrack/parameters/hashsize": "262144\n"}

# Hosts on which nobody will change anything of ours, whatever is wanted.
HEALTHY = {
    "nothing but a kernel": ("", {}),
    "Debian as it comes, with Docker": ("debian", {}),
    "our own file": ("debian", {OWN: assigned((MAX, 1))}),
    "ufw as it comes": ("ufw", {}),
    "ufw with a value, disabled": ("ufw", {"/etc/ufw/ufw.conf": "ENABLED=no\n", "/etc/ufw/sysctl.conf": assigned((MAX, 1))}),
    "ufw without sysctls": ("ufw", {"/etc/default/ufw": "IPT_SYSCTL=\n", "/etc/ufw/sysctl.conf": assigned((MAX, 1))}),
    "tuned as it comes": ("tuned", {}),
    "tuned with a value, disabled": ("tuned", {
        "/etc/tuned/active_profile": "atomic-host\n", "/etc/systemd/system/multi-user.target.wants/tuned.service": None}),
    "tuned with a value taken out": ("tuned", profile("[net]\ndrop=nf_conntrack_hashsize\n[sysctl]\ndrop=net.netfilter.nf_conntrack_max\n", "atomic-host")),
    "firewalld as it comes": ("firewalld", {}),
    "firewalld of today with a configuration of yesterday": ("firewalld", {"/etc/firewalld/firewalld.conf": "CleanupOnExit=yes\n"}),
    "firewalld, and conntrack built in": ("firewalld", dict(UNLOADS, **BUILTIN)),
    "firewalld that unloads, disabled": ("firewalld", dict(UNLOADS, **{"/etc/systemd/system/multi-user.target.wants/firewalld.service": None})),
    "iptables that does not unload": ("iptables-services", {"/etc/sysconfig/iptables-config": 'IPTABLES_MODULES_UNLOAD="no"\n'}),
    "iptables whose script cannot unload": ("iptables-services", {"/usr/libexec/iptables/iptables.init": "start\n", "/etc/sysconfig/iptables-config": ""}),
    "kube-proxy that leaves it": ("kubeadm", {KUBE_PROXY: SWITCHED_OFF}),
    "kube-proxy started to leave it": ("kubeadm", {
        CMDLINE: "kube-proxy\0--conntrack-max-per-core=0\0--conntrack-tcp-timeout-established=0s\0--conntrack-tcp-timeout-close-wait\x000s\0"}),
    "Kubernetes without kube-proxy": ("kubeadm", {"/proc/4711/comm": "cilium-agent\n"}),
    "kube-proxy of another namespace": ("kubeadm", {
        "/proc/4711/ns/net": {"link": "net:[4026532000]"}, "/proc/self/ns/net": {"link": "net:[4026531840]"}}),
    "k3s without kube-proxy": ("k3s", {"/etc/rancher/k3s/config.yaml": "disable-kube-proxy: true\n"}),
    "k3s that leaves it": ("k3s", {
        "/etc/rancher/k3s/config.yaml": "kube-proxy-arg:\n  - conntrack-max-per-core=0\n  - \"conntrack-tcp-timeout-established=0s\"\n"
                                        "  - conntrack-tcp-timeout-close-wait=0s\n"}),
    "another file that ours override": ("debian", {"/etc/sysctl.d/50-router.conf": assigned((MAX, 1), (ESTABLISHED, 2))}),
    "a file that another one hides": ("debian", {"/usr/lib/sysctl.d/50-x.conf": assigned((MAX, 1)), "/etc/sysctl.d/50-x.conf": {"link": "/dev/null"}}),
    "the name of another age": ("debian", {"/etc/sysctl.conf": assigned(("net.ipv4.netfilter.ip_conntrack_max", 1), ("net.ipv4.ip_conntrack_max", 1))}),
    "comments": ("debian", {"/etc/sysctl.conf": "# net.netfilter.nf_conntrack_max = 1\n;%s = 1\n" % MAX}),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_where_nobody_changes_anything_nothing_is_said(owners, name):
    assert _owners.warnings(owners(*HEALTHY[name]), EVERYTHING) == ()


SILENT = [name for name, case in HEALTHY.items() if case[0] not in ("debian",)]


@pytest.mark.parametrize("name", SILENT)
def test_who_writes_nothing_is_no_owner(owners, name):
    assert _owners.facts(owners(*HEALTHY[name])) == []


# (files of a program, what is put over them, what is written)
WRITERS = {
    "sysctl.conf": ("debian", {"/etc/sysctl.conf": "\n" + assigned(("net.nf_conntrack_max", 65536), (ESTABLISHED, 600))}, [
        ("sysctl.conf", "max", 65536, "/etc/sysctl.conf:2"), ("sysctl.conf", "tcp_timeout_established", 600, "/etc/sysctl.conf:3")]),
    "sysctl.conf twice": ("", {"/etc/sysctl.conf": assigned((MAX, 1), ("net/netfilter/nf_conntrack_max", 2))}, [
        ("sysctl.conf", "max", 2, "/etc/sysctl.conf:2")]),
    "sysctl.d": ("", {"/etc/sysctl.d/50-router.conf": assigned((BUCKETS, 1000)), OWN: assigned((BUCKETS, 4096))}, [
        ("sysctl.d", "buckets", 1024, "/etc/sysctl.d/50-router.conf:1")]),
    "a pattern": ("", {"/etc/sysctl.d/50-router.conf": assigned(("net.netfilter.nf_conntrack_tcp_timeout_c*", 5))}, [
        ("sysctl.d", "tcp_timeout_close_wait", 5, "/etc/sysctl.d/50-router.conf:1")]),
    "modprobe.d": ("", {"/etc/modprobe.d/nf.conf": "options nf_conntrack hashsize=65536 acct=1\n"}, [
        ("modprobe.d", "buckets", 65536, "/etc/modprobe.d/nf.conf:1"), ("modprobe.d", "acct", True, "/etc/modprobe.d/nf.conf:1")]),
    "an old name": ("", {"/etc/sysctl.conf": assigned(("net.ipv4.netfilter.ip_conntrack_tcp_timeout_established", 600))}, [
        ("sysctl.conf", "tcp_timeout_established", 600, "/etc/sysctl.conf:1")]),
    "ufw": ("ufw", {"/etc/ufw/sysctl.conf": "net/ipv4/ip_forward=1\nnet/netfilter/nf_conntrack_max=65536\n"}, [
        ("ufw", "max", 65536, "/etc/ufw/sysctl.conf:2")]),
    "ufw with two files": ("ufw", {
        "/etc/default/ufw": 'IPT_SYSCTL="/etc/a.conf /etc/b.conf"\n', "/etc/a.conf": assigned((MAX, 1)), "/etc/b.conf": assigned((ESTABLISHED, 2))},
        [("ufw", "max", 1, "/etc/a.conf:1"), ("ufw", "tcp_timeout_established", 2, "/etc/b.conf:1")]),
    "tuned's profile for Atomic hosts": ("tuned", {"/etc/tuned/active_profile": "atomic-host\n"}, [
        ("tuned", "max", 1048576, "/usr/lib/tuned/atomic-host/tuned.conf:10"),
        ("tuned", "buckets", 1048576, "/usr/lib/tuned/atomic-host/tuned.conf:7")]),
    "tuned's profile that includes another": ("tuned", {"/etc/tuned/active_profile": "openshift-node\n"}, [
        ("tuned", "buckets", 1048576, "/usr/lib/tuned/openshift/tuned.conf:7"),
        ("tuned", "max", 1048576, "/usr/lib/tuned/openshift/tuned.conf:12")]),
    "a profile over tuned's": ("tuned", profile("[sysctl]\n%s=>2097152\n" % MAX, "atomic-host"), [
        ("tuned", "max", 2097152, "/etc/tuned/mine/tuned.conf:4"),
        ("tuned", "buckets", 1048576, "/usr/lib/tuned/atomic-host/tuned.conf:7")]),
    "tuned by sysfs, and a variable": ("tuned", profile(
        "[hash]\ntype=sysfs\n/sys/module/nf_conntrack/parameters/hashsize=65536\n[ct]\ntype=sysctl\n%s=${max}\n" % MAX), [
            ("tuned", "buckets", 65536, "/etc/tuned/mine/tuned.conf:5"), ("tuned", "max", None, "/etc/tuned/mine/tuned.conf:8")]),
    "kube-proxy of kubeadm": ("kubeadm", {}, [
        ("kube-proxy", "max", 131072, "/var/lib/kube-proxy/config.conf"), ("kube-proxy", "buckets", 32768, "/var/lib/kube-proxy/config.conf"),
        ("kube-proxy", "tcp_timeout_established", 86400, "/var/lib/kube-proxy/config.conf"),
        ("kube-proxy", "tcp_timeout_close_wait", 3600, "/var/lib/kube-proxy/config.conf")]),
    "kube-proxy, configured": (
        "kubeadm", {
            "/sys/devices/system/cpu/online": "0-7,12\n",
            KUBE_PROXY: "linux:\n  conntrack:\n    maxPerCore: 65536 # more\n    tcpEstablishedTimeout: 2h4m0s\n    tcpCloseWaitTimeout: 0s\n"
                        "    tcpBeLiberal: true\n    udpTimeout: 1m30s\n  oomScoreAdj: -999\nmin: 7\n",
        }, [
            ("kube-proxy", "max", 589824, "/var/lib/kube-proxy/config.conf"), ("kube-proxy", "buckets", 147456, "/var/lib/kube-proxy/config.conf"),
            ("kube-proxy", "tcp_timeout_established", 7440, "/var/lib/kube-proxy/config.conf"),
            ("kube-proxy", "udp_timeout", 90, "/var/lib/kube-proxy/config.conf"), ("kube-proxy", "tcp_be_liberal", True, "/var/lib/kube-proxy/config.conf")]),
    "kube-proxy, started with flags": ("kubeadm", {
        CMDLINE: "kube-proxy\0--conntrack-min=600000\0--conntrack-tcp-timeout-established=0s\0--conntrack-tcp-timeout-close-wait=0\0"}, [
            ("kube-proxy", "max", 600000, "kube-proxy's command line"), ("kube-proxy", "buckets", 150016, "kube-proxy's command line")]),
    "kube-proxy, with a switch alone": ("kubeadm", {
        CMDLINE: "kube-proxy\0--conntrack-tcp-be-liberal\0--conntrack-max-per-core=0\0--conntrack-tcp-timeout-established=0s"
                 "\0--conntrack-tcp-timeout-close-wait=0s\0"}, [("kube-proxy", "tcp_be_liberal", True, "kube-proxy's command line")]),
    "kube-proxy whose files cannot be seen": ("kubeadm", {KUBE_PROXY: None, "/sys/devices/system/cpu/online": None}, [
        ("kube-proxy", "max", None, "kube-proxy's defaults"), ("kube-proxy", "tcp_timeout_established", 86400, "kube-proxy's defaults"),
        ("kube-proxy", "tcp_timeout_close_wait", 3600, "kube-proxy's defaults")]),
    "k3s": ("k3s", {}, [
        ("k3s", "max", 131072, "kube-proxy's defaults"), ("k3s", "tcp_timeout_established", 86400, "kube-proxy's defaults"),
        ("k3s", "tcp_timeout_close_wait", 3600, "kube-proxy's defaults")]),
    "k3s with arguments": ("k3s", {
        "/etc/rancher/k3s/config.yaml.d/a.yaml": "kube-proxy-arg+: ['conntrack-min=262144', conntrack-tcp-timeout-close-wait=60s]\n"}, [
            ("k3s", "max", 262144, "/etc/rancher/k3s/config.yaml.d/a.yaml"),
            ("k3s", "tcp_timeout_established", 86400, "/etc/rancher/k3s/config.yaml.d/a.yaml"),
            ("k3s", "tcp_timeout_close_wait", 60, "/etc/rancher/k3s/config.yaml.d/a.yaml")]),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_and_where_that_stands(owners, name):
    files, changed, wanted = WRITERS[name]
    assert [row for row in settings(owners(files, changed)) if row[0] != "docker"] == wanted


CONF = {"/etc/sysctl.conf": assigned((MAX, 65536))}
# (files of a program, what is put over them, what is wanted, whether files of ours hold it, words of the one warning, or none)
TOLD = {
    "sysctl -p": ("debian", CONF, WANTED, True, ["sysctl -p writes max = 65536 where 524288 is wanted (/etc/sysctl.conf:1)", "take that out"]),
    "sysctl.conf after tuned": ("tuned", CONF, WANTED, True, ["tuned writes max = 65536", "(/etc/sysctl.conf:1)", "at every boot after ours"]),
    "sysctl.conf, and tuned that does not read it": (
        "tuned", dict(CONF, **{"/etc/tuned/tuned-main.conf": "reapply_sysctl = 0\n"}), WANTED, True, ["sysctl -p writes max = 65536"]),
    "the same value": ("debian", {"/etc/sysctl.conf": assigned((MAX, 524288))}, WANTED, True, None),
    "what nobody wants": ("debian", {"/etc/sysctl.conf": assigned((ESTABLISHED, 5))}, {"max": 524288}, True, None),
    "ufw": ("ufw", {"/etc/ufw/sysctl.conf": assigned((MAX, 65536), (ESTABLISHED, 600))}, WANTED, True, [
        "ufw writes max = 65536 where 524288 is wanted (/etc/ufw/sysctl.conf:1), tcp_timeout_established = 600", "ufw reload", "IPT_SYSCTL="]),
    "tuned, whose sysctls ours follow": ("tuned", profile("[sysctl]\n%s=65536\n" % MAX), WANTED, True, None),
    "tuned, and no file of ours": ("tuned", profile("[sysctl]\n%s=65536\n" % MAX), WANTED, False, ["tuned writes max = 65536", "drop=" + MAX]),
    "tuned, whose hash size comes last": ("tuned", profile("[net]\nnf_conntrack_hashsize=65536\n"), WANTED, True, [
        "tuned writes buckets = 65536", "(/etc/tuned/mine/tuned.conf:4)", "drop=nf_conntrack_hashsize in its section [net]"]),
    "tuned, which only raises": ("tuned", profile("[net]\nnf_conntrack_hashsize=>65536\n"), WANTED, True, None),
    "tuned, which only lowers": ("tuned", profile("[net]\nnf_conntrack_hashsize=<65536\n"), WANTED, True, ["tuned writes buckets = 65536"]),
    "kube-proxy": ("kubeadm", {}, WANTED, True, [
        "kube-proxy writes max = 131072 where 524288 is wanted, tcp_timeout_established = 86400 where 7440 is wanted (/var/lib/kube-proxy/config.conf)",
        "at every start of kube-proxy", "maxPerCore: 0"]),
    "kube-proxy, with a smaller hash wanted": ("kubeadm", {}, {"max": 131072, "buckets": 16384}, True, ["kube-proxy writes buckets = 32768 where 16384"]),
    "kube-proxy, with what it gives wanted": ("kubeadm", {}, {"max": 131072, "buckets": 131072, "tcp_timeout_established": 86400}, True, None),
    "kube-proxy of which little is known": ("kubeadm", {"/sys/devices/system/cpu/online": None}, {"max": 131072}, True, [
        "kube-proxy writes another value of max where 131072 is wanted"]),
    "k3s": ("k3s", {}, {"max": 524288}, True, ["k3s writes max = 131072", "kube-proxy-arg in /etc/rancher/k3s/config.yaml"]),
    "firewalld": ("firewalld", UNLOADS, WANTED, True, [
        "firewalld unloads nf_conntrack", "they come back when it is loaded again", "firewalld.conf:2", "CleanupModulesOnExit=no"]),
    "firewalld, and no file of ours": ("firewalld", UNLOADS, WANTED, False, ["they do not come back"]),
    "firewalld before 1.0": ("firewalld", OLD_FIREWALLD, WANTED, True, ["firewalld unloads", "CleanupOnExit=no", "update firewalld"]),
    "iptables": ("iptables-services", {}, WANTED, True, ["iptables.service unloads", "iptables-config:2", 'IPTABLES_MODULES_UNLOAD="no"']),
    "iptables by its default": ("iptables-services", {"/etc/sysconfig/iptables-config": ""}, WANTED, True, ["iptables.service unloads"]),
    "nothing wanted": ("firewalld", UNLOADS, {}, True, None),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_the_user_is_told(owners, name):
    files, changed, values, kept, words = TOLD[name]
    told = _owners.warnings(owners(files, changed), values, kept)
    assert len(told) == (words is not None), told
    assert [word for word in words or [] if word not in told[0]] == []


PLACES = {
    "/etc/sysctl.d/50-router.conf": "before ours, so ours hold",
    "/etc/sysctl.d/zzz-local.conf": "after ours, in place of ours",
}


@pytest.mark.parametrize("path", PLACES)
def test_where_a_file_stands_is_told_as_a_fact(owners, path):
    facts = _owners.facts(owners("", {path: assigned((MAX, 1))}))
    assert [fact["where"] for fact in facts] == [path] and PLACES[path] in facts[0]["effect"]


def test_docker_is_a_fact_that_writes_nothing(owners):
    facts = _owners.facts(owners("debian"))
    assert [(fact["name"], fact["settings"]) for fact in facts] == [("docker", {})]


@pytest.mark.parametrize("name", recorded.names())
def test_recorded_hosts_have_no_owner_that_is_told_of(tmp_path, name):
    host = recorded.machine(name, tmp_path)
    assert _owners.warnings(_owners.read(host, _boot_read.read(host)), EVERYTHING) == ()


class Counting(Host):
    """A host that counts what is read of it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.reads = []

    def read_bytes(self, path):
        self.reads.append(path)
        return super().read_bytes(path)

    def list(self, path):
        self.reads.append(path)
        return super().list(path)


def test_a_host_without_the_programs_costs_no_reading(tmp_path):
    recorded.unpack({path: entry(value) for path, value in dict(HOST, **tree("debian")).items()}, str(tmp_path))
    host = Counting(str(tmp_path), page_size=4096, uid=0)
    inputs = _boot_read.read(host)
    host.reads.clear()
    assert len(_owners.read(host, inputs)) == 1 and host.reads == []

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""kube-proxy, and the programs that hold one (k3s, RKE2, MicroK8s): the settings that they write at every start.

A process tells for sure; files of Kubernetes stay behind when kube-proxy has gone. Its own configuration is
read through /proc, where a container's files are seen. Source: Kubernetes, pkg/proxy/conntrack/sysctls.go (until
1.35 cmd/kube-proxy/app/conntrack.go and server.go), where 1.22 to 1.28 leave every higher value, later fixes of
1.36 and 1.37 a higher max, and 1.36 and later make max at most 1048576: no version can be seen here, so what
is said is the most that any of them does. k3s, pkg/agent/syssetup/setup.go and pkg/agent/run.go.
"""
import re
from typing import NamedTuple

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._owners_row import IF_LOWER, Owner, Written, rounded

# The options that decide: name in a KubeProxyConfiguration, flag, and what holds where neither is given.
OPTIONS = (
    ("maxPerCore", "conntrack-max-per-core", "32768"),
    ("min", "conntrack-min", "131072"),
    ("tcpEstablishedTimeout", "conntrack-tcp-timeout-established", "24h"),
    ("tcpCloseWaitTimeout", "conntrack-tcp-timeout-close-wait", "1h"),
    ("udpTimeout", "conntrack-udp-timeout", "0s"),
    ("udpStreamTimeout", "conntrack-udp-timeout-stream", "0s"),
    ("tcpBeLiberal", "conntrack-tcp-be-liberal", "false"),
)
TIMEOUTS = (
    ("tcpEstablishedTimeout", "tcp_timeout_established"),
    ("tcpCloseWaitTimeout", "tcp_timeout_close_wait"),
    ("udpTimeout", "udp_timeout"),
    ("udpStreamTimeout", "udp_timeout_stream"),
)
SECONDS = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
UNSET = ("", "null", "~", '""', "''")
CPUS = "/sys/devices/system/cpu/online"
COMMAND_LINE = "kube-proxy's command line"
DEFAULTS = "kube-proxy's defaults"
EFFECT = "at every start of %s, and so after every boot"
VERSIONS = ", though some versions leave a max that is higher"
FLAGS = "--conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s"
CONFIGURED = ("say maxPerCore: 0, tcpEstablishedTimeout: 0s and tcpCloseWaitTimeout: 0s below conntrack in its configuration "
              "(kubeadm: ConfigMap kube-proxy in kube-system)")
STARTED = "start it with " + FLAGS
WITHIN = "give it these kube-proxy-arg in %s: " + FLAGS.replace("--", "").replace(" ", ", ")


class Holder(NamedTuple):
    """A program with a kube-proxy inside; flags of that are looked for in the text of files."""

    name: str
    processes: tuple  # as /proc/PID/comm has them
    files: tuple  # and every file of those folders that end in "/"
    chains: bool  # writes the hash size too
    remedy: str


def _rancher(name, *processes):
    folder = "/etc/rancher/%s/config.yaml" % name
    units = ("/etc/systemd/system/%s.service", "/etc/systemd/system/%s-agent.service", "/etc/systemd/system/%s-server.service")
    return Holder(name, processes, (folder, folder + ".d/") + tuple(unit % name for unit in units), False, WITHIN % folder)


MICROK8S = "/var/snap/microk8s/current/args/kube-proxy"
HOLDERS = (
    _rancher("k3s", "k3s-server", "k3s-agent", "k3s"),
    _rancher("rke2", "rke2"),
    Holder("microk8s", ("kubelite",), (MICROK8S,), True, "put these into %s: %s" % (MICROK8S, FLAGS)),
)


def read(host, inputs):
    """The Owners among the processes of this network namespace."""
    wanted = {name for holder in HOLDERS for name in holder.processes} | {"kube-proxy"}
    processes = dict(reversed([(name, pid) for name, pid in _processes(host) if name in wanted and _is_here(host, pid)]))
    found = [_alone(host, inputs, processes["kube-proxy"])] if "kube-proxy" in processes else []
    found += [_within(host, inputs, holder) for holder in HOLDERS if any(name in processes for name in holder.processes)]
    return [owner for owner in found if owner and owner.writes]


def _quiet(host, path):
    """The text of a file of a process, which may end at any time; "" where there is none."""
    try:
        return host.read(path) or ""
    except ConntrackError:
        return ""


def _processes(host):
    return [(_quiet(host, "/proc/%s/comm" % pid).strip(), pid) for pid in host.list("/proc") if pid.isdigit()]


def _is_here(host, pid):
    """Tell whether a process is in this network namespace: those of nodes that are containers are not."""
    return host.link("/proc/%s/ns/net" % pid) == host.link("/proc/self/ns/net")


def _alone(host, inputs, pid):
    arguments = _quiet(host, "/proc/%s/cmdline" % pid).replace("\0", "\n")
    path = _flag(arguments, "config")
    if path:
        text = _quiet(host, "/proc/%s/root%s" % (pid, path))
        given, source, remedy = _configured(text), path if text else DEFAULTS, CONFIGURED
    else:
        given = _flags(arguments)
        source, remedy = COMMAND_LINE if given else DEFAULTS, STARTED
    return Owner("kube-proxy", "kube-proxy", source, EFFECT % "kube-proxy" + VERSIONS, _writes(host, inputs, given, source, True), remedy)


def _within(host, inputs, holder):
    paths = [path + name for path in holder.files for name in (host.list(path) if path.endswith("/") else [""])]
    texts = [(path, _quiet(host, path)) for path in paths]
    everything = "\n".join(text for dummy, text in texts)
    if re.search(r"^\s*disable-kube-proxy:\s*[\"']?true|--disable-kube-proxy(?!=false)\b", everything, re.MULTILINE):
        return None
    given = _flags(everything)
    source = next((path for path, text in texts if _flags(text)), DEFAULTS)
    effect = EFFECT % holder.name + (VERSIONS if holder.chains else "")
    return Owner(holder.name, holder.name, source, effect, _writes(host, inputs, given, source, holder.chains), holder.remedy)


def _flag(text, name):
    found = re.findall(r"(?:^|[\s\"'-])%s(?:=|[ \n]+)[\"']?([^\s\"',\]]+)" % re.escape(name), text, re.MULTILINE)
    return found[-1] if found else ""


def _flags(text):
    """What flags say, by the names of the configuration."""
    given = {name: _flag(text, flag) for name, flag, dummy in OPTIONS}
    if re.search(r"conntrack-tcp-be-liberal(?![=\w])", text):  # a switch of Go's is on when it stands alone
        given["tcpBeLiberal"] = "true"
    return {name: value for name, value in given.items() if value not in UNSET}


def _configured(text):
    """What stands below `conntrack:` of a KubeProxyConfiguration, in YAML blocks as every tool writes them."""
    found = re.search(r"^( *)conntrack:[ \t]*\n((?:\1[ \t]+.*\n?)*)", text, re.MULTILINE)
    pairs = re.findall(r"^\s*(\w+):[ \t]*([^\s#]*)", found.group(2), re.MULTILINE) if found else []
    return {name: value for name, value in pairs if value not in UNSET}


def _writes(host, inputs, given, source, chains):
    """What a kube-proxy that is given these options writes; those that are zero leave the kernel's value."""
    options = dict({name: default for name, dummy, default in OPTIONS}, **given)
    found = []
    if _number(options["maxPerCore"]) != 0:
        most = _most(host, options)
        found.append(Written("max", most, source))
        if chains and most:
            found.append(Written("buckets", rounded("buckets", most // 4, inputs), source, IF_LOWER))
    found += [Written(name, _seconds(options[option]), source) for option, name in TIMEOUTS if _seconds(options[option]) != 0]
    if options["tcpBeLiberal"].lower() == "true":
        found.append(Written("tcp_be_liberal", 1, source))
    return tuple(found)


def _number(text):
    text = text.strip("\"'")
    return int(text) if text.isdigit() else None


def _most(host, options):
    """What it makes max, or None where that cannot be known."""
    each, least, cpus = _number(options["maxPerCore"]), _number(options["min"]), _cpus(host)
    return None if None in (each, least, cpus) else max(least, each * cpus)


def _cpus(host):
    """The number of processors, from a list such as 0-3,6; None where there is none."""
    parts = [part.partition("-") for part in (host.read(CPUS) or "").strip().split(",") if part]
    return sum(int(last or first) - int(first) + 1 for first, dummy, last in parts) or None


def _seconds(text):
    """Whole seconds of a duration as Go writes it (24h0m0s), or None where it is none."""
    parts = re.findall(r"([\d.]+)(h|ms|us|ns|m|s)", text)
    if not parts:
        return 0 if text.strip("\"'") == "0" else None
    return int(sum(float(number) * SECONDS[unit] for number, unit in parts))

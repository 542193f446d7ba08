# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""What is read of a host to diagnose it, no more than its counters and its usage give reason for."""
import functools
import re

from ansible_collections.netfleet.conntrack.plugins.module_utils import (
    _diagnosis_flows,
    _diagnosis_texts,
    _facts,
    _findings,
    _flow_read,
    _headroom,
    _hook_rules,
    _rates,
    _view,
)
from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._findings_row import NEARLY, Evidence, Held, Hidden, Sockets
from ansible_collections.netfleet.conntrack.plugins.module_utils._findings_table import LOG_USAGE, are_many
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_row import untouchable

SCHEMA_VERSION = 1
SPEC = {"interval": {"type": "float", "default": 2.0}}
SAMPLE, SMALL = 5000, 7500  # as flow_info: a share is then right within 1.4 hundredths; up to the second, all is read
QUEUES = "/proc/net/netfilter/nfnetlink_queue"
SOCKETS = "/proc/net/netlink"
NAMESPACE = "/proc/self/ns/net"
# Patterns of the counters that are reason to look who fills the table, and where ports are short.
OF_FLOWS = ("table_full", "table_filling", "snat_ports_exhausted", "snat_collisions")
OF_PORTS = ("snat_ports_exhausted", "snat_collisions")
# Rules by which a connection has no entry, or has it in a zone.
NOTRACK = re.compile(r'"notrack"|--notrack|-j NOTRACK|"zone"|--zone')
MANY_SOCKETS = 1000
ESTABLISHED_SOCKETS = ["ss", "-Htnio", "state", "established"]
# Seconds after which hidden entries are looked for again: a twin of a clash lives for one (NF_CT_CLASH, nf_ct_resolve_clash_harder).
LATER = 1.5
LISTS = {"dying": 6, "unconfirmed": 7}  # IPCTNL_MSG_CT_GET_*, include/uapi/linux/netfilter/nfnetlink_conntrack.h
NOT_ROOT = "not root: who fills the table, ports of SNAT, queues, sockets and the kernel's log cannot be read, and findings that need them are missing"


def problems(options):
    """Yield what is wrong with the options, less what their types tell."""
    problem = _rates.problem(options["interval"])
    if problem:
        yield problem


def diagnosis_info(host, options):
    """Return the module's result. Raises ConntrackError where the host cannot be read at all."""
    view, warnings = _view.View(host), []
    evidence = _evidence(view, options["interval"], warnings)
    return {
        "changed": False,
        "schema_version": SCHEMA_VERSION,
        "findings": [dict(each._asdict()) for each in _findings.findings(evidence)],
        "interval": evidence.facts["counters"].get("rates", {}).get("seconds", 0.0),
        "facts": evidence.facts,
        "warnings": warnings,
    }


def _evidence(view, interval, warnings):
    host, look = view.host, functools.partial(_tried, warnings)
    is_root = view.kernel.uid == 0
    before = _queues(host) if is_root else {}
    facts = _facts.of(view, {"interval": interval})
    found = Evidence(
        facts=facts, kernel=view.kernel, boot=view.boot, inputs=view.inputs, owners=view.owners, exempting=_exempting(view.rulesets),
        hook_files=tuple(path for path in sorted(_hook_rules.FILES.values()) if view.kernel.boots and host.exists(path)))
    if not facts["available"]:
        return found
    if not is_root:
        warnings.append(NOT_ROOT)
        return found
    found = found._replace(held=tuple(_held(host, before, _queues(host), interval)))
    if found.usage >= NEARLY or found.held or any(found.pattern(name) for name in OF_FLOWS):
        found = look(_with_flows, found, host, interval)
    if _may_lack_ports(found):
        found = look(_with_headroom, found, view)
    if _may_be_late(found):
        found = look(_with_sockets, found, host)
    return look(_with_log, found, view) if found.usage >= LOG_USAGE else found


def _tried(warnings, read, evidence, *more):
    """``evidence`` with what ``read`` adds; where that cannot be had, as it was, with a warning."""
    try:
        return read(evidence, *more)
    except ConntrackError as error:
        warnings.append(str(error))
        return evidence


# Queues

def _queues(host):
    return _diagnosis_texts.queues(host.read(QUEUES))


def _held(host, before, after, interval):
    """Yield the queues that hold packets, and whose owners decided about none meanwhile."""
    for number, queue in sorted(before.items()):
        later = after.get(number)
        if interval and later and queue.waiting and later.waiting and queue.port == later.port and queue.decided(later) <= 0:
            process = _process(host, later.port)
            yield Held(later, process, (host.read("/proc/%d/comm" % process) or "").strip() if process else "")


def _process(host, port):
    """The process that owns a netlink socket; its first socket has the process's number as its port (netlink_autobind)."""
    inode = _diagnosis_texts.owner_socket(host.read(SOCKETS), port)
    if inode is None:
        return None
    numbers = [name for name in host.list("/proc") if name.isdigit()]
    first = ["%d" % port] if "%d" % port in numbers else []
    return next((int(number) for number in first + numbers if _has_socket(host, number, "socket:[%s]" % inode)), None)


def _has_socket(host, number, target):
    folder = "/proc/%s/fd/" % number
    try:
        return any(host.link(folder + name) == target for name in host.list(folder))
    except ConntrackError:  # it has ended
        return False


# Flows

def _with_flows(evidence, host, interval):
    """Who fills the table; and entries that count and are in no list, where all of it was read."""
    make = functools.partial(_diagnosis_flows.Watch, evidence.running("tcp_timeout_established") or 0)
    watch, reading = _read(host, make)
    found = evidence._replace(flows=watch.flows(reading))
    if not reading.complete or reading.resized:
        return found
    hidden = Hidden(_lacking(host, reading))
    if interval and are_many(found._replace(hidden=hidden._replace(later=hidden.entries))):
        started = host.clock()
        host.pause(LATER)
        again = _read(host, make)[1]
        hidden = hidden._replace(later=_lacking(host, again), seconds=host.clock() - started, lists={name: _listed(host, kind) for name, kind in LISTS.items()})
    return found._replace(hidden=hidden)


def _read(host, make):
    count = _flow_read.count(host)
    return _flow_read.survey(host, make, _flow_read.Limits(SAMPLE if count > SMALL else None), count)


def _lacking(host, reading):
    """How many entries are not listed. Reading has taken away those that had run out, so the count is taken again; flows come and go meanwhile."""
    return max(0, min(reading.count, _flow_read.count(host)) - reading.seen)


def _listed(host, kind):
    """How many entries one of the kernel's other lists has; kernels since 5.19 have none that are unconfirmed in it."""
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _ctnetlink, _netlink

    try:
        return len(host.netlink(_netlink.message(_ctnetlink.SUBSYSTEM, kind, _netlink.DUMP), True))
    except (OSError, _netlink.NetlinkError):
        return 0


# Ports

def _may_lack_ports(evidence):
    """Tell whether any destination can have used up what a rule may choose from."""
    rules = [row for row in evidence.translated() if row["to"] != "exempt"]
    if not rules:
        return False
    least = min(_ports(row["ports"]) for row in rules)
    return evidence.facts["count"] >= NEARLY * least or any(evidence.pattern(name) for name in OF_PORTS)


def _ports(text):
    first, dummy, last = text.partition("-")
    return int(last or first) - int(first) + 1 if text else _headroom.LAST - _headroom.FIRST + 1


def _with_headroom(evidence, view):
    # Imported here because most runs do without, and imports cost time.
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _flow_info, _nat_rules

    options = {name: row.get("default") for name, row in _flow_info.SPEC.items()}
    options.update(show=[_flow_info.HEADROOM], source_network={name: row[0] for name, row in _flow_info.PREFIXES.items()})
    rows = _flow_info.flow_info(view.host, options)["flows"][_flow_info.HEADROOM]
    rules = [row for row in _nat_rules.read(view.host, view.rulesets)[0] if not untouchable(row)]
    return evidence._replace(headroom=tuple(rows), rules=tuple(rules))


# The rest

def _exempting(rulesets):
    """Tell whether some rule takes packets out of tracking, so that connections without an entry are nothing odd."""
    return any(NOTRACK.search(text) for text in [rulesets.nft or ""] + list(dict(rulesets.iptables).values()))


def _may_be_late(evidence):
    tracking = evidence.facts["tracking"]
    return "yes" in (tracking["ipv4"], tracking["ipv6"]) and bool(evidence.translated()) and not evidence.exempting


def _with_sockets(evidence, host):
    from ansible_collections.netfleet.conntrack.plugins.module_utils import _unknown_sockets

    found = _unknown_sockets.unknown_sockets(host, MANY_SOCKETS)
    if not found["total"]:
        return evidence._replace(sockets=Sockets(0, found["checked"]))
    status, output, errors = host.run(ESTABLISHED_SOCKETS)
    if status != 0:
        raise ConntrackError("cannot tell since when %d connections that are not in the table are silent: %s" % (found["total"], errors.strip() or "ss failed"))
    older = _older(found["sockets"], _diagnosis_texts.silences(output), evidence.running("tcp_timeout_established") or 0)
    return evidence._replace(sockets=Sockets(found["total"], found["checked"], tuple(older)))


def _older(rows, silences, timeout):
    """Yield the sockets that are older than tracking: what is silent for less than the timeout of its entry had none, else it may have run out."""
    for row in rows:
        ends = (row["local"], row["local_port"]), (row["remote"], row["remote_port"])
        silent = silences.get(ends[0] + ends[1], silences.get(ends[1] + ends[0]))
        if silent is not None and silent < timeout:
            yield dict(row, silent=int(silent))


def _with_log(evidence, view):
    host = view.host
    status, output, errors = host.run(["dmesg"])
    if status != 0:
        raise ConntrackError("cannot read the kernel's log: %s" % (errors.strip().partition("\n")[0] or "dmesg failed"))
    number = None if view.kernel.initial else re.sub("[^0-9]", "", host.link(NAMESPACE) or "")
    uptime = float((host.read("/proc/uptime") or "0").split()[0])
    return evidence._replace(log=_diagnosis_texts.log(output, number, uptime))

# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""SNAT rules of iptables, whoever made them: what its save commands print. Pure."""
import re

from ansible_collections.netfleet.conntrack.plugins.module_utils import _iptables_save, _nat_owners
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_row import Row

# A line of iptables-save, and a rule in it.
LINE = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^"\n])+', re.DOTALL)
RULE = re.compile(r"(?:\[([0-9]+):([0-9]+)\] )?-A (\S+) (.+)", re.DOTALL)
COMMENT = re.compile(r' ?-m comment --comment (?:"(?:[^"\\]|\\.)*"|[^"\s]+)', re.DOTALL)
NAT = re.compile(r"-j (?:SNAT|MASQUERADE)(?: [^\"]*)?$")
# Priority of every chain of the table nat of iptables that does SNAT (NF_IP_PRI_NAT_SRC).
PRIORITY = 100


def rows(command, text):
    """Yield the rows of what a save command printed."""
    backend, family = "iptables" + command[command.index("-"):-len("-save")], "ipv6" if command.startswith("ip6") else "ipv4"
    lines = LINE.findall(_iptables_save.table(text, "nat"))
    chains = {line[1:].split(" ")[0] for line in lines if line.startswith(":")}
    numbers, behind = {}, {}
    for line in lines:
        rule = RULE.fullmatch(line)
        if not rule:
            continue
        packets, dummy, chain, words = rule.groups()
        numbers[chain] = numbers.get(chain, 0) + 1
        if NAT.search(words):
            yield _row((backend, family, chain, numbers[chain]), packets, words, chains)._replace(
                text=_again(line, chain), behind=behind.get(chain, ""))
        if not words.startswith("-j NETFLEET_"):
            behind[chain] = words


def _again(line, chain):
    """A rule's counters and words; "" where a restore command, which reads lines, could not read them again."""
    return "" if "\n" in line else line.replace("-A %s " % chain, "", 1)


def _row(place, packets, words, chains):
    backend, family, chain, number = place
    found = _iptables_save.words(words)
    match = COMMENT.sub("", words[:NAT.search(words).start()]).strip()
    return Row(
        backend=backend,
        family=family,
        table="nat",
        chain=chain,
        place=number,
        nat=_iptables_save.nat(found),
        owner=_nat_owners.of_iptables(chain, words, chains),
        match=match,
        comment=found[found.index("--comment") + 1] if "--comment" in found[:-1] else "",
        packets=int(packets) if packets else None,
        priority=PRIORITY,
    )

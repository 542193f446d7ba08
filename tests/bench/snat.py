# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task costs that keeps 20 SNAT rules: against ansible.builtin.iptables in a loop, and against ansible.builtin.ping.

Measured on a virtual router over ssh; nothing changes. That module cannot say random_fully, so both keep ports. The table goes to
stdout and into results/snat.txt.
"""

import sys
import tempfile
from pathlib import Path

import hosts
from compare import Peer, compare, machine, written

RESULTS = Path(__file__).parent / "results/snat.txt"
RULES = 20
PEER = Peer("netfleet.conntrack.snat", "ansible.builtin.iptables", 5, 2)


def main():
    with tempfile.TemporaryDirectory(prefix="netfleet-bench-") as folder, hosts.KINDS["guest"](Path(folder)) as host:
        table, met = compare(host, PEER, playbooks(Path(folder)))
    text = "\n\n".join([machine(f"{RULES} SNAT rules"), table])
    print(text)
    RESULTS.write_text(text + "\n")
    return 0 if met else 1


def playbooks(work):
    """Write the playbooks that are compared; name -> path."""
    networks = [f"10.{number}.0.0/16" for number in range(RULES)]
    rules = [{"name": f"lan{number}", "out_interface": "eth0", "source": [network], "to": "masquerade"} for number, network in enumerate(networks)]
    theirs = {"table": "nat", "chain": "POSTROUTING", "out_interface": "eth0", "source": "{{ item }}", "jump": "MASQUERADE"}
    tasks = {
        "ours": {PEER.module: {"rules": rules, "backend": "nftables"}},
        "loop": {PEER.loop: theirs, "loop": networks},
        "ping": {"ansible.builtin.ping": {}},
    }
    return {name: written(work / f"{name}.yml", {"name": name, **task}) for name, task in tasks.items()}


if __name__ == "__main__":
    sys.exit(main())

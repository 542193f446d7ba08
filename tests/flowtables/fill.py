# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fills a network namespace's conntrack table, or empties it. Raises no size: `sysctl net.netfilter.nf_conntrack_max` is yours to set."""

import argparse
import sys
import time

from ansible_collections.netfleet.conntrack.tests.flowtables import kinds, tables


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    fill, flush = commands.add_parser("fill"), commands.add_parser("flush")
    for each in (fill, flush):
        each.add_argument("--netns", required=True, help="its name, as ip netns knows it")
    fill.add_argument("--entries", type=int, default=10000)
    fill.add_argument("--kind", choices=["heavy", "flat", "mixed"], default="mixed")
    fill.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    began = time.monotonic()
    if args.command == "flush":
        tables.flush(args.netns)
        return 0
    for kind, number in tables.fill(args.netns, args.entries, kinds.composition(args.kind, args.seed), args.seed):
        print(f"{number:>9} {kind.protocol} {kind.state} {' '.join(kind.status)}")
    print(f"{args.entries} entries in {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

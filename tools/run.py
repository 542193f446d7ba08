# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Applies the collection to the routers of an inventory or, without one, to a virtual router made for the occasion.

The virtual router shows the whole job: its values are read by sysctl, not by the collection, before it is tuned, after,
and after a reboot. The status is 0 when every value holds; for an inventory it is the one of ansible-playbook.
"""

import argparse
import signal
import sys
from pathlib import Path

from _run import demo, fleet
from _run.progress import RunError

ROOT = Path(__file__).resolve().parents[1]


def parser():
    top = argparse.ArgumentParser(prog="tools/run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--inventory", help="routers to apply the policy to; without it a virtual one is made")
    top.add_argument("--check", action="store_true", help="only say what would change (with --inventory)")
    top.add_argument("--policy", type=Path, help="file with a conntrack_policy; by default the inventory's own, or examples/policy.yml")
    top.add_argument("--suite", default="trixie", choices=["bookworm", "trixie"], help="Debian of the virtual router")
    top.add_argument("--keep", action="store_true", help="leave the virtual router running, and say how to reach it")
    top.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="handed to ansible-playbook, such as --limit edge1")
    return top


def checked(args):
    for path in (args.policy, args.inventory):
        if path and "," not in str(path) and not Path(path).exists():
            raise RunError(f"there is no {path}")
    if args.check and not args.inventory:
        raise RunError("CHECK=1 says what would change on the routers of an inventory: make run CHECK=1 INVENTORY=file")
    return args


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever stops us stops the virtual router too
    try:
        args = checked(parser().parse_args())
        if args.inventory:
            return fleet.run(args)
        return demo.run(args, args.policy or ROOT / "examples/policy.yml")
    except RunError as error:
        print(f"\n{error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

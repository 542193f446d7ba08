# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the benchmarks, or the named ones: make bench ARGS='settings'."""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = ("settings", "snat", "flows", "fleet", "report")


def main(names):
    scripts = [Path(__file__).with_name(f"{name}.py") for name in names or BENCHMARKS]
    return max(subprocess.run([sys.executable, script], check=False).returncode for script in scripts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

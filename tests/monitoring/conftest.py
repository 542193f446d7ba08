# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""promtool: that of the machine, or one file out of Debian's package, which as a whole would start a server."""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".cache/promtool/promtool"
GET = "apt-get download prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --strip-components=3 ./usr/bin/promtool"
REMEDY = "promtool is missing; put it on PATH. On Debian: apt-get update, or apt-get install prometheus"


def fetched():
    """Fetch it into the cache; two runs at once do not meet."""
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT.parent) as place:
        done = subprocess.run(["bash", "-o", "pipefail", "-c", GET], cwd=place, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            pytest.fail("%s\n%s%s" % (REMEDY, done.stdout, done.stderr))
        os.replace(Path(place, "promtool"), KEPT)
    return str(KEPT)


@pytest.fixture(scope="session")
def promtool():
    """Runs promtool with these arguments, and returns what it says; it must have nothing to complain of."""
    found = shutil.which("promtool") or (str(KEPT) if KEPT.exists() else None)
    if not found and not shutil.which("dpkg-deb"):
        pytest.skip("this is no Debian, and promtool, which is part of Prometheus, is not on PATH")
    path = found or fetched()

    def run(*argv, data=None):
        done = subprocess.run([path, *map(str, argv)], input=data, capture_output=True, timeout=120, check=False)
        said = (done.stdout + done.stderr).decode()
        assert done.returncode == 0, said
        return said

    return run

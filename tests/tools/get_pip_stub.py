# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stands in for the get-pip script that ansible-test would download: the same pip, from Python's own ensurepip and the package index."""

import os
import subprocess
import sys

OF_GET_PIP_ONLY = ("--no-setuptools", "--no-wheel")


def main():
    packages = [arg for arg in sys.argv[1:] if arg not in OF_GET_PIP_ONLY]
    env = {name: value for name, value in os.environ.items() if name != "GET_PIP"}
    subprocess.check_call([sys.executable, "-m", "ensurepip", "--default-pip"], env=env, stdout=subprocess.DEVNULL)
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--upgrade", "-q"] + packages, env=env)


main()

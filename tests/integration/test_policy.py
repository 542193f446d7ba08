# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module policy on the real kernel: generated pairs of a namespace and a document, and the life of a policy that nobody confirms.

Needs root, nft, and both flavours of iptables.
"""
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

import pytest
from conftest import MODULES
from policy_router import FLAVOURS, Router, command, folder, inside
from test_own_connection import STAND_IN
from test_policy_killed import FIRST, OTHERS, SECOND, of_backend

from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import policies

PAIRS = range(60)  # beside 240 on recorded hosts (tests/unit/plugins/module_utils/test_policy.py)
WITHIN, GRACE = 10, 5  # seconds
VALUES = ("icmp_timeout", "udp_timeout", "acct", "tcp_loose")
PORT = 2222


def meddle(dice):
    """What others have in a namespace: values and rules."""
    for name in dice.sample(VALUES, dice.randint(0, 3)):
        command("sysctl", "-q", "-w", "net.netfilter.nf_conntrack_%s=1" % name)
    for line in OTHERS[dice.choice(sorted(OTHERS))] if dice.random() < 0.7 else ():
        command(*line.split())


@pytest.mark.parametrize("seed", PAIRS)
def test_what_is_announced_is_done(seed, netns):
    dice = random.Random("namespace %d" % seed)
    with folder() as root, inside(netns):
        meddle(dice)
        router = Router(netns, root, FLAVOURS)
        origin = router.state()
        documents = policies.Documents("namespace %d" % seed, router.host(), snat=True, at_boot=False)
        for dummy in range(dice.randint(0, 2)):
            policies.tried(router.host(), documents.document())
        policies.announced_is_done(router.host(), documents.document(), lambda: (router.state(), router.memory()))
        policies.run(router.host(), policies.ABSENT)
        assert router.state() == origin
        assert router.memory() == {}


# A policy that is to be confirmed, with the real script and what runs it


class Session:
    """Runs the module as processes below something that stands for an SSH server, each over a connection of its own."""

    def __init__(self, machine, netns, folder_of_test):
        self.machine, self.netns, self.args = machine, netns, folder_of_test / "args.json"

    def answer(self, document, check=False):
        self.args.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": dict(document, _ansible_check_mode=check)}))
        with inside(self.netns):
            client = socket.create_connection(("127.0.0.1", PORT), timeout=60)
        with client:
            client.sendall(b"go")
            return json.loads(client.makefile().read())

    def memory(self):
        return {path for path in self.machine.files() if "/netfleet-conntrack/" in path}


@contextlib.contextmanager
def serving(machine, netns, args):
    module = (sys.executable, "-m", MODULES + "policy", str(args))
    # A module that fails ends with 1, which is not the server's business.
    shell = ("sh", "-c", '"$@"; true', "sh", *module)
    argv = machine.inside(sys.executable, "-c", STAND_IN, "sshd", "sshd-session", "127.0.0.1", str(PORT), *shell, netns=netns)
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture(name="session")
def _session(machine, netns, tmp_path):
    found = Session(machine, netns, tmp_path)
    with serving(machine, netns, found.args):
        yield found


FORMER, WANTED = of_backend(FIRST, "nftables"), of_backend(SECOND, "nftables")


def test_nobody_confirms(session):
    machine, netns = session.machine, session.netns
    machine.run("policy", FORMER, netns=netns)
    before = now(session), session.memory()
    began = time.monotonic()
    done = session.answer(dict(WANTED, confirm_within=WITHIN))
    assert done["changed"] and done["awaits_confirmation"], done
    assert any("/undo-" in path for path in session.memory())
    other = session.answer(FORMER)
    assert other["failed"] and "awaits its confirmation and is taken back in" in other["msg"]
    checked = session.answer(WANTED, check=True)
    assert not checked["changed"] and "awaits its confirmation" in str(checked["warnings"]), checked
    while (now(session), session.memory()) != before:
        assert time.monotonic() < began + WITHIN + GRACE
        time.sleep(0.2)
    assert time.monotonic() > began + WITHIN - 1
    assert not machine.run("policy", FORMER, netns=netns)["recovered"]
    machine.run("policy", {"state": "absent"}, netns=netns)
    assert session.memory() == set()


def test_it_is_confirmed_over_a_new_connection(session):
    done = session.answer(dict(WANTED, confirm_within=WITHIN))
    assert done["awaits_confirmation"], done
    time.sleep(1)
    confirmed = session.answer(dict(WANTED, confirm=True))
    assert not confirmed.get("failed"), confirmed
    assert not any("/undo-" in path or "/journal" in path for path in session.memory())
    applied = now(session)
    time.sleep(WITHIN)
    assert now(session) == applied
    assert not session.machine.run("policy", WANTED, netns=session.netns)["changed"]
    session.machine.run("policy", {"state": "absent"}, netns=session.netns)
    assert session.memory() == set()


def now(session):
    with inside(session.netns):
        return Router(session.netns, session.args.parent / "none").state()

# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No false alarm: generated documents, each applied to a generated host, which then differs in nothing.

Recorded hosts have a boot; network namespaces of this machine have the real kernel, real rules, and rules of others. The drifts that are
to be found are made on virtual machines (molecule/drift). Needs root, nft and both flavours of iptables.
"""
import itertools
import random
import sys

from policy_router import FLAVOURS, Router, folder, inside
from test_policy import meddle

from ansible_collections.netfleet.conntrack.plugins.module_utils import _drift
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import policies, recorded

RECORDED, REAL = 160, 40  # hosts


def looked(host, document):
    return _drift.compared(host, policies.request(document)[0])


def test_hosts_with_a_boot(request):
    healthy = 0
    for seed, name in ((seed, name) for seed in itertools.count() for name in recorded.names()):
        if healthy == RECORDED:
            break
        with folder() as place:
            host = recorded.machine(name, place)
            document = policies.Documents("%s healthy %d" % (name, seed), host, at_boot="netns" not in name).document()
            if isinstance(policies.tried(host, document), dict):
                found = looked(recorded.again(host), document)
                assert (found["status"], found["differences"], found["problems"]) == ("clean", [], []), (name, document)
                healthy += 1
    tell(request, "%d recorded hosts, no false alarm" % healthy)


def test_real_rules_and_those_of_others(netns, request):
    healthy = 0
    for seed in itertools.count():
        if healthy == REAL:
            break
        dice = random.Random("healthy %d" % seed)
        with folder() as root, inside(netns):
            meddle(dice)
            router = Router(netns, root, FLAVOURS)
            document = policies.Documents("healthy %d" % seed, router.host(), snat=True, at_boot=False).document()
            if isinstance(policies.tried(router.host(), document), dict):
                before = router.state()
                found = looked(router.host(), document)
                assert (found["status"], found["differences"], found["problems"]) == ("clean", [], []), document
                assert router.state() == before
                healthy += 1
            policies.run(router.host(), policies.ABSENT)
    tell(request, "%d namespaces with rules of others, no false alarm" % healthy)


def tell(request, text):
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n" + text, file=sys.stdout)

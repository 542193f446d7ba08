# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random ports for the SNAT rules of others: planned on recorded rulesets, and what was recorded when such a plan had been carried out."""
import json
import re

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils import _foreign, _memo, _nat_iptables, _nat_owners
from ansible_collections.netfleet.conntrack.plugins.module_utils._nat_row import stateless, untouchable
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import foreign_rules

NEW, OLD = (5, 0), (4, 19)
PROGRAMS = {name: name for name in ("iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy")}
DIRECT = "-o eth0 -j MASQUERADE"
FILES = {
    "/etc/ufw/before.rules": "# -j MASQUERADE\n*nat\n-A POSTROUTING -s 10.16.1.0/24 -o eth0 -j MASQUERADE\n"
                             "-A POSTROUTING -o b -j SNAT --to-source 192.0.2.1 --random-fully\n",
    "/etc/nftables.conf": "chain masquerade {\n type nat hook postrouting priority srcnat;\n ip saddr 10.0.0.0/8 masquerade # masquerade\n jump masquerade\n"
                          " oifname a snat to 192.0.2.1 persistent\n oifname b masquerade fully-random\n}\n",
    "/etc/wireguard/wg0.conf": "PostUp = iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE; true\n"
                               "PostDown = iptables -t nat -D POSTROUTING -o eth0 -j MASQUERADE\n",
}


def saved(*lines, command="iptables-legacy-save"):
    """Rows of a table nat of iptables."""
    return list(_nat_iptables.rows(command, "*nat\n%s\nCOMMIT\n" % "\n".join(lines)))


def plan(rows, version=NEW, **more):
    return _foreign.plan(rows, version, PROGRAMS, **more)


def inputs(found):
    return {" ".join(step.value[0]): step.value[1] for step in found.steps if step.action == "feed"}


def carried_out(rows, found):
    """The rows as they are when the inputs for iptables of a plan have been carried out: a model of -D and -I."""
    after = []
    for place in {(row.backend, row.family) for row in rows}:
        here = [row for row in rows if (row.backend, row.family) == place]
        chains = {}
        for row in here:
            chains.setdefault(row.chain, []).append(row.text)
        step = next((step for step in found.steps if step.action == "feed" and step.target.endswith("(%s, %s)" % place)), None)
        for line in step.value[1].splitlines()[1:-1] if step else ():
            counters, verb, chain, rest = re.match(r"(\[[0-9:]+\] )?-([DI]) (\S+) (.*)", line).groups()
            if verb == "D":
                chains[chain].pop([stateless(text) for text in chains[chain]].index(rest))
            else:
                number, dummy, words = rest.partition(" ")
                chains[chain].insert(int(number) - 1, (counters or "") + words)
        lines = [re.sub(r"^(\[[0-9:]+\] )?", r"\1-A %s " % chain, text) for chain, texts in chains.items() for text in texts]
        after += saved(*lines, command="iptables" + place[0][len("iptables"):] + "-save")
    return after


# On recorded rulesets


def test_recorded_before_and_after():
    before, after = foreign_rules.rows("kinds"), foreign_rules.rows("kinds-randomized")
    found = plan(before)
    assert found.refusals == () and len(found.changes) == len(found.memo) == 50
    assert sorted(inputs(found)) == sorted(["nft -f -"] + [name + "-restore -w --noflush --counters" for name in PROGRAMS])
    assert {stateless(row.text) for row in after if not untouchable(row)} == {change.after for change in found.changes} | {
        stateless(row.text) for row in before if row.nat.port_selection != "keep"}
    memo = json.loads(json.dumps(found.memo))
    assert list(_foreign.unproven(after, memo)) == []
    assert len(list(_foreign.unproven(before, memo))) == 50
    again = plan(after, memo=memo)
    assert (again.changes, again.steps, len(again.memo)) == ((), (), 50)
    back = _foreign.undo(after, PROGRAMS, memo)
    assert back.warnings == ()
    assert sorted((change.after, change.before) for change in back.changes) == sorted((change.before, change.after) for change in found.changes)


def test_nft_is_told_to_replace_by_handle():
    texts = [step.value[1] for step in plan(foreign_rules.rows("kinds")).steps if step.value and step.value[0][0] == "nft"]
    assert len(texts) == 3
    lines = "".join(texts)
    comment = 'comment "$(reboot) `id` \\ -j ACCEPT # handle 3"'
    assert "replace rule ip office sub handle 10 ip daddr @lan counter packets 0 bytes 0 masquerade fully-random %s\n" % comment in lines
    assert "replace rule inet office post handle 3 ip6 saddr fd00::/8 counter packets 0 bytes 0 snat ip6 to 2001:db8::1 fully-random,persistent\n" in lines


def test_nft_that_cannot_replace_adds_behind_and_deletes():
    (lines,) = [step.value[1] for step in plan(foreign_rules.rows("kinds")).steps if step.target.endswith("(nftables, ipv4)")]
    assert ("add rule ip office post handle 19 tcp dport { 80, 443-500 } ip dscp ef meta mark & 0x000000ff == 0x00000012 ct state related,new "
            "snat to 192.0.2.5:5000 fully-random\ndelete rule ip office post handle 19\n") in lines


def test_iptables_deletes_by_words_and_inserts_with_counters():
    found = inputs(plan(saved("[0:0] -A POSTROUTING -o a -j ACCEPT", "[5:66] -A POSTROUTING -o eth0 -j SNAT --to-source 192.0.2.1 --persistent")))
    assert found == {"iptables-legacy-restore -w --noflush --counters": (
        "*nat\n-D POSTROUTING -o eth0 -j SNAT --to-source 192.0.2.1 --persistent\n"
        "[5:66] -I POSTROUTING 2 -o eth0 -j SNAT --to-source 192.0.2.1 --random-fully --persistent\nCOMMIT\n")}


@pytest.mark.parametrize("name", ["docker-20.10", "documented-docker-29-nftables", "libvirt-9.0", "documented-libvirt-nftables", "netavark-1.4",
                                  "firewalld-1.3-nftables", "firewalld-1.3-iptables"])
def test_what_a_program_makes_again_is_refused(name):
    rows = foreign_rules.rows(name)
    found = plan(rows)
    assert (found.changes, found.steps) == ((), ()) and len(found.refusals) == 1
    owner = next(row.owner for row in rows if row.owner)
    assert _nat_owners.BY_NAME[owner].called in found.refusals[0]
    assert _nat_owners.BY_NAME[owner].remedy[1:] in found.refusals[0] and "foreign: report" in found.refusals[0]


def test_every_owner_is_refused_once():
    found = plan(foreign_rules.rows("documented-nftables"))
    names = ["CNI plugins", "flannel", "Incus", "netavark (Podman)", "NetworkManager", "systemd-networkd"]
    assert sorted(text.split(" makes these rules")[0].replace("foreign: ", "") for text in found.refusals) == sorted(names)


def test_rules_that_are_as_they_should_be_are_not_refused():
    rows = [row for row in foreign_rules.rows("documented-nftables") if row.owner == "kube-proxy"]
    assert rows and plan(rows) == _foreign.Foreign()


def test_ufw_can_be_changed_with_a_warning():
    found = plan(foreign_rules.rows("ufw-0.36", FILES), files=FILES)
    assert found.refusals == ()
    assert [(change.before, change.after) for change in found.changes] == [
        ("-s 10.16.1.0/24 -o eth0 -j MASQUERADE", "-s 10.16.1.0/24 -o eth0 -j MASQUERADE --random-fully")]
    assert found.warnings == (
        "SNAT rules of others come back without random ports at the next boot or reload, as these lines have them: /etc/nftables.conf:3 (add fully-random), "
        "/etc/nftables.conf:5 (add fully-random), /etc/ufw/before.rules:3 (add --random-fully), /etc/wireguard/wg0.conf:1 (add --random-fully), "
        "/etc/wireguard/wg0.conf:2 (add --random-fully); each run puts that right again",)


def test_rules_that_no_file_has():
    assert "1 SNAT rules of others have random ports in the running kernel only" in plan(saved("-A X " + DIRECT)).warnings[0]
    assert plan([], files=FILES).warnings == ()


# Which rules


@pytest.mark.parametrize("target, new, old", [
    ("MASQUERADE", "MASQUERADE --random-fully", "MASQUERADE --random-fully"),
    ("MASQUERADE --random", None, "MASQUERADE --random-fully"),
    ("MASQUERADE --random-fully", None, None),
    ("MASQUERADE --random --random-fully", None, None),
    ("SNAT --to-source 192.0.2.1 --random --persistent", None, "SNAT --to-source 192.0.2.1 --random-fully --persistent"),
    ("MASQUERADE --to-ports 1024-65535", "MASQUERADE --to-ports 1024-65535 --random-fully", "MASQUERADE --to-ports 1024-65535 --random-fully"),
    ("NETMAP --to 10.0.0.0/8", None, None),
    ("ACCEPT", None, None),
])
def test_what_a_rule_becomes(target, new, old):
    rows = saved("[0:0] -A X -j " + target)
    for version, wanted in ((NEW, new), (OLD, old)):
        assert [change.after for change in plan(rows, version).changes] == (["-j " + wanted] if wanted else [])


def test_our_own_rules_are_not_changed():
    assert plan(saved("-A NETFLEET_SNAT " + DIRECT)) == _foreign.Foreign()


def test_a_rule_behind_the_same_with_random_ports_is_never_reached():
    rows = saved("-A X -o a -j MASQUERADE --random-fully", "-A X -o a -j MASQUERADE", "-A X -o b -j MASQUERADE", "-A X -o b -j MASQUERADE --random-fully")
    assert [change.name for change in plan(rows).changes] == ["iptables-legacy ipv4 nat X 3"]


def test_a_table_that_a_program_holds():
    (row,) = saved("-A X -j MASQUERADE")
    found = plan([row._replace(backend="nftables", held="my daemon", owner="my daemon", text="masquerade")])
    assert "my daemon" in found.refusals[0] and "flags owner" in found.refusals[0]


def test_words_that_cannot_be_read_again():
    rows = saved('-A X -m comment --comment "a\nb" -j MASQUERADE', "-A X -j MASQUERADE")
    found = plan(rows)
    assert found.steps == () and "iptables-legacy ipv4 nat X 1)" in found.refusals[0]


def test_messages_name_few_rules():
    rows = [row._replace(text="") for row in saved(*["-A X -o eth%d -j MASQUERADE" % number for number in range(50)])]
    assert "X 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, and 40 more" in plan(rows).refusals[0]


def test_report():
    texts = list(_foreign.report(foreign_rules.rows("ufw-0.36", FILES) + foreign_rules.rows("docker-20.10"), NEW))
    assert len(texts) == 2
    assert "8 SNAT rules of Docker" in texts[0] and "enable_ip_masquerade=false" in texts[0]
    assert "1 SNAT rules of ufw" in texts[1] and "foreign: randomize" in texts[1]
    assert list(_foreign.report(foreign_rules.rows("kinds-randomized"), NEW)) == []
    assert "of others" in next(_foreign.report(saved("-A X " + DIRECT), NEW))


# Back


TWICE = ("[1:1] -A X -o a -j MASQUERADE", "[2:2] -A X -o b -j MASQUERADE", "[3:3] -A X -o a -j MASQUERADE")


def test_there_and_back_with_equal_rules():
    rows = saved(*TWICE)
    found = plan(rows)
    after = carried_out(rows, found)
    assert [row.text for row in after] == [line.replace("-A X ", "") + " --random-fully" for line in TWICE]
    assert [row.text for row in carried_out(after, _foreign.undo(after, PROGRAMS, found.memo))] == [row.text for row in rows]


def test_a_rule_that_appears_once_more():
    found = plan(saved(TWICE[0]))
    rows = saved(TWICE[0] + " --random-fully", TWICE[2])
    again = plan(rows, memo=found.memo)
    assert (again.changes, len(again.memo)) == ((), 1)
    rows = saved(TWICE[2], TWICE[0] + " --random-fully")
    again = plan(rows, memo=found.memo)
    assert [change.name[-1] for change in again.changes] == ["1"] and len(again.memo) == 2
    after = carried_out(rows, again)
    back = carried_out(after, _foreign.undo(after, PROGRAMS, again.memo))
    assert [row.text for row in back] == [TWICE[2].replace("-A X ", ""), TWICE[0].replace("-A X ", "")]


def test_what_changed_since_stays():
    found = plan(saved(*TWICE))
    after = saved("-A X -o a -j MASQUERADE --random-fully", "-A X -o b -p tcp -j MASQUERADE --random-fully", "-A X -o a -j MASQUERADE --random-fully")
    undone = _foreign.undo(after, PROGRAMS, found.memo)
    assert [change.name[-1] for change in undone.changes] == ["1", "3"]
    assert undone.warnings[0].startswith("1 of the SNAT rules")


def test_equal_rules_that_became_more_or_fewer_stay():
    found = plan(saved(*TWICE))
    for number in (1, 3):
        rows = saved(*["-A X -o a -j MASQUERADE --random-fully"] * number)
        assert _foreign.undo(rows, PROGRAMS, found.memo).changes == ()


def test_another_boot_or_another_table():
    before, after = foreign_rules.rows("kinds"), foreign_rules.rows("kinds-randomized")
    memo = plan(before, boot="one").memo
    assert len(_foreign.undo(after, PROGRAMS, memo, "one").changes) == 50
    assert _foreign.undo(after, PROGRAMS, memo, "two").changes == ()
    assert plan(after, memo=memo, boot="two").memo == ()
    anew = [row._replace(epoch=row.epoch + 10) if row.backend == "nftables" else row for row in after]
    assert {change.name.split(" ")[0] for change in _foreign.undo(anew, PROGRAMS, memo, "one").changes} == {"iptables-nft", "iptables-legacy"}


def test_a_rule_that_was_put_elsewhere_is_not_proven():
    rows = saved("-A X -o a -j ACCEPT", "-A X -o b -j ACCEPT", "-A X -o c -j MASQUERADE")
    memo = plan(rows).memo
    right = saved("-A X -o n -j ACCEPT", "-A X -o a -j ACCEPT", "-A X -o b -j ACCEPT", "-A X -o c -j MASQUERADE --random-fully")
    wrong = saved("-A X -o n -j ACCEPT", "-A X -o a -j ACCEPT", "-A X -o c -j MASQUERADE --random-fully", "-A X -o b -j ACCEPT")
    assert list(_foreign.unproven(right, memo)) == []
    assert list(_foreign.unproven(wrong, memo)) == ["iptables-legacy ipv4 nat X: -o c -j MASQUERADE --random-fully is not to be found where it was put"]


def test_neighbours_that_both_change_are_proven():
    rows = saved("-A POSTROUTING -j NETFLEET_SNAT", *[line.replace(" X ", " POSTROUTING ") for line in TWICE])
    found = plan(rows)
    assert [entry["behind"] for entry in found.memo] == ["", "-o a -j MASQUERADE --random-fully", "-o b -j MASQUERADE --random-fully"]


def test_what_takes_a_plan_back_comes_first_and_holds_this_plan_only():
    first = plan(saved("-A X -o a -j MASQUERADE"))
    second = plan(saved("-A X -o a -j MASQUERADE --random-fully", "-A X -o b -j MASQUERADE"), memo=first.memo)
    back = second.steps[0]
    assert (back.action, back.value) == ("foreign", None)
    assert [entry["before"] for entry in back.undo[0]] == ["-o b -j MASQUERADE"]
    assert [entry["before"] for entry in second.memo] == ["-o a -j MASQUERADE", "-o b -j MASQUERADE"]


def test_taking_an_undo_back_gives_random_ports_again():
    rows = saved(*TWICE)
    found = plan(rows)
    after = carried_out(rows, found)
    undone = _foreign.undo(after, PROGRAMS, found.memo)
    again = _foreign.undo(carried_out(after, undone), PROGRAMS, undone.steps[0].undo[0])
    assert [change.after for change in again.changes] == [change.after for change in found.changes]


def test_an_undo_that_was_killed_is_done_by_the_next_run():
    rows = saved(*TWICE)
    found = plan(rows)
    after = carried_out(rows, found)
    killed = json.loads(json.dumps(_foreign.undo(after, PROGRAMS, found.memo).memo))
    again = _foreign.undo(after, PROGRAMS, killed)
    assert len(again.changes) == 3 and list(_foreign.unproven(after, killed)) == []
    done = carried_out(after, again)
    assert _foreign.undo(done, PROGRAMS, killed) == _foreign.Foreign()
    assert list(_foreign.unproven(done, killed)) == []
    wanted = plan(after, memo=killed)
    assert (wanted.changes, [entry.get("leaving") for entry in wanted.memo]) == ((), [None] * 3)


def test_boot_id():
    assert _memo.boot(foreign_rules.Door(files={_memo.BOOT_ID: "abc\n"})) == "abc"

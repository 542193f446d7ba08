# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a report, on a real disk: forms, the report before, and the history."""
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.netfleet.conntrack.plugins.module_utils._change import ConntrackError
from ansible_collections.netfleet.conntrack.plugins.module_utils._host import Host
from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report_files, _report_history, _report_json
from ansible_collections.netfleet.conntrack.tests.unit.plugins.plugin_utils import results

REPORT = results.report(9)
HERE = ["json", "junit", "markdown"]


def test_forms_are_written_readable_for_all_and_nothing_else_is_left(tmp_path):
    folder = str(tmp_path / "a" / "b")
    paths = _report_files.write(Host(), folder, HERE, REPORT)
    assert paths == [os.path.join(folder, name) for name in ("report.json", "report.xml", "report.md")] and len(os.listdir(folder)) == 3
    assert {stat.S_IMODE(os.stat(path).st_mode) for path in paths} == {0o644}
    with open(paths[0], encoding="ascii") as stream:
        assert stream.read() == _report_json.render(REPORT)


def test_what_can_be_written_is_written_before_a_failure_is_told(tmp_path):
    (tmp_path / "report.xml").mkdir()
    with pytest.raises(ConntrackError, match="report.xml"):
        _report_files.write(Host(), str(tmp_path), HERE, REPORT)
    assert {"report.json", "report.md"} <= set(os.listdir(str(tmp_path)))


def test_the_report_before_is_read_less_what_nobody_compares(tmp_path):
    path = _report_files.write(Host(), str(tmp_path), ["json"], REPORT)[0]
    report, warning = _report_files.previous(Host(), path, False)
    assert warning == "" and [host["differences"] for host in report["hosts"]] == [host["differences"] for host in REPORT["hosts"]]
    assert "compared" not in report["hosts"][0]


@pytest.mark.parametrize("text", ("", "{", "[]", "null", '{"schema_version": 2}', "[" * 100000, '{"schema_version": 1, "written": "yesterday"}', "\udcff"))
def test_a_broken_report_is_told_and_ignored(tmp_path, text):
    path = str(tmp_path / "report.json")
    Host().write_file(path, text)
    report, warning = _report_files.previous(Host(), path, False)
    assert report is None and warning.startswith("previous: nothing is compared with %s: " % path)


def test_a_report_that_cannot_be_read_is_told_and_one_that_is_not_there_only_if_it_was_asked_for(tmp_path):
    assert _report_files.previous(Host(), str(tmp_path / "none.json"), False) == (None, "")
    assert "there is no" in _report_files.previous(Host(), str(tmp_path / "none.json"), True)[1]
    assert "cannot read" in _report_files.previous(Host(), str(tmp_path), False)[1]


def test_a_history_only_grows_and_outlives_a_run_that_was_killed_while_writing(tmp_path):
    path, line = str(tmp_path / "history.jsonl"), _report_history.line(REPORT)
    _report_files.remember(Host(), path, line)
    with open(path, "a", encoding="ascii") as stream:
        stream.write(line[:100])
    _report_files.remember(Host(), path, line)
    with open(path, encoding="ascii") as stream:
        assert stream.read() == "%s\n%s\n%s\n" % (line, line[:100], line)
    found = _report_files.points(Host(), path, results.NOW + 1)
    assert {len(rows) for rows in found.values()} == {2} and _report_files.points(Host(), path, results.NOW) == {}
    assert _report_files.points(Host(), str(tmp_path / "none"), results.NOW) == {}


def test_runs_that_end_at_the_same_time_all_get_into_the_history(tmp_path):
    path = str(tmp_path / "new" / "history.jsonl")
    lines = ["%d %s" % (number, "x" * 50000) for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda line: _report_files.remember(Host(), path, line), lines))
    with open(path, encoding="ascii") as stream:
        assert sorted(stream.read().splitlines()) == sorted(lines)

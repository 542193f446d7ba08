# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""examples/router-config: its pipelines' own commands, run on a copy of it, whose routers are network namespaces with files of their own.

A router here cannot set what only the initial namespace may (the size of the table), and does not boot. So the documents lose their
profile and table, and get C(at_boot: false); C(validate) sees them as they are. Needs root, nft and iproute2.
"""
import contextlib
import http.server
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import urllib.parse
from pathlib import Path

import pytest
import yaml
from conftest import MOUNTS, command

from ansible_collections.netfleet.conntrack.plugins.module_utils import _change

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/router-config"
COLLECTIONS = Path(_change.__file__).parents[5]  # where this Python finds the collection
HOSTS = ("home1.example.net", "gw1.example.net", "gw2.example.net", "cgn1.example.net")
TRIED = ("home1.example.net", "gw2.example.net")
REPORT = ("report.json", "report.xml", "report.md", "report.html", "report.prom", "history.jsonl")
INTERPRETER = '#!/bin/sh\nexec nsenter --mount=/proc/%d/ns/mnt --net=/run/netns/%s %s "$@"\n'
KEY = "not really a key\n"
NIGHT, REQUEST, MERGED = "schedule", "merge_request_event", "push"


def load(path):
    return yaml.safe_load((EXAMPLE / path).read_text())


GITLAB = load(".gitlab-ci.yml")
GITHUB = {path.name: yaml.safe_load(path.read_text()) for path in sorted((EXAMPLE / ".github/workflows").glob("*.yml"))}


def program(name):
    """One that tests/requirements/unit.txt asks for, beside this Python or on PATH."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert found, "%s is missing: pip install -r tests/requirements/unit.txt" % name
    return found


class Team:
    """A copy of the example, and the means to run what its pipelines say."""

    def __init__(self, folder, place, namespaces):
        self.folder, self.place, self.namespaces = folder, place, namespaces
        self.reports = folder / "conntrack-report"

    def environment(self, **more):
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "PYTHONDONTWRITEBYTECODE") if name in os.environ}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return dict(kept, PATH=path, HOME=str(self.place / "home"), ANSIBLE_COLLECTIONS_PATH=str(COLLECTIONS), ANSIBLE_LOCALHOST_WARNING="false", **more)

    def shell(self, lines, environment):
        """The status of what a runner does with these lines, and what it says."""
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", "\n".join(lines)], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
        return done.returncode, done.stdout

    def report(self):
        return json.loads((self.reports / "report.json").read_text())

    def drift(self, host, **values):
        for name, value in values.items():
            command("ip", "netns", "exec", self.namespaces[host], "sysctl", "-q", "-w", "net.netfilter.nf_conntrack_%s=%d" % (name, value))


def policies(folder):
    """The document of each router, with all that its groups say."""
    said = command(
        program("ansible"), "all", "-m", "ansible.builtin.debug", "-a", "var=conntrack_policy", "-o", cwd=folder,
        env=dict(os.environ, HOME=str(folder.parent / "home"), ANSIBLE_CONFIG=str(folder / "ansible.cfg")))
    found = {line.split()[0]: json.loads(line.partition("=>")[2])["conntrack_policy"] for line in said.splitlines()}
    assert sorted(found) == sorted(HOSTS)
    return found


def local(folder, interpreters):
    """Have some routers be on this machine, and want what a namespace may have."""
    documents = policies(folder)
    (folder / "inventory/hosts.yml").write_text(yaml.safe_dump({
        kind: {"hosts": {host: {} for host in row["hosts"] if host in TRIED}} for kind, row in load("inventory/hosts.yml")["routers"]["children"].items()}))
    for host in TRIED:
        document = {name: value for name, value in documents[host].items() if name not in ("profile", "table")}
        document.setdefault("timeouts", {})["udp_timeout"] = 33
        mine = {"ansible_connection": "local", "ansible_user": "root", "ansible_python_interpreter": interpreters[host],
                "conntrack_policy": dict(document, at_boot=False)}
        (folder / "inventory/host_vars" / (host + ".yml")).write_text(yaml.safe_dump(mine))


@contextlib.contextmanager
def holder(place):
    """A process in a mount namespace whose files are its own."""
    place.mkdir()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", MOUNTS, "sh", str(place)], **pipes) as process:
        assert process.stdout.readline() == b"ready\n"
        yield process


@pytest.fixture
def team(tmp_path):
    """The example with routers that are there; each has a network namespace and files of its own."""
    if os.geteuid() != 0:
        pytest.fail("these tests make network namespaces: run them as root")
    folder = tmp_path / "checkout"
    shutil.copytree(EXAMPLE, folder)
    (tmp_path / "home").mkdir()
    with contextlib.ExitStack() as stack:
        interpreters, namespaces = {}, {}
        for number, host in enumerate(TRIED):
            namespaces[host] = name = "netfleet-%d-%d" % (os.getpid(), number)
            command("ip", "netns", "add", name)
            stack.callback(command, "ip", "netns", "del", name)
            command("ip", "-n", name, "link", "set", "lo", "up")
            process = stack.enter_context(holder(tmp_path / name))
            path = tmp_path / (name + ".python")
            path.write_text(INTERPRETER % (process.pid, name, sys.executable))
            path.chmod(0o755)
            interpreters[host] = str(path)
        local(folder, interpreters)
        yield Team(folder, tmp_path, namespaces)


# GitLab


class Api(http.server.BaseHTTPRequestHandler):
    """GitLab's own, as far as a plan uses it."""

    def do_POST(self):  # pylint: disable=invalid-name
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.notes.append((self.path, self.headers["PRIVATE-TOKEN"], urllib.parse.parse_qs(body)["body"][0]))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *dummy):
        """Silence."""


@pytest.fixture
def api():
    with http.server.HTTPServer(("127.0.0.1", 0), Api) as server:
        server.notes = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def holds(rule, source):
    """Whether the condition of a rule is true of such a pipeline on the branch main."""
    words = {"$CI_PIPELINE_SOURCE": '"%s"' % source, "$CI_COMMIT_BRANCH": "main", "$CI_DEFAULT_BRANCH": "main"}
    terms = [[words.get(word, word) for word in term.split()] for term in rule.split(" && ")]
    return all((left == right) == (sign == "==") for left, sign, right in terms)


def jobs_of(source):
    """The names of the jobs of such a pipeline, in the order of their stages."""
    assert any(holds(rule["if"], source) for rule in GITLAB["workflow"]["rules"])
    jobs = {name: job for name, job in GITLAB.items() if "script" in job}
    found = [name for name, job in jobs.items() if any(holds(rule["if"], source) for rule in job["rules"])]
    return sorted(found, key=lambda name: GITLAB["stages"].index(jobs[name]["stage"]))


def run_gitlab(team, source, api=None):
    """{job: (exit status, whether that lets the pipeline go on)} of a pipeline."""
    key = team.place / "key"
    key.write_text(KEY)
    key.chmod(0o666)  # as GitLab leaves it
    given = {"CI_PROJECT_DIR": str(team.folder), "ROUTER_SSH_KEY": str(key), "CI_PIPELINE_SOURCE": source, "CI_PROJECT_ID": "7", "CI_MERGE_REQUEST_IID": "3"}
    if api:
        given.update(REPORT_TOKEN="glpat", CI_API_V4_URL="http://127.0.0.1:%d/api/v4" % api.server_port)
    found = {}
    for name in jobs_of(source):
        job = dict(GITLAB.get(GITLAB[name].get("extends"), {}), **GITLAB[name])
        variables = {key_: re.sub(r"\$(\w+)", lambda met: given[met[1]], value) for key_, value in GITLAB["variables"].items()}
        environment = team.environment(**given, **variables)
        status, said = team.shell(job.get("before_script", []) + job["script"], environment)
        assert status in (0, 2, 4), said
        if "artifacts" in job:
            assert sorted(path.name for path in team.reports.iterdir()) == sorted(REPORT), said
            assert [team.folder / path for path in job["artifacts"]["paths"]] == [team.reports] and job["artifacts"]["when"] == "always"
            assert (team.folder / job["artifacts"]["reports"]["junit"]).read_text().startswith("<?xml")
            assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert team.shell(job.get("after_script", []), environment)[0] == 0
        found[name] = status, status == 0 or status in job.get("allow_failure", {}).get("exit_codes", ())
    return found


def test_a_change_goes_through_gitlab(team, api):
    assert run_gitlab(team, REQUEST, api) == {"validate": (0, True), "plan": (2, True)}
    (path, token, note), = api.notes
    assert (path, token) == ("/api/v4/projects/7/merge_requests/3/notes", "glpat") and "home1.example.net" in note
    assert run_gitlab(team, MERGED) == {"validate": (0, True), "tune": (0, True)}
    assert run_gitlab(team, NIGHT) == {"drift": (0, True)}
    team.drift("home1.example.net", udp_timeout=77)
    assert run_gitlab(team, NIGHT) == {"drift": (2, False)}
    found = team.report()
    assert [(host["name"], host["status"]) for host in found["hosts"]] == [("home1.example.net", "drift"), ("gw2.example.net", "clean")]
    assert found["summary"]["new"] == 1
    assert run_gitlab(team, MERGED)["tune"] == (0, True)


def test_an_unreachable_router_holds_a_pipeline_up(team):
    path = team.folder / "inventory/host_vars/gw2.example.net.yml"
    path.write_text(path.read_text().replace("local", "ssh") + "\nansible_host: 127.0.0.1\nansible_port: 9\n")
    assert run_gitlab(team, REQUEST) == {"validate": (0, True), "plan": (4, False)}
    assert team.report()["summary"]["unreachable"] == 1


def test_a_bad_document_ends_a_pipeline_before_any_router_is_asked(tmp_path):
    """Of the routers as they are in the example, which are nowhere."""
    shutil.copytree(EXAMPLE, tmp_path / "checkout")
    found = Team(tmp_path / "checkout", tmp_path, {})
    lines = GITLAB["validate"]["before_script"] + GITLAB["validate"]["script"]
    environment = found.environment(ANSIBLE_CONFIG=str(found.folder / "ansible.cfg"))
    assert found.shell(lines, environment)[0] == 0
    path = found.folder / "inventory/group_vars/cgnat.yml"
    path.write_text(path.read_text().replace("profile: cgnat", "profile: cgn"))
    status, said = found.shell(lines, environment)
    assert status == 2 and "cgn1.example.net" in said and "profile: cgn is none of" in said


# GitHub


def run_github(team, file, job):
    """The status of the first step that fails, or 0; steps that others wrote are left out."""
    runner = team.place / "runner"
    runner.mkdir(exist_ok=True)
    shared, workflow = {}, GITHUB[file]
    for name in ("GITHUB_ENV", "GITHUB_STEP_SUMMARY"):
        (runner / name).write_text("")
        shared[name] = str(runner / name)
    ended = 0
    for step in workflow["jobs"][job]["steps"]:
        if "run" not in step or ended and step.get("if") != "always()":
            continue
        given = dict(line.split("=", 1) for line in (runner / "GITHUB_ENV").read_text().splitlines())
        own = {name: value.replace("${{ secrets.ROUTER_SSH_KEY }}", KEY) for name, value in step.get("env", {}).items()}
        status, said = team.shell([step["run"]], team.environment(**shared, **workflow["env"], **given, **own, RUNNER_TEMP=str(runner)))
        assert status in (0, 1, 2, 4), said
        ended = ended or status
    paths = [step["with"]["path"] for step in workflow["jobs"][job]["steps"] if step.get("uses", "").startswith("actions/upload-artifact")]
    if paths:
        assert [team.folder / path for path in paths] == [team.reports] and sorted(path.name for path in team.reports.iterdir()) == sorted(REPORT)
        assert "home1.example.net" in (runner / "GITHUB_STEP_SUMMARY").read_text()
        assert stat.S_IMODE((runner / "key").stat().st_mode) == 0o600 and (runner / "key").read_text().strip() == KEY.strip()
    return ended


def test_a_change_goes_through_github(team):
    assert run_github(team, "routers.yml", "validate") == 0
    assert run_github(team, "routers.yml", "plan") == 0 and team.report()["exit_status"] == 2
    assert run_github(team, "routers.yml", "tune") == 0 and team.report()["exit_status"] == 0
    team.drift("home1.example.net", udp_timeout=77)
    assert run_github(team, "drift.yml", "drift") == 2 and team.report()["hosts"][0]["name"] == "home1.example.net"


# What can be said without running it


@pytest.mark.parametrize("schema, pattern", [("gitlab-ci", ".gitlab-ci.yml"), ("github-workflows", ".github/workflows/*.yml")])
def test_pipelines_fit_their_published_schemas(schema, pattern):
    paths = sorted(map(str, EXAMPLE.glob(pattern)))
    assert paths and "ok" in command(program("check-jsonschema"), "--builtin-schema", "vendor." + schema, *paths)


def test_the_execution_environment_can_be_made(tmp_path):
    command(program("ansible-builder"), "create", "-f", EXAMPLE / "execution-environment.yml", "-c", tmp_path)
    made = next(tmp_path.glob("*file")).read_text()  # named after the engine that is there
    assert "ansible-galaxy collection install" in made and yaml.safe_load((tmp_path / "_build/requirements.yml").read_text()) == load("requirements.yml")


def test_what_awx_gets_is_there():
    """Every name that one object has of another one is that of an object, and every playbook is a file."""
    awx = load("awx/controller.yml")
    names = {kind: [row["name"] for row in rows] for kind, rows in awx.items()}
    templates, nodes = names["controller_templates"], awx["controller_workflows"][0]["simplified_workflow_nodes"]
    for row in awx["controller_templates"]:
        assert (EXAMPLE / row["playbook"]).is_file()
        assert (row["project"], row["inventory"], row["execution_environment"]) == tuple(
            names["controller_" + kind][0] for kind in ("projects", "inventories", "execution_environments"))
    assert awx["controller_schedules"][0]["unified_job_template"] in templates
    assert {node["unified_job_template"] for node in nodes if "unified_job_template" in node} <= set(templates)
    known = {node["identifier"] for node in nodes}
    assert {after for node in nodes for kind in ("success_nodes", "failure_nodes") for after in node.get(kind, ())} <= known
    images = {row["image"] for row in awx["controller_execution_environments"]}
    assert images == {GITLAB["default"]["image"]}


@pytest.mark.parametrize("name", ["validate", "plan", "tune", "drift"])
def test_playbooks_for_awx_are_those_of_the_collection(name, tmp_path):
    environment = dict(os.environ, HOME=str(tmp_path), ANSIBLE_COLLECTIONS_PATH=str(COLLECTIONS))
    said = command(program("ansible-playbook"), "playbooks/%s.yml" % name, "--list-hosts", cwd=EXAMPLE, env=environment)
    assert all(host in said for host in HOSTS)


def test_the_readme_names_what_is_there():
    for path in re.findall(r"\]\(([^)#]+)\)", (EXAMPLE / "README.md").read_text()):
        assert (EXAMPLE / path).exists(), path

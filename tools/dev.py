# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets up what development needs, and runs the checks. Needs Python 3.11 and git; `make help` shows the usual calls."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(f"tools/dev.py needs Python 3.11 or newer, and this is {sys.version.split()[0]}; name another: make PYTHON=python3.13 ...")

import argparse
import os
import signal
from concurrent.futures import ThreadPoolExecutor

from _dev import checks, jobs, machine, stage, suite, venvs


def setup(args):
    names = venvs.PURPOSES if "all" in args.purposes else args.purposes
    with ThreadPoolExecutor(2) as pool:
        return all(list(pool.map(attempt, names)))


def attempt(name):
    try:
        venvs.ensure(name)
    except machine.DevError as error:
        jobs.say(f"{name}: {error}")
        return False
    return True


def sanity(args):
    return checks.sanity(args.core, args.arguments)


def units(args):
    return checks.units(args.core, args.arguments, args.quick)


def lint(args):
    return checks.lint(args.linters)


def test(args):
    return suite.run(args.stages, args.quick)


def pytest(_args):
    return run_inside("unit", ["python", "-m", "pytest", *sys.argv[2:]])


def inside(args):
    return run_inside(args.purpose, args.arguments)


def run_inside(purpose, argv):
    """Become that program, with the purpose's environment and the collection where Ansible and Python find it."""
    venvs.ensure(purpose)
    tree = str(stage.collections_path())
    paths = {variable: with_theirs(tree, variable) for variable in ("ANSIBLE_COLLECTIONS_PATH", "PYTHONPATH")}
    env = {**venvs.environment(purpose), **paths}
    if purpose == "molecule":  # its own choice of folder is the same for all checkouts of one name
        env.setdefault("MOLECULE_EPHEMERAL_DIRECTORY", str(machine.CACHE / "molecule"))
    try:
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        raise machine.DevError(f"{argv[0]}: {error}") from error


def with_theirs(path, variable):
    return os.pathsep.join(filter(None, [path, os.environ.get(variable)]))


def collection_path(_args):
    print(stage.collections_path())
    return True


def parser():
    top = argparse.ArgumentParser(prog="tools/dev.py", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name, function, text):
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(function=function)
        return added

    command("setup", setup, "make the environments of these purposes").add_argument(
        "purposes", nargs="+", choices=["all", *venvs.PURPOSES], metavar="PURPOSE", help=f"all, {', '.join(venvs.PURPOSES)}"
    )
    for name, function, text in (("sanity", sanity, "ansible-test sanity on both cores"), ("units", units, "ansible-test units on both cores")):
        added = command(name, function, text)
        added.add_argument("--core", action="append", default=[], choices=checks.CORES, help="only this one")
        added.add_argument("--quick", action="store_true", help="of unit tests with many cases only some")
        added.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="handed to ansible-test")
    command("lint", lint, "run the linters").add_argument("linters", nargs="*", choices=[*checks.LINTERS, []], metavar="LINTER", help=", ".join(checks.LINTERS))
    command("pytest", pytest, "pytest with the collection on its path; takes pytest's arguments")
    added = command("in", inside, "run a program in the environment of a purpose")
    added.add_argument("purpose", choices=venvs.PURPOSES, metavar="PURPOSE", help=", ".join(venvs.PURPOSES))
    added.add_argument("arguments", nargs=argparse.REMAINDER, metavar="PROGRAM ...")
    command("collection-path", collection_path, "print a folder for ANSIBLE_COLLECTIONS_PATH")
    added = command("test", test, "run the stages, and go on after a failed one")
    added.add_argument("--quick", action="store_true", help="only those that need no virtual machine and little time")
    added.add_argument("stages", nargs="*", choices=[*(one.name for one in suite.STAGES), []], metavar="STAGE", help="only these")
    return top


def main():
    args = parser().parse_args(sys.argv[1:2] if sys.argv[1:2] == ["pytest"] else None)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stage that is stopped stops what it started
    try:
        return 0 if args.function(args) else 1
    except machine.DevError as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

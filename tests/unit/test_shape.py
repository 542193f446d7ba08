# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of the collection: who may do what, how long things are, and that rendered texts are current."""
import ast
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Rows of a table, and the one door to the machine: as long as what they know.
LONG = ("_catalogue.py", "_host.py")
DOCUMENTS = ("DOCUMENTATION", "EXAMPLES", "RETURN")
BLOCKS = (ast.For, ast.If, ast.Try, ast.While, ast.With)
# What only one file may use.
DOORS = {
    "open": ("_host.py",), "socket": ("_host.py",), "fsync": ("_host.py",), "unlink": ("_host.py",), "makedirs": ("_host.py",),
    "subprocess": (), "popen": (), "eval": (), "exec": (),
    "AnsibleModule": ("_module.py",), "check_mode": ("_module.py", "_transaction.py", "policy.py"),
    "fail_json": ("_module.py",), "run_command": ("_module.py",), "rename": ("_host.py", "_module.py"),
}


def files(*folders):
    found = []
    for folder in folders:
        place = os.path.join(ROOT, "plugins", folder)
        names = sorted(os.listdir(place)) if os.path.isdir(place) else []
        found += [os.path.join(place, name) for name in names if name.endswith(".py")]
    return found


def tree_of(path):
    with open(path, encoding="utf-8") as stream:
        return ast.parse(stream.read())


def lines_of(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read().splitlines()


MODULES = files("modules")
EVERY = MODULES + files("module_utils", "plugin_utils", "action", "filter", "lookup")


def found_in(paths, look):
    """What ``look`` finds wrong, by file."""
    found = {os.path.relpath(path, ROOT): look(path) for path in paths}
    return {path: wrong for path, wrong in found.items() if wrong}


def names_in(path):
    """Every name that code uses, wherever it comes from."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.Name, ast.arg)):
            yield node.id if isinstance(node, ast.Name) else node.arg
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for name in node.names:
                yield name.name.split(".")[0]


def trespasses(path):
    name = os.path.basename(path)
    return sorted(used for used in set(names_in(path)) & set(DOORS) if name not in DOORS[used])


def test_only_some_files_may_do_some_things():
    assert found_in(EVERY, trespasses) == {}


def functions(path):
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def depth(node, above=None):
    """How many blocks lie around the deepest statement; an elif is no deeper than its if."""
    inner = [depth(child, node) for child in ast.iter_child_nodes(node)]
    chained = isinstance(node, ast.If) and isinstance(above, ast.If) and above.orelse == [node]
    return max(inner or [0]) + (isinstance(node, BLOCKS) and not chained)


def test_functions_are_short_and_flat():
    assert found_in(EVERY, lambda path: [f.name for f in functions(path) if f.end_lineno - f.lineno >= 40 or depth(f) > 3]) == {}


def test_files_are_short():
    short = [path for path in EVERY if os.path.basename(path) not in LONG and path not in MODULES]
    assert found_in(short, lambda path: len(lines_of(path)) > 250) == {}


def code(path):
    """The lines of a module that are no documentation."""
    documents = [node for node in tree_of(path).body if isinstance(node, ast.Assign) and node.targets[0].id in DOCUMENTS]
    described = {number for node in documents for number in range(node.lineno, node.end_lineno + 1)}
    assert len(documents) == len(DOCUMENTS)
    return [line for number, line in enumerate(lines_of(path), 1) if number not in described and line.strip() and not line.startswith("#")]


def test_modules_are_thin():
    assert len(MODULES) >= 3 and found_in(MODULES, lambda path: len(code(path)) > 40) == {}


def test_rendered_texts_are_current():
    done = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "render.py"), "--check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert (done.returncode, done.stdout.decode()) == (0, "")

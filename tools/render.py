# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders every text that stems from the catalogue; with --check only tells whether they are current.

    python tools/render.py [--check]

A rendered text stands in its file between a line that holds "BEGIN catalogue" and one that
holds "END catalogue"; everything else in those files is written by hand.
"""
from __future__ import annotations

import difflib
import importlib
import pathlib
import re
import sys
import textwrap
import types

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = "ansible_collections.netfleet.conntrack.plugins.module_utils"
WIDTH = 120


def load(name: str) -> types.ModuleType:
    """Import a file of module_utils under the name that it has in an installed collection."""
    parts = PACKAGE.split(".")
    for number in range(1, len(parts) + 1):
        package = types.ModuleType(".".join(parts[:number]))
        package.__path__ = [str(ROOT / "plugins" / "module_utils")] if number == len(parts) else []
        sys.modules.setdefault(package.__name__, package)
    return importlib.import_module(f"{PACKAGE}.{name}")


catalogue, spec = load("_catalogue"), load("_spec")

SIZING_TEXTS = {
    "memory_share": "The share of the memory that a full table may take, entries at their dearest. It is the budget that V(auto) "
    "fills, and a number that exceeds it is refused.",
    "load_factor": "Connections for each chain that O(table.buckets=auto) aims at. One is what kernels since 5.15 choose.",
    "never_lower": "Leave O(table.max), O(table.buckets) and O(table.expect_max) alone where the host already has more.",
}
GROUP_TEXTS = {
    "table": "How many connections are tracked, and at what cost in memory.",
    "timeouts": "Seconds of silence after which a connection is forgotten, by protocol and state. "
    "A new timeout holds for an existing entry from its next packet on.",
    "tracking": "How connections are tracked.",
}


def bounds_text(setting) -> str:
    """What may be given, in words."""
    if setting.type == "bool":
        return ""
    unit = f" {setting.unit}" if setting.unit else ""
    auto = ", or V(auto)" if setting.group == "table" else ""
    return f"From {setting.bounds[0]} to {setting.bounds[1]}{unit}{auto}."


def defaults_text(setting) -> str:
    """What the kernel has by itself, in words."""
    if any(value is None for _since, value in setting.defaults):
        return "The kernel works it out from the memory."
    words = [shown(setting, value) + (f" from Linux {since[0]}.{since[1]} on" if since > (0, 0) else "") for since, value in setting.defaults]
    return f"The kernel starts with {', '.join(words)}."


def shown(setting, value) -> str:
    return {0: "false", 1: "true"}[value] if setting.type == "bool" else str(value)


def kernels_text(setting) -> str:
    """On which kernels the setting exists, in words; empty where on all."""
    words = []
    if setting.since:
        words.append(f"came with Linux {setting.since[0]}.{setting.since[1]}")
    if setting.until:
        words.append(f"was removed in Linux {setting.until[0]}.{setting.until[1]}")
    if setting.config:
        words.append(f"needs C({setting.config})")
    return f"It {' and '.join(words)}." if words else ""


def scope_text(setting) -> str:
    if setting.access == "boot":
        return "The kernel takes it only while it loads the module, so it holds from the next boot on."
    return "It can be set in the initial network namespace only." if setting.scope == "global" else ""


def auto_text(setting) -> str:
    return {
        "max": "V(auto) fills four fifths of O(table.memory_share), rounded down to a power of two, and stays with its answer while that fits.",
        "buckets": "V(auto) follows O(table.max) by O(table.load_factor), and is what you get when only O(table.max) is given.",
        "expect_hashsize": "V(auto) is one for every 256 of O(table.buckets), as the kernel has it.",
        "expect_max": "V(auto) is four for each chain, as the kernel has it.",
    }.get(setting.name, "")


def sentences(setting) -> list[str]:
    """Everything about a setting, a list item each."""
    risks = [f"Too low: {setting.low}"] * bool(setting.low) + [f"Too high: {setting.high}"] * bool(setting.high)
    if setting.type == "bool":
        risks = [f"Off: {setting.low}"] * bool(setting.low) + [f"On: {setting.high}"] * bool(setting.high)
    floor = f"Below {setting.floor} you are warned, because {setting.reason}." if setting.floor else ""
    texts = [setting.summary, auto_text(setting), *risks, bounds_text(setting), defaults_text(setting), floor, scope_text(setting), kernels_text(setting)]
    return [text for text in texts if text]


def markup(text: str, prefix: str) -> str:
    """Catalogue text as semantic markup of the documentation of options below ``prefix``."""
    text = re.sub(r"RV\((\w+)\)", lambda match: f"O({catalogue.BY_NAME[match.group(1)].group}.{match.group(1)})", text)
    return text.replace("O(", f"O({prefix}")


def item(text: str, indent: int) -> list[str]:
    """A text as an item of a YAML list, quoted where YAML needs it."""
    if re.search(r": |^[>|@%&*!\[{'\"]|#", text):
        text = "'" + text.replace("'", "''") + "'"
    return textwrap.wrap(
        text, WIDTH, initial_indent=" " * indent + "- ", subsequent_indent=" " * (indent + 2), break_on_hyphens=False, break_long_words=False
    )


def yaml_option(name: str, kind: str, texts: list[str], indent: int, prefix: str, default: object = None) -> list[str]:
    pad = " " * indent
    lines = [f"{pad}{name}:", f"{pad}  description:"]
    for text in texts:
        lines += item(markup(text, prefix), indent + 4)
    lines.append(f"{pad}  type: {kind}")
    if default is not None:
        lines.append(f"{pad}  default: {str(default).lower()}")
    return lines


def group_lines(group: str, indent: int, prefix: str) -> list[str]:
    """One group of settings as YAML options; modules call what is inside a dictionary suboptions, roles options."""
    lines = yaml_option(group, "dict", [GROUP_TEXTS[group]], indent, prefix)
    lines.append(" " * indent + f"  {'options' if prefix else 'suboptions'}:")
    types_ = {name: row["type"] for name, row in spec.group_spec(group).items()}
    for setting in catalogue.settable(group):
        lines += yaml_option(setting.name, types_[setting.name], sentences(setting), indent + 4, prefix)
    for name, row in spec.SIZING.items() if group == "table" else ():
        lines += yaml_option(name, row[0], [SIZING_TEXTS[name]] + sizing_range(row), indent + 4, prefix, row[1])
    return lines


def sizing_range(row) -> list[str]:
    return [] if row[2] is None else [f"From {row[2]} to {row[3]}."]


def options_yaml(indent: int, prefix: str = "") -> str:
    """All groups of settings as YAML options, for a place where they stand below ``prefix``."""
    return "\n".join(line for group in spec.GROUPS for line in group_lines(group, indent, prefix))


def markdown(text: str) -> str:
    text = re.sub(r"\b(?:RV|O|V|C)\(([^)]+)\)", r"`\1`", text)
    return text.replace("|", "\\|")


def reference() -> str:
    """The reference page: a table a group, and what is beside them."""
    blocks = []
    for group in spec.GROUPS:
        blocks.append(f"## {group}\n\n{markdown(GROUP_TEXTS[group])}\n")
        for setting in (s for s in catalogue.CATALOGUE if s.group == group):
            blocks.append(reference_entry(setting))
    return "\n".join(blocks)


def reference_entry(setting) -> str:
    where = f"`{setting.key}`" if setting.key else ""
    parameter = f"`{setting.module}.{setting.parameter}`" if setting.parameter else ""
    title = f"### {setting.name}\n"
    rows = [text for text in (where and f"Key {where}", parameter and f"Module parameter {parameter}") if text]
    texts = [f"{'; '.join(rows)}."] + sentences(setting) if setting.access != "ro" else [f"Key {where}.", setting.summary, "Read only."]
    return title + "\n" + "\n".join(f"- {markdown(text)}" for text in texts) + "\n"


# Values for a test that sets every setting of a small guest; what the kernel works out itself has no default to differ from.
# Numbers of buckets that the kernel has to round up, and one connection a chain.
TRIED = {"buckets": 10000, "max": 10001, "expect_hashsize": 1000, "expect_max": 5000}


def tried(setting) -> int:
    """A value within the bounds that is the default of no kernel: one more than the highest, or the lowest that is free."""
    defaults = {value for _since, value in setting.defaults}
    low, high = setting.bounds
    if setting.name in TRIED:
        return TRIED[setting.name]
    return max(defaults) + 1 if max(defaults) < high else next(value for value in range(low, high) if value not in defaults)


def every_setting() -> str:
    """A row for each setting that can be given, with a value that is not the kernel's own."""
    rows = (f"  - {{name: {s.name}, group: {s.group}, path: {s.path}, value: {tried(s)}}}" for group in spec.GROUPS for s in catalogue.settable(group))
    return "every_setting:\n" + "\n".join(rows)


def fragment(name: str, indent: int, prefix: str) -> str:
    """The options of a documentation fragment as they stand in the argument specs of a role below ``prefix``."""
    text = (ROOT / "plugins/doc_fragments" / f"{name}.py").read_text()
    options = re.search(r"^options:\n(.*?)^\"{3}", text, re.DOTALL | re.MULTILINE).group(1)
    lines = markup(options.replace("suboptions:", "options:"), prefix).splitlines()
    return "\n".join(" " * (indent - 2) + line if line else line for line in lines)


def role_options() -> str:
    """What the document of the role says of settings and of SNAT."""
    snat = ["          snat:", "            description:", "              - Rules of source NAT. Leave it out and there are none of ours.",
            "            type: dict", "            options:"]
    return "\n".join([options_yaml(10, "conntrack_policy."), *snat, fragment("snat", 14, "conntrack_policy.snat.")])


TARGETS = {
    "plugins/doc_fragments/settings.py": lambda: options_yaml(2),
    "roles/conntrack/meta/argument_specs.yml": role_options,
    "docs/settings.md": reference,
    "molecule/default/vars/every_setting.yml": every_setting,
}


def rendered(text: str, block: str) -> str:
    """``text`` with the block between its marks replaced."""
    found = re.search(r"^[^\n]*BEGIN catalogue[^\n]*\n(.*?)^[^\n]*END catalogue", text, re.DOTALL | re.MULTILINE)
    if not found:
        raise SystemExit("a file has lost its marks: BEGIN catalogue ... END catalogue")
    return text[: found.start(1)] + block.rstrip("\n") + "\n" + text[found.end(1):]


def main(arguments: list[str]) -> int:
    stale = 0
    for name, block in TARGETS.items():
        path = ROOT / name
        before = path.read_text()
        after = rendered(before, block())
        if before != after and "--check" in arguments:
            stale += 1
            sys.stdout.writelines(difflib.unified_diff(before.splitlines(True), after.splitlines(True), name, f"{name} (rendered)"))
        elif before != after:
            path.write_text(after)
            print(f"rendered {name}")
    if stale:
        print(f"{stale} of {len(TARGETS)} texts are not current: run python tools/render.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

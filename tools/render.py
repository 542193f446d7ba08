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


catalogue, spec, sizing, profiles = load("_catalogue"), load("_spec"), load("_sizing"), load("_profiles")

SIZING_TEXTS = {
    "memory_share": "The share of the memory that a full table may take, entries at their dearest. It is the budget that V(auto) "
    "fills, and that neither a number nor what a target needs may exceed.",
    "load_factor": "Connections for each chain that O(table.buckets=auto) aims at. One is what kernels since 5.15 choose.",
    "never_lower": "Leave O(table.max), O(table.buckets) and O(table.expect_max) alone where the host already has more.",
    "per_cpu": "Connections for each CPU that is online. With it O(table.max=auto) is as many as that needs, and not what the memory holds.",
    "connections_per_second": "New connections a second, at the peak. With it O(table.max=auto) is as many as are in the table at the same time at "
    "that rate, each for O(table.mean_life), and a quarter more.",
    "mean_life": "Seconds that a connection is in the table on average, for O(table.connections_per_second). The timeout after its last packet counts, "
    "such as O(timeouts.tcp_timeout_time_wait) after the connection itself.",
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
        "max": "V(auto) fills four fifths of O(table.memory_share), rounded down to a power of two, and stays with its answer while that fits. "
        "With O(table.per_cpu) or O(table.connections_per_second) it is what the larger of them needs, rounded up to a multiple of 1024, "
        "and refused where that exceeds O(table.memory_share).",
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


def markup(text: str, prefix: str = "") -> str:
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


def yaml_option(name: str, kind: str, texts: list[str], indent: int) -> list[str]:
    pad = " " * indent
    lines = [f"{pad}{name}:", f"{pad}  description:"]
    for text in texts:
        lines += item(markup(text), indent + 4)
    return [*lines, f"{pad}  type: {kind}"]


def group_lines(group: str, indent: int) -> list[str]:
    """One group of settings as YAML options."""
    lines = yaml_option(group, "dict", [GROUP_TEXTS[group]], indent)
    lines.append(" " * indent + "  suboptions:")
    types_ = {name: row["type"] for name, row in spec.group_spec(group).items()}
    for setting in catalogue.settable(group):
        lines += yaml_option(setting.name, types_[setting.name], sentences(setting), indent + 4)
    for name, row in spec.SIZING.items() if group == "table" else ():
        lines += yaml_option(name, row[0], sizing_sentences(name, row), indent + 4)
    return lines


def sizing_sentences(name: str, row) -> list[str]:
    """Everything about an option that steers the sizes. Its default is no default of the argument spec, so that a profile can give another."""
    bounds = [] if row[2] is None else [f"From {row[2]} to {row[3]}."]
    return [SIZING_TEXTS[name], *bounds, *([] if row[1] is None else [f"By default V({str(row[1]).lower()})."])]


def profile_option(indent: int) -> list[str]:
    """The option C(profile) as YAML."""
    texts = ["Named starting values. What the document says itself overrides them, option by option.",
             *(f"V({profile.name}): {profile.title[0].lower()}{profile.title[1:]}." for profile in profiles.PROFILES)]
    choices = ", ".join(profile.name for profile in profiles.PROFILES)
    return [*yaml_option("profile", "str", texts, indent), f"{' ' * indent}  choices: [{choices}]"]


def options_yaml(indent: int) -> str:
    """All groups of settings as YAML options."""
    return "\n".join(line for group in spec.GROUPS for line in group_lines(group, indent))


def markdown(text: str) -> str:
    text = re.sub(r"\b(?:RV|O|V|C)\(([^)]+)\)", r"`\1`", text)
    return text.replace("|", "\\|")


def reference() -> str:
    """The reference page: a table a group, and what is beside them."""
    blocks = [sizes()]
    for group in spec.GROUPS:
        blocks.append(f"## {group}\n\n{markdown(GROUP_TEXTS[group])}\n")
        for setting in (s for s in catalogue.CATALOGUE if s.group == group):
            blocks.append(reference_entry(setting))
        for name, row in spec.SIZING.items() if group == "table" else ():
            blocks.append(f"### {name}\n\n" + "\n".join(f"- {markdown(text)}" for text in sizing_sentences(name, row)) + "\n")
    return "\n".join(blocks)


GIB = sizing.GIB
ENTRY = 384  # bytes of an entry of most 64-bit kernels, at its dearest
MEMORIES = (GIB // 16, GIB // 4, GIB, 4 * GIB, 16 * GIB, 64 * GIB, 256 * GIB)


def size(number: float) -> str:
    """Bytes in words."""
    return f"{number / GIB:.4g} GiB" if number >= GIB else f"{number / (1 << 20):.4g} MiB"


def table(heads, rows) -> str:
    """A table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def full(most: int) -> str:
    return size(sizing.table_bytes(most, sizing.round_buckets(most, 4096), ENTRY))


def by_memory(share: float) -> str:
    """What ``auto`` gives by memory alone, as a table."""
    found = [(memory, sizing.auto_max(memory, share, ENTRY, 1.0)) for memory in MEMORIES]
    return table(["Memory", "`auto`", "A full table"], [(size(memory), most, full(most)) for memory, most in found])


# (option and its value, connections that it asks for)
AIMS = (
    ("`per_cpu: 32768`, 4 CPUs", 32768 * 4),
    ("`per_cpu: 32768`, 96 CPUs", 32768 * 96),
    ("`per_cpu: 10000`, 6 CPUs", 10000 * 6),
    ("`connections_per_second: 500`, `mean_life: 130`", sizing.connections_at(500, 130)),
    ("`connections_per_second: 10000`, `mean_life: 40`", sizing.connections_at(10000, 40)),
)


def by_target() -> str:
    """What ``auto`` gives by a target, as a table; with the least memory whose twentieth holds it."""
    share = spec.SIZING["memory_share"][1]
    rows = []
    for words, needed in AIMS:
        most = sizing.target_max(needed)
        rows.append((words, most, full(most), size(sizing.table_bytes(most, most, ENTRY) / share)))
    return table(["Target", "`auto`", "A full table", f"Memory of which that is {share:.0%}".replace("%", " %")], rows)


def sizes() -> str:
    """How ``auto`` works out the sizes, with figures that its own functions give."""
    return SIZES.format(by_memory=by_memory(spec.SIZING["memory_share"][1]), by_target=by_target(), entry=ENTRY)


SIZES = """## How large a table is

`table.max: auto` takes one of two ways.

**By memory**, where nothing else is said. `table.memory_share` is the budget: the share of the memory that a full table may take, its entries at
their dearest (with accounting, timestamps, listeners or masquerading, which take 128 bytes of each), its chains, and NAT's own chains, which are as
many. `auto` is the largest power of two of connections that takes four fifths of the budget or less. The last fifth lets a kernel with dearer entries
come without the answer changing. At the default share of 0.05, with entries of {entry} bytes and one connection a chain:

{by_memory}
**By a target**, where you know what the host has to bear. `table.per_cpu` is so many connections for each CPU that is online, as kube-proxy's
`maxPerCore` has it. `table.connections_per_second` with `table.mean_life` is a rate: by Little's law as many connections are in the table as begin in
a second, times the seconds that one stays, and `auto` is a quarter more, for bursts and for entries that have run out but that the kernel's collector
has not met yet (within a minute). At 95 % of the limit the collector begins to evict. What a target needs is rounded up to a multiple of 1024; of two
targets the larger counts. A target is never cut down to the budget: where it exceeds it the run is refused, with the numbers and with the
`table.memory_share` that would do.

{by_target}
`mean_life` is the time in the table, not on the wire: an HTTP request of a second is one entry for 1 + 120 seconds at the kernel's own
`tcp_timeout_time_wait`, and a DNS lookup is one for 30.

An answer of `auto` is remembered on the host. The same question gets the same answer at every run, until the budget no longer holds it, or the memory
has doubled; another share, load factor or target is another question. A number in place of `auto` is checked against the same budget. `table.never_lower`
keeps what is there where it is more, whichever way the number came about.

Playbooks and inventories reckon with the same functions by the filters `netfleet.conntrack.table_max`, `table_max_for_rate`, `table_buckets`,
`table_bytes` and `snat_rate`.
"""


def profiles_page() -> str:
    """Every profile: for whom, what it gives and why, and what it leaves alone."""
    return "\n".join(profile_entry(profile) for profile in profiles.PROFILES)


def profile_entry(profile) -> str:
    given = {(row.section, row.name): row.value for row in profile.rows}
    rows = [(f"`{row.section}.{row.name}`", f"`{str(row.value).lower()}`", markdown(row.reason)) for row in profile.rows]
    blocks = [f"## {profile.name}\n", f"{profile.title}.\n", f"- For: {profile.suits}\n- Not for: {profile.unfit}\n", table(["Option", "Value", "Why"], rows)]
    if profile.left:
        blocks.append("It says nothing about these:\n")
        blocks.append(table(["Option", "Why"], [(f"`{left.option}`", markdown(left.reason)) for left in profile.left]))
    if given.get(("table", "max")) == spec.AUTO:
        blocks.append(f"What it gives by memory, entries of {ENTRY} bytes:\n")
        blocks.append(by_memory(given["table", "memory_share"]))
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


def fragment(name: str, attribute: str, indent: int, prefix: str) -> list[str]:
    """The options of a documentation fragment as they stand below ``prefix``, where they have no defaults: a profile may give them."""
    text = (ROOT / "plugins/doc_fragments" / f"{name}.py").read_text()
    options = re.search(rf"^    {attribute} = r\"{{3}}\noptions:\n(.*?)^\"{{3}}", text, re.DOTALL | re.MULTILINE).group(1)
    blocks = re.split(r"^(?=  \w+:$)", options, flags=re.MULTILINE)[1:]
    lines = markup("".join(map(without_default, blocks)), prefix).splitlines()
    return [" " * (indent - 2) + line if line else line for line in lines]


def without_default(block: str) -> str:
    """The text of an option with its default in words."""
    found = re.search(r"^    default: (.*)\n", block, re.MULTILINE)
    if not found:
        return block
    told = "" if found.group(1) in ("[]", "''") else f"      - By default V({found.group(1)}).\n"
    return (block[: found.start()] + block[found.end():]).replace("    type: ", told + "    type: ", 1)


SECTIONS = (
    ("early_load", "DOCUMENTATION", "How tracking is switched on before the network is. Give an empty dictionary for the defaults; "
     "leave it out and nothing of ours does so."),
    ("snat", "DOCUMENTATION", "Rules of source NAT. Leave it out and there are none of ours."),
)


def policy_options(indent: int) -> str:
    """What the module C(policy) has besides the settings."""
    lines = profile_option(indent)
    for name, attribute, text in SECTIONS:
        lines += [*yaml_option(name, "dict", [text], indent), " " * indent + "  suboptions:", *fragment(name, attribute, indent + 4, f"{name}.")]
    return "\n".join(lines + fragment("early_load", "MANAGEMENT", indent, ""))


TARGETS = {
    "plugins/doc_fragments/settings.py": lambda: options_yaml(2),
    "plugins/doc_fragments/policy.py": lambda: policy_options(2),
    "docs/settings.md": reference,
    "docs/profiles.md": profiles_page,
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

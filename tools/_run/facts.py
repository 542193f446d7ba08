# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts of a host, for people."""

from collections import Counter

from .progress import shown


def text(facts):
    """What matters of the facts, a line each."""
    if facts.get("error"):
        return f"cannot be read: {facts['error']}"
    rows = [("kernel", kernel(facts))]
    if facts["available"]:
        rows += [("connections", connections(facts)), ("memory", memory(facts["memory"]))]
    rows += [("tracking", tracking(facts["tracking"])), ("loaded at boot by", facts["loaded_by"] or "nothing")]
    rows += [("boot values from", source) for source in sources(facts["settings"])]
    rows += [("problem at boot", problem) for problem in facts["boot_problems"]]
    return "\n".join(f"{name:<18} {value}" for name, value in rows)


def kernel(facts):
    state = "built in" if facts["builtin"] else "loaded" if facts["available"] else "not loaded"
    return f"{facts['kernel']}, connection tracking {state}"


def connections(facts):
    return f"{facts['count']} of {facts['max']} ({100 * facts['usage']:.1f} %), {facts['buckets']} buckets"


def memory(found):
    share = "" if found["share"] is None else f", {100 * found['share']:.1f} % of the memory"
    return f"{found['table_bytes'] / 2**20:.1f} MiB when the table is full{share} ({found['entry_bytes']} bytes an entry)"


def tracking(found):
    return f"IPv4 {found['ipv4']}, IPv6 {found['ipv6']}: {found['because']}"


def sources(settings):
    """The files that decide what the next boot gives, each with its settings."""
    decided = Counter(setting["source"].rpartition(":")[0] for setting in settings.values() if setting["source"].startswith("/"))
    return [f"{path} ({shown(number)} settings)" for path, number in sorted(decided.items())]

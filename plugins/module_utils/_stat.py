# Copyright: (c) 2026, netfleet.conntrack contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
# This file is private to the collection.
"""The counters of /proc/net/stat/nf_conntrack: text to numbers.

The file has a header line and one row of hexadecimal numbers for each possible
CPU (net/netfilter/nf_conntrack_standalone.c, ct_cpu_seq_show). Columns were
renamed and added over the years, so values are named by the header, never by
position, and a column unknown here is kept under its own name.

Counters are 32 bits wide for each CPU and wrap; they count since the network
namespace was made. Pure: no files.
"""

# Columns whose netlink name (what `conntrack -S` shows) says better what they count.
NAMES = {
    "chainlength": "chain_toolong",
    "clashres": "clash_resolve",
    "icmp_error": "error",
}

# The entries of the whole namespace, repeated on every row: no counter, and not to be summed.
REPEATED = "entries"


def parse(text):
    """Return one dict of counters for each CPU, in the order of the CPUs.

    An empty text gives an empty list. Raises ValueError where a row does not
    fit the header or holds no hexadecimal numbers.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    return [_row(lines[0], fields) for fields in lines[1:]]


def _row(header, fields):
    if len(fields) != len(header):
        raise ValueError("a row of %d columns below a header of %d" % (len(fields), len(header)))
    return {NAMES.get(name, name): int(value, 16) for name, value in zip(header, fields) if name != REPEATED}


def total(rows):
    """Return the sum over all CPUs for each counter that any of the rows has."""
    names = [name for row in rows for name in row]
    return {name: sum(row.get(name, 0) for row in rows) for name in names}

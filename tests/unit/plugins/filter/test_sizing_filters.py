# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters: what they give is what the modules work out, and what their documents promise."""
import inspect
import os
import re

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.plugins.filter.core import FilterModule as Core
from ansible.plugins.filter.mathstuff import FilterModule as Mathstuff
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from ansible_collections.netfleet.conntrack.plugins.filter import metrics, sizing
from ansible_collections.netfleet.conntrack.plugins.module_utils import _settings, _wanted
from ansible_collections.netfleet.conntrack.plugins.module_utils._view import View
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.requests import options

FOLDER = os.path.dirname(os.path.abspath(sizing.__file__))
FILTERS = sizing.FilterModule.filters()
MIB = 1024 ** 2
each = settings(max_examples=100, deadline=None, database=None)
MEMORY = st.integers(64 * MIB, 1 << 40)
SHARE = st.sampled_from([0.01, 0.05, 0.17, 0.3, 0.9])
FACTOR = st.sampled_from([0.5, 1.0, 3.0, 8.0])
SLAB = st.sampled_from([192, 256, 320])


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    return _settings.read(View(recorded.machine("live-6.18", tmp_path_factory.mktemp("live"))), {})


def wanted(state, memory, slab, **table):
    """What the module works out on a host with so much memory."""
    state = state._replace(kernel=state.kernel._replace(mem_total=memory, slab_bytes=slab, cpus=4))
    return _wanted.wanted(state, options(table=dict({"max": "auto"}, **table)))


@each
@given(MEMORY, SHARE, FACTOR, SLAB)
def test_they_agree_with_the_module_by_memory(live, memory, share, factor, slab):
    found = wanted(live, memory, slab, memory_share=share, load_factor=factor)
    most = sizing.table_max(memory, memory_share=share, entry_bytes=slab + 128, load_factor=factor)
    assert most == found.values["max"]
    assert sizing.table_buckets(most, factor) == found.values["buckets"]
    assert sizing.table_bytes(most, entry_bytes=slab + 128, load_factor=factor) == found.memory["table_bytes"]


@each
@given(st.integers(1, 10 ** 6), st.integers(1, 1000), FACTOR)
def test_they_agree_with_the_module_by_a_rate(live, rate, life, factor):
    found = wanted(live, 1 << 45, 256, memory_share=0.9, load_factor=factor, connections_per_second=rate, mean_life=life)
    assert sizing.table_max_for_rate(rate, life) == found.values["max"]


@each
@given(MEMORY, SHARE, FACTOR, SLAB)
def test_what_memory_holds_takes_no_more_than_its_share(memory, share, factor, slab):
    most = sizing.table_max(memory, memory_share=share, entry_bytes=slab + 128, load_factor=factor)
    assert most == 512 or sizing.table_bytes(most, entry_bytes=slab + 128, load_factor=factor) <= share * memory


@pytest.mark.parametrize("buckets", [1, 512, 513, 100000])
def test_chains_that_are_given_are_rounded_as_the_kernel_does(buckets):
    assert sizing.table_bytes(1000, buckets, entry_bytes=384) == 1000 * 384 + 16 * (-(-buckets // 512) * 512)


# How it is called, what it gives
SAME = [
    (sizing.table_max, (4, "GiB"), (4096, "MiB")), (sizing.table_max, ("4096", "MiB"), (2 ** 32,)), (sizing.table_max, (0.5, "GiB"), (512, "MiB")),
    (sizing.table_max, (2 ** 30, "B", "0.1"), (2 ** 30, "B", 0.1)), (sizing.table_buckets, ("513", "2"), (513, 2.0)),
    (sizing.snat_rate, ("64512", "60"), (64512, 60)), (sizing.table_max_for_rate, ("1.5", "1e3"), (1.5, 1000)),
]


@pytest.mark.parametrize("filter_, one, other", SAME)
def test_units_and_texts(filter_, one, other):
    assert filter_(*one) == filter_(*other)


# Bad input: the error
WRONG = {
    "no number": (sizing.table_max, ("much",), {}, "memory: much is not a number"),
    "nothing": (sizing.table_max, (None,), {}, "memory: None is not a number"),
    "true": (sizing.table_buckets, (True,), {}, "connections: True is not a whole number"),
    "a fraction of a connection": (sizing.table_bytes, (1.5,), {}, "connections: 1.5 is not a whole number"),
    "its text": (sizing.table_bytes, ("1.5",), {}, "connections: 1.5 is not a whole number"),
    "no memory": (sizing.table_max, (0,), {}, "memory: 0 is not between 0.001 and 9223372036854775808"),
    "no number at all": (sizing.table_max, (float("nan"),), {}, "memory: nan is not between 0.001 and 9223372036854775808"),
    "another unit": (sizing.table_max, (4, "GB"), {}, "unit: GB is none of B, KiB, MiB, GiB"),
    "more than all memory": (sizing.table_max, (4,), {"memory_share": 1.5}, "memory_share: 1.5 is not between 0.0001 and 0.9"),
    "too many in a chain": (sizing.table_buckets, (4, 9), {}, "load_factor: 9 is not between 0.125 and 8.0"),
    "no pages": (sizing.table_buckets, (4,), {"page_size": 0}, "page_size: 0 is not between 4096 and 65536"),
    "entries of nothing": (sizing.table_bytes, (4,), {"entry_bytes": 0}, "entry_bytes: 0 is not between 1 and 65536"),
    "no chains": (sizing.table_bytes, (4, 0), {}, "buckets: 0 is not between 1 and 2147483647"),
    "standing still": (sizing.table_max_for_rate, (0, 10), {}, "connections_per_second: 0 is not between 1 and 2147483647"),
    "for ever": (sizing.table_max_for_rate, (1, 10 ** 9), {}, "mean_life: 1000000000 is not between 1 and 2147483"),
    "no ports": (sizing.snat_rate, (0,), {}, "ports: 0 is not between 1 and 2147483647"),
    "no time": (sizing.snat_rate, (9, 0), {}, "time_wait: 0 is not between 1 and 2147483"),
    "less than no time": (sizing.snat_rate, (9, 60, -1), {}, "open_for: -1 is not between 0 and 2147483"),
    "a list": (sizing.snat_rate, ([9],), {}, "ports: [9] is not a whole number"),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_wrong(name):
    filter_, given_, named, text = WRONG[name]
    with pytest.raises(AnsibleFilterError) as error:
        filter_(*given_, **named)
    assert text in str(error.value)


# Documents


def document(name):
    with open(os.path.join(FOLDER, name + ".yml"), encoding="utf-8") as stream:
        return yaml.safe_load(stream)


def test_every_filter_has_its_document_and_no_document_lacks_its_filter():
    known = [*FILTERS, *metrics.FilterModule().filters()]
    assert sorted(known) == sorted(name[:-4] for name in os.listdir(FOLDER) if name.endswith(".yml"))


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_a_document_tells_what_the_function_takes(name):
    found = document(name)["DOCUMENTATION"]
    taken = list(inspect.signature(FILTERS[name]).parameters.values())
    described = {option: row.get("default") for option, row in found["options"].items() if option != "_input"}
    assert found["name"] == name
    assert described == {p.name: None if p.default is p.empty else p.default for p in taken[1:]}
    positional = [part.strip() for part in found["positional"].split(",")]
    assert positional == [p.name for p in taken[1:]][: len(positional)]
    assert not {option for option, row in found["options"].items() if row.get("required")} - {"_input"} - {p.name for p in taken if p.default is p.empty}


EXAMPLES = [(name, text, value) for name in sorted(FILTERS)
            for text, value in re.findall(r'msg: "(.*)"  # (.*)$', document(name)["EXAMPLES"], re.MULTILINE)]


@pytest.mark.parametrize("name, text, value", EXAMPLES)
def test_an_example_gives_what_it_says(name, text, value):
    environment = Environment()
    environment.filters.update(Core().filters(), **Mathstuff().filters())
    environment.filters.update({"netfleet.conntrack." + key: function for key, function in FILTERS.items()})
    assert environment.from_string(text).render() == value


def test_every_filter_has_examples():
    assert {name for name, dummy, dummy in EXAMPLES} == set(FILTERS)
    assert len(EXAMPLES) == sum(document(name)["EXAMPLES"].count("- name:") for name in FILTERS)

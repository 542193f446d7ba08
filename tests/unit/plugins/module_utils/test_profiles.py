# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The profiles: sound on every kernel and every size of machine, with a reason for each value."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.netfleet.conntrack.plugins.module_utils import _document, _early_load, _settings, _sizing, _spec
from ansible_collections.netfleet.conntrack.plugins.module_utils._catalogue import BY_NAME, CATALOGUE
from ansible_collections.netfleet.conntrack.plugins.module_utils._profiles import BY_NAME as PROFILE
from ansible_collections.netfleet.conntrack.plugins.module_utils._profiles import PROFILES
from ansible_collections.netfleet.conntrack.plugins.module_utils._view import View
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils import recorded
from ansible_collections.netfleet.conntrack.tests.unit.plugins.module_utils.requests import options

MIB, GIB = 1024 ** 2, 1024 ** 3
NAMES = [profile.name for profile in PROFILES]
ROWS = [(profile, row) for profile in PROFILES for row in profile.rows]
IDS = ["%s %s" % (profile.name, row.name) for profile, row in ROWS]
VERSIONS = ((4, 18), (5, 3), (5, 4), (5, 10), (5, 14), (5, 15), (6, 1), (6, 2), (6, 3), (6, 12), (6, 17), (6, 18))
SLABS = (192, 256, 320)
every_profile = pytest.mark.parametrize("profile", PROFILES, ids=NAMES)


def completed(profile, **document):
    """The document of a profile as AnsibleModule hands it to the parts."""
    found = _document.complete(dict(document, profile=profile.name))[0]
    return options(**{group: found.get(group, {}) for group in _spec.GROUPS}), found


# The table


def test_there_are_profiles_for_the_hosts_that_track_connections():
    assert {"home_router", "nat_gateway", "cgnat", "kubernetes_node", "load_balancer", "server"} <= set(NAMES)
    assert len(NAMES) == len(set(NAMES))


@every_profile
def test_a_profile_tells_for_whom_it_is_and_gives_each_value_once(profile):
    assert all(len(text) > 20 for text in (profile.title, profile.suits, profile.unfit))
    paths = [(row.section, row.name) for row in profile.rows] + [tuple(left.option.split(".")) for left in profile.left]
    assert len(paths) == len(set(paths))


@every_profile
def test_no_kernel_refuses_a_value(profile):
    request, document = completed(profile)
    assert list(_spec.problems(request)) == []
    assert set(document.get("early_load", {})) <= set(_early_load.spec())


@pytest.mark.parametrize("profile, row", ROWS, ids=IDS)
def test_a_value_keeps_the_floor_or_says_that_it_does_not(profile, row):
    floor = BY_NAME[row.name].floor if row.name in BY_NAME else 0
    assert not floor or row.value >= floor or "below the floor" in row.reason


@pytest.mark.parametrize("profile, row", ROWS, ids=IDS)
def test_a_reason_is_one(profile, row):
    assert len(row.reason) > 60 and row.reason.endswith(".")
    assert row.section == "early_load" or any(letter.isdigit() for letter in row.reason)
    assert row.section != "timeouts" or "RFC" in row.reason or "kernel" in row.reason or "Linux" in row.reason


def test_a_profile_gives_what_it_is_not_silent_about():
    owned = {left.option for left in PROFILE["kubernetes_node"].left}
    assert owned == {"table.max", "table.buckets", "timeouts.tcp_timeout_established", "timeouts.tcp_timeout_close_wait"}
    request = _settings_names(completed(PROFILE["kubernetes_node"])[0])
    assert not request & {"max", "buckets", "tcp_timeout_established", "tcp_timeout_close_wait"}


def _settings_names(request):
    return set(_spec.requested(request))


# profile, bytes of memory, what auto gives: also what its reasons say
TOLD = (
    ("nat_gateway", 4 * GIB, 524288), ("nat_gateway", 64 * GIB, 8388608),
    ("home_router", 64 * MIB, 16384), ("home_router", 256 * MIB, 65536), ("cgnat", 64 * GIB, 33554432),
    ("load_balancer", 4 * GIB, 524288), ("server", GIB, 65536), ("server", 32 * GIB, 2097152),
)


@pytest.mark.parametrize("name, memory, most", TOLD)
def test_figures_in_reasons_are_true(name, memory, most):
    rows = {row.name: row for row in PROFILE[name].rows}
    assert _sizing.auto_max(memory, rows["memory_share"].value, 384, 1.0) == most
    assert str(most) in rows["memory_share"].reason


# On hosts


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    return _settings.read(View(recorded.machine("live-6.18", tmp_path_factory.mktemp("live"))), {})


def host(state, memory, cpus, version, slab, loaded=True):
    """The recorded machine as one of another size with a kernel of another version, on which nothing was set."""
    buckets = _sizing.default_buckets(memory, 4096, version)
    running = {s.name: s.default(version) for s in CATALOGUE if s.exists_in(version) and s.access != "ro" and s.default(version) is not None}
    running.update(buckets=buckets, max=_sizing.default_max(buckets, False, version))
    running.update(zip(("expect_hashsize", "expect_max"), _sizing.default_expectations(buckets, 4096)))
    release = "%d.%d.0" % version
    kernel = state.kernel._replace(release=release, version=version, mem_total=memory, cpus=cpus, slab_bytes=slab, running=running if loaded else {},
                                   available=loaded, builtin=False, loadable=True, count=0 if loaded else None)
    return state._replace(kernel=kernel, inputs=state.inputs._replace(release=release, mem_total=memory, builtin=False))


def plan(state, profile, **document):
    return _settings.plan(state, completed(profile, **document)[0])


@every_profile
@settings(max_examples=60, deadline=None, database=None)
@given(memory=st.integers(64 * MIB, 512 * GIB), cpus=st.integers(1, 128), version=st.sampled_from(VERSIONS), slab=st.sampled_from(SLABS), loaded=st.booleans())
def test_it_is_planned_without_a_word_on_any_host(live, profile, memory, cpus, version, slab, loaded):
    state = host(live, memory, cpus, version, slab, loaded)
    found = plan(state, profile)
    assert (found.refusals, found.warnings) == ((), ())
    table = found.returns["settings"]
    if "max" in table:
        share = next(row.value for row in profile.rows if row.name == "memory_share")
        assert found.returns["memory"]["table_bytes"] <= share * memory
        assert found.changes


@every_profile
@pytest.mark.parametrize("version", VERSIONS)
def test_the_largest_and_the_smallest_host(live, profile, version):
    for memory, cpus in ((64 * MIB, 1), (64 * MIB, 128), (512 * GIB, 1), (512 * GIB, 128)):
        found = plan(host(live, memory, cpus, version, 320), profile)
        assert (found.refusals, found.warnings) == ((), ())


@pytest.mark.parametrize("slab", SLABS)
@pytest.mark.parametrize("memory", [54, 64, 100, 128, 200, 256])
def test_a_small_router_gets_a_table_of_use_that_does_not_eat_it(live, memory, slab):
    found = plan(host(live, memory * MIB, 1, (6, 6), slab), PROFILE["home_router"]).returns
    assert found["settings"]["max"] >= 16384
    assert found["memory"]["table_bytes"] < 0.17 * memory * MIB


@every_profile
def test_no_profile_shrinks_what_the_kernel_starts_with(live, profile):
    for version in VERSIONS:
        for gib in (1, 2, 5, 16, 512):
            state = host(live, gib * GIB, 2, version, 320)
            assert plan(state, profile).returns["settings"].get("max", state.kernel.running["max"]) >= state.kernel.running["max"]


@every_profile
@pytest.mark.parametrize("name", [name for name in recorded.names() if not name.endswith("-netns")])
def test_it_is_planned_on_recorded_hosts(name, profile, tmp_path):
    request, document = completed(profile)
    view = View(recorded.machine(name, tmp_path))
    found = _settings.plan(_settings.read(view, request), request)
    assert (found.refusals, found.warnings) == ((), ())
    if "early_load" in document and view.unit.systemd:
        assert _early_load.plan(_early_load.read(view, document["early_load"]), document["early_load"]).refusals == ()


@every_profile
def test_a_second_time_there_is_nothing_to_do(live, profile):
    state = host(live, 2 * GIB, 4, (6, 12), 256)
    first = plan(state, profile)
    values = {name: int(value) for name, value in first.returns["settings"].items()}
    after = state._replace(kernel=state.kernel._replace(running=dict(state.kernel.running, **values)), memo=first.memo)
    assert [change for change in plan(after, profile).changes if change.layer == "running"] == []


def test_a_target_takes_the_place_of_the_memory(live):
    state = host(live, 16 * GIB, 8, (6, 12), 256)
    document = {"table": {"per_cpu": 50000}}
    found = plan(state, PROFILE["nat_gateway"], **document)
    assert (found.returns["settings"]["max"], found.refusals) == (400384, ())
    kubernetes = plan(state, PROFILE["kubernetes_node"], table={"max": "auto", "per_cpu": 32768})
    assert (kubernetes.returns["settings"]["max"], kubernetes.refusals) == (262144, ())

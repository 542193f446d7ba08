# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The laws of the page: light enough, quick enough, closed to what hosts say, and readable by everybody.

REPORT_PICTURES=docs/images keeps the pictures that the documentation shows.
"""

import os
import statistics
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from ansible_collections.netfleet.conntrack.tests.unit.plugins.plugin_utils import results

MANY, SOME = 1000, 25
# What a browser takes for a page is told, and not judged, for machines are noisy. So many elements load within 2 seconds on two slow CPUs.
BYTES, ELEMENTS = 6 * 2**20, 50_000
PICTURES = os.environ.get("REPORT_PICTURES")
ROWS = "#grid tbody tr:not([hidden])"
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
# From the start of the navigation until the filters are at work.
READY = "() => performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
SEARCH = """text => new Promise(done => {
    const field = document.querySelector('[name=text]'), began = performance.now();
    new MutationObserver(() => requestAnimationFrame(() => done(performance.now() - began))).observe(document.getElementById('told'), {childList: true});
    field.value = text;
    field.dispatchEvent(new Event('input', {bubbles: true}));
})"""


def hosts(count):
    return results.report(count)["hosts"]


def told(page):
    return page.inner_text("#told")


def shown(page):
    return page.locator(ROWS).count()


def filtered(page, act):
    """Do something to the filters, and wait until the page has said what came of it."""
    before = told(page)
    act()
    page.wait_for_function("before => document.getElementById('told').textContent !== before", arg=before)


def picture(page, name, **options):
    if PICTURES:
        page.screenshot(path=Path(PICTURES, f"report-{name}.png"), **options)


def test_a_thousand_routers_are_light_and_quick(opened, written):
    assert written(MANY).stat().st_size < BYTES
    seconds, searches = [], []
    for _number in range(3):
        page = opened(MANY)
        seconds.append(page.evaluate(READY) / 1000)
        searches += [page.evaluate(SEARCH, text) / 1000 for text in ("udp", "r7", "")]
    size = written(MANY).stat().st_size / 2**20
    elements = page.evaluate("() => document.getElementsByTagName('*').length")
    print(f"\n{MANY} routers: {size:.1f} MiB, {elements} elements, loaded in {min(seconds):.2f} s, a search {statistics.median(searches):.2f} s")
    assert elements < ELEMENTS
    assert shown(page) == MANY


def test_what_hosts_say_stays_text(opened, written):
    page = opened(SOME)
    names = [host["name"] for host in hosts(SOME)]
    hostile = next(name for name in names if "<script" in name)
    assert page.locator(f"{ROWS} >> nth=0").inner_text().startswith(hostile)
    assert page.locator("script").count() == 2 and page.locator("img, iframe, object, embed, base, link").count() == 0
    for details in page.locator("details").all():
        details.evaluate("each => { each.open = true; }")
    assert page.locator("script").count() == 2 and page.locator("img, iframe, object, embed, base, link").count() == 0
    assert page.evaluate("() => [...document.querySelectorAll('*')].flatMap(each => each.getAttributeNames()).filter(name => name.startsWith('on'))") == []
    assert page.evaluate("() => [...document.links].every(link => link.getAttribute('href').startsWith('#'))")
    text = written(SOME).read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script") == 2 and "default-src &#39;none&#39;" in text


def test_the_odd_ones_come_first_and_can_be_read_without_scripts(opened):
    page = opened(SOME, java_script_enabled=False)
    odd = [host for host in hosts(SOME) if host["differences"]]
    assert page.locator(ROWS).count() == SOME
    for number, host in enumerate(odd):
        block = page.locator("details.host").nth(number)
        said = block.text_content()
        assert host["name"] in said
        assert all(row["kind"] in said and row["name"] in said for row in host["differences"])
    assert page.locator("#more").is_hidden()


@pytest.mark.parametrize("count", [SOME, MANY])
def test_filters(opened, count):
    page, every = opened(count), hosts(count)
    assert told(page) == f"All {count:,} routers are shown."
    statuses = {status: sum(host["status"] == status for host in every) for status in ("drift", "unknown", "unreachable", "clean")}
    for status, number in statuses.items():
        filtered(page, lambda status=status: page.locator(f"[name=status][value={status}]").check())
        assert shown(page) == number and told(page) == f"{number} of {count:,} routers are shown."
        filtered(page, lambda status=status: page.locator(f"[name=status][value={status}]").uncheck())
    filtered(page, lambda: page.locator("[name=fresh]").check())
    assert shown(page) == sum(any(row["new"] for row in host["differences"]) for host in every)
    filtered(page, lambda: page.locator("button[type=reset]").click())
    assert shown(page) == count
    filtered(page, lambda: page.select_option("[name=value]", label=next(
        label for label in page.locator("option").all_inner_texts() if label.startswith("max"))))
    assert shown(page) == sum(any(row["name"] == "max" for row in host["differences"]) for host in every)


def test_by_keyboard_alone(opened):
    page = opened(SOME)
    page.keyboard.press("/")
    filtered(page, lambda: page.keyboard.type("r2.example.net"))
    assert page.locator(ROWS).first.inner_text().startswith("r2.example.net")
    page.locator(f"{ROWS} a").first.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.tagName") == "SUMMARY" and page.locator("details.host[open]:not([hidden])").count() == 1


def test_values_of_a_router_as_wanted_come_when_they_are_asked_for(opened):
    page = opened(SOME)
    clean = next(number for number, host in enumerate(hosts(SOME)) if host["status"] == "clean" and host["compared"])
    page.locator(f'#grid tr[data-h="{clean}"] a').first.click()
    said = page.locator(f'details[data-h="{clean}"]').text_content()
    assert all(value["name"] in said for value in hosts(SOME)[clean]["compared"])


def test_only_columns_in_which_something_differs(opened):
    page = opened(SOME)
    narrow = page.locator("#grid .heads th:visible").count()
    page.locator("[name=narrow]").uncheck()
    page.wait_for_function("before => [...document.querySelectorAll('#grid .heads th')].filter(each => each.offsetWidth).length > before", arg=narrow)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["wide", "phone"])
def test_nobody_is_shut_out(opened, scheme, size):
    page = opened(SOME, color_scheme=scheme, **(PHONE if size == "phone" else {}))
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    assert found.violations_count == 0, found.generate_report()
    if (scheme, size) == ("dark", "wide"):
        picture(page, "dark")


def test_on_a_phone_nothing_runs_out_of_the_page(opened):
    page = opened(SOME, **PHONE)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    for details in page.locator("details").all():
        details.evaluate("each => { each.open = true; }")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    page.evaluate("() => scrollTo(0, 0)")
    picture(page, "narrow", full_page=True, clip={"x": 0, "y": 0, "width": 390, "height": 1900})


def test_light_and_dark_can_be_chosen(opened):
    page = opened(SOME, color_scheme="light")
    ground = "() => getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(ground)
    picture(page, "wide", full_page=True, clip={"x": 0, "y": 0, "width": 1400, "height": 1500})
    page.locator("#theme").click()
    assert page.evaluate(ground) != light and page.inner_text("#theme") == "Light"
    page.locator("#theme").click()
    assert page.evaluate(ground) == light


def test_printed_it_shows_everything_and_no_controls(opened, tmp_path):
    page = opened(SOME)
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("details.host:not([open])").count() == 0
    assert page.locator("#more").is_hidden() and page.locator("#theme").is_hidden()
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")

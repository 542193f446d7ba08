# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page in headless Chromium, of a fleet of made up routers, some of which have hostile names, rules and messages."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from ansible_collections.netfleet.conntrack.plugins.plugin_utils import _report_page
from ansible_collections.netfleet.conntrack.tests.unit.plugins.plugin_utils import results

PROGRAM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")


@pytest.fixture(scope="session")
def chromium():
    if not os.access(PROGRAM, os.X_OK):
        pytest.fail(f"{PROGRAM} is not there; install the package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Number of routers -> path of their page."""
    folder, known = tmp_path_factory.mktemp("pages"), {}

    def path(count):
        if count not in known:
            known[count] = folder / f"{count}.html"
            known[count].write_text(_report_page.render(results.report(count)), encoding="utf-8")
        return known[count]

    return path


@pytest.fixture
def opened(chromium, written):
    """Open the page of so many routers, and see that it asks for nothing else, says nothing by itself, and breaks nowhere."""
    contexts, wrong = [], []

    def open_page(count, **options):
        contexts.append(chromium.new_context(**{"viewport": {"width": 1400, "height": 1000}, **options}))
        page = contexts[-1].new_page()
        address = written(count).as_uri()
        page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: request.url.partition("#")[0] == address or wrong.append(f"request: {request.url}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("console", lambda message: message.type in ("error", "warning") and wrong.append(f"{message.type}: {message.text}"))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong

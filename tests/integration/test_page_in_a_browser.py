"""The pages as people meet them: a real api-server, and Chromium in front of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from airflow_autoremed.demo.deployment import Airflow
from airflow_autoremed.demo.processes import Processes
from airflow_autoremed.history import Store
from tests.support.chromium import PROGRAM, Browser, Page, chromium
from tests.support.page_history import Fleet

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium here: apt-get install chromium"),
]

DAGS = Path(__file__).parents[1] / "data" / "page_dags"
USERS = {"ada": "admin", "ed": "user", "vera": "viewer"}


class WithLogins(Airflow):
    """Everybody's password is their name."""

    def sign_in(self, web: Any) -> str:
        return str(web.post("/auth/token", {"username": "ada", "password": "ada"})["access_token"])


@dataclass
class Site:
    url: str
    run: str
    """As it stands in an address."""
    store: Store
    key: str
    """Of the patch that healed the task."""

    @property
    def instance(self) -> str:
        return f"{self.url}/dags/nightly_sales/runs/{self.run}/tasks/join_orders"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("page")
    (home / "passwords.json").write_text(json.dumps({name: name for name in USERS}))
    settings = {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
            f"{name}:{role}" for name, role in USERS.items()
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
    }
    processes = Processes(home / "processes")
    airflow = WithLogins(home / "airflow", DAGS, processes, os.environ, "act", settings)
    try:
        airflow.start()
        airflow.wait_until_ready({"nightly_sales"})
        run = airflow.trigger("nightly_sales")
        store = Store(f"sqlite:///{home / 'airflow' / 'autoremed.db'}", deadline_s=30)
        fleet = Fleet(store)
        fleet.healed("nightly_sales", "join_orders", "an earlier run", hours_ago=30)
        key = fleet.healed("nightly_sales", "join_orders", run, hours_ago=2)
        yield Site(airflow.url, quote(run, safe=""), store, key)
        store.close()
    finally:
        processes.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


def signed_in(browser: Browser, site: Site, name: str) -> Page:
    page = browser.page()
    page.open(f"{site.url}/auth/login")
    page.write("input[name=username]", name)
    page.write("input[name=password]", name)
    page.click("button[type=submit]")
    page.wait("!location.pathname.includes('login') && document.cookie.includes('_token')")
    return page


def test_an_editor_sees_chain_and_change_in_the_tab_revokes_the_patch_and_finds_it_in_the_record(
    browser: Browser, site: Site
) -> None:
    page = signed_in(browser, site, "ed")
    page.open(f"{site.instance}/plugin/autoremed-attempts")
    page.wait("frame !== document && frame.querySelector('.chain')")
    text = page.text()
    assert "Healed: attempt 2 succeeded with a changed configuration" in text
    assert "java.lang.OutOfMemoryError: Java heap space" in text
    assert page.ask("[...frame.querySelectorAll('td.after')].map((each) => each.innerText)")[0] == "3g"
    page.write("form[action$='/revoke'] input[name=why]", "it costs too much")
    page.click("form[action$='/revoke'] button")
    page.click("dialog button.danger")
    page.wait("frame.body.innerText.includes('over all runs')")
    page.wait("frame.querySelector('.life')")
    life = page.ask("[...frame.querySelectorAll('.life')].map((each) => each.textContent).join()")
    assert "ed (page): it costs too much" in life
    assert not [error for error in page.errors if "autoremed" in error]


def test_a_viewer_reads_the_tab_and_has_no_button_and_is_refused(browser: Browser, site: Site) -> None:
    page = signed_in(browser, site, "vera")
    page.open(f"{site.instance}/plugin/autoremed-attempts")
    page.wait("frame !== document && frame.querySelector('.timeline')")
    assert page.ask("frame.querySelectorAll('form').length") == 0
    path = f"/autoremed/dags/nightly_sales/patches/{site.key}/revoke"
    answer = (
        "const ask = new XMLHttpRequest(); ask.open('POST', PATH, false);"
        "ask.setRequestHeader('content-type', 'application/x-www-form-urlencoded'); ask.send('why=x'); ask.status"
    ).replace("PATH", json.dumps(path))
    assert page.ask(f"eval({json.dumps(answer)})") == 403


def test_the_page_is_dark_where_airflow_is(browser: Browser, site: Site) -> None:
    page = signed_in(browser, site, "ed")
    page.ask("localStorage.setItem('theme', 'dark')")
    page.open(f"{site.instance}/plugin/autoremed-attempts")
    page.wait("frame !== document && frame.querySelector('.timeline')")
    page.wait("frame.documentElement.classList.contains('dark')")


def test_the_link_of_the_operator_leads_to_the_page(browser: Browser, site: Site) -> None:
    page = signed_in(browser, site, "vera")
    page.open(f"{site.instance}/details")
    page.click("a[href*='autoremed/dags/nightly_sales']")
    page.wait("location.pathname.startsWith('/autoremed/') && frame.querySelector('.timeline')")

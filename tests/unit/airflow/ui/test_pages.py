"""What a person reads on the pages, also when there is nothing to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from airflow_autoremed.airflow.ui import app
from airflow_autoremed.airflow.ui.visible import visible
from airflow_autoremed.history import Store

RUN = quote("scheduled__2026-11-28T02:00:00+00:00", safe="")
HEALED = f"/dags/nightly_sales/runs/{RUN}/tasks/join_orders?map_index={{MAP_INDEX}}"


@pytest.fixture
def page(browser: Callable[..., Any]) -> Callable[[str], str]:
    def get(path: str, status: int = 200) -> str:
        answer = browser("VIEWER").get(path)
        assert answer.status_code == status, answer.text
        return str(answer.text)

    return get


def test_a_healed_task_tells_cause_chain_lines_change_and_outcome(
    page: Callable[[str], str], filled: tuple[Store, str]
) -> None:
    text = page(HEALED)
    assert "Healed: attempt 2 succeeded with a changed configuration" in text
    assert "JVM heap of an executor exhausted" in text
    assert "<mark>java.lang.OutOfMemoryError: Java heap space</mark>" in text
    assert "aborting job" in text  # the context of the deciding line
    assert "Not seen: the executors&#39; own logs." in text
    assert '<td class="before">2g</td><td class="after">3g</td>' in text
    assert '<td class="before">not set</td><td class="after">768m</td>' in text
    assert 'rel="next"' in text
    assert 'rel="prev"' not in text


def test_markup_in_a_log_stays_text(page: Callable[[str], str], filled: tuple[Store, str]) -> None:
    text = page(HEALED)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_nothing_in_a_log_is_hidden_or_turned_around() -> None:
    assert (
        visible("\x1b[31mred\x1b[0m a\u202eb \x1b]8;;http://evil\x07")
        == "red a\\u202eb \\u001b]8;;http://evil\\u0007"
    )


def test_a_stopped_task_is_told_in_one_line(page: Callable[[str], str], filled: tuple[Store, str]) -> None:
    text = page("/dags/nightly_sales/runs/scheduled__2026-11-30T02:00:00+00:00/tasks/load_customers")
    assert "Stopped: no retry can succeed" in text


def test_a_task_without_records_is_told_how_to_opt_in(page: Callable[[str], str]) -> None:
    text = page("/dags/some_dag/runs/r/tasks/t")
    assert "Nothing is recorded here" in text
    assert "remediate(task)" in text


def test_a_task_over_all_runs_shows_what_would_make_its_patch_permanent(
    page: Callable[[str], str], filled: tuple[Store, str]
) -> None:
    text = page("/dags/nightly_sales/tasks/join_orders")
    assert "Coming runs begin with a promoted patch" in text
    assert "- &#34;spark.executor.memory&#34;: &#34;2g&#34;," in text
    assert "+ &#34;spark.executor.memory&#34;: &#34;3g&#34;," in text
    assert text.count("succeeded</span>") == 3


def test_the_overview_puts_first_what_needs_a_person(
    page: Callable[[str], str], filled: tuple[Store, str]
) -> None:
    text = page("/overview")
    assert text.index("Needs a person") < text.index("By cause")
    assert "feed &lt;id&gt; answered with state &lt;n&gt;" in text
    assert "Had it acted" in text


def test_the_overview_tells_nothing_of_dags_that_the_reader_may_not_see(
    page: Callable[[str], str], filled: tuple[Store, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "readable_dags", lambda user: {"finance"})
    text = page("/overview")
    assert "ledger_close" in text or "finance" in text
    assert "nightly_sales" not in text
    assert "fetch_feed" not in text


def test_an_empty_store_is_a_page(page: Callable[[str], str]) -> None:
    assert "No failures were recorded" in page("/overview")


def test_a_store_that_cannot_be_used_is_a_page(
    browser: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    broken = Store(f"sqlite:///{tmp_path}/a file/autoremed.db")
    monkeypatch.setattr(app, "store", lambda: broken)
    for path in ("/overview", HEALED, "/dags/nightly_sales/tasks/join_orders"):
        answer = browser("VIEWER").get(path)
        assert answer.status_code == 503
        assert "The store cannot be used from here" in answer.text
    assert browser("VIEWER").get("/health").status_code == 200


def test_one_unreadable_row_is_marked_and_the_rest_is_shown(
    page: Callable[[str], str], filled: tuple[Store, str], airflow_home: Path
) -> None:
    import sqlite3

    with sqlite3.connect(airflow_home / "autoremed.db") as connection:
        changed = connection.execute(
            "update autoremed_attempts set baseline = 'not JSON' where task_id = 'join_orders' and try_number = 2"
        )
        assert changed.rowcount == 1
    text = page(HEALED)
    assert "This attempt cannot be read" in text
    assert "JVM heap of an executor exhausted" in text
    assert "unreadable" in page("/dags/nightly_sales/tasks/join_orders")


def test_a_fault_of_ours_shows_nothing_of_itself(
    browser: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, filled: tuple[Store, str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(app.totals, "of", fail)
    answer = browser("VIEWER").get("/overview")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "content-security-policy" in answer.headers


def test_no_page_names_another_host(page: Callable[[str], str], filled: tuple[Store, str]) -> None:
    for path in ("/overview", "/health", HEALED, "/dags/nightly_sales/tasks/join_orders"):
        text = page(path)
        assert 'src="http' not in text
        assert 'href="http' not in text
        assert "<style" not in text
        assert " style=" not in text


def test_addresses_hold_behind_a_prefix(browser: Callable[..., Any], filled: tuple[Store, str]) -> None:
    client = browser("VIEWER")
    client._transport.root_path = "/team/air/autoremed"
    text = client.get("/team/air/autoremed/dags/nightly_sales/tasks/join_orders").text
    assert 'href="/team/air/autoremed/static/page.css' in text
    assert 'data-airflow href="/team/air/dags/nightly_sales"' in text


def test_the_chart_library_is_the_one_that_was_checked() -> None:
    import hashlib

    script = Path(app.__file__).parent / "static" / "uPlot.iife.min.js"
    assert hashlib.sha256(script.read_bytes()).hexdigest() == CHECKSUM


CHECKSUM = "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"

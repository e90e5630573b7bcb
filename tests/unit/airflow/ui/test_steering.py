"""A person sets modes, and undoes it: what the pages show, and who may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_autoremed.history import Store
from airflow_autoremed.types import Mode

TASK = "/dags/nightly_sales/tasks/join_orders"
SHADOW = {"mode": "shadow", "why": "an experiment"}


@pytest.fixture
def store(filled: tuple[Store, str]) -> Store:
    return filled[0]


def test_an_editor_sets_the_mode_of_a_task_and_undoes_it(browser: Callable[..., Any], store: Store) -> None:
    client = browser("USER")
    form = {**SHADOW, "task_id": "join_orders", "page": "join_orders"}
    answer = client.post("/dags/nightly_sales/mode", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, TASK)
    told = client.get(TASK).text
    assert "<b>shadow</b> for the task nightly_sales.join_orders, set by some USER (page)" in told
    assert "an experiment" in told
    (override,) = store.overrides_of("nightly_sales", "join_orders")
    assert override.mode is Mode.SHADOW
    undo = f"/dags/nightly_sales/modes/{override.id}/undo"
    assert client.post(undo, data={"why": "it is over", "page": "join_orders"}).status_code == 303
    assert store.overrides_of("nightly_sales", "join_orders") == ()
    assert "Nobody has set another here" in client.get(TASK).text
    record = client.get("/modes").text
    assert "by some USER (page): it is over" in record


def test_a_mode_for_the_whole_dag_holds_for_each_of_its_tasks(
    browser: Callable[..., Any], store: Store
) -> None:
    browser("USER").post("/dags/nightly_sales/mode", data={**SHADOW, "task_id": ""})
    assert "shadow</b> for the Dag nightly_sales" in browser("VIEWER").get(TASK).text
    assert store.overrides_of("finance", "ledger_close") == ()


def test_one_stop_for_everything_is_told_on_every_page_until_it_is_undone(
    browser: Callable[..., Any], store: Store
) -> None:
    client = browser("ADMIN")
    assert client.post("/modes", data={"mode": "off", "why": "an incident"}).status_code == 303
    for path in ("/overview", "/modes", "/health", TASK, "/dags/nightly_sales/runs/r/tasks/join_orders"):
        assert "Everything is switched off" in browser("VIEWER").get(path).text, path
    (stop,) = store.overrides(10, in_force_only=True)
    assert client.post(f"/modes/{stop.id}/undo", data={"why": "solved"}).status_code == 303
    assert "Everything is switched off" not in client.get("/overview").text


def test_a_category_is_held_back_and_must_be_known(browser: Callable[..., Any], store: Store) -> None:
    client = browser("ADMIN")
    category = {"category": "executor_oom_heap"}
    assert client.post("/modes", data={**SHADOW, **category}).status_code == 303
    assert client.post("/modes", data={**SHADOW, "category": "no such"}).status_code == 422
    assert "failures of the category executor_oom_heap" in client.get("/modes").text


@pytest.mark.parametrize("wrong", [{"mode": "on"}, {"mode": "shadow", "why": " "}, {"mode": "act"}])
def test_nothing_is_set_without_a_mode_and_a_reason(
    browser: Callable[..., Any], store: Store, wrong: dict[str, str]
) -> None:
    assert browser("ADMIN").post("/modes", data={"why": "x", **wrong}).status_code == 422
    assert store.overrides(10) == []


def test_what_concerns_every_dag_needs_more_than_the_right_to_edit_one(
    browser: Callable[..., Any], store: Store
) -> None:
    browser("ADMIN").post("/modes", data=SHADOW)
    (stop,) = store.overrides(10)
    for role in ("VIEWER", "USER"):
        client = browser(role)
        assert client.post("/modes", data=SHADOW).status_code == 403
        assert client.post(f"/modes/{stop.id}/undo", data={"why": "x"}).status_code == 403
        assert "Stop everything" not in client.get("/modes").text
    assert store.override(stop.id) == stop
    assert browser("OP").post("/modes", data=SHADOW).status_code == 303


def test_a_viewer_sets_nothing(browser: Callable[..., Any], store: Store) -> None:
    client = browser("VIEWER")
    assert client.post("/dags/nightly_sales/mode", data=SHADOW).status_code == 403
    assert "Change it" not in client.get(TASK).text
    assert store.overrides(10) == []


def test_another_site_stops_nothing_in_an_administrators_name(
    browser: Callable[..., Any], store: Store
) -> None:
    client = browser("ADMIN")
    client.headers["sec-fetch-site"] = "cross-site"
    assert client.post("/modes", data=SHADOW).status_code == 403
    assert client.post("/dags/nightly_sales/mode", data=SHADOW).status_code == 403
    assert store.overrides(10) == []


def test_what_was_set_for_another_dag_or_for_all_is_out_of_reach(
    browser: Callable[..., Any], store: Store
) -> None:
    browser("ADMIN").post("/modes", data=SHADOW)
    browser("ADMIN").post("/dags/nightly_sales/mode", data=SHADOW)
    for each in store.overrides(10):
        path = f"/dags/finance/modes/{each.id}/undo"
        assert browser("USER").post(path, data={"why": "x"}).status_code == 404
    assert len(store.overrides(10, in_force_only=True)) == 2


def test_modes_of_dags_that_the_reader_may_not_see_are_not_told(
    browser: Callable[..., Any], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_autoremed.airflow.ui import steering

    monkeypatch.setattr(steering, "readable_dags", lambda user: {"finance"})
    browser("USER").post("/dags/nightly_sales/mode", data=SHADOW)
    assert "nightly_sales" not in browser("VIEWER").get("/modes").text

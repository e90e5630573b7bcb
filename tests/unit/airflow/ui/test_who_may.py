"""No route is public, reading needs access to the Dag, acting needs the right to edit it and a request of our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_autoremed.history import Store
from airflow_autoremed.types import PatchState

NAMES = {
    "dag_id": "nightly_sales",
    "task_id": "join_orders",
    "key": "k",
    "number": "1",
    "name": "page.css",
    "run_id:path": "r",
}


def _routes() -> list[tuple[str, str]]:
    from airflow_autoremed.airflow.ui.app import app

    found = []
    for route in app.routes:
        path = route.path
        for name, value in NAMES.items():
            path = path.replace("{" + name + "}", value)
        found += [(method, path) for method in sorted(route.methods - {"HEAD"})]
    return found


def test_the_routes_are_walked() -> None:
    assert len(_routes()) == 12
    assert not [path for _, path in _routes() if "{" in path]


def test_nobody_sees_anything_without_signing_in(browser: Callable[..., Any]) -> None:
    for method, path in _routes():
        assert browser(None).request(method, path).status_code == 401, (method, path)


def test_every_answer_forbids_scripts_of_others_and_foreign_frames(browser: Callable[..., Any]) -> None:
    for client in (browser(None), browser("VIEWER")):
        for method, path in [*_routes(), ("GET", "/nowhere")]:
            headers = client.request(method, path).headers
            assert "script-src 'self'" in headers["content-security-policy"], (method, path)
            assert "frame-ancestors 'self'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"


def test_a_viewer_reads_and_may_not_act(browser: Callable[..., Any], filled: tuple[Store, str]) -> None:
    store, key = filled
    client = browser("VIEWER")
    page = client.get("/dags/nightly_sales/tasks/join_orders")
    assert page.status_code == 200
    assert "<form" not in page.text
    assert client.post(f"/dags/nightly_sales/patches/{key}/revoke", data={"why": "x"}).status_code == 403
    assert store.patch_state(key) is PatchState.PROMOTED


def test_an_editor_revokes_with_a_reason_and_the_page_tells_who_and_why(
    browser: Callable[..., Any], filled: tuple[Store, str]
) -> None:
    store, key = filled
    client = browser("USER")
    answer = client.post(f"/dags/nightly_sales/patches/{key}/revoke", data={"why": "costs too much"})
    assert answer.status_code == 303
    assert store.patch_state(key) is PatchState.REVOKED
    page = client.get(answer.headers["location"]).text
    assert "some USER (page): costs too much" in page
    assert "Coming runs begin as declared" in page


def test_a_revoked_patch_can_be_put_in_force_again(
    browser: Callable[..., Any], filled: tuple[Store, str]
) -> None:
    store, key = filled
    client = browser("USER")
    client.post(f"/dags/nightly_sales/patches/{key}/revoke", data={"why": "a mistake"})
    assert client.post(f"/dags/nightly_sales/patches/{key}/restore", data={"why": "undo"}).status_code == 303
    (again,) = [
        each for each in store.patches(10, in_force_only=True) if each.patch.scope.dag_id == "nightly_sales"
    ]
    assert again.patch.scope.task_id == "join_orders"


def test_acting_needs_a_reason(browser: Callable[..., Any], filled: tuple[Store, str]) -> None:
    store, key = filled
    answer = browser("USER").post(f"/dags/nightly_sales/patches/{key}/revoke", data={"why": "  "})
    assert answer.status_code == 422
    assert store.patch_state(key) is PatchState.PROMOTED


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": "http://testserver"},
    ],
)
def test_another_site_cannot_act_in_a_users_name(
    browser: Callable[..., Any], filled: tuple[Store, str], headers: dict[str, str]
) -> None:
    store, key = filled
    client = browser("ADMIN")
    client.headers.update(headers)
    assert client.post(f"/dags/nightly_sales/patches/{key}/revoke", data={"why": "x"}).status_code == 403
    assert store.patch_state(key) is PatchState.PROMOTED


def test_an_old_browser_is_judged_by_its_origin(
    browser: Callable[..., Any], filled: tuple[Store, str]
) -> None:
    _, key = filled
    client = browser("USER")
    del client.headers["sec-fetch-site"]
    path = f"/dags/nightly_sales/patches/{key}/revoke"
    assert client.post(path, data={"why": "x"}).status_code == 403
    client.headers["origin"] = "http://evil.example"
    assert client.post(path, data={"why": "x"}).status_code == 403
    client.headers["origin"] = "http://testserver"
    assert client.post(path, data={"why": "x"}).status_code == 303


def test_a_patch_of_another_dag_is_out_of_reach(
    browser: Callable[..., Any], filled: tuple[Store, str]
) -> None:
    store, key = filled
    assert browser("USER").post(f"/dags/finance/patches/{key}/revoke", data={"why": "x"}).status_code == 404
    assert store.patch_state(key) is PatchState.PROMOTED


def test_a_tilde_does_not_mean_any_dag(browser: Callable[..., Any], filled: tuple[Store, str]) -> None:
    assert browser("ADMIN").get("/dags/~/tasks/join_orders").status_code == 404

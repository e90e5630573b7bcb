"""Templates, and the addresses that they need. Everything is escaped."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from airflow_autoremed import __version__
from airflow_autoremed.airflow.ui import addresses, patch_view, wording
from airflow_autoremed.airflow.ui.addresses import PREFIX
from airflow_autoremed.airflow.ui.visible import visible


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page."""
    here = _here(request)
    words = {
        "here": here,
        "airflow": here.removesuffix(f"/{PREFIX}"),
        "version": __version__,
        "stop": None,
        **values,
    }
    return HTMLResponse(_templates().get_template(template).render(words), status_code=status)


def address(request: Request, path: str) -> str:
    """The address of a page of ours as the browser has it."""
    return f"{_here(request)}/{path}"


def _here(request: Request) -> str:
    """Our own address as the browser has it, behind a prefix too."""
    return str(request.scope.get("root_path", ""))


@lru_cache(maxsize=1)
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("airflow_autoremed.airflow.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["visible"] = lambda text: visible(str(text))
    made.filters["segment"] = lambda text: quote(str(text), safe="")
    made.filters["when"] = lambda moment: "" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")
    made.filters["gib_hours"] = _gib_hours
    made.filters["duration"] = _duration
    made.globals["cause"] = wording.cause
    made.globals["action"] = wording.action
    made.globals["state"] = wording.state
    made.globals["decided_by"] = wording.decided_by
    made.globals["attempts_address"] = addresses.attempts
    made.globals["patch_changes"] = patch_view.changes
    made.globals["patch_whom"] = patch_view.whom
    return made


def _gib_hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:,.1f}" if hours >= 1 else f"{hours:.2f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"

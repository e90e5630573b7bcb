"""A hook of the Amazon provider as far as the adapters use one, with AWS played by an object."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def session_of(aws: Any) -> SimpleNamespace:
    """A hook whose client, for every service, is *aws*."""
    return SimpleNamespace(
        conn=aws,
        get_session=lambda: SimpleNamespace(client=lambda *_, **__: aws),
        conn_config=SimpleNamespace(get_service_endpoint_url=lambda service: None),
        verify=None,
    )

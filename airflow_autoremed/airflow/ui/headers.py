"""The headers of every answer, refusals and faults too."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger("airflow_autoremed")

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


class SecureHeaders:
    """An ASGI application around another: its answers carry :data:`HEADERS`, and a fault of ours is one warning in
    the log of the api-server."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                have = {name.lower() for name, _ in message["headers"]}
                more = [
                    (name.encode(), value.encode())
                    for name, value in HEADERS.items()
                    if name.encode() not in have
                ]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        try:
            await self.app(scope, receive, with_headers)
        except Exception:
            # The application has answered by then (app.py): what is left is to say why.
            log.warning("[autoremed] A page could not be made: %s", scope.get("path"), exc_info=True)

"""A server of JSON over HTTP in a thread, for the stand-ins whose API is small."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse


class Handler(BaseHTTPRequestHandler):
    """``answer`` is given the method, the parts of the path, the query and the body."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing: pytest shows what failed."""

    def answer(self, method: str, path: list[str], query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Status and JSON; a text is sent as it is."""
        raise NotImplementedError

    def _serve(self) -> None:
        url = urlparse(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        status, value = self.answer(
            self.command, [part for part in url.path.split("/") if part], query, json.loads(content or b"{}")
        )
        text = isinstance(value, str)
        sent = value.encode() if text else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if text else "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve


@contextmanager
def serving(handler: type[Handler]) -> Iterator[int]:
    """The port on which *handler* answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()

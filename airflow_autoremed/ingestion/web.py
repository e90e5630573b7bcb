"""Asking a REST API: patiently where it may recover, and with a clear error where it will not.

httpx and tenacity come with Airflow; they are imported when something is asked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, TypeVar

from airflow_autoremed import database_urls
from airflow_autoremed.errors import WebError

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

_TRIES = 6
_LONGEST_PAUSE_S = 30.0
_TIMEOUT_S = 60.0
_BLOCK = 256 * 1024
_LONGEST_ANSWER = 256 * 1024**2
"""Bytes of an answer that is JSON."""
LONGEST_DOWNLOAD = 16 * 1024**3
"""Bytes of a file."""
_LONGEST_ERROR = 64 * 1024
"""Bytes that are read of what comes with an error."""
_LONGEST_S = 2 * 3600.0
"""Seconds that one answer may take, however steadily it drips."""


class Web:
    """One server, of which nothing is believed: it redirects to no other one, and its answers are bounded.

    :param url: of the server, without the path of its API. A user and password in it are used, and shown nowhere.
    :param user: with *password* for basic authentication.
    :param token: for bearer authentication, instead.
    :param transport: of httpx, for tests.
    :param pause: called with the seconds to wait before another try.
    :raises WebError: where *url* is none.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str = "",
        password: str = "",
        token: str = "",
        verify: bool = True,
        transport: httpx.BaseTransport | None = None,
        pause: Callable[[float], None] | None = None,
    ) -> None:
        import httpx

        if not url.startswith(("http://", "https://")):
            raise WebError(f"{url!r} is not a server URL; use for example https://host:8080")
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise WebError(f"{database_urls.masked(url)} is not a server URL: {error}") from None
        if not user and parsed.username:
            user, password = parsed.username, parsed.password
        # Whoever logs a request logs its URL.
        self.url = str(parsed.copy_with(username=None, password=None)).rstrip("/")
        self.name = database_urls.masked(self.url)
        self._pause = pause
        self._client = httpx.Client(
            auth=(user, password) if user and not token else None,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=_TIMEOUT_S,
            verify=verify,
            transport=transport,
            follow_redirects=True,
            event_hooks={"response": [self._same_server]},
        )

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def use_token(self, token: str) -> None:
        """Authenticate with *token* from now on."""
        self._client.auth = None  # type: ignore[assignment]
        self._client.headers["Authorization"] = f"Bearer {token}"

    def status(self, path: str) -> int:
        """The status that *path* answers with.

        :raises WebError: when the server cannot be reached.
        """

        def ask() -> int:
            with self._client.stream("GET", self.url + path) as response:
                return response.status_code

        return self._patiently(path, ask)

    def json(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """What *path* answers.

        :raises WebError: when it does not.
        """
        return self._patiently(path, lambda: self._json("GET", path, params=query))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """What *path* answers to *body*.

        :raises WebError: when it does not.
        """
        return self._patiently(path, lambda: self._json("POST", path, json=body))

    def download(self, path: str, into: IO[bytes], on_bytes: Callable[[int], None] | None = None) -> None:
        """Write what *path* answers to a file that can be emptied, from its beginning.

        :raises WebError: when it does not answer, not to the end, or with more than :data:`LONGEST_DOWNLOAD`.
        """

        def fetch() -> None:
            into.seek(0)
            into.truncate()
            with self._client.stream("GET", self.url + path) as response:
                for block in self._blocks(response, path, LONGEST_DOWNLOAD):
                    into.write(block)
                    if on_bytes is not None:
                        on_bytes(len(block))

        self._patiently(path, fetch)
        into.seek(0)

    def _json(self, method: str, path: str, **what: Any) -> Any:
        with self._client.stream(method, self.url + path, **what) as response:
            text = b"".join(self._blocks(response, path, _LONGEST_ANSWER))
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise WebError(
                f"{self.name}{path} does not answer with JSON; the address must be the server's base URL, without a path"
            ) from None

    def _blocks(self, response: httpx.Response, path: str, most: int) -> Iterator[bytes]:
        """The body, no more than *most* bytes of it.

        :raises httpx.HTTPStatusError: when it is that of an error; as much of it as is needed is read.
        """
        if response.is_error:
            import httpx

            told = next(response.iter_bytes(_LONGEST_ERROR), b"")
            asked = {name: value for name, value in response.headers.items() if name == "retry-after"}
            kept = httpx.Response(response.status_code, headers=asked, content=told, request=response.request)
            kept.raise_for_status()
        until = time.monotonic() + _LONGEST_S
        length = 0
        for block in response.iter_bytes(_BLOCK):
            length += len(block)
            if length > most:
                raise WebError(f"{self.name}{path}: the answer is longer than {most:,} bytes")
            if time.monotonic() > until:
                raise WebError(f"{self.name}{path}: the answer takes longer than {_LONGEST_S:.0f} seconds")
            yield block

    def _same_server(self, response: httpx.Response) -> None:
        """A server may send us elsewhere in its own house, or to its encrypted door, and nowhere else: behind another
        name may be what only we can reach.

        :raises WebError: when it sends us away.
        """
        if not response.has_redirect_location:
            return
        here = response.request.url
        there = here.join(response.headers["location"])
        encrypted = (here.scheme, here.port, there.scheme, there.port) == ("http", None, "https", None)
        if there.host != here.host or not (
            encrypted or (there.scheme, there.port) == (here.scheme, here.port)
        ):
            raise WebError(
                f"{self.name} redirects to another server, {there.scheme}://{there.netloc.decode('ascii', 'replace')}; "
                "give its address if that is the right one"
            )

    def _patiently(self, path: str, work: Callable[[], T]) -> T:
        import httpx
        import tenacity

        options: dict[str, Any] = {} if self._pause is None else {"sleep": self._pause}
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=_Pause(tenacity.wait_random_exponential(multiplier=0.5, max=_LONGEST_PAUSE_S)),
            stop=tenacity.stop_after_attempt(_TRIES),
            reraise=True,
            **options,
        )
        try:
            return retrying(work)
        except httpx.HTTPStatusError as error:
            raise WebError(f"{self.name}{path}: {_advice(error.response)}") from None
        except httpx.HTTPError as error:
            told = database_urls.mask(str(error) or type(error).__name__, self.url)
            raise WebError(f"{self.name} cannot be reached: {told}") from None
        except httpx.InvalidURL as error:
            raise WebError(f"{self.name} is not a server URL: {error}") from None


class _Pause:
    """What the server asks for (``Retry-After``), else what *usual* says."""

    def __init__(self, usual: Callable[[Any], float]) -> None:
        self._usual = usual

    def __call__(self, state: Any) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        asked = getattr(getattr(error, "response", None), "headers", {}).get("Retry-After", "")
        with suppress(ValueError):
            return min(_LONGEST_PAUSE_S, max(0.0, float(asked)))
        return self._usual(state)


def _may_pass(error: BaseException) -> bool:
    """Whether the same may well work in a moment."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in (408, 425, 429, 500, 502, 503, 504)
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


def _advice(response: httpx.Response) -> str:
    code = response.status_code
    if code == 401:
        return "401 Unauthorized: pass --token, or --user and a password"
    if code == 403:
        return (
            "403 Forbidden: this user may not read it; pass --token, or --user and a password of another user"
        )
    if code == 404:
        return "404 Not Found: the address must be the server's base URL, without a path"
    told = " ".join(response.text.split())[:200]
    return f"{code}{': ' if told else ''}{told}"

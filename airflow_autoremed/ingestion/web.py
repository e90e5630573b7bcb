"""Asking a REST API: patiently where it may recover, and with a clear error where it will not.

httpx and tenacity come with Airflow; they are imported when something is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


class Web:
    """One server.

    :param url: of the server, without the path of its API.
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
        self.url = url.rstrip("/")
        self.name = database_urls.masked(self.url)
        self._pause = pause
        self._client = httpx.Client(
            auth=(user, password) if user and not token else None,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=_TIMEOUT_S,
            verify=verify,
            transport=transport,
            follow_redirects=True,
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
        return self._patiently(path, lambda: self._client.get(self.url + path).status_code)

    def json(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """What *path* answers.

        :raises WebError: when it does not.
        """
        return self._patiently(
            path, lambda: _json(self._checked(self._client.get(self.url + path, params=query)))
        )

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """What *path* answers to *body*.

        :raises WebError: when it does not.
        """
        return self._patiently(
            path, lambda: _json(self._checked(self._client.post(self.url + path, json=body)))
        )

    def download(self, path: str, into: IO[bytes], on_bytes: Callable[[int], None] | None = None) -> None:
        """Write what *path* answers to a file that can be emptied, from its beginning.

        :raises WebError: when it does not answer, or not to the end.
        """

        def fetch() -> None:
            into.seek(0)
            into.truncate()
            with self._client.stream("GET", self.url + path) as response:
                if response.is_error:
                    response.read()
                self._checked(response)
                for block in response.iter_bytes(_BLOCK):
                    into.write(block)
                    if on_bytes is not None:
                        on_bytes(len(block))

        self._patiently(path, fetch)
        into.seek(0)

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

    @staticmethod
    def _checked(response: httpx.Response) -> httpx.Response:
        response.raise_for_status()
        return response


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


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise WebError(
            f"{database_urls.masked(str(response.url))} does not answer with JSON; the address must be the server's base URL, without a path"
        ) from None

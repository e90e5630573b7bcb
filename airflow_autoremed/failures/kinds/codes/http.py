"""HTTP statuses and the statuses of gRPC."""

from __future__ import annotations

import re
from functools import lru_cache

from airflow_autoremed.failures.kinds.meaning import Meaning, Rows, by_code

HTTP: Rows = (
    ("auth_permission", "a service refused the credentials or the right", "401 403 407 451 511"),
    ("license_or_quota", "a service wants payment", "402"),
    ("missing_data", "a service has nothing at this address", "404 410"),
    (
        "network_timeout",
        "a service or a gateway in between was not ready or too slow",
        "408 499 425 421 460 500 502 504 520 521 522 523 524 525 526 527 530 598 599",
    ),
    ("object_store_throttle", "a service asked for fewer requests", "429 503 509 529"),
    ("concurrency_conflict", "the state of the thing had changed, or it is locked", "409 412 423 424 428"),
    ("bad_data", "a service could not process what was sent", "415 422"),
    ("disk_full", "a service has no space left", "507"),
    (
        "user_code_error",
        "a service refused the request as wrong",
        "400 405 406 411 413 414 416 417 418 426 431 501 505 506 508 510",
    ),
    (
        "nothing",
        "",
        "100 101 102 103 200 201 202 203 204 205 206 207 208 226 300 301 302 303 304 305 306 307 308",
    ),
)
GRPC: Rows = (
    (
        "network_timeout",
        "a service did not answer, or not in time",
        "CANCELLED DEADLINE_EXCEEDED UNAVAILABLE INTERNAL",
    ),
    ("user_code_error", "a service refused the call as wrong", "INVALID_ARGUMENT FAILED_PRECONDITION"),
    ("missing_data", "a service has no such thing", "NOT_FOUND"),
    ("concurrency_conflict", "a service met a conflict", "ALREADY_EXISTS ABORTED"),
    (
        "auth_permission",
        "a service refused the credentials or the right",
        "PERMISSION_DENIED UNAUTHENTICATED",
    ),
    ("resource_unavailable", "a service has run out of something, often a rate limit", "RESOURCE_EXHAUSTED"),
    ("bad_data", "a value is out of range, or data were lost", "OUT_OF_RANGE DATA_LOSS"),
    ("dependency_missing", "a service does not have this call", "UNIMPLEMENTED"),
    ("nothing", "", "OK UNKNOWN"),
)
_GRPC_NUMBERS = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]

_HTTP = re.compile(
    r"(?:\bHTTP(?:/[\d.]{1,3})?(?: (?:Error|status(?: code)?|response(?: code)?|code|error code))?[:= ]{1,2}"
    r"|\b[Ss]tatus(?: |_)?[Cc]ode[:= ]{1,3}|\bstatus: |\b[Rr]esponse (?:code|status)[:= ]{1,2}|\bHTTP response code: "
    r"|\bresponded with (?:a )?|\bError code[: ]{1,2}|\bserver returned HTTP )\(?<?\[?([1-5]\d\d)(?!\d)",
    re.IGNORECASE,
)
_LEADING = re.compile(
    r"^[:\s]{0,4}\(?([45]\d\d)\)?(?= (?:Client|Server) Error\b|[:, -]{1,3}[A-Z]| (?:GET|POST|PUT|DELETE|HEAD|PATCH)\b)"
)
_GRPC = re.compile(
    r"(?:StatusRuntimeException: |StatusException: |StatusCode\.|\bgrpc_status[:= ]{1,2}\"?|\bstatus ?= ?(?:StatusCode\.)?"
    r"|\bgRPC status(?: code)?[:= ]{1,2}|Status\{code=|rpc error: code = |\bGrpcException: )([A-Z][A-Za-z_]{1,20}|\d{1,2})\b"
)


@lru_cache(maxsize=1)
def statuses() -> dict[str, Meaning | None]:
    """HTTP status to what it means."""
    return by_code(HTTP)


@lru_cache(maxsize=1)
def grpc_statuses() -> dict[str, Meaning | None]:
    """Status of gRPC to what it means."""
    return by_code(GRPC)


def read(text: str, leading: bool = False) -> tuple[str, Meaning] | None:
    """The status that a message states, with what it means.

    :param leading: the message is that of an HTTP client's exception: it may begin with the bare number.
    """
    found = _GRPC.search(text)
    if found is not None:
        name = found[1]
        if name.isdigit():
            name = _GRPC_NUMBERS[int(name)] if int(name) < len(_GRPC_NUMBERS) else ""
        else:
            name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
        if name == "RESOURCE_EXHAUSTED" and re.search(
            r"larger than max|exceeds maximum size|message size", text
        ):
            return "grpc-message-size", Meaning("serializer_buffer", "a message is larger than gRPC takes")
        meaning = grpc_statuses().get(name)
        if meaning is not None:
            return f"grpc-{name.lower().replace('_', '-')}", meaning
    found = _HTTP.search(text) or (_LEADING.search(text) if leading else None)
    if found is None:
        return None
    meaning = statuses().get(found[1])
    if meaning is None and found[1] >= "400":
        meaning = statuses()[
            "400" if found[1] < "500" else "500"
        ]  # an unknown one counts as the first of its class
    return (f"http-{found[1]}", meaning) if meaning is not None else None

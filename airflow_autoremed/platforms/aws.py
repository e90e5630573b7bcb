"""What the adapters of Amazon's services share: seeing the calls that start a run, and reading logs on S3."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from airflow_autoremed.platforms.base import note_submitted, once_made, quietly
from airflow_autoremed.types import Source

_MOST_PACKED = 128 * 1024 * 1024
"""Bytes of a packed log that are fetched at most. Its end cannot be had without what comes before."""
_MOST_LOG = 16 * 1024 * 1024
"""Bytes of the unpacked end that are kept."""
_CHUNK = 256 * 1024
_GZIP = 31


def watch_start(
    operator: Any,
    operation: str,
    conf: Callable[[Mapping[str, Any]], Mapping[Any, Any]],
    started: Callable[[Mapping[str, Any]], None] | None = None,
) -> None:
    """See the request that starts the operator's run as it leaves the worker, and its answer.

    :param operation: as AWS names it, for example ``StartJobRun``.
    :param conf: the Spark configuration in the parameters of that call.
    :param started: is told the answer.
    """

    def sent(params: Mapping[str, Any], **_: Any) -> None:
        quietly(lambda: note_submitted(operator, conf(params)))

    def answered(parsed: Mapping[str, Any], **_: Any) -> None:
        if started is not None:
            quietly(started, parsed)

    def watched(hook: Any) -> None:
        make = hook.get_client_type

        def get_client_type(*args: Any, **kwargs: Any) -> Any:
            client = make(*args, **kwargs)
            quietly(listened, client)
            return client

        hook.get_client_type = get_client_type

    def listened(client: Any) -> None:
        client.meta.events.register(f"provide-client-params.*.{operation}", sent)
        client.meta.events.register(f"after-call.*.{operation}", answered)

    once_made(operator, "hook", watched)


def client_of(hook: Any, service: str) -> Any:
    """A client of another service with the hook's own credentials, where its connection says that the service is."""
    endpoint_of = getattr(hook.conn_config, "get_service_endpoint_url", None)  # newer providers
    endpoint = None if endpoint_of is None else endpoint_of(service)
    return hook.get_session().client(service, endpoint_url=endpoint, verify=hook.verify)


def s3_log(client: Any, uri: str, source: Source = Source.DRIVER_LOG) -> Iterator[tuple[Source, str]]:
    """The end of a packed log; nothing where it is not there yet, or is too large to be unpacked in time."""
    bucket, key = bucket_and_key(uri)
    try:
        answer = client.get_object(Bucket=bucket, Key=key)
    except client.exceptions.ClientError:
        return
    if int(answer.get("ContentLength") or 0) <= _MOST_PACKED:
        yield source, _end_of(answer["Body"]).decode("utf-8", "replace")


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Of an address that begins with ``s3://``, or ``s3n://`` or ``s3a://`` as Hadoop has it."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def _end_of(body: Any) -> bytes:
    """Unpacked chunk by chunk: only the end stays. A log that AWS appended to is of several gzip members."""
    end = bytearray()
    unpacker = zlib.decompressobj(wbits=_GZIP)
    packed = body.read(_CHUNK)
    while packed:
        try:
            end += unpacker.decompress(packed)
        except zlib.error:
            break  # cut off; what came before counts
        if len(end) > 2 * _MOST_LOG:
            del end[:-_MOST_LOG]
        packed = b""
        if unpacker.eof:
            packed = unpacker.unused_data
            unpacker = zlib.decompressobj(wbits=_GZIP)
        packed = packed or body.read(_CHUNK)
    return bytes(end[-_MOST_LOG:])

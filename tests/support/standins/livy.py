"""Livy's batches; of a log it keeps the last 200 lines, as Livy does by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.standins.json_server import Handler, serving
from tests.support.standins.scripted import ScriptedSpark

_KEPT_LINES = 200
_SIZES = {
    "driverMemory": "spark.driver.memory",
    "executorMemory": "spark.executor.memory",
    "driverCores": "spark.driver.cores",
    "executorCores": "spark.executor.cores",
    "numExecutors": "spark.executor.instances",
}
_TAKES = {*_SIZES, "file", "proxyUser", "className", "args", "jars", "pyFiles", "files", "archives", "queue"}


@dataclass
class Batch:
    state: str = "starting"
    log: list[str] = field(default_factory=list)

    def ended(self, succeeded: bool, output: str) -> None:
        self.log = output.splitlines()[-_KEPT_LINES:]
        self.state = "success" if succeeded else "dead"


@contextmanager
def livy(spark: ScriptedSpark) -> Iterator[int]:
    """The port of a Livy."""
    batches: list[Batch] = []

    class Livy(Handler):
        def answer(self, method: str, path: list[str], query: dict[str, str], body: Any) -> tuple[int, Any]:
            if method == "POST":
                if unknown := set(body) - _TAKES - {"conf", "name"}:
                    return 400, {"msg": f"Unrecognized field {unknown}"}
                batches.append(Batch())
                sizes = {_SIZES[name]: value for name, value in body.items() if name in _SIZES}
                spark.run({**(body.get("conf") or {}), **sizes}, batches[-1].ended)
                return 201, {"id": len(batches) - 1, "state": "starting"}
            number = int(path[1])
            if number >= len(batches):
                return 404, {"msg": f"Session '{number}' not found."}
            batch = batches[number]
            if path[2:] == ["log"]:
                size, start = int(query.get("size", 100)), int(query.get("from", -1))
                start = max(0, len(batch.log) - size) if start < 0 else start
                lines = batch.log[start : start + size]
                return 200, {"id": number, "from": start, "total": len(batch.log), "log": lines}
            return 200, {"id": number, "state": batch.state, "appId": None, "log": batch.log[-10:]}

    with serving(Livy) as port:
        yield port

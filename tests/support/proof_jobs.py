"""Jobs of the proof, and attempts at them."""

from __future__ import annotations

from typing import Any

from benchmarks.proof import report

BASE = {"spark.executor.memory": "1g", "spark.executor.instances": "1"}


def tried(succeeded: bool, gib_seconds: float = 10.0, memory: str = "1g") -> dict[str, Any]:
    conf = {**BASE, "spark.executor.memory": memory}
    return {
        "conf": conf,
        "succeeded": succeeded,
        "gib_seconds": gib_seconds,
        "core_seconds": 1.0,
        "duration_s": 5.0,
    }


def job(name: str, kind: str, ours: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    failed = tried(succeeded=False)
    blind = [failed] * 4 if kind != "transient" else [failed, tried(succeeded=True)]
    return {
        "id": name,
        "family": name,
        "kind": kind,
        "held_out": False,
        "labels": ["executor_oom_heap"],
        "classified": {"category": "executor_oom_heap"},
        "first": [failed, failed],
        "strategies": {report.BLIND: blind, report.OURS: ours},
        **more,
    }

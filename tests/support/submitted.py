"""What a task handed to spark-submit."""

from __future__ import annotations


def memory_of(argv: str) -> str | None:
    words = argv.split()
    if "--executor-memory" in words:
        return words[words.index("--executor-memory") + 1]
    return next((w.split("=")[1] for w in words if w.startswith("spark.executor.memory=")), None)

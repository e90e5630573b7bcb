"""A worker that is killed (SIGKILL) at any step leaves a consistent store, and the next tries still heal the task.

Every function of ours that a failing try enters is a step: one dry run lists them, then the try is run again, and its
process kills itself on entering that function. Kills between which nothing was written are the same kill: of the steps
that see the same files, the first and the last are taken.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_autoremed import remediate
from airflow_autoremed.failures.matching.matcher import LogMatcher
from airflow_autoremed.types import FLOOR
from tests.support.tasks import HEAP_OOM, TaskInstance, Try, forget

_OURS = tuple(
    f"{os.sep}airflow_autoremed{os.sep}{room}"
    for room in ("airflow/", "history/", "patching/", "platforms/", "remediation/")
)

_fork = multiprocessing.get_context("fork")


class FileStateStore:
    """Airflow's task state store, as it outlives a worker: in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str, default: Any = None) -> Any:
        return self._values().get(key, default)

    def set(self, key: str, value: Any) -> None:
        self._write({**self._values(), key: value})

    def delete(self, key: str) -> None:
        self._write({name: value for name, value in self._values().items() if name != key})

    def _values(self) -> dict[str, Any]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}

    def _write(self, values: dict[str, Any]) -> None:
        whole = self._path.with_suffix(".new")
        whole.write_text(json.dumps(values))
        whole.rename(self._path)


def step_of(frame: Any) -> str | None:
    code = frame.f_code
    if not any(room in code.co_filename for room in _OURS) or code.co_name.startswith("<"):
        return None
    return f"{Path(code.co_filename).stem}.{code.co_name}"


def watch(entered: Callable[[str], None]) -> None:
    """Call *entered* with the name of each of our functions that is entered from now on, in every thread."""

    def profile(frame: Any, event: str, _argument: Any) -> None:
        if event == "call" and (step := step_of(frame)) is not None:
            entered(step)

    threading.setprofile(profile)
    sys.setprofile(profile)


def written(home: Path) -> str:
    """What tells one state of the files that outlive a worker from another."""
    stats = ((file.name, file.stat()) for file in sorted(home.iterdir()))
    return str([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])


def different_kills(walked: dict[str, str]) -> list[str]:
    """The first and the last of the steps that saw the same files, of *walked*: what each step saw."""
    first, last = {}, {}
    for step, saw in walked.items():
        first.setdefault(saw, step)
        last[saw] = step
    return [step for step in walked if step in {*first.values(), *last.values()}]


def in_worker(ti: TaskInstance, out: Path, kill_at: str | None = None, steps: Path | None = None) -> bool:
    """Run a try in a process of its own; whether it lived to its end."""

    def work() -> None:
        forget()
        seen: dict[str, str] = {}

        def entered(step: str) -> None:
            if steps is not None and step not in seen:
                seen[step] = written(out.parent)
            if step == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        watch(entered)
        result = ti.run()
        sys.setprofile(None)
        out.write_text(json.dumps({"argv": result.argv, "failed": result.error is not None}))
        if steps is not None:
            steps.write_text(json.dumps(seen))
        os._exit(0)

    process = _fork.Process(target=work)
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode == 0


def consistent(path: Path) -> None:
    """Nothing in the store hangs in the air, and no attempt has more than one verdict or outcome."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        if "autoremed_attempts" not in tables:
            return
        for table in ("decisions", "outcomes"):
            assert not connection.execute(
                f"SELECT key FROM autoremed_{table} WHERE key NOT IN (SELECT key FROM autoremed_attempts)"
            ).fetchall()
        assert not connection.execute(
            "SELECT key FROM autoremed_patches WHERE category <> ? "
            "AND key NOT IN (SELECT key FROM autoremed_decisions)",
            (FLOOR,),  # which belongs to a task, not to a decision
        ).fetchall()
        assert not connection.execute(
            "SELECT dag_id, run_id, task_id, map_index, try_number FROM autoremed_attempts "
            "GROUP BY 1, 2, 3, 4, 5 HAVING count(*) > 1"
        ).fetchall()
        # Where a patch stands and what was noted of its life say the same.
        states = dict(connection.execute("SELECT key, state FROM autoremed_patches"))
        noted = dict(
            connection.execute("SELECT patch_key, to_state FROM autoremed_patch_changes ORDER BY id")
        )
        assert states == {key: noted.get(key) for key in states}
    finally:
        connection.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__AUTOREMED__STORE", f"sqlite:///{tmp_path}/autoremed.db")
    return tmp_path


@pytest.fixture
def warm() -> None:
    """Import in this process what every worker would import again."""
    from airflow_autoremed.failures.rules.loading import load_catalogue

    for module in ("airflow_autoremed.history.queries.patch_life", "airflow_autoremed.patching"):
        importlib.import_module(module)
    LogMatcher(load_catalogue())


@pytest.mark.integration
@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("victim", [1, 2], ids=["failing try", "patched try"])
def test_a_worker_killed_at_any_step_leaves_a_consistent_store_and_a_task_that_heals(
    victim, spark_submit, spark_task, home
):
    spark_submit(HEAP_OOM, cured_by="--executor-memory 2g")
    task = remediate(spark_task(executor_memory="1g"))
    out, steps = home / "out.json", home / "steps.json"

    def fresh(number: int) -> TaskInstance:
        for file in home.glob("autoremed.db*"):
            file.unlink()
        state = FileStateStore(home / f"state-{number}.json")
        return TaskInstance(task, run_id=f"manual__{number}", state_store=state)  # type: ignore[arg-type]

    def run(ti: TaskInstance, **kwargs: Any) -> bool:
        """One try; whether it succeeded."""
        out.unlink(missing_ok=True)
        lived = in_worker(ti, out, **kwargs)
        ti.tries.append(Try("", None))
        return lived and not json.loads(out.read_text())["failed"]

    dry = fresh(0)
    for _ in range(victim):
        run(dry, steps=steps)
    walked = json.loads(steps.read_text())
    assert len(walked) > 40
    kills = different_kills(walked)
    assert len(kills) > 10

    for number, step in enumerate(kills, 1):
        ti = fresh(number)
        for _ in range(victim - 1):
            run(ti)
        assert not run(ti, kill_at=step), f"{step} was not reached"
        store = home / "autoremed.db"
        if store.exists():
            consistent(store)
        healed = any(run(ti) for _ in range(2))
        assert healed, f"killed in {step} on try {victim}: not healed by try {len(ti.tries)}"
        consistent(store)

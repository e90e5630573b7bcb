"""A task of a real operator, run try by try with the order of calls that Airflow's task runner has."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HEAP_OOM = (
    "26/11/24 10:00:00 INFO SparkContext: Running Spark version 4.1.4\n"
    "26/11/24 10:00:05 WARN TaskSetManager: Lost task 0.0 in stage 1.0 (TID 2) (10.0.0.7 executor 0): "
    "java.lang.OutOfMemoryError: Java heap space\n"
    "26/11/24 10:00:06 ERROR TaskSetManager: Task 0 in stage 1.0 failed 4 times; aborting job\n"
)
MISSING_TABLE = (
    "pyspark.errors.exceptions.captured.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table or view "
    "`sales`.`orders` cannot be found. Verify the spelling and correctness of the schema and catalog. SQLSTATE: 42P01;\n"
)
REFUSED = (
    "Traceback (most recent call last):\n"
    '  File "/jobs/load.py", line 7, in <module>\n'
    "    socket.create_connection(('inventory', 8080), timeout=3)\n"
    "ConnectionRefusedError: [Errno 111] Connection refused\n"
)


class StateStore:
    """Airflow 3.3's task state store: JSON by key, kept over the tries of one task instance."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return copy.deepcopy(self.values.get(key, default))

    def set(self, key: str, value: Any) -> None:
        self.values[key] = copy.deepcopy(value)

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


@dataclass
class Try:
    """What one try did."""

    argv: str
    error: BaseException | None
    decision: Any = None
    """What the retry policy told Airflow; ``None`` when it was not asked."""


@dataclass
class TaskInstance:
    """Runs a task as Airflow 3.3 does: a fresh copy of the task for every try."""

    task: Any
    retries: int = 3
    state_store: StateStore | None = field(default_factory=StateStore)
    run_id: str = "manual__1"
    map_index: int = -1
    tries: list[Try] = field(default_factory=list)
    took_s: float = 100.0
    """How long ago Airflow says that a try began, which is what it is recorded to have taken."""

    def run(self) -> Try:
        """One try, to its end."""
        from airflow_autoremed.airflow.compat import AirflowFailException
        from airflow_autoremed.airflow.opt_in import listener

        task, ti, context = self._begun()
        seen = Path(os.environ["FAKE_SPARK_ARGV"])
        seen.write_text("")
        listener.on_task_instance_running(None, ti)
        execute = task.execute
        if task._pre_execute_hook is not None:
            task._pre_execute_hook(context)
        task.pre_execute(context)
        for callback in task.on_execute_callback or ():
            callback(context)
        error: BaseException | None = None
        decision = None
        try:
            execute(context)
        except Exception as failure:
            error = failure
            context["exception"] = failure
            policy = getattr(task, "retry_policy", None)
            if policy is not None and not isinstance(failure, AirflowFailException):
                decision = policy.evaluate(failure, ti.try_number, self.retries, context)
        callbacks = task.on_success_callback if error is None else ()
        for callback in callbacks or ():
            callback(context)
        if error is None:
            listener.on_task_instance_success(None, ti)
        else:
            listener.on_task_instance_failed(None, ti)
        self.tries.append(Try(seen.read_text(), error, decision))
        return self.tries[-1]

    def lose(self) -> None:
        """One try whose worker is killed while the application runs: nobody hears of its end."""
        from airflow_autoremed.airflow.attempt import lifecycle
        from airflow_autoremed.airflow.opt_in.attach import options_for

        task, _, context = self._begun()
        lifecycle.before_execute(context, options_for(task))
        forget()
        self.tries.append(Try("", None))

    def clear(self) -> None:
        """What a person does in the UI: Airflow grants new tries, counted from the last one."""
        self.retries = len(self.tries) + self.retries

    def _begun(self) -> tuple[Any, Any, dict[str, Any]]:
        task = copy.copy(self.task)
        ti = SimpleNamespace(
            dag_id="shop",
            run_id=self.run_id,
            task_id=task.task_id,
            map_index=self.map_index,
            try_number=len(self.tries) + 1,
            max_tries=self.retries,
            task=task,
            start_date=datetime.now(timezone.utc) - timedelta(seconds=self.took_s),
            xcom_push=lambda *args, **kwargs: None,
            stats_tags={},
        )
        context: dict[str, Any] = {"ti": ti, "task_instance": ti, "task": task, "run_id": self.run_id}
        if self.state_store is not None:
            context["task_state_store"] = self.state_store
        ti.get_template_context = lambda: context
        return task, ti, context


def forget() -> None:
    """Forget what a worker process keeps between the tasks it runs."""
    from airflow_autoremed.airflow import guard
    from airflow_autoremed.airflow.attempt import lifecycle, model_question
    from airflow_autoremed.airflow.attempt.history_client import HistoryClient
    from airflow_autoremed.airflow.options import settings

    lifecycle._running.clear()
    guard._SAID.clear()
    settings.cache_clear()
    HistoryClient.current.cache_clear()
    model_question._champion.cache_clear()

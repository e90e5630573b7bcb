"""Databricks' API of runs: submit, get, get-output; idempotency tokens give back the run of before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.standins.json_server import Handler, serving
from tests.support.standins.scripted import ScriptedSpark

_OF_A_TASK = ("new_cluster", "existing_cluster_id", "spark_python_task", "notebook_task")


def _state(life_cycle: str, result: str = "", message: str = "") -> dict[str, str]:
    return {"life_cycle_state": life_cycle, "result_state": result, "state_message": message}


@contextmanager
def databricks(spark: ScriptedSpark) -> Iterator[int]:
    """The port of a workspace."""
    runs: dict[int, dict[str, Any]] = {}
    tasks: dict[int, dict[str, Any]] = {}
    outputs: dict[int, dict[str, Any]] = {}
    tokens: dict[str, int] = {}

    def submit(told: dict[str, Any]) -> int:
        token = told.get("idempotency_token")
        if token in tokens:
            return tokens[token]
        number = 1000 + 10 * len(runs)
        alone = {name: told[name] for name in _OF_A_TASK if name in told}
        given = told.get("tasks") or [{"task_key": told.get("run_name", "main"), **alone}]
        runs[number] = {
            "run_id": number,
            "job_id": 1,
            "start_time": 1,
            "run_page_url": f"http://databricks/run/{number}",
            "state": _state("RUNNING"),
            "tasks": [],
        }
        if token:
            tokens[token] = number
        for at, task in enumerate(given, 1):
            known = {
                **task,
                "run_id": number + at,
                "start_time": 1,
                "run_page_url": f"http://databricks/run/{number + at}",
                "state": _state("RUNNING"),
            }
            runs[number]["tasks"].append(known)
            tasks[number + at] = known
            conf = (task.get("new_cluster") or {}).get("spark_conf") or {}
            spark.run(conf, _ender(runs[number], known, outputs))
        return number

    class Databricks(Handler):
        def answer(self, method: str, path: list[str], query: dict[str, str], body: Any) -> tuple[int, Any]:
            if path[-1] == "submit":
                return 200, {"run_id": submit(body)}
            number = int(query.get("run_id") or body.get("run_id") or 0)
            if path[-1] == "get-output":
                if number not in tasks:
                    message = "Retrieving the output of runs with multiple tasks is not supported"
                    return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": message}
                return 200, outputs.get(number, {})
            found = runs.get(number) or tasks.get(number)
            return (200, found) if found else (400, {"error_code": "INVALID_PARAMETER_VALUE"})

    with serving(Databricks) as port:
        yield port


def _ender(run: dict[str, Any], task: dict[str, Any], outputs: dict[int, dict[str, Any]]) -> Any:
    def ended(succeeded: bool, output: str) -> None:
        if succeeded:
            task["state"] = run["state"] = _state("TERMINATED", "SUCCESS")
            return
        outputs[task["run_id"]] = {
            "metadata": {},
            "logs": output,
            "error": "Workload failed",
            "error_trace": output,
        }
        message = "Workload failed, see run output for details"
        task["state"] = _state("TERMINATED", "FAILED", message)
        run["state"] = _state("TERMINATED", "FAILED", f"Task {task['task_key']} failed: {message}")

    return ended

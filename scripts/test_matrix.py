"""Try every supported version of Airflow, each in an environment of its own.

    .venv/bin/python scripts/test_matrix.py                 # all versions
    .venv/bin/python scripts/test_matrix.py 2.11 3.3        # some
    .venv/bin/python scripts/test_matrix.py 3.3 --scheduler # and the scheduler, with a worker that is killed

For each version: the environment is built without us; our wheel is installed, and no version that was there may have
moved; then a Dag runs with ``airflow dags test`` (retries, mapping and deferral are real, Spark is played by a
script), and the history has to say that a task healed on its second try, a doomed one was stopped on its first, a
transient one was retried as it was, a mapped one healed in each instance, and one that deferred healed too. Also: a task
that overrides a callback of its ``default_args`` heals, one with nothing but a retry policy heals, an operator that
ignores its patch is told so, a task that succeeded and is cleared runs again, one that is terminated from outside
teaches nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".matrix"
EXPECTED = {
    # task, map index: per try its verdict and whether it succeeded
    ("heals", -1): [("remediate", False), (None, True)],
    ("doomed", -1): [("stop", False)],
    ("transient", -1): [("leave_alone", False), (None, True)],
    ("mapped", 0): [("remediate", False), (None, True)],
    ("mapped", 1): [("remediate", False), (None, True)],
    ("deferring", -1): [("remediate", False), (None, True)],
}
HOUSE = {
    ("own_callbacks", -1): [("remediate", False), (None, True)],
    ("ignores", -1): [("remediate", False), ("leave_alone", False)],
}
"""A task that overrides what its ``default_args`` hang on it, and an operator that overrides its patch."""
POLICY_ONLY = {("policy_only", -1): [("remediate", False), (None, True)]}
CLEARED = {("cleared", -1): [(None, True), (None, True)]}
TERMINATED = {("terminated", -1): [(None, None), (None, True)]}
"""Ended from outside: nothing is decided and nothing learned, and the next try runs as declared."""
KILLED = {("killed", -1): [("leave_alone", False), ("remediate", False), (None, True)]}
"""The first try is killed; nothing is left of it but its log, which names no cause."""


@dataclass(frozen=True)
class Version:
    """What a deployment has."""

    airflow: str
    as_of: str
    """A day shortly after its release: what a deployment of that time has pinned. Some versions no longer run with the
    newest of what they need, and with the newest of everything our wheel has nothing to move. (Airflow's own constraints
    files are not on the package index.)"""
    spark_provider: str = ""
    """A version of the Spark provider older than that day's newest, as in ``==4.7.2``."""

    @property
    def series(self) -> str:
        """``3.0``"""
        return ".".join(self.airflow.split(".")[:2])


VERSIONS = {
    "2.11-4.7": Version("2.11.2", "2026-04-01", "==4.7.2"),
    "2.11": Version("2.11.2", "2026-04-01"),
    "3.0": Version("3.0.6", "2025-09-10"),
    "3.1": Version("3.1.8", "2026-04-01"),
    "3.2": Version("3.2.1", "2026-05-10"),
    "3.3": Version("3.3.2", "2026-11-20"),
}


@dataclass(frozen=True)
class Environment:
    """One version of Airflow, installed."""

    name: str
    path: Path

    @property
    def version(self) -> Version:
        return VERSIONS[self.name]

    def run(
        self, *command: str, timeout: float = 600, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment."""
        done = subprocess.run(
            [str(self.path / "bin" / command[0]), *command[1:]],
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(
                f"{' '.join(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}"
            )
        return done

    @property
    def home(self) -> Path:
        return self.path / "airflow"

    def env(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "PYTHON"))}
        return kept | {
            "PATH": f"{ROOT / 'tests/matrix/bin'}:{self.path / 'bin'}:{os.environ['PATH']}",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "tests/matrix/dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_SPARK_DEFAULT": '{"conn_type": "spark", "host": "local[1]"}',
            "PYTHONPATH": str(ROOT / "tests/matrix/dags"),  # where the triggerer finds the trigger
            "MATRIX_SCRATCH": str(self.home),
        }


def build(name: str, wheel: Path) -> Environment:
    """The environment with Airflow, then with our wheel; what that added is printed.

    :raises RuntimeError: when it moved a version that was there.
    """
    environment = Environment(name, HOME / name)
    uv = [sys.executable, "-m", "uv"]
    python = str(environment.path / "bin" / "python")
    if not (environment.path / "ready").exists():
        shutil.rmtree(environment.path, ignore_errors=True)
        subprocess.run([*uv, "venv", "-q", "-p", sys.executable, str(environment.path)], check=True)
        version = environment.version
        airflow = [
            f"apache-airflow=={version.airflow}",
            f"apache-airflow-providers-apache-spark{version.spark_provider}",
        ]
        overrides = ["--override", str(ROOT / "requirements/overrides.txt"), "--exclude-newer", version.as_of]
        subprocess.run([*uv, "pip", "install", "-q", "--python", python, *airflow, *overrides], check=True)
        (environment.path / "ready").write_text(json.dumps(_packages(uv, python)))
    before = json.loads((environment.path / "ready").read_text())
    if ours := sorted(_packages(uv, python).keys() - before.keys()):  # of an earlier run
        subprocess.run([*uv, "pip", "uninstall", "-q", "--python", python, *ours], check=True)
    subprocess.run([*uv, "pip", "install", "-q", "--python", python, str(wheel)], check=True)
    after = _packages(uv, python)
    moved = {
        package: (old, after.get(package)) for package, old in before.items() if after.get(package) != old
    }
    if moved:
        raise RuntimeError(f"installing the wheel moved {moved}")
    added = sorted(f"{package} {after[package]}" for package in after.keys() - before.keys())
    spark = after.get("apache-airflow-providers-apache-spark")
    print(
        f"  Airflow {environment.version.airflow}, Spark provider {spark}; the wheel moved nothing and added: {', '.join(added)}"
    )
    return environment


def _packages(uv: list[str], python: str) -> dict[str, str]:
    listed = subprocess.run(
        [*uv, "pip", "list", "--format", "json", "--python", python],
        check=True,
        capture_output=True,
        text=True,
    )
    return {each["name"]: each["version"] for each in json.loads(listed.stdout)}


def history(environment: Environment) -> dict[tuple[str, int], list[tuple[str | None, bool | None]]]:
    """Per task instance: each try's verdict and whether it succeeded."""
    rows = json.loads(environment.run("autoremed", "history", "--format", "json", "-n", "1000").stdout)
    found: dict[tuple[str, int], list[tuple[str | None, bool | None]]] = {}
    for row in sorted(rows, key=lambda row: row["try_number"]):
        found.setdefault((row["task_id"], row["map_index"]), []).append((row["decision"], row["succeeded"]))
    return found


def dags_test(environment: Environment) -> list[str]:
    """Run the Dag in one process; what is not as it has to be."""
    shutil.rmtree(environment.home, ignore_errors=True)
    environment.home.mkdir(parents=True)
    environment.run("airflow", "db", "migrate")
    if environment.version.series != "2.11":
        environment.run("airflow", "dags", "reserialize", check=False)
    began = time.perf_counter()
    has_policies = environment.version.series not in ("2.11", "3.0", "3.1", "3.2")
    expected = EXPECTED | HOUSE | CLEARED | TERMINATED | (POLICY_ONLY if has_policies else {})
    if environment.version.series == "2.11":
        # Its command forgets a run that is tested again, and ends with a task that is terminated.
        expected |= {key: tries[:1] for key, tries in (CLEARED | TERMINATED).items()}
    printed = ""
    # Testing a Dag of the same date again clears its tasks and runs them anew.
    for dag in ("matrix", "matrix_house", "matrix_cleared", "matrix_cleared", "matrix_terminated"):
        done = environment.run("airflow", "dags", "test", dag, "2026-11-24", check=False, timeout=900)
        printed += done.stdout + done.stderr
    print(f"  airflow dags test, five times: {time.perf_counter() - began:.0f} s")
    problems = _differences(history(environment), expected)
    if problems:
        (environment.home / "dags-test.log").write_text(printed)
        problems.append(f"see {environment.home / 'dags-test.log'}")
    return problems


def scheduler(environment: Environment) -> list[str]:
    """Run the same through the real scheduler, and a Dag whose worker is killed; what is not as it has to be."""
    (environment.home / "autoremed.db").unlink(missing_ok=True)
    for marker in ("transient", "killed", "terminated"):  # what the tasks of the run before left
        (environment.home / marker).unlink(missing_ok=True)
    expected = {"matrix": EXPECTED, "matrix_terminated": TERMINATED, "matrix_killed": KILLED}
    if environment.version.series == "3.0":
        # Its supervisor marks a task whose process was killed as failed, whatever its retries are
        # (airflow.sdk.execution_time.supervisor, final_state): there is no next try at which to decide.
        del expected["matrix_killed"]
    wanted = {key: tries for dag in expected.values() for key, tries in dag.items()}
    log = (environment.home / "standalone.log").open("w")
    process = subprocess.Popen(
        [str(environment.path / "bin" / "airflow"), "standalone"],
        env=environment.env()
        | {
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
            # On SQLite, tasks that start at once lock the API server of 3.0 out of its database.
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "1",
        },
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        began = time.monotonic()
        for dag in expected:
            # 2.11 says that unpausing worked also when there is no such Dag yet.
            while any(
                environment.run("airflow", "dags", command, dag, check=False).returncode
                for command in ("unpause", "trigger")
            ):
                if time.monotonic() - began > 240:
                    return [f"airflow standalone did not come up with {dag} within 240 s"]
                time.sleep(3)
        while time.monotonic() - began < 540:
            time.sleep(5)
            problems = _differences(history(environment), wanted)
            if not problems:
                print(f"  scheduler, {' and '.join(expected)}: {time.monotonic() - began:.0f} s with start")
                return []
        return [*problems, f"see {log.name}"]
    finally:
        os.killpg(process.pid, 15)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)  # its children, which may outlive it


def _differences(found: dict, expected: dict) -> list[str]:  # type: ignore[type-arg]
    return [
        f"{task}[{index}]: {found.get((task, index))}, expected {wanted}"
        for (task, index), wanted in expected.items()
        if found.get((task, index)) != wanted
    ]


def main() -> int:
    """Build, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="*", choices=[*VERSIONS, []], default=[])
    parser.add_argument(
        "--scheduler", action="store_true", help="also through the real scheduler, and a killed worker"
    )
    arguments = parser.parse_args()
    dist = HOME / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(dist), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = dist.glob("*.whl")
    failed = False
    for name in arguments.versions or VERSIONS:
        print(f"{name}:", flush=True)
        try:
            environment = build(name, wheel)
            problems = dags_test(environment)
            if arguments.scheduler and not problems:
                problems = scheduler(environment)
        except (RuntimeError, subprocess.SubprocessError) as error:
            problems = [str(error)]
        for problem in problems:
            print(f"  WRONG: {problem}")
        print("  as it has to be" if not problems else "  FAILED", flush=True)
        failed = failed or bool(problems)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

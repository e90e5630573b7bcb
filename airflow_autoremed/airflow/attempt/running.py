"""The attempt that runs in this process: what is known of it, from its start to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_autoremed.airflow.options import Options, settings
from airflow_autoremed.platforms.base import Platform
from airflow_autoremed.types import AttemptId, Conf, Decision, Limits, Mode, Override, PastAttempt

if TYPE_CHECKING:
    from airflow_autoremed.airflow.attempt.stall_watch import StallWatch
    from airflow_autoremed.failures.matching.log_tap import LogTap
    from airflow_autoremed.failures.rules.catalogue import Catalogue


@dataclass(eq=False, repr=False)  # what is not asked for is not made, in every worker
class RunningAttempt:
    """What we know of the attempt that runs in this process."""

    attempt: AttemptId
    operator: Any
    platform: Platform
    options: Options
    mode: Mode
    """What the Dag file and the configuration say; what holds: :meth:`mode_of`."""
    baseline: Conf
    effective: Conf
    tap: LogTap
    overrides: tuple[Override, ...] = ()
    """The modes that people set, as the store gave them last."""
    fingerprint: str = ""
    """Of the job, see :mod:`airflow_autoremed.spark.fingerprint`."""
    patch_key: str | None = None
    """Of the patch it runs with, as the store names it."""
    standing: bool = False
    """Whether that is the one that was promoted for the task."""
    past: tuple[PastAttempt, ...] = ()
    started_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    bundle_root: str | None = None
    """Of the Dag bundle that the task was loaded from (Airflow 3)."""
    max_tries: int | None = None
    """Airflow's. Clearing the task raises it."""
    doomed: str | None = None
    """Why it does not run at all."""
    over: bool = False
    """Whether we have seen its end."""
    ended_from_outside: bool = False
    """Killed by Airflow: terminated, marked or cleared."""
    interrupted: bool = False
    """Recorded as ended without a result of its own."""
    patch_ignored: bool = False
    """Whether the operator submitted something else than its patch."""
    promotes: bool = True
    """Whether its success may promote its patch."""
    decision: Decision | None = None
    watch: StallWatch | None = None
    """Ends the attempt when it waits for too long."""

    @property
    def patched(self) -> bool:
        """Whether a patch of ours is in force."""
        return not self.patch_ignored and dict(self.effective) != dict(self.baseline)

    def mode_of(self, category: str | None = None) -> Mode:
        """The mode that holds: for failures and patches of *category*, where that is known."""
        if not self.overrides:
            return self.mode
        from airflow_autoremed.remediation.modes import effective

        return effective(self.mode, self.overrides, category)[0]

    def as_declared(self) -> None:
        """What ran was no patch of ours."""
        self.effective, self.patch_key, self.standing = self.baseline, None, False

    def stop_watching(self) -> None:
        """The application has ended."""
        if self.watch is not None:
            self.watch.stop()

    def catalogue(self) -> Catalogue:
        """The rules that hold for this task: those beside its Dag, the deployment's, ours."""
        return load_catalogue_of(self.operator, self.bundle_root)

    @property
    def limits(self) -> Limits:
        """The hard caps that hold for this task."""
        return self.options.effective_limits(self.operator)

    @property
    def duration_s(self) -> float:
        """Seconds since Airflow started the attempt, time in the triggerer included."""
        return max(0.0, (datetime.now(timezone.utc) - self.started_at).total_seconds())


def attempt_id(ti: Any) -> AttemptId:
    """The identity of a task instance's present try."""
    map_index = getattr(ti, "map_index", -1)
    return AttemptId(
        str(ti.dag_id),
        str(ti.run_id),
        str(ti.task_id),
        -1 if map_index is None else int(map_index),
        int(ti.try_number),
    )


def retries_left(ti: Any, max_tries: int | None = None) -> int:
    """How many tries Airflow still grants after the present one fails."""
    most = max_tries if max_tries is not None else getattr(ti, "max_tries", None)
    if most is None:
        most = getattr(ti.task, "retries", 0) or 0
    return max(0, int(most) - int(ti.try_number) + 1)


def bundle_root(ti: Any) -> str | None:
    """Where the Dag bundle of a task instance lies; ``None`` before Airflow 3."""
    path = getattr(getattr(ti, "bundle_instance", None), "path", None)
    return None if path is None else str(path)


def load_catalogue_of(operator: Any, root: str | None = None) -> Catalogue:
    """The rules that hold for a task: those beside its Dag, the deployment's, ours.

    :param root: of its Dag bundle; without one, rules are looked for up to Airflow's ``dags_folder``.
    """
    from airflow_autoremed.airflow.compat import dags_folder
    from airflow_autoremed.failures.rules.dag_folder_rules import dag_rules_paths
    from airflow_autoremed.failures.rules.loading import load_catalogue

    dag = operator.get_dag()
    beside = dag_rules_paths(dag.fileloc, root or dags_folder()) if dag is not None else ()
    return load_catalogue((*beside, *settings().rules_paths))

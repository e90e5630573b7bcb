"""``SparkSubmitOperator`` of apache-airflow-providers-apache-spark, 4.7 to 6.3, and what its kin share with it.

The operator offers no public way to read or change its resources or to see its log, so this file leans on private
names: ``_executor_memory`` and its like, ``_get_hook``, ``_hook`` and the hook's ``_process_spark_submit_log``.
They are pinned by tests against the real classes; where one is missing, :class:`PrivateApiError` says so and
the task runs on as if nothing were attached.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from airflow_autoremed.platforms.base import (
    Platform,
    PrivateApiError,
    flat,
    note_submissions,
    own_method,
    replace_method,
    text,
    took_up_an_old_run,
)
from airflow_autoremed.types import Source

# Command-line flags win over --conf in spark-submit (SparkSubmitArguments.mergeDefaultSparkProperties and the
# option assigners of prepareSubmitEnvironment), so they are read last and written first.
FLAGS = {
    "spark.executor.memory": "_executor_memory",
    "spark.driver.memory": "_driver_memory",
    "spark.executor.cores": "_executor_cores",
    "spark.executor.instances": "_num_executors",
    "spark.cores.max": "_total_executor_cores",
}

_SUBMIT_ENDS_S = 15.0
"""How long spark-submit may take to notice that its application was killed; it asks YARN every second."""
_FOLLOWED = "_autoremed_followed"
"""Attribute of an operator: the id of the run that it waits for or has waited for in a cluster."""


class SparkSubmitPlatform(Platform):
    """Read, write and tap a ``SparkSubmitOperator``, or an operator built like it."""

    name = "spark_submit"
    flags: ClassVar[Mapping[str, str]] = FLAGS
    """Spark key to the operator's attribute that becomes a flag of the command line."""
    conf_attributes: ClassVar[tuple[str, ...]] = ("conf", "_conf")
    """Where the operator keeps its conf: the first of these that it has."""
    hook_attribute: ClassVar[str] = "_hook"
    """Where the operator keeps its hook once it is built."""
    process_attribute: ClassVar[str] = "_submit_sp"
    """Where the hook keeps the process that it waits for."""

    def read_conf(self, operator: Any) -> dict[str, str]:
        """Declared conf, with the resource arguments (``executor_memory=...``) under their Spark keys."""
        conf = flat(self._conf(operator))
        for key, attribute in self.flags.items():
            value = getattr(operator, attribute, None)
            if value is not None:
                conf[key] = text(value)
        return conf

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Set *changes* where the author set the same key: in the argument, in ``conf``, or in both."""
        conf: dict[str, Any] = dict(self._conf(operator))
        for key, value in changes.items():
            attribute = self.flags.get(key)
            if attribute is not None and getattr(operator, attribute, None) is not None:
                setattr(operator, attribute, value)
                if key not in conf:
                    continue
            conf[key] = value
        setattr(operator, self._conf_attribute(operator), conf)
        self._forget_hook(operator)

    def job(self, operator: Any) -> dict[str, str]:
        """The application and its main class."""
        found = {}
        for name in ("application", "java_class"):
            value = getattr(operator, name, None) or getattr(operator, f"_{name}", None)
            if value is not None:
                found[name] = str(value)
        return found

    def tap(self, operator: Any, write: Callable[[str], None]) -> None:
        """Tee the output of spark-submit: the hook reads every line as before, *write* sees it too."""
        self.tap_hook(operator, lambda hook: tee_submit_log(operator, hook, write))
        note_submissions(operator)
        _note_what_is_followed(operator)

    def tap_hook(self, operator: Any, tapped: Callable[[Any], None]) -> None:
        """Have *tapped* called with the operator's hook before it runs anything."""
        build = own_method(operator, "_get_hook")
        if build is None:
            raise PrivateApiError(f"{type(operator).__name__} has no _get_hook; its log cannot be tapped")

        def build_tapped() -> Any:
            hook = build()
            tapped(hook)
            return hook

        replace_method(operator, "_get_hook", build_tapped)
        self._forget_hook(operator)

    def reconnected(self, operator: Any) -> bool:
        """Since provider 6.1 and Airflow 3.3, an operator that follows its application in a cluster goes on with
        one that an earlier try submitted and that is still active, or has succeeded meanwhile."""
        return took_up_an_old_run(operator, getattr(operator, _FOLLOWED, None))

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """In cluster mode, what YARN, Kubernetes or the standalone master says of the driver."""
        hook = self.built_hook(operator)
        if hook is None:
            return ()
        from airflow_autoremed.platforms.spark_clusters import driver_diagnostics

        return driver_diagnostics(hook, getattr(operator, _FOLLOWED, None))

    def own_retries(self, operator: Any) -> str | None:
        """YARN starts a failed driver again in cluster mode; the standalone master does when it supervises it."""
        conf, hook = self.read_conf(operator), self.built_hook(operator)
        if getattr(hook, "_is_yarn_cluster_mode", False):
            attempts = conf.get("spark.yarn.maxAppAttempts", "").strip()
            if attempts == "1":
                return None
            most = (
                f"{attempts} times in all"
                if attempts
                else "as often as yarn.resourcemanager.am.max-attempts says"
            )
            return (
                f"YARN itself starts a failed driver again with the same configuration, {most}; "
                "spark.yarn.maxAppAttempts=1 lets the patched retry come at once."
            )
        if (
            getattr(hook, "_should_track_driver_status", False)
            and conf.get("spark.driver.supervise", "").strip().lower() == "true"
        ):
            return (
                "The standalone master starts a failed driver again with the same configuration, without an end; "
                "spark.driver.supervise=false lets the patched retry come."
            )
        return None

    def kill(self, operator: Any, announce: Callable[[], None]) -> bool:
        """``operator.on_kill()``, as long as spark-submit itself runs; the task then fails with its exit code.

        Once spark-submit has left (the hook asks a cluster for the state), its last line is old, and what became
        of the application cannot be told from the log: nothing is ended then.
        """
        hook = self.built_hook(operator)
        process = getattr(hook, self.process_attribute, None)
        if hook is None or process is None or process.poll() is not None:
            return False
        announce()
        operator.on_kill()
        try:
            process.wait(timeout=_SUBMIT_ENDS_S)
        except subprocess.TimeoutExpired:
            # On YARN in cluster mode the operator only asks the ResourceManager, which works where its address
            # is in the connection. The hook ends spark-submit and asks the yarn command.
            if hasattr(hook, "on_kill"):
                hook.on_kill()
        return True

    def built_hook(self, operator: Any) -> Any:
        """The hook that the operator has built for its run; ``None`` before there is one."""
        return vars(operator).get(self.hook_attribute)

    def _conf(self, operator: Any) -> Mapping[str, Any]:
        conf = getattr(operator, self._conf_attribute(operator)) or {}
        if not isinstance(conf, Mapping):
            raise PrivateApiError(
                f"conf of {type(operator).__name__} is a {type(conf).__name__}, not a mapping"
            )
        return conf

    def _conf_attribute(self, operator: Any) -> str:
        for attribute in self.conf_attributes:
            if hasattr(operator, attribute):
                return attribute
        raise PrivateApiError(f"{type(operator).__name__} has no {' or '.join(self.conf_attributes)}")

    def _forget_hook(self, operator: Any) -> None:
        # The operator caches its hook, and a hook keeps the conf it was built with.
        if self.built_hook(operator) is not None:
            setattr(operator, self.hook_attribute, None)


def tee_submit_log(operator: Any, hook: Any, write: Callable[[str], None]) -> None:
    """Let *write* see every line that a ``SparkSubmitHook`` reads."""
    process = getattr(hook, "_process_spark_submit_log", None)
    if process is None:
        operator.log.warning(
            "[autoremed] %s has no _process_spark_submit_log, so the log of this run cannot be read as it streams; "
            "a failure will be judged by its exception alone.",
            type(hook).__name__,
        )
        return
    hook._process_spark_submit_log = lambda lines: process(tee(lines, write))


def _note_what_is_followed(operator: Any) -> None:
    """Remember on *operator* the id of the run whose end it waits for, or whose end it finds."""
    setattr(operator, _FOLLOWED, None)
    for name in ("poll_until_complete", "get_job_result"):
        method = own_method(operator, name)
        if method is not None:
            replace_method(operator, name, _noting(operator, method))


def _noting(operator: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    def noting(external_id: Any, *args: Any, **kwargs: Any) -> Any:
        setattr(operator, _FOLLOWED, external_id)
        return method(external_id, *args, **kwargs)

    return noting


def tee(lines: Iterable[Any], write: Callable[[str], None]) -> Iterator[Any]:
    """*lines*, each of which *write* sees too."""
    for line in lines:
        write(line if isinstance(line, str) else str(line))
        yield line

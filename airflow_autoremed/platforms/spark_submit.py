"""``SparkSubmitOperator`` of apache-airflow-providers-apache-spark, 4.7 to 6.3.

The operator offers no public way to read or change its resources or to see its log, so this file leans on private
names: ``_executor_memory`` and its like, ``_get_hook``, ``_hook`` and the hook's ``_process_spark_submit_log``.
They are pinned by tests against the real classes; where one is missing, :class:`PrivateApiError` says so and
the task runs on as if nothing were attached.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from airflow_autoremed.platforms.base import Platform, PrivateApiError, flat, own_method, replace_method, text
from airflow_autoremed.types import Source

# Command-line flags win over --conf in spark-submit (SparkSubmitArguments.mergeDefaultSparkProperties and the
# option assigners of prepareSubmitEnvironment), so they are read last and written first.
_FLAGS = {
    "spark.executor.memory": "_executor_memory",
    "spark.driver.memory": "_driver_memory",
    "spark.executor.cores": "_executor_cores",
    "spark.executor.instances": "_num_executors",
    "spark.cores.max": "_total_executor_cores",
}

_SUBMIT_ENDS_S = 15.0
"""How long spark-submit may take to notice that its application was killed; it asks YARN every second."""


class SparkSubmitPlatform(Platform):
    """Read, write and tap a ``SparkSubmitOperator``."""

    name = "spark_submit"

    def read_conf(self, operator: Any) -> dict[str, str]:
        """Declared conf, with the resource arguments (``executor_memory=...``) under their Spark keys."""
        conf = flat(self._conf(operator))
        for key, attribute in _FLAGS.items():
            value = getattr(operator, attribute, None)
            if value is not None:
                conf[key] = text(value)
        return conf

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Set *changes* where the author set the same key: in the argument, in ``conf``, or in both."""
        conf = dict(self._conf(operator))
        for key, value in changes.items():
            attribute = _FLAGS.get(key)
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
        build = own_method(operator, "_get_hook")
        if build is None:
            raise PrivateApiError(f"{type(operator).__name__} has no _get_hook; its log cannot be tapped")

        def build_tapped() -> Any:
            hook = build()
            process = getattr(hook, "_process_spark_submit_log", None)
            if process is None:
                operator.log.warning(
                    "[autoremed] %s has no _process_spark_submit_log, so the log of this run cannot be read as it "
                    "streams; a failure will be judged by its exception alone.",
                    type(hook).__name__,
                )
                return hook
            hook._process_spark_submit_log = lambda lines: process(_tee(lines, write))
            return hook

        replace_method(operator, "_get_hook", build_tapped)
        self._forget_hook(operator)

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """Nothing beyond the stream: the platforms behind spark-submit are asked elsewhere."""
        return ()

    def kill(self, operator: Any, announce: Callable[[], None]) -> bool:
        """``operator.on_kill()``, as long as spark-submit itself runs; the task then fails with its exit code.

        Once spark-submit has left (the hook asks a cluster for the state), its last line is old, and what became
        of the application cannot be told from the log: nothing is ended then.
        """
        hook = getattr(operator, "_hook", None)
        process = getattr(hook, "_submit_sp", None)
        if hook is None or process is None or process.poll() is not None:
            return False
        announce()
        operator.on_kill()
        try:
            process.wait(timeout=_SUBMIT_ENDS_S)
        except subprocess.TimeoutExpired:
            # On YARN in cluster mode the operator only asks the ResourceManager, which works where its address
            # is in the connection. The hook ends spark-submit and asks the yarn command.
            hook.on_kill()
        return True

    def _conf(self, operator: Any) -> Mapping[str, Any]:
        conf = getattr(operator, self._conf_attribute(operator)) or {}
        if not isinstance(conf, Mapping):
            raise PrivateApiError(
                f"conf of {type(operator).__name__} is a {type(conf).__name__}, not a mapping"
            )
        return conf

    @staticmethod
    def _conf_attribute(operator: Any) -> str:
        for attribute in ("conf", "_conf"):
            if hasattr(operator, attribute):
                return attribute
        raise PrivateApiError(f"{type(operator).__name__} has neither conf nor _conf")

    @staticmethod
    def _forget_hook(operator: Any) -> None:
        # The operator caches its hook, and a hook keeps the conf it was built with.
        if getattr(operator, "_hook", None) is not None:
            operator._hook = None


def _tee(lines: Iterable[Any], write: Callable[[str], None]) -> Iterator[Any]:
    for line in lines:
        write(line if isinstance(line, str) else str(line))
        yield line

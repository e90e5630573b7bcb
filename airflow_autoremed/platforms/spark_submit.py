"""``SparkSubmitOperator`` of apache-airflow-providers-apache-spark, 4.7 to 6.3, and what its kin share with it.

The operator offers no public way to read or change its resources or to see its log, so this file leans on private
names: ``_executor_memory`` and its like, ``_get_hook``, ``_hook`` and the hook's ``_process_spark_submit_log``.
They are pinned by tests against the real classes; where one is missing, :class:`PrivateApiError` says so and
the task runs on as if nothing were attached.
"""

from __future__ import annotations

import copy
import logging
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from airflow_autoremed.errors import PrivateApiError
from airflow_autoremed.platforms import arguments
from airflow_autoremed.platforms.base import SIZES, note_submissions, own_method, replace_method
from airflow_autoremed.platforms.conf_with_arguments import ConfWithArguments
from airflow_autoremed.platforms.spark_defaults import (
    Defaults,
    defaults_of,
    environment,
    sized_flags,
)
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.types import Conf, Source

log = logging.getLogger("airflow_autoremed")

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
_READS = "_process_spark_submit_log"
"""The hook's method that is given the lines of the log."""
_REPEATED = "_autoremed_repeated"
"""Attribute of an operator: JVM options before whose sizes the flags of a file of defaults were repeated."""
_JVM_OPTIONS = frozenset(key for key in PATCHABLE if key.endswith("Options"))
_TAPPED = "_autoremed_tapped"
"""Attribute of an operator: the hook that was tapped last."""


class SparkSubmitPlatform(ConfWithArguments):
    """Read, write and tap a ``SparkSubmitOperator``, or an operator built like it."""

    name = "spark_submit"
    run_attributes = (_FOLLOWED,)
    arguments: ClassVar[Mapping[str, str]] = FLAGS
    """Spark key to the operator's attribute that becomes a flag of the command line."""
    conf_attributes: ClassVar[tuple[str, ...]] = ("conf", "_conf")
    """Where the operator keeps its conf: the first of these that it has."""
    hook_attribute: ClassVar[str] = "_hook"
    """Where the operator keeps its hook once it is built."""
    binary: ClassVar[str] = "spark-submit"
    """The command, where the operator names none."""
    process_attribute: ClassVar[str] = "_submit_sp"
    """Where the hook keeps the process that it waits for."""

    def read_conf(self, operator: Any) -> dict[str, str]:
        """What the operator declares, over what ``properties_file`` or ``spark-defaults.conf`` sets of what a patch may
        change: a patch grows from there."""
        declared = super().read_conf(operator)
        for key in vars(operator).get(_REPEATED, ()):
            if key in declared:
                declared[key] = sized_flags(declared[key])
        return {**self.defaults(operator).conf, **declared}

    def unseen(self, operator: Any) -> frozenset[str]:
        """JVM options, which ``--conf`` replaces as a whole, where the file of defaults is not known or sets more than
        flags; memory too where the author names a file that cannot be read from here."""
        defaults = self.defaults(operator)
        hidden = defaults.left_alone
        if not defaults.seen:
            hidden = SIZES if getattr(operator, "properties_file", None) else _JVM_OPTIONS
        return hidden - (set(super().read_conf(operator)) - set(vars(operator).get(_REPEATED, ())))

    def defaults(self, operator: Any) -> Defaults:
        """What the run gets from files of this machine."""
        env = getattr(operator, "env_vars", None)
        return defaults_of(
            getattr(operator, "properties_file", None),
            getattr(operator, "_spark_binary", None) or self.binary,
            environment(env if isinstance(env, Mapping) else None),
        )

    def held(self, operator: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The resource arguments (``executor_memory=...``) are private attributes."""
        given = {name: getattr(operator, name, None) for name in self.arguments.values()}
        return self._mapping(operator, getattr(operator, self._conf_attribute(operator))), given

    def hold(self, operator: Any, conf: dict[str, Any], arguments: dict[str, Any]) -> None:
        """Also of a hook that is there already: it keeps what it was built with."""
        for name, value in arguments.items():
            setattr(operator, name, value)
        setattr(operator, self._conf_attribute(operator), conf)

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Set *changes* where the author set the same key: in the argument, in conf, or in both; and in a copy of a
        hook that was built before. Where that hook is of another make, the operator builds one anew."""
        written = self._with_flags_of_defaults(operator, changes)
        super().write_conf(operator, written)
        hook = self._hook_held(operator)
        if hook is not None:
            self._hold_hook(operator, self._changed_hook(operator, hook, written))

    def _with_flags_of_defaults(self, operator: Any, changes: Mapping[str, str]) -> dict[str, str]:
        """*changes* with the JVM flags of the file before ours: ``--conf`` replaces what the file says."""
        declared = super().read_conf(operator)
        repeated = set(vars(operator).get(_REPEATED, ()))
        whole = dict(changes)
        for key, flags in self.defaults(operator).options.items():
            if key in changes and flags and (key in repeated or key not in declared):
                repeated.add(key)
                whole[key] = f"{flags} {changes[key]}"
        setattr(operator, _REPEATED, frozenset(repeated))
        return whole

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
        self.tap_hook(operator, lambda hook: tee_submit_log(hook, write))
        note_submissions(operator)
        _note_what_is_followed(operator)

    def tap_hook(self, operator: Any, tapped: Callable[[Any], None]) -> None:
        """Have *tapped* called with the operator's hook before it runs anything: one that is there, one that
        ``pre_execute`` leaves behind, and one that ``_get_hook`` builds."""
        setattr(operator, _TAPPED, None)

        def tap_once(hook: Any) -> None:
            if hook is None or hook is vars(operator).get(_TAPPED):
                return
            try:
                tapped(hook)
            except Exception as error:  # noqa: BLE001 - the hook works without us
                _no_tap(hook, error)
            setattr(operator, _TAPPED, hook)

        build = own_method(operator, "_get_hook")
        prepare = own_method(operator, "pre_execute")
        there = self._hook_held(operator)
        if build is None and there is None:
            raise PrivateApiError(f"{type(operator).__name__} has no _get_hook; its log cannot be tapped")

        def build_tapped(*args: Any, **kwargs: Any) -> Any:
            hook = build(*args, **kwargs)
            tap_once(hook)
            return hook

        def prepare_and_tap(*args: Any, **kwargs: Any) -> Any:
            result = prepare(*args, **kwargs)
            tap_once(self._hook_held(operator))
            return result

        tap_once(there)
        if build is not None:
            replace_method(operator, "_get_hook", build_tapped)
        if prepare is not None and not hasattr(prepare, "autoremed_operator"):
            replace_method(operator, "pre_execute", prepare_and_tap)

    def submitted_conf(self, operator: Any) -> Conf | None:
        """From the arguments of the process that the hook started."""
        process = getattr(self.built_hook(operator), self.process_attribute, None)
        words = getattr(process, "args", None)
        if not isinstance(words, list | tuple):
            return super().submitted_conf(operator)
        options = [str(word) for word in words]
        while options and not options[0].startswith("-"):  # the binary, and a command of spark-pipelines
            options.pop(0)
        return {key: value for key, value in arguments.read(options).items() if key in PATCHABLE}

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
        """The hook of the operator's run; ``None`` before there is one."""
        held = self._hook_held(operator)
        return vars(operator).get(_TAPPED) if held is None else held

    def _hook_held(self, operator: Any) -> Any:
        return vars(operator).get(self.hook_attribute)

    def _hold_hook(self, operator: Any, hook: Any) -> None:
        setattr(operator, self.hook_attribute, hook)

    def _changed_hook(self, operator: Any, hook: Any, changes: Mapping[str, str]) -> Any:
        """A copy of *hook* with *changes*; ``None`` when it does not keep them where the provider's hooks do."""
        try:
            held = {name: getattr(hook, name, None) for name in FLAGS.values()}
            conf, given = _OF_HOOKS.spread(changes, self._mapping(hook, vars(hook)["_conf"]), held)
            changed = copy.copy(hook)
            if hasattr(vars(changed).get(_READS), "autoremed_tee"):  # it reads for the hook that was copied
                delattr(changed, _READS)
            for name, value in {**given, "_conf": conf}.items():
                setattr(changed, name, value)
        except (PrivateApiError, KeyError, AttributeError, TypeError):
            return None
        return changed

    def _mapping(self, holder: Any, conf: Any) -> Mapping[str, Any]:
        if conf is None or isinstance(conf, Mapping):
            return conf or {}
        raise PrivateApiError(f"conf of {type(holder).__name__} is a {type(conf).__name__}, not a mapping")

    def _conf_attribute(self, operator: Any) -> str:
        for attribute in self.conf_attributes:
            if hasattr(operator, attribute):
                return attribute
        raise PrivateApiError(f"{type(operator).__name__} has no {' or '.join(self.conf_attributes)}")


_OF_HOOKS = SparkSubmitPlatform()
"""Hooks of all kinds keep their arguments under the names that ``SparkSubmitOperator`` has for them."""


def tee_submit_log(hook: Any, write: Callable[[str], None]) -> None:
    """Let *write* see every line that a ``SparkSubmitHook`` reads.

    :raises AttributeError: when it has no place where it reads them.
    """
    process = getattr(hook, _READS)

    def teed(*args: Any, **kwargs: Any) -> Any:
        if args:
            args = (tee(args[0], write), *args[1:])
        elif kwargs:  # however a subclass names it
            name = "itr" if "itr" in kwargs else next(iter(kwargs))
            kwargs[name] = tee(kwargs[name], write)
        return process(*args, **kwargs)

    teed.autoremed_tee = True  # type: ignore[attr-defined]
    setattr(hook, _READS, teed)


def _no_tap(hook: Any, error: Exception) -> None:
    log.warning(
        "[autoremed] The log of this run cannot be read as it streams from %s (%s: %s); a failure will be judged by "
        "its exception and by what the platform knows.",
        type(hook).__name__,
        type(error).__name__,
        error,
    )


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
    """*lines*, each of which *write* sees too, until a fault of it."""
    listening = True
    for line in lines:
        if listening:
            try:
                write(line if isinstance(line, str) else str(line))
            except Exception as error:  # noqa: BLE001 - the run goes on without us
                listening = False
                log.warning("[autoremed] Stopped reading the task's log: %s: %s", type(error).__name__, error)
        yield line

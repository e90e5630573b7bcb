"""What every operator family has in common, and what it may leave as it is."""

from __future__ import annotations

import copy
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.types import Conf, Source

log = logging.getLogger("airflow_autoremed")

_MOST_NOTED = 200
"""Characters of a noted text, and elements of a noted list; the longest real ids have 64."""


class Platform(ABC):
    """How one family of operators is read, changed, listened to and asked.

    An adapter has to say how the configuration is read and written. Everything else has an answer that is right for
    an operator without a log stream, idempotency tokens or retries of its own. Instances hold no state: one may
    serve many operators.
    """

    name: ClassVar[str]
    """As it stands in the history, such as ``spark_submit``."""
    run_attributes: ClassVar[tuple[str, ...]] = ()
    """Where the operator keeps the id of its run: the first of these that holds one."""
    has_own_sizes: ClassVar[bool] = False
    """Whether the service, or its cluster, has sizes of its own for what the task does not declare."""
    in_process: ClassVar[bool] = False
    """Whether the job's own Python code runs in the worker's process, so that its exceptions are the job's. Of any
    other operator a ``KeyError`` says nothing about the job."""

    @abstractmethod
    def read_conf(self, operator: Any) -> dict[str, str]:
        """The flat Spark configuration that *operator* declares, resources set by other arguments included.

        Called after templates are rendered. Keys are Spark's, values text as Spark reads it.
        """

    @abstractmethod
    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Make the coming run use *changes*; everything else the author set stays as it is.

        What the operator holds is replaced, not changed in place: the author's objects may be shared by other tasks.
        Afterwards :meth:`read_conf` gives the changed configuration. Writing the same twice changes nothing.
        """

    def unseen(self, operator: Any) -> frozenset[str]:
        """Settings that hold for the run and whose value cannot be seen from here: a change could undercut it, so
        none is to be made. Those that the task itself declares are never among them."""
        return hidden_sizes(self.read_conf(operator)) if self.has_own_sizes else frozenset()

    def without_unseen(self, operator: Any, changes: Mapping[str, str]) -> dict[str, str]:
        """*changes* without those of :meth:`unseen` settings; the log names what is left alone."""
        unseen = self.unseen(operator)
        left_alone = sorted(unseen & set(changes))
        if left_alone:
            log.warning(
                "[autoremed] This run leaves %s as it is: what holds is set outside of the task and cannot be seen from "
                "this worker. Declare it in the task to have it changed.",
                ", ".join(left_alone),
            )
        return {key: value for key, value in changes.items() if key not in unseen}

    def job(self, operator: Any) -> dict[str, str]:
        """What the application is known by, such as its path and class: another one is another job."""
        return {}

    def tap(self, operator: Any, write: Callable[[str], None]) -> None:
        """Have every line of the coming run's log passed to *write* as it streams.

        Called before the operator runs, and again when it resumes after a deferral, then on another object. Here,
        for operators without a stream: only whether the operator submits anything is noted.
        """
        note_submissions(operator)

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """What the platform still knows about the failed run, beside the tapped log.

        The caller gives it some seconds and takes an exception for "nothing".
        """
        return ()

    def renew(self, operator: Any) -> str | None:
        """Make sure that the coming run is a new one, such as by another idempotency token.

        :return: why that cannot be had, in one sentence: then the patch is not applied.
        """
        return None

    def reconnected(self, operator: Any) -> bool:
        """Whether the run that ended had been begun by an earlier attempt, so that no patch of this one was in force."""
        if self.noted(operator):
            return False  # a run of this attempt, begun before it was deferred
        return took_up_an_old_run(operator, self._run_held(operator))

    def submitted_conf(self, operator: Any) -> Conf | None:
        """What was really submitted, of the settings that a patch may change: read from the command line or the
        request that left the worker, not from the operator.

        :return: ``None`` where that is not known: nothing was submitted yet, or it cannot be seen.
        """
        known = vars(operator).get(_SUBMITTED_CONF)
        return None if known is None else dict(known)

    def run_id(self, operator: Any) -> Any:
        """The id of the operator's run, of this object or noted before a deferral; ``None`` where there is none."""
        held = self._run_held(operator)
        return self.noted(operator).get("run") if held is None else held

    def note(self, operator: Any) -> dict[str, Any]:
        """What another process, or a later attempt, needs to find what is left of this run: values that JSON holds,
        without secrets. Empty before there is a run. For :meth:`restore` and :meth:`late_evidence`."""
        run = self.run_id(operator)
        if run is None:
            return {}
        noted: dict[str, Any] = {"run": run if isinstance(run, int | list) else str(run)}
        submitted = self.submitted_conf(operator)
        # JVM options can hold passwords. Without them the rest would look as if they had not been submitted.
        if submitted is not None and not any(key.endswith("Options") for key in submitted):
            noted["submitted"] = submitted
        return noted

    def restore(self, operator: Any, noted: Mapping[str, Any]) -> None:
        """Tell *operator*, which resumes after a deferral as another object, what :meth:`note` gave before.

        What is not of the shape that :meth:`note` gives is left out: others can write to where it was kept.
        """
        kept = {str(name): value for name, value in noted.items() if name != "submitted" and _is_plain(value)}
        submitted = noted.get("submitted")
        setattr(operator, _NOTED, kept)
        if isinstance(submitted, Mapping):
            note_submitted(operator, {key: value for key, value in submitted.items() if _is_plain(value)})

    def late_evidence(self, operator: Any, noted: Mapping[str, Any]) -> Iterable[tuple[Source, str]]:
        """What the platform knows by now of the failed run of an earlier attempt: some services write logs minutes
        after the end. Asked when the next attempt begins, within a few seconds.

        :param operator: of the attempt that begins; its connection is used, nothing of it is changed.
        :param noted: what :meth:`note` gave at the end of the earlier attempt.
        """
        if not noted:
            return ()
        earlier = copy.copy(operator)
        for name in self.run_attributes:
            if getattr(earlier, name, None) is not None:
                setattr(earlier, name, None)
        self.restore(earlier, noted)
        return self.diagnostics(earlier, RuntimeError("its log came late"))

    def noted(self, operator: Any) -> Mapping[str, Any]:
        """What :meth:`restore` was told; empty for an operator that was not deferred."""
        return vars(operator).get(_NOTED) or {}

    def _run_held(self, operator: Any) -> Any:
        for name in self.run_attributes:
            value = getattr(operator, name, None)
            if value is not None and value != "":
                return value
        return None

    def own_retries(self, operator: Any) -> str | None:
        """How often the platform itself reruns a failed application with the old configuration, in one sentence;
        ``None`` when it does not."""
        return None

    def kill(self, operator: Any, announce: Callable[[], None]) -> bool:
        """End the run through the operator's own kill path; called from another thread than the run's.

        :param announce: is called right before, and only when there is a run to end.
        :return: whether there was one.
        """
        return False


def text(value: Any) -> str:
    """A value of a configuration as Spark reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def flat(conf: Mapping[Any, Any] | None) -> dict[str, str]:
    """A configuration with texts for keys and values; a key without a value is not set."""
    return {str(key): text(value) for key, value in (conf or {}).items() if value is not None}


SIZES = frozenset(key for key, spec in PATCHABLE.items() if spec.footprint or key.endswith("Options"))
"""Settings of memory, and of JVMs, for which services and administrators have defaults of their own."""


def hidden_sizes(declared: Conf) -> frozenset[str]:
    """What a service decides where a task declares no more than this: the heap of a role and what goes with it, and
    JVM options. Beside a declared heap, Spark's own share for overhead holds."""
    hidden = {key for key in SIZES if key.endswith("Options")}
    for role in ("driver", "executor"):
        if f"spark.{role}.memory" not in declared:
            hidden |= {key for key in SIZES if key.startswith((f"spark.{role}.", f"spark.yarn.{role}."))}
    return frozenset(hidden - set(declared))


def replace_method(operator: Any, name: str, method: Any) -> None:
    """Let *operator* use *method* in place of its own; :func:`own_method` tells it from the operator's."""
    method.autoremed_operator = operator
    setattr(operator, name, method)


def own_method(operator: Any, name: str) -> Any:
    """The operator's method as its class or author has it; ``None`` where there is none.

    Airflow runs copies of a task, and a copy takes along what was replaced on the one that it is a copy of: such a
    method works on the other object, so the class's own is taken.
    """
    method = getattr(operator, name, None)
    if getattr(method, "autoremed_operator", operator) is not operator:
        return getattr(type(operator), name).__get__(operator)
    return method


_SUBMITTED = "_autoremed_submitted"
_SUBMITTED_CONF = "_autoremed_submitted_conf"
_NOTED = "_autoremed_noted"


def note_submitted(operator: Any, conf: Mapping[Any, Any]) -> None:
    """Remember on *operator* what was submitted; only settings that a patch may change are kept."""
    kept = {key: value for key, value in flat(conf).items() if key in PATCHABLE}
    setattr(operator, _SUBMITTED_CONF, kept)


def _is_plain(value: Any) -> bool:
    """Whether *value* is a number, a short text, or a short list of such: all that a note holds."""
    if isinstance(value, list):
        return len(value) <= _MOST_NOTED and all(isinstance(each, str) and _is_plain(each) for each in value)
    return isinstance(value, int) or (
        isinstance(value, str) and len(value) <= _MOST_NOTED and value.isprintable()
    )


def note_submissions(operator: Any) -> None:
    """Remember on *operator* whether it submits anything. For those with Airflow's ``ResumableJobMixin``, which go on
    with a run that an earlier try began and is still active; others stay as they are."""
    submit = own_method(operator, "submit_job")
    if submit is None or hasattr(submit, "autoremed_operator"):
        return
    setattr(operator, _SUBMITTED, False)

    def submit_job(*args: Any, **kwargs: Any) -> Any:
        setattr(operator, _SUBMITTED, True)
        return submit(*args, **kwargs)

    replace_method(operator, "submit_job", submit_job)


def took_up_an_old_run(operator: Any, run: Any) -> bool:
    """Whether *operator*, whose submissions were noted, has a *run* although it submitted none."""
    return run is not None and getattr(operator, _SUBMITTED, True) is False


def watch_hook(operator: Any, attribute: str, method: str, seen: Callable[..., None]) -> None:
    """Have *seen* called with the arguments of every call of a hook's method, before the call. A fault of *seen* is
    no fault of the call."""

    def watched(hook: Any) -> None:
        original = getattr(hook, method)

        def call(*args: Any, **kwargs: Any) -> Any:
            quietly(seen, *args, **kwargs)
            return original(*args, **kwargs)

        setattr(hook, method, call)

    once_made(operator, attribute, watched)


def once_made(holder: Any, attribute: str, made: Callable[[Any], None]) -> None:
    """Have *made* called with the value of a cached property: now if it is there, else right after it is made.

    What is built in another way stays unseen, and a fault of *made* is no fault of the property.
    """
    there = vars(holder).get(attribute)
    if there is not None and type(there) is not Later:
        quietly(made, there)
        return
    make = getattr(inspect.getattr_static(type(holder), attribute, None), "func", None)
    if make is None:
        return

    def build() -> Any:
        value = make(holder)
        quietly(made, value)
        return value

    vars(holder)[attribute] = Later(build)


def quietly(seen: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """Call *seen*; what it raises costs a line on level DEBUG, and what it would have noted is not known."""
    try:
        seen(*args, **kwargs)
    except Exception:
        log.debug("[autoremed] Nothing was noted of the run", exc_info=True)


class Later:
    """An object that is made when something is first asked of it, and passes for that object from outside."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        self.made: Any = None
        """``None`` until something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by copy and pickle, before there is anything
            raise AttributeError(name)
        return getattr(self._value(), name)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # for isinstance, which providers ask of hooks and clients
        return type(self._value())

    def _value(self) -> Any:
        if self.made is None:
            self.made = self._build()
        return self.made

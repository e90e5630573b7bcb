"""What every operator family has in common, and what it may leave as it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from airflow_autoremed.types import Source


class PrivateApiError(RuntimeError):
    """A private name of the provider that an adapter needs is gone."""


class Platform(ABC):
    """How one family of operators is read, changed, listened to and asked.

    An adapter has to say how the configuration is read and written. Everything else has an answer that is right for
    an operator without a log stream, idempotency tokens or retries of its own. Instances hold no state: one may
    serve many operators.
    """

    name: ClassVar[str]
    """As it stands in the history, such as ``spark_submit``."""
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

    def job(self, operator: Any) -> dict[str, str]:
        """What the application is known by, such as its path and class: another one is another job."""
        return {}

    def tap(self, operator: Any, write: Callable[[str], None]) -> None:  # noqa: B027 - most have no stream
        """Have every line of the coming run's log passed to *write* as it streams; without a stream, nothing."""

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
        """Whether the run that ended had been begun by an earlier try, so that no patch of this try was in force."""
        return False

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


class Later:
    """An object that is made when something is first asked of it."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by copy and pickle, before there is anything
            raise AttributeError(name)
        made = self.__dict__.get("_made")
        if made is None:
            made = self.__dict__["_made"] = self._build()
        return getattr(made, name)

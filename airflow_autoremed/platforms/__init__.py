"""One small file per operator family: read the declared conf, write a new one, tap the log.

Operators are recognised by the full name of their class or of a class they inherit from, so that looking one up
imports no provider.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, Protocol

from airflow_autoremed.types import Source


class Platform(Protocol):
    """What the pipeline needs from an operator family."""

    name: str

    def read_conf(self, operator: Any) -> dict[str, str]:
        """The flat Spark configuration that *operator* declares, resources set by argument included."""

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Make the coming run use *changes*; everything else the author set stays as it is."""

    def job(self, operator: Any) -> dict[str, str]:
        """What the application is known by, such as its path and class: another one is another job."""

    def tap(self, operator: Any, write: Callable[[str], None]) -> None:
        """Have every line of the coming run's log passed to *write* as it streams."""

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """What the platform still knows about the failed run, beside the tapped log."""

    def kill(self, operator: Any, announce: Callable[[], None]) -> bool:
        """End the run through the operator's own kill path; called from another thread than the run's.

        :param announce: is called right before, and only when there is a run to end.
        :return: whether there was one.
        """


_FAMILIES = {
    "airflow.providers.apache.spark.operators.spark_submit.SparkSubmitOperator": (
        "airflow_autoremed.platforms.spark_submit",
        "SparkSubmitPlatform",
    ),
}


def supported_operators() -> tuple[str, ...]:
    """Class names of the operators that can be remediated, for messages."""
    return tuple(name.rpartition(".")[2] for name in _FAMILIES)


def find_platform(operator: Any) -> Platform | None:
    """The platform of an operator instance or (for a mapped task) class; ``None`` when it launches no Spark."""
    operator_class = operator if isinstance(operator, type) else type(operator)
    for ancestor in operator_class.__mro__:
        family = _FAMILIES.get(f"{ancestor.__module__}.{ancestor.__qualname__}")
        if family is not None:
            module, name = family
            platform: Platform = getattr(import_module(module), name)()
            return platform
    return None

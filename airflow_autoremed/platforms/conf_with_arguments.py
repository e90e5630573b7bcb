"""Operators that take a conf, and some of its settings as arguments beside it. The argument wins."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from airflow_autoremed.platforms.base import Platform, flat, text


class ConfWithArguments(Platform):
    """A subclass says which arguments there are and where they are held; reading and writing follow."""

    arguments: ClassVar[Mapping[str, str]] = {}
    """Spark's key to the name of the argument."""
    counts: ClassVar[tuple[str, ...]] = ()
    """Arguments that are taken as numbers."""
    prefers_arguments: ClassVar[bool] = False
    """Whether a change goes to the argument also where the author gave none."""

    @abstractmethod
    def held(self, operator: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The conf, and the arguments by name; an argument that the author did not give is absent or ``None``."""

    @abstractmethod
    def hold(self, operator: Any, conf: dict[str, Any], arguments: dict[str, Any]) -> None:
        """Give the operator this conf and these arguments; those that are absent stay."""

    def read_conf(self, operator: Any) -> dict[str, str]:
        """Declared conf, with the arguments under their Spark keys."""
        conf, given = self.held(operator)
        found = flat(conf)
        for key, name in self.arguments.items():
            if given.get(name) is not None:
                found[key] = text(given[name])
        return found

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Set *changes* where the author set the same key: in the argument, in conf, or in both."""
        self.hold(operator, *self.spread(changes, *self.held(operator)))

    def spread(
        self, changes: Mapping[str, str], conf: Mapping[str, Any], given: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """*conf* with its share of *changes*, and the arguments that change."""
        changed, arguments = dict(conf), {}
        for key, value in changes.items():
            name = self.arguments.get(key)
            if name is not None and (self.prefers_arguments or given.get(name) is not None):
                arguments[name] = int(value) if name in self.counts else value
                if key not in changed:
                    continue
            changed[key] = value
        return changed, arguments

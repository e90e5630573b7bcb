"""Every error of ours. The message of each says what is wrong and, where somebody can mend it, what to write or do.

AutoremedError
  · SettingsError (ValueError)
  · RulesError (ValueError)
    - CatalogueError
    - InvalidRuleError
    - PatternError
    - UnreadableRulesError
  · StoreError
  · PatchRejectedError
  · IngestionError
    - EventLogError
    - WebError
  · ModelError
    - TooLittleDataError (ValueError)
    - UnusableModelError
  · OverrunError
  · PrivateApiError (RuntimeError)
  · SparkUnavailableError (RuntimeError)
"""

from __future__ import annotations

import threading


class AutoremedError(Exception):
    """Base of all errors of this package."""


class SettingsError(AutoremedError, ValueError):
    """A value in ``[autoremed]`` or in the arguments of a public name that cannot be used; says what to write."""


class RulesError(AutoremedError, ValueError):
    """Something is wrong with the rules that recognise failures."""


class CatalogueError(RulesError):
    """The rules as a whole cannot be read: a path that does not exist, or a damaged installation."""


class InvalidRuleError(RulesError):
    """One rule, or one rule file, cannot be used. Reading a file turns it into a ``RuleProblem`` with its line."""


class PatternError(RulesError):
    """A pattern that cannot be used; the message says what to write instead."""


class UnreadableRulesError(RulesError):
    """YAML of a shape that no rule file has, and that may bring its parser down. Reading a file turns it into a
    ``RuleProblem``."""


class StoreError(AutoremedError):
    """Anything that keeps the store from doing what it was asked. The only error that a store raises."""


class PatchRejectedError(AutoremedError):
    """A patch that is not applied. Its message says why, in one line for the task's log."""


class IngestionError(AutoremedError):
    """Something that is to be learned from cannot be read."""


class EventLogError(IngestionError):
    """An event log that cannot be read; says which, and why or what to write instead."""


class WebError(IngestionError):
    """An API that cannot be used; says which, why, and what to do about it."""


class ModelError(AutoremedError):
    """There is no model to be had."""


class TooLittleDataError(ModelError, ValueError):
    """There is not enough to learn from; the message says what is missing and how much is needed."""


class UnusableModelError(ModelError):
    """A model that cannot be used; the message says why, and what to do."""


class OverrunError(AutoremedError):
    """The work did not end in time. It continues in :attr:`thread`, and its result is lost."""

    def __init__(self, thread: threading.Thread) -> None:
        super().__init__("the work did not end in time")
        self.thread = thread


class PrivateApiError(AutoremedError, RuntimeError):
    """A private name of the provider that an adapter needs is gone."""


class SparkUnavailableError(AutoremedError, RuntimeError):
    """Spark cannot run here; the message says what to install."""

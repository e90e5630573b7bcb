"""The retry policy for Airflow 3.3 and newer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_autoremed.airflow.compat import HAS_RETRY_POLICY, RetryPolicy
from airflow_autoremed.airflow.guard import log
from airflow_autoremed.airflow.opt_in.lazy_lifecycle import lifecycle
from airflow_autoremed.airflow.options import Options
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.types import Action, Mode

if not HAS_RETRY_POLICY:
    raise ImportError(
        "AutoRemediationPolicy needs the retry policies of Airflow 3.3 or newer; on this version write "
        "remediate(task), which does the same through the task's execute."
    )

if TYPE_CHECKING:
    from airflow.sdk import RetryDecision


class AutoRemediationPolicy(RetryPolicy):
    """Asked by Airflow, in the worker, whether a failed try is retried.

    An author's own policy keeps its meaning: where it says *fail*, the task fails, and its delay is the delay of
    the retry. Ours adds that a doomed task is not retried, and that a curable one is retried with a patch.

    :param author: the task's own retry policy, asked first.
    :param mode: ``act``, ``shadow`` or ``off``; default: the deployment's.
    :param limits: caps such as ``{"max_container_memory": "16g"}`` over the deployment's.
    :param stall_timeout: end an attempt that has made no progress for this long (``"15m"``, a ``timedelta``, or a
        number of seconds); default: the deployment's.
    :param retry_budget: only 0: a policy cannot give its task more retries. ``remediate(task, retry_budget=2)`` can.
    :param objective: what a trained model's answers are weighed by, over the deployment's.
    :raises SettingsError: for a value that cannot be used.
    """

    def __init__(
        self,
        author: RetryPolicy | None = None,
        *,
        mode: str | Mode | None = None,
        limits: Mapping[str, Any] | None = None,
        stall_timeout: str | float | timedelta | None = None,
        retry_budget: int | None = None,
        objective: Mapping[str, Any] | None = None,
    ) -> None:
        if author is not None and not isinstance(author, RetryPolicy):
            raise TypeError(
                f"AutoRemediationPolicy(author=...) is a {type(author).__name__}; "
                "pass the RetryPolicy the task had, or nothing"
            )
        self.author = author
        self._answered: tuple[BaseException, RetryDecision] | None = None
        self.options = Options.checked(
            mode=mode,
            limits=limits,
            stall_timeout=stall_timeout,
            retry_budget=retry_budget,
            objective=objective,
            where="AutoRemediationPolicy",
        )
        if self.options.retry_budget:
            raise SettingsError(
                f"AutoRemediationPolicy retry_budget is {retry_budget!r}, but a policy cannot give its task more "
                f"retries; write remediate(task, retry_budget={retry_budget!r})"
            )

    def with_options(self, options: Options) -> AutoRemediationPolicy:
        """The same policy with options that are checked already."""
        self.options = options
        return self

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Any = None,
    ) -> RetryDecision:
        """What becomes of the attempt that failed with *exception*; never raises."""
        from airflow.sdk import RetryAction, RetryDecision

        if context is None:
            return self._ask_author(exception, try_number, max_tries, context)
        theirs = self._authors_answer(exception, try_number, max_tries, context)
        final = theirs.action is RetryAction.FAIL
        ours = lifecycle.after_failure(context, exception, may_retry=not final)
        if ours is None or final or ours.action is Action.LEAVE_ALONE:
            return theirs
        from airflow_autoremed.remediation.reasons import retry_reason

        if ours.action is Action.STOP:
            return RetryDecision.fail(reason=retry_reason(ours))
        return RetryDecision.retry(delay=theirs.retry_delay, reason=retry_reason(ours))

    def author_lets_retry(self, exception: BaseException, context: Any) -> bool:
        """Whether the task's own policy lets the attempt that failed with *exception* be retried. It is asked once an
        attempt, as without us: :meth:`evaluate` gives the same answer."""
        from airflow.sdk import RetryAction

        ti = context["ti"]
        answer = self._authors_answer(exception, ti.try_number, getattr(ti, "max_tries", 0) or 0, context)
        return answer.action is not RetryAction.FAIL

    def _authors_answer(
        self, exception: BaseException, try_number: int, max_tries: int, context: Any
    ) -> RetryDecision:
        if self._answered is None or self._answered[0] is not exception:
            self._answered = exception, self._ask_author(exception, try_number, max_tries, context)
        return self._answered[1]

    def _ask_author(
        self, exception: BaseException, try_number: int, max_tries: int, context: Any
    ) -> RetryDecision:
        from airflow.sdk import RetryDecision

        if self.author is None:
            return RetryDecision.default()
        try:
            answer = self.author.evaluate(exception, try_number, max_tries, context)
        except Exception:  # noqa: BLE001 - see below
            # Airflow does the same with a policy that raises.
            log.exception(
                "[autoremed] The task's own retry policy failed; Airflow's default behaviour applies"
            )
            return RetryDecision.default()
        return RetryDecision.default() if answer is None else answer

    def serialize(self) -> dict[str, Any]:
        """The policy as JSON: its options (the author's policy serialises itself)."""
        plain = asdict(self.options)
        return {**plain, "mode": self.options.mode and self.options.mode.value}


def with_ours(policy: RetryPolicy | None, options: Options) -> RetryPolicy:
    """*policy*, asked by ours; as it is where ours is in it already."""
    if isinstance(policy, AutoRemediationPolicy):
        return policy.with_options(options)
    if any(isinstance(each, AutoRemediationPolicy) for each in getattr(policy, "policies", ())):
        return policy
    return AutoRemediationPolicy(policy).with_options(options)

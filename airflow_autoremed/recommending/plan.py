"""A configuration under construction: what may still grow, by how much, and what was clamped on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.allocation import Role
from airflow_autoremed.spark.keys import PATCHABLE, jvm_flag, with_jvm_flag
from airflow_autoremed.spark.limits import growth_base, growth_ceiling, room
from airflow_autoremed.spark.sizes import MIB, format_bytes
from airflow_autoremed.types import Classification, Conf, Limits, PastAttempt, Shortage

REAL_STEP = 1.2
"""Less than this factor over what failed is not worth a try: near the limit an OOM is not deterministic
(docs/facts-spark.md, section 1), and the next failure would be the same."""


@dataclass
class Plan:
    """The next try's configuration, starting from the one that failed."""

    cause: Classification
    baseline: Conf
    effective: Conf
    limits: Limits
    failed: tuple[Conf, ...]
    """Configurations that failed for this very cause: the last attempt's and those of earlier ones."""
    conf: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What the reason should add: clamped values, unreadable ones."""
    shortage: Shortage | None = None
    """Why the last growth that was asked for could not be had."""

    @classmethod
    def start(
        cls,
        cause: Classification,
        baseline: Conf,
        effective: Conf,
        history: Sequence[PastAttempt],
        limits: Limits,
    ) -> Plan:
        """A plan that changes nothing yet."""
        earlier = [past.conf for past in history if not past.succeeded and past.category == cause.category]
        plan = cls(cause, baseline, effective, limits, (effective, *earlier), conf=dict(effective))
        for key in sorted(effective.keys() & PATCHABLE.keys()):
            if PATCHABLE[key].kind != "jvm_flags" and allocation.value(effective, key) is None:
                plan.notes.append(f"{key} = {effective[key]!r} cannot be read and was treated as not set")
        return plan

    @property
    def repeats(self) -> int:
        """How many attempts before the last one failed for the same cause."""
        return len(self.failed) - 1

    @property
    def changed(self) -> bool:
        """Whether it changes anything."""
        return self.conf != dict(self.effective)

    @property
    def shortage_text(self) -> str:
        """Why nothing fits, in words."""
        return self.shortage.text if self.shortage is not None else "it does not fit"

    def declared(self, key: str) -> float | None:
        """The value that the last attempt ran with; ``None`` where Spark's default held."""
        return allocation.value(self.effective, key)

    def declared_text(self, key: str) -> str | None:
        """As it is written, whether it is a setting of the allow-list or not."""
        return self.effective.get(key)

    def floor(self, key: str, default: float | None = None) -> float:
        """The largest value of *key* that failed for this cause."""
        fallback = PATCHABLE[key].default if default is None else default
        return max(
            value if (value := allocation.value(conf, key)) is not None else (fallback or 0)
            for conf in self.failed
        )

    def set(self, key: str, value: float) -> None:
        """Set *key*, in the spelling Spark wants."""
        self.conf[key] = PATCHABLE[key].format(value)

    def raise_to(self, key: str, value: float) -> bool:
        """Raise a setting that takes no container memory to *value*, up to its own maximum; whether it rose."""
        target, floor = min(value, PATCHABLE[key].maximum), self.floor(key)
        if target <= floor or (target < value and target < floor * REAL_STEP):
            self.shortage = Shortage("setting", f"{key} is at its maximum")
            return False
        self.set(key, target)
        return True

    def grow(self, key: str, role: Role, floor: float, wanted: float) -> bool:
        """Grow a part of the *role*'s container to *wanted* bytes, clamped to what fits.

        :param floor: the largest value that failed.
        :return: whether the container could grow by a real step; if not, :attr:`shortage` says why.
        """
        base = growth_base(key, self.baseline)
        ceiling = growth_ceiling(key, self.baseline, self.limits)
        fits = room(key, role, self.conf, self.limits)
        wanted = wanted // MIB * MIB
        target = min(wanted, ceiling, fits) // MIB * MIB
        if target < wanted and target < floor * REAL_STEP:
            what = f"{key} would have to grow beyond {format_bytes(int(floor))} (to about {format_bytes(int(wanted))})"
            if fits <= ceiling:
                self.shortage = Shortage(self._limit_name(), f"{what}, but {self._limit_text()}")
            else:
                self.shortage = Shortage(
                    "max_growth",
                    f"{what}, but the growth ceiling is {format_bytes(int(ceiling))} "
                    f"({self.limits.max_growth:g} times {format_bytes(int(base or 0))})",
                )
            return False
        if target < wanted:
            why = (
                self._limit_text()
                if fits <= ceiling
                else f"the growth ceiling is {self.limits.max_growth:g}x"
            )
            self.notes.append(f"{key} was clamped to {format_bytes(int(target))}: {why}")
        self.set(key, target)
        return True

    def flag(self, role: Role, flag: str, size: float) -> bool:
        """Set a sized JVM flag of the *role* to *size* bytes, unless a larger one failed already."""
        key = f"spark.{role}.extraJavaOptions"
        failed = max(jvm_flag(conf.get(key, ""), flag) or 0 for conf in self.failed)
        if size <= failed:
            self.shortage = Shortage(
                "setting", f"{flag.rstrip('=')} of {format_bytes(failed)} was not enough"
            )
            return False
        self.conf[key] = with_jvm_flag(self.conf.get(key, ""), flag, int(size))
        return True

    def flag_floor(self, role: Role, flag: str) -> int:
        """The largest size of a JVM flag that failed; 0 where none was set."""
        key = f"spark.{role}.extraJavaOptions"
        return max(jvm_flag(conf.get(key, ""), flag) or 0 for conf in self.failed)

    def _limit_name(self) -> str:
        return "max_total_memory" if self.limits.max_container_memory is None else "max_container_memory"

    def _limit_text(self) -> str:
        if self.limits.max_container_memory is not None:
            return f"the largest container is {format_bytes(self.limits.max_container_memory)}"
        return f"the application may hold {format_bytes(self.limits.max_total_memory or 0)}"

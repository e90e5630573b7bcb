"""What every adapter of an operator family has to hold, on the provider's own operator class.

A test module subclasses :class:`PlatformContract` and says how an operator is built; the tests come with it.
"""

from __future__ import annotations

import copy
import json
from typing import Any, ClassVar

import pytest

from airflow_autoremed.platforms import Platform, find_platform
from airflow_autoremed.spark.keys import PATCHABLE


class PlatformContract:
    """Subclass as ``TestX`` and set what is declared here."""

    changes: ClassVar[dict[str, str]] = {
        "spark.executor.memory": "3g",
        "spark.executor.memoryOverhead": "1g",
        "spark.sql.shuffle.partitions": "800",
    }
    """What a patch changes. Keys that the family cannot hold are left out by the subclass."""
    conf_fields: ClassVar[tuple[str, ...]] = ()
    """Attributes of the operator that hold the configuration, private ones included: all others have to stay."""

    def build(self, **conf: str) -> Any:
        """A rendered operator of the provider's class that declares *conf*, besides settings of its own."""
        raise NotImplementedError

    def declared(self) -> dict[str, str]:
        """What :meth:`build` is asked to declare: resources, and something that is none."""
        return {
            "spark.executor.memory": "2g",
            "spark.executor.cores": "2",
            "spark.sql.session.timeZone": "UTC",
        }

    @pytest.fixture
    def operator(self) -> Any:
        return self.build(**self.declared())

    @pytest.fixture
    def platform(self, operator: Any) -> Platform:
        found = find_platform(operator)
        assert found is not None, f"{type(operator).__name__} is not recognised"
        return found

    def test_the_operators_class_is_recognised_before_there_is_an_instance(self, operator: Any) -> None:
        assert find_platform(type(operator)) is not None

    def test_what_the_author_declares_is_read_under_sparks_names(
        self, operator: Any, platform: Platform
    ) -> None:
        conf = platform.read_conf(operator)
        assert {key: conf.get(key) for key in self.declared()} == self.declared()
        assert all(isinstance(key, str) and isinstance(value, str) for key, value in conf.items())

    def test_what_is_written_is_read_again_and_the_rest_of_the_conf_stays(
        self, operator: Any, platform: Platform
    ) -> None:
        before = platform.read_conf(operator)
        platform.write_conf(operator, self.changes)
        assert platform.read_conf(operator) == {**before, **self.changes}

    def test_writing_twice_changes_nothing(self, operator: Any, platform: Platform) -> None:
        platform.write_conf(operator, self.changes)
        once = self.seen(operator, everything=True)
        platform.write_conf(operator, self.changes)
        assert self.seen(operator, everything=True) == once

    def test_the_authors_other_settings_are_untouched(self, operator: Any, platform: Platform) -> None:
        before = self.seen(operator)
        platform.write_conf(operator, self.changes)
        assert self.seen(operator) == before

    def test_the_authors_own_objects_are_not_changed_in_place(
        self, operator: Any, platform: Platform
    ) -> None:
        held = {name: getattr(operator, name, None) for name in self.conf_fields}
        before = {name: copy.deepcopy(value) for name, value in held.items()}
        platform.write_conf(operator, self.changes)
        assert {name: str(value) for name, value in held.items()} == {
            name: str(value) for name, value in before.items()
        }

    def test_an_operator_that_declares_nothing_can_be_read_and_patched(self) -> None:
        operator = self.build()
        platform = find_platform(operator)
        assert platform is not None
        assert not set(platform.read_conf(operator)) & set(self.changes)
        platform.write_conf(operator, self.changes)
        conf = platform.read_conf(operator)
        assert {key: conf.get(key) for key in self.changes} == self.changes

    def test_what_the_task_declares_is_never_taken_for_hidden(
        self, operator: Any, platform: Platform
    ) -> None:
        assert not platform.unseen(operator) & set(platform.read_conf(operator))

    def test_a_memory_that_the_service_decides_is_not_undercut(self) -> None:
        operator = self.build()
        platform = find_platform(operator)
        assert platform is not None
        declared = platform.read_conf(operator)
        if platform.has_own_sizes and "spark.executor.memory" not in declared:
            assert {"spark.executor.memory", "spark.driver.extraJavaOptions"} <= platform.unseen(operator)

    def test_before_there_is_a_run_nothing_is_known_of_it(self, operator: Any, platform: Platform) -> None:
        platform.tap(operator, lambda line: None)
        assert platform.submitted_conf(operator) is None
        assert platform.note(operator) == {}
        assert list(platform.late_evidence(operator, {})) == []
        assert not platform.reconnected(operator)

    def test_what_was_noted_before_a_deferral_is_known_to_another_object(
        self, operator: Any, platform: Platform
    ) -> None:
        if not platform.run_attributes:
            return
        setattr(operator, platform.run_attributes[0], "run-7")
        noted = json.loads(json.dumps(platform.note(operator)))
        fresh = self.build(**self.declared())
        platform.restore(fresh, noted)
        platform.tap(fresh, lambda line: None)
        assert platform.run_id(fresh) == "run-7"
        assert platform.note(fresh) == noted, "it may be deferred once more"
        assert not platform.reconnected(fresh), "it is the run of this attempt"

    def test_a_note_that_somebody_else_wrote_does_no_harm(self, operator: Any, platform: Platform) -> None:
        platform.restore(operator, {"run": {"a": ["dict"]}, "submitted": "text", "other": "x" * 9999})
        assert platform.run_id(operator) is None
        assert platform.submitted_conf(operator) is None

    def test_only_settings_that_a_patch_may_change_are_in_the_contract(self) -> None:
        assert set(self.changes) <= set(PATCHABLE)

    def test_the_job_is_known_by_texts(self, operator: Any, platform: Platform) -> None:
        job = platform.job(operator)
        assert job
        assert all(isinstance(each, str) for pair in job.items() for each in pair)
        assert platform.job(self.build(**self.declared())) == job

    def seen(self, operator: Any, *, everything: bool = False) -> dict[str, str]:
        """The operator's attributes as texts, without those that hold the configuration, hooks and the like."""
        return {
            name: repr(value)
            for name, value in vars(operator).items()
            if (everything or name not in self.conf_fields)
            and not name.startswith("_BaseOperator__")  # Airflow's own copy of the arguments
            and isinstance(value, str | int | float | bool | dict | list | tuple | type(None))
        }

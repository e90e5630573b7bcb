"""Somebody else's operator can be remediated through an entry point, without a change here."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from airflow_autoremed import platforms
from airflow_autoremed.platforms import Platform, find_platform, supported_operators


class AcmeOperator:
    properties = {"spark.executor.memory": "1g"}


class AcmePlatform(Platform):
    name = "acme"

    def read_conf(self, operator):
        return dict(operator.properties)

    def write_conf(self, operator, changes):
        operator.properties = {**operator.properties, **changes}


@pytest.fixture
def registered(monkeypatch):
    def register(value):
        entry = EntryPoint(f"{__name__}.AcmeOperator", value, platforms.GROUP)
        monkeypatch.setattr(platforms, "_others", lambda: {entry.name: entry})
        platforms._theirs.cache_clear()

    return register


def test_an_operator_that_nobody_registered_is_left_alone():
    assert find_platform(AcmeOperator()) is None


def test_a_registered_operator_is_found_by_its_class_or_a_class_it_inherits_from(registered):
    registered(f"{__name__}:AcmePlatform")

    class Special(AcmeOperator):
        pass

    platform = find_platform(Special())
    assert platform is find_platform(AcmeOperator)
    assert platform.read_conf(AcmeOperator()) == {"spark.executor.memory": "1g"}
    assert "AcmeOperator" in supported_operators()


def test_an_entry_point_that_is_no_platform_is_refused_with_what_it_has_to_be(registered):
    registered("json:dumps")
    with pytest.raises(TypeError, match=r"subclass of airflow_autoremed\.platforms\.Platform"):
        find_platform(AcmeOperator())


def test_an_adapter_that_only_reads_and_writes_has_an_answer_to_everything_else():
    platform, operator = AcmePlatform(), AcmeOperator()
    assert platform.renew(operator) is None
    assert platform.reconnected(operator) is False
    assert platform.own_retries(operator) is None
    assert list(platform.diagnostics(operator, RuntimeError())) == []
    assert platform.kill(operator, lambda: None) is False

"""What an attempt costs, by its event log or by what its configuration asks for."""

from __future__ import annotations

import pytest

from airflow_autoremed import settings
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.cost import Usage, cost, price, usage, usage_by_conf, usage_by_run
from airflow_autoremed.types import Prices, RunMetrics

PRICES = Prices(price_gib_hour=0.01, price_core_hour=0.1, currency="EUR")
CONF = {
    "spark.driver.memory": "2g",
    "spark.driver.memoryOverhead": "1g",
    "spark.executor.memory": "8g",
    "spark.executor.memoryOverhead": "2g",
    "spark.executor.cores": "4",
    "spark.executor.instances": "3",
}


def test_without_an_event_log_all_containers_are_paid_for_as_long_as_the_attempt_took() -> None:
    assert usage_by_conf(CONF, 1800) == Usage(gib_seconds=(3 + 3 * 10) * 1800, core_seconds=(1 + 12) * 1800)
    assert cost(CONF, 1800, PRICES) == pytest.approx(0.5 * (33 * 0.01 + 13 * 0.1))


def test_memory_is_counted_as_it_is_everywhere_else() -> None:
    assert usage_by_conf(CONF, 60).gib_seconds == allocation.gib_seconds(CONF, 60)


def test_cores_of_the_driver_are_paid_for_as_declared() -> None:
    assert usage_by_conf({"spark.driver.cores": "4"}, 1).core_seconds == 5
    assert usage_by_conf({"spark.driver.cores": "many"}, 1).core_seconds == 2


def test_an_event_log_is_believed_over_the_configuration() -> None:
    run = RunMetrics(gib_seconds=3600.0, core_seconds=7200.0)
    assert cost(CONF, 1800, PRICES, run) == pytest.approx(0.01 + 0.2)
    assert usage(CONF, None, run, run) == Usage(7200.0, 14400.0)


def test_an_event_log_that_does_not_say_leaves_the_configuration() -> None:
    run = RunMetrics(app_id="app-1")
    assert usage_by_run(run) is None
    assert usage_by_run() is None
    assert usage(CONF, 60, run) == usage_by_conf(CONF, 60)
    assert cost(CONF, None, PRICES) is None


@pytest.mark.parametrize("nonsense", [-5.0, float("nan"), float("inf")])
def test_a_duration_that_is_none_costs_nothing(nonsense: float) -> None:
    assert cost(CONF, nonsense, PRICES) == 0


def test_more_memory_for_the_same_time_never_costs_less() -> None:
    small, large = (cost({**CONF, "spark.executor.memory": size}, 60, PRICES) for size in ("8g", "9g"))
    assert small is not None
    assert large is not None
    assert large > small


def test_prices_come_from_the_configuration() -> None:
    found = settings.from_options({"price_gib_hour": "0.02", "price_core_hour": "0", "currency": "EUR"})
    assert found.prices == Prices(0.02, 0.0, "EUR")
    assert settings.from_options({}).prices == Prices()
    assert price(Usage(3600, 99), found.prices) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("price_gib_hour", "cheap", "write the price of one hour, for example 0.004445"),
        ("price_core_hour", "-1", "write the price of one hour"),
        ("price_core_hour", "nan", "write the price of one hour"),
        ("currency", "two words", "write the code of a currency, for example 'EUR'"),
    ],
)
def test_a_price_that_is_none_says_what_to_write(option: str, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        settings.from_options({option: text})

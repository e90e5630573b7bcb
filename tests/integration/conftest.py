"""What the unit tests use to run the real operator with a scripted spark-submit."""

from tests.unit.conftest import spark_submit, spark_task

__all__ = ["spark_submit", "spark_task"]

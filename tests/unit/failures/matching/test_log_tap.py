"""The tap costs nothing while all is well, keeps what matters when it is not, and never gets in the way."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tracemalloc

import pytest

from airflow_autoremed.failures.matching.log_tap import LogTap
from airflow_autoremed.failures.rules.loading import load_catalogue
from airflow_autoremed.redaction import mask_secrets
from airflow_autoremed.types import Source

HEAP = "WARN TaskSetManager: Lost task 0.0 in stage 0.0 (TID 0) (10.0.0.1 executor 1): java.lang.OutOfMemoryError: Java heap space"
EXCEPTION = "Cannot execute: spark-submit job.py. Error code is: 1.\nLast spark-submit output:\nFetchFailed(BlockManagerId(1"


def test_the_lines_decide_together_with_the_exception():
    tap = LogTap(load_catalogue)
    for line in ("first", HEAP, "last"):
        tap.write(line + "\n")
    found = tap.classify([(Source.EXCEPTION, EXCEPTION)])
    assert found.category == "executor_oom_heap"
    assert (found.lines[0].number, found.lines[0].source) == (2, Source.DRIVER_LOG)


def test_the_exception_alone_decides_where_there_was_no_line():
    tap = LogTap(load_catalogue)
    assert (
        tap.classify([(Source.EXCEPTION, "java.lang.OutOfMemoryError: Metaspace")]).category
        == "metaspace_oom"
    )


def test_a_short_successful_log_does_not_load_the_catalogue():
    def load():
        raise AssertionError("loaded")

    tap = LogTap(load)
    for number in range(1000):
        tap.write(f"INFO line {number}")
    assert "INFO line 999" in tap.excerpt()


def test_a_short_log_imports_neither_yaml_nor_an_engine():
    code = (
        "import sys\n"
        "from airflow_autoremed.failures.matching.log_tap import LogTap\n"
        "tap = LogTap(lambda: 1 / 0)\n"
        "[tap.write('INFO all is well') for _ in range(1000)]\n"
        "print([name for name in ('yaml', 'ahocorasick_rs', 'hyperscan', 'airflow_autoremed.failures.rules.rule') if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert answer.stdout.strip() == "[]"


def test_a_long_log_is_matched_while_it_streams():
    tap = LogTap(load_catalogue)
    tap.write(HEAP)
    for number in range(40_000):
        tap.write(f"24/05/01 10:00:00 INFO DAGScheduler: nothing to see in line {number}\n")
    found = tap.classify([(Source.EXCEPTION, EXCEPTION)])
    assert (found.category, found.lines[0].number) == ("executor_oom_heap", 1)


def test_memory_is_bounded_however_long_the_log():
    tap = LogTap(load_catalogue)
    line = "24/05/01 10:00:00 INFO DAGScheduler: " + "x" * 3000
    tap.write(line)
    tap.classify()
    tracemalloc.start()
    for _ in range(20_000):  # 60 MB
        tap.write(line)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 1024 * 1024


def test_the_excerpt_has_head_tail_and_the_deciding_line_without_secrets():
    tap = LogTap(load_catalogue)
    tap.write("spark-submit --conf spark.hadoop.fs.s3a.secret.key=AbCdEf0123456789AbCdEf --password hunter2")
    for number in range(600):
        tap.write(HEAP if number == 200 else f"line {number}")
    tap.classify()
    excerpt = tap.excerpt()
    assert "AbCdEf" not in excerpt
    assert "hunter2" not in excerpt
    assert "[... 351 lines left out ...]" in excerpt
    assert "[line 202] " + HEAP in excerpt
    assert excerpt.endswith("line 599")
    assert len(excerpt.splitlines()) < 300


@pytest.mark.parametrize(
    "fault", [ImportError("ahocorasick_rs"), MemoryError(), RuntimeError("no catalogue")]
)
def test_a_fault_of_ours_costs_the_verdict_and_one_warning_only(fault, caplog):
    def load():
        raise fault

    tap = LogTap(load)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            tap.write("x" * 600_000)
        found = tap.classify([(Source.EXCEPTION, HEAP)])
        tap.write("still taken")
    assert found.category == "unknown"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "still taken" in tap.excerpt()


def test_what_is_no_text_does_not_raise():
    tap = LogTap(load_catalogue)
    tap.write(None)  # type: ignore[arg-type]
    tap.write(b"bytes")  # type: ignore[arg-type]
    assert tap.classify([(None, None)]).category == "unknown"  # type: ignore[list-item]


def test_a_broken_rule_of_the_users_is_logged_once(tmp_path, caplog):
    rules = tmp_path / "r.yaml"
    rules.write_text("- id: x\n")
    tap = LogTap(lambda: load_catalogue([rules]))
    with caplog.at_level(logging.WARNING):
        tap.write(HEAP)
        assert tap.classify().category == "executor_oom_heap"
    (record,) = caplog.records
    assert f"{rules}:1" in record.getMessage()


# -------------------------------------------------------------------------------------------------------- secrets

SECRET = "S3cr3t0123456789abcdefS3cr3t0123456789"


@pytest.mark.parametrize(
    "text",
    [
        f"password={SECRET}",
        f'"password": "{SECRET}"',
        f"'db_password': '{SECRET}'",
        f"spark.hadoop.fs.s3a.secret.key={SECRET}",
        f"--conf spark.hadoop.fs.azure.account.key.acme.dfs.core.windows.net={SECRET}",
        f"jdbc:postgresql://etl:{SECRET}@db:5432/sales",
        f"jdbc:sqlserver://db:1433;user=etl;password={SECRET};encrypt=true",
        f"jdbc:oracle:thin:etl/{SECRET}@//db:1521/sales",
        f"https://acme.blob.core.windows.net/c/f?sv=2020-08-04&sig={SECRET}%3D&se=2024",
        f"Authorization: Bearer {SECRET}",
        f"AWS_SESSION_TOKEN={SECRET}",
        f"aws_secret_access_key = {SECRET}",
        f"--password {SECRET}",
        f"dapi{SECRET.lower()}",
        f"ghp_{SECRET}",
        f"github_pat_{SECRET}",
        f"glpat-{SECRET}",
        f"xoxb-{SECRET}",
        f"sk-{SECRET}",
        f"ya29.{SECRET}",
        f"AIza{SECRET}",
        f"spark.ssl.keyStorePassword={SECRET}",
        f"access_token: {SECRET}",
        f"sfPassword -> x, sfpassword={SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n{SECRET}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
        f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}",
    ],
)
def test_a_secret_is_masked(text):
    assert SECRET.lower() not in mask_secrets(f"before {text} after").lower()


def test_an_aws_key_id_is_masked():
    assert mask_secrets("key AKIAIOSFODNN7EXAMPLE used") == "key *** used"


@pytest.mark.parametrize(
    "text",
    [
        HEAP,
        "Buffer overflow. Available: 0, required: 1048576",
        "java.util.NoSuchElementException: key not found: 14100",
        "24/05/01 10:00:00 INFO SparkContext: Submitted application: token-service",
        "org.apache.hadoop.security.token.SecretManager$InvalidToken: token can't be found in cache",
        "s3a://bucket/key/part-0000.parquet",
        "Connection refused: /10.0.0.1:7337",
        "spark.sql.shuffle.partitions=200",
        "MetaException(message:Permission denied for resource: databases.sales)",
        "AccessDeniedException: Access Key Id does not exist",
    ],
)
def test_what_is_no_secret_is_left_as_it_is(text):
    assert mask_secrets(text) == text


def test_masking_takes_no_longer_on_a_line_made_to_hang_it():
    import time

    for seed in (
        "password",
        "a.b_c-",
        "://user:",
        "key=",
        "-----BEGIN PRIVATE KEY-----",
        "eyJ",
        "token = ",
        "'",
    ):
        began = time.process_time()
        mask_secrets(seed * (20_000 // len(seed)))
        assert time.process_time() - began < 2.0, seed

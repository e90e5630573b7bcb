"""What is known of an error whose sentence no rule knows."""

from __future__ import annotations

import time

import pytest

from airflow_autoremed.failures.kinds.classes import ANCESTORS, ancestor_of, listed
from airflow_autoremed.failures.kinds.codes import clouds, databases, errnos, http, platforms
from airflow_autoremed.failures.kinds.judging import judge
from airflow_autoremed.failures.kinds.meaning import rows
from airflow_autoremed.taxonomy import CATEGORIES
from airflow_autoremed.types import Restartable

SYSTEMS = {
    "errno": [
        ("urllib.error.URLError: <urlopen error [Errno 111] Connection refused>", "network_timeout"),
        ("OSError: [Errno 28] No space left on device: '/mnt/tmp/x'", "disk_full"),
        ("PermissionError: [Errno 13] Permission denied: '/etc/keys'", "auth_permission"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'in.csv'", "missing_data"),
        ("java.io.IOException: Broken pipe", "network_timeout"),
        (
            'java.io.IOException: Cannot run program "python9": error=2, No such file or directory',
            "dependency_missing",
        ),
        ("ConnectionRefusedError: [WinError 10061] the target machine refused it", "network_timeout"),
        ("socket.gaierror: [Errno -2] Name or service not known", "network_timeout"),
        ("OSError: [Errno 24] Too many open files", "resource_unavailable"),
    ],
    "http": [
        (
            "requests.exceptions.HTTPError: 403 Client Error: Forbidden for url: https://x/y",
            "auth_permission",
        ),
        ("requests.exceptions.HTTPError: 404 Client Error: Not Found for url: https://x/y", "missing_data"),
        (
            "requests.exceptions.HTTPError: 502 Server Error: Bad Gateway for url: https://x",
            "network_timeout",
        ),
        ("urllib.error.HTTPError: HTTP Error 429: Too Many Requests", "object_store_throttle"),
        ("com.acme.ApiException: HTTP status code: 409", "concurrency_conflict"),
    ],
    "grpc": [
        ("io.grpc.StatusRuntimeException: UNAVAILABLE: io exception", "network_timeout"),
        ("io.grpc.StatusRuntimeException: PERMISSION_DENIED: no", "auth_permission"),
        ("grpc._channel._InactiveRpcError: status = StatusCode.NOT_FOUND", "missing_data"),
        (
            "io.grpc.StatusRuntimeException: RESOURCE_EXHAUSTED: message larger than max (9 vs. 4)",
            "serializer_buffer",
        ),
    ],
    "sqlstate and databases": [
        ('psycopg2.errors.UndefinedTable: relation "books" does not exist', "missing_data"),
        ("psycopg.errors.DeadlockDetected: deadlock detected", "concurrency_conflict"),
        ("java.sql.SQLException: ORA-00942: table or view does not exist", "missing_data"),
        ("oracledb.exceptions.DatabaseError: ORA-12541: cannot connect", "jdbc_source_error"),
        ("pymysql.err.OperationalError: (1045, \"Access denied for user 'a'@'b'\")", "auth_permission"),
        ('pymysql.err.OperationalError: (2003, "Can\'t connect to MySQL server")', "jdbc_source_error"),
        (
            "com.microsoft.sqlserver.jdbc.SQLServerException: x. Error: 1205, Severity: 13",
            "concurrency_conflict",
        ),
        (
            "snowflake.connector.errors.ProgrammingError: 002003 (42S02): SQL compilation error",
            "missing_data",
        ),
        (
            "com.ibm.db2.jcc.am.SqlException: DB2 SQL Error: SQLCODE=-911, SQLSTATE=40001",
            "concurrency_conflict",
        ),
        ("java.sql.SQLException: [Teradata Database] [TeraJDBC 17.1] [Error 3807] no object", "missing_data"),
        ("io.trino.jdbc.X: Query failed (errorName=SYNTAX_ERROR)", "schema_or_analysis_error"),
        ("com.acme.StoreException: gone, SQLSTATE: 08006", "network_timeout"),
    ],
    "clouds": [
        (
            "botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the PutObject operation: no",
            "auth_permission",
        ),
        (
            "botocore.exceptions.ClientError: An error occurred (ThrottlingException) when calling the GetTable operation",
            "object_store_throttle",
        ),
        (
            "botocore.exceptions.ClientError: An error occurred (ExpiredToken) when calling the ListObjects operation",
            "credentials_expired",
        ),
        (
            "azure.core.exceptions.HttpResponseError: no. ErrorCode:AuthorizationPermissionMismatch",
            "auth_permission",
        ),
        ("azure.core.exceptions.HttpResponseError: no. ErrorCode:ServerBusy", "object_store_throttle"),
        ("com.azure.X: AADSTS7000222: The provided client secret keys are expired.", "credentials_expired"),
        ('com.google.api.X: { "reason" : "rateLimitExceeded" }', "object_store_throttle"),
    ],
    "kubernetes": [
        ("pod etl-driver failed, reason: Evicted", "executor_lost_preempted"),
        ("container status: waiting reason: ImagePullBackOff", "submit_config_error"),
        ("termination reason: OOMKilled", "executor_oom_overhead"),
        ("reason: DeadlineExceeded", "timeout_killed"),
    ],
    "exits": [
        ("Container from a bad node: container_1 on host: h. Exit status: -100", "executor_lost_preempted"),
        ("Container container_1 exit code: -104", "executor_oom_overhead"),
        ("Command exited with code 137", "executor_oom_overhead"),
        ("Command exited with code 139", "internal_spark_bug"),
        ("Command exited with code 127", "dependency_missing"),
        (
            "subprocess.CalledProcessError: Command 'x' died with <Signals.SIGKILL: 9>.",
            "executor_oom_overhead",
        ),
    ],
    "classes and ancestors": [
        ("java.net.http.HttpConnectTimeoutException: x", "network_timeout"),
        ("Caused by: java.nio.file.AccessDeniedException: /x", "auth_permission"),
        (
            "org.apache.hadoop.ipc.RemoteException(org.apache.hadoop.security.AccessControlException): no",
            "auth_permission",
        ),
        ("json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)", "bad_data"),
        ("kafka.errors.NoBrokersAvailable: NoBrokersAvailable", "network_timeout"),
        ("ModuleNotFoundError: No module named 'acme'", "dependency_missing"),
        ("io.delta.exceptions.ConcurrentAppendException: files were added", "concurrency_conflict"),
    ],
    "names": [
        ("com.acme.lake.InsertOperationConflictException: two at once", "concurrency_conflict"),
        ("com.acme.UnauthenticatedException: who are you", "auth_permission"),
        ("com.acme.LedgerNotFoundException: 2024", "missing_data"),
        ("com.acme.GatewayTimeoutException: slow", "network_timeout"),
        ("com.acme.TooManyRequestsException: slow down", "object_store_throttle"),
        ("com.acme.QuotaExceededException: the plan ends here", "license_or_quota"),
        ("com.acme.MalformedRowException: line 3", "bad_data"),
        ("com.acme.UnsupportedCodecException: lzo", "user_code_error"),
        ("com.acme.DriverNotFoundException: x", "dependency_missing"),
        ("com.acme.InvalidConfigurationException: x", "submit_config_error"),
        ("com.acme.SpotInterruptionException: bye", "executor_lost_preempted"),
        ("acme.errors.TokenExpiredError: old", "credentials_expired"),
    ],
}
POSITIVE = [
    pytest.param(line, category, id=f"{system}-{n}")
    for system, lines in SYSTEMS.items()
    for n, (line, category) in enumerate(lines)
]

NOTHING = [
    "java.lang.RuntimeException: no rows for 2024-05-01",
    "java.io.IOException: something",
    "org.apache.spark.SparkException: Job aborted due to stage failure",
    "ValueError: no rows",
    "acme.ReportError: no rows",
    "java.lang.InterruptedException: sleep interrupted",
    "com.acme.TaskCancelledException: stopped by Timeout page",
    "java.util.concurrent.ExecutionException: boom",
    "User application exited with status 1",
    "Process finished with exit code 0",
    "HTTP status: 200 after 403 rows",
    "403 rows written",
    "| 404 | Not Found | ORA |",
    "reason: Completed",
    "24/05/01 10:00:00 INFO Client: java.net.ConnectException: Connection refused",
    "24/05/01 10:00:00 WARN Retry: An error occurred (SlowDown) when calling the PutObject operation",
    "24/05/01 10:00:00 INFO Executor: Command exited with code 137",
    "We handle NotFoundError in this module",
    "",
]


@pytest.mark.parametrize(("line", "category"), POSITIVE)
def test_a_code_a_class_or_a_name_tells_the_category(line, category):
    kind = judge(line)
    assert kind is not None
    assert kind.category == category
    assert kind.id.startswith("kind-")
    assert kind.why


@pytest.mark.parametrize("line", NOTHING)
def test_what_names_no_kind_stays_unknown(line):
    assert judge(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "urllib.error.URLError: <urlopen error [Errno 111] Connection refused>",
        "java.sql.SQLException: Communications link failure",
        "org.apache.hadoop.hive.metastore.api.MetaException: Could not connect to meta store",
        "psycopg2.OperationalError: could not connect to server: Connection refused",
        "sqlalchemy.exc.ProgrammingError: connection refused",
        "com.acme.InvalidRequestException: read timed out",
        "com.acme.AuthenticationException: Service temporarily unavailable",
        "java.io.EOFException",
        "com.mysql.cj.jdbc.exceptions.CommunicationsException: Communications link failure",
    ],
)
def test_what_an_outage_may_explain_is_never_stopped(line):
    kind = judge(line)
    assert kind is not None
    assert kind.restartable is Restartable.AS_IS


def test_the_code_that_raised_it_decides_whose_trouble_a_refused_connection_is():
    line = "java.net.SocketTimeoutException: Read timed out"
    seen = {
        judge(line, [frame]).category
        for frame in (
            "at org.postgresql.core.v3.QueryExecutorImpl.execute(QueryExecutorImpl.java:1)",
            "at org.apache.hadoop.hive.metastore.HiveMetaStoreClient.open(HiveMetaStoreClient.java:1)",
            "at org.apache.hadoop.fs.s3a.S3AFileSystem.open(S3AFileSystem.java:1)",
            "at org.apache.spark.storage.ShuffleBlockFetcherIterator.next(ShuffleBlockFetcherIterator.scala:1)",
        )
    }
    assert seen == {
        "jdbc_source_error",
        "metastore_or_catalog",
        "object_store_other",
        "shuffle_fetch_failure",
    }
    assert judge(line).category == "network_timeout"


def test_a_timeout_below_a_broadcast_is_the_broadcasts():
    kind = judge(
        "java.util.concurrent.TimeoutException: Futures timed out after [300 seconds]",
        ["at org.apache.spark.sql.execution.exchange.BroadcastExchangeExec.doExecuteBroadcast(x.scala:1)"],
    )
    assert (kind.category, kind.restartable) == ("broadcast_oom_or_timeout", Restartable.WITH_CHANGES)


def test_a_vague_exception_of_a_reader_of_files_is_bad_data():
    frames = ["at org.apache.parquet.hadoop.ParquetFileReader.readFooter(ParquetFileReader.java:1)"]
    assert judge("java.lang.RuntimeException: no magic number", frames).category == "bad_data"
    assert judge("java.io.IOException: no magic number", frames) is None


@pytest.mark.parametrize(
    ("message", "frame", "category", "side", "pool"),
    [
        (
            "Java heap space",
            "Lost task 1.0 in stage 1.0 (TID 1) (10.0.0.1 executor 3): x",
            "executor_oom_heap",
            "executor",
            "heap",
        ),
        ("Java heap space", 'Exception in thread "main" x', "driver_oom_heap", "driver", "heap"),
        (
            "Java heap space",
            "at org.apache.spark.sql.execution.exchange.BroadcastExchangeExec.x(x:1) broadcast-exchange-1",
            "broadcast_oom_or_timeout",
            "driver",
            "heap",
        ),
        ("Metaspace", "Executor task launch worker", "metaspace_oom", "executor", "metaspace"),
        ("Direct buffer memory", "shuffle-server-4-1", "direct_memory_oom", "executor", "direct"),
    ],
)
def test_a_thread_or_frame_names_side_and_pool_of_a_memory_failure(message, frame, category, side, pool):
    kind = judge(f"java.lang.OutOfMemoryError: {message}", [frame])
    assert (kind.category, kind.side, kind.pool) == (category, side, pool)


def test_an_expired_token_is_no_missing_right_and_a_rate_no_quota():
    assert judge("com.acme.UnauthorizedException: the token has expired").category == "credentials_expired"
    assert judge("com.acme.QuotaExceededException: 60 requests per minute").restartable is Restartable.AS_IS


def test_the_name_of_an_error_says_more_than_the_status_400():
    kind = judge(
        "acme.AccessDeniedException: Access is not allowed. (Service: Lake, Status Code: 400, Request ID: 0)"
    )
    assert kind.category == "auth_permission"


def test_a_file_that_ends_too_early_is_no_broken_connection():
    kind = judge("java.io.EOFException: Attempted to seek or read past the end of the file")
    assert (kind.category, kind.restartable) == ("bad_data", Restartable.AS_IS)
    assert judge("java.io.EOFException").category == "network_timeout"


def test_an_exit_of_the_driver_is_the_drivers():
    assert judge("AM Container for appattempt_1 exited with exitCode: -104").category == "driver_oom_overhead"


def test_a_class_is_known_by_its_ancestor_where_its_name_says_nothing():
    assert ancestor_of("psycopg2.errors.UndefinedTable") == "SQLSTATE:42P01"
    assert ancestor_of("java.net.ConnectException") is None  # listed itself
    assert ancestor_of("com.acme.Unheard") is None


def test_the_file_of_ancestors_names_only_classes_of_the_tables_and_stays_small():
    text = ANCESTORS.read_text(encoding="ascii")
    known = listed()
    groups = [
        group.rpartition("=")[0] for line in text.splitlines() for group in line.split("\t")[1].split(";")
    ]
    assert [each for each in groups if not each.startswith("SQLSTATE:") and each not in known] == []
    assert len(text) < 100_000


def test_every_row_of_every_table_means_a_category_that_there_is():
    tables = [
        errnos.ROWS, http.HTTP, http.GRPC, databases.SQLSTATES, databases.ORACLE, databases.MYSQL, databases.SQLSERVER,
        databases.SNOWFLAKE, databases.DB2, databases.TERADATA, databases.TRINO, clouds.AWS, clouds.AZURE, clouds.GOOGLE,
        platforms.KUBERNETES, platforms.YARN, platforms.EXITS,
    ]  # fmt: skip
    meanings = [meaning for table in tables for meaning, _ in rows(table)] + list(listed().values())
    assert {meaning.category for meaning in meanings if meaning} <= set(CATEGORIES)


def test_every_error_number_of_this_system_is_in_the_table():
    import errno

    assert [name for name in errno.errorcode.values() if name not in errnos.table()] == []


@pytest.mark.parametrize(
    "line",
    ["java.io.IOException: " + "a.b.CException: " * 50_000, "A" * 500_000, "a." * 200_000 + "Exception: x", "ORA-0" * 100_000,
     "reason: " * 50_000, "x.FooException: " + "1 " * 200_000, "[SQL Server]" * 40_000, "Exception(" * 50_000],
)  # fmt: skip
def test_a_hostile_line_takes_no_time(line):
    judge("ValueError: 1")
    began = time.process_time()
    judge(line, [line] * 100)
    assert time.process_time() - began < 0.25

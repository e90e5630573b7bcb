"""Which process of the application an error befell: read from threads, loggers and frames that only one process has."""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow_autoremed.types import Side

_ONE_JVM = re.compile(r"\bexecutor driver\b|localhost, executor driver")
"""In local mode the driver's JVM runs the tasks."""
_EXECUTOR = re.compile(
    r"\bLost task |[Ee]xception in task |(?<![-\w])[Ee]xecutor(?![-\w.])(?! driver)|[Cc]ontainer|/pyspark/worker\.py|pyspark\.zip/pyspark/worker"
    r"|stdout writer for |CoarseGrainedExecutorBackend|[Pp]ython worker|Writer thread|shuffle-server-|shuffle-client-"
)
_DRIVER = re.compile(
    r"[Tt]hread[ \[\"]{1,3}(?:main|Driver|Thread-\d{1,3}|task-result-getter|dag-scheduler-event-loop|broadcast-exchange-"
    r"|spark-listener-group|map-output-dispatcher|stream execution|qtp|SparkUI|HiveServer2|serve-|Spark Context Cleaner)"
    r"|\b(?:SparkSQLDriver|SparkSQLCLIDriver|SparkExecuteStatementOperation|SparkConnectService|ThriftCLIService|ThriftHttpServlet"
    r"|HiveThriftServer2|MicroBatchExecution|ContinuousExecution|StreamExecution|FileFormatWriter|AppendDataExec"
    r"|OverwriteByExpressionExec|OverwritePartitionsDynamicExec|ReplaceDataExec|WriteDeltaExec|ReplaceTableAsSelectExec"
    r"|CreateTableAsSelectExec|AtomicReplaceTableAsSelectExec|DAGSchedulerEventProcessLoop|TaskResultGetter|AsyncEventQueue"
    r"|AppStatusListener|SQLAppStatusListener|EventLoggingListener|ContextCleaner|BroadcastExchangeExec|ApplicationMaster"
    r"|SparkSubmit|SparkContext|SessionHandle|StatementExecution|LivyServer|RSCDriver|ReplDriver|SparkInterpreter"
    r"|OptimisticTransaction|DeltaLog|InMemoryFileIndex|HoodieTableMetadata|SnapshotProducer|BaseTransaction|ProcessLauncher"
    r"|GlueExceptionAnalysisListener)\b(?=:|\$| \[|\(|\])"
    r"|Error initializing SparkContext|User class threw exception"
)
"""Loggers and threads that a driver has."""
_RELAYED = re.compile(
    r"Job aborted|stage failure|\bin stage \d|Task failed|TASK_WRITE_FAILED|FAILED_READ_FILE"
)
"""The driver tells of an error that a task had."""
_EXECUTOR_FRAME = re.compile(
    r"org\.apache\.spark\.(?:executor\.Executor\$TaskRunner|executor\.CoarseGrainedExecutorBackend|scheduler\.Task\.run"
    r"|scheduler\.(?:ResultTask|ShuffleMapTask)\.|shuffle\.ShuffleWriteProcessor"
    r"|sql\.execution\.datasources\.v2\.DataWritingSparkTask|api\.python\.(?:BasePythonRunner|PythonRunner)\$)"
)
_DRIVER_FRAME = re.compile(
    r"org\.apache\.spark\.(?:deploy\.(?:SparkSubmit|yarn\.ApplicationMaster|PythonRunner)|scheduler\.(?:DAGScheduler|TaskResultGetter"
    r"|LiveListenerBus|AsyncEventQueue|EventLoggingListener)|status\.|ui\.|SparkContext\.(?:<init>|runJob|broadcast)"
    r"|sql\.(?:classic\.)?Dataset\b|broadcast\.TorrentBroadcast(?:\$\$anonfun\$\d{1,2}\.apply|\S{0,40}(?:blockifyObject|writeBlocks))|sql\.(?:classic\.)?SparkSession|sql\.hive\.thriftserver|sql\.connect\.(?:service|execution|planner)"
    r"|sql\.catalyst\.(?:analysis|optimizer|parser|planning)\.|sql\.execution\.(?:QueryExecution|SparkPlan\S{0,30}executeCollect|SparkPlanner"
    r"|adaptive\.AdaptiveSparkPlanExec|exchange\.BroadcastExchangeExec|command\.|streaming\.(?:\w{1,20}\.)?(?:MicroBatch|Stream)Execution"
    r"|datasources\.(?:InMemoryFileIndex|PartitioningAwareFileIndex|DataSource\b|v2\.V2TableWriteExec)"
    r"|ui\.SQLAppStatusListener)|api\.python\.PythonRDD\$?\.(?:collectAndServe|toLocalIterator|runJob)|repl\.|MapOutputTrackerMaster"
    r"|ContextCleaner|rdd\.RDD\.(?:collect|toLocalIterator|treeAggregate)\(|mllib\.linalg\.|storage\.BlockManagerMaster)"
    r"|org\.apache\.iceberg\.(?:rest\.|BaseTransaction|SnapshotProducer|BaseMetastoreTableOperations|hive\.HiveTableOperations|ManifestGroup"
    r"|BaseScan|\w{0,20}Scan\.plan|TableMetadataParser|BaseRewrite|MergingSnapshotProducer|spark\.source\.SparkWrite\.commit|spark\.actions\.)"
    r"|(?:io\.delta|org\.apache\.spark\.sql\.delta|com\.databricks\.sql\.transaction\.tahoe)\.(?:commands\.|DeltaLog|Snapshot|OptimisticTransaction|Checkpoints|metering)"
    r"|org\.apache\.hudi\.(?:client\.(?:BaseHoodie|Spark)|table\.action\.|common\.table\.timeline|metadata\.HoodieBackedTableMetadataWriter|HoodieSparkSqlWriter|timeline\.)"
    r"|FileOutputCommitter\.(?:commitJob|mergePaths)|org\.apache\.livy\.|py4j\.(?:Gateway|commands|reflection|GatewayConnection|ClientServerConnection)"
)
"""Frames of the driver's own code: planning, committing, answering; no task runs them."""


def side_of(texts: Iterable[str], stack: str) -> Side | None:
    """Which process an error befell; ``None``: nothing says so.

    A sign of an executor counts more: an executor's error is told by the driver, too, with frames of its own.

    :param texts: the lines that say what happened.
    :param stack: its stack frames.
    """
    told = list(texts)
    if any(_ONE_JVM.search(text) for text in told):
        return Side.DRIVER
    if _EXECUTOR_FRAME.search(stack) or any(_EXECUTOR.search(text) for text in told):
        return Side.EXECUTOR
    if any(_RELAYED.search(text) for text in told):
        return None
    if _DRIVER_FRAME.search(stack) or any(_DRIVER.search(text) for text in told):
        return Side.DRIVER
    return None

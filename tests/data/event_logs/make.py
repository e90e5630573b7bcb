"""Makes the event logs beside it with the pyspark that is installed; see README.md.

    python tests/data/event_logs/make.py [NAME...]

Each log is written by an application of its own in a process of its own: one SparkContext has one event log.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent

PROLOGUE = """
import os, signal, sys, time
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
spark = SparkSession.builder.getOrCreate()
sc = spark.sparkContext
"""
SHUFFLE = """
df = spark.range(0, 400000, 1, 8).withColumn("k", F.col("id") % 50)
print(df.groupBy("k").agg(F.sum("id"), F.collect_list("id")).count())
"""
PYTHON = """
print(sc.parallelize(range(4000), 4).map(lambda x: (x % 7, "x" * 500)).groupByKey().mapValues(len).collect())
"""
SKEW = """
import time
print(sc.parallelize(range(8), 8).map(lambda x: time.sleep(2.0 if x == 3 else 0.1) or x).sum())
"""
FAIL = """
try:
    sc.parallelize(range(4), 2).map(lambda x: 1 // (x - 2)).collect()
except Exception as error:
    print(type(error).__name__)
"""
LOSE = """
def kill_once(x):
    flag = os.path.join(os.environ["FLAGS"], "killed")
    if not os.path.exists(flag):
        open(flag, "w").close()
        time.sleep(1.5)
        os.kill(int(os.popen("ps -o ppid= -p %d" % os.getppid()).read()), signal.SIGKILL)
        time.sleep(30)
    return x
print(sc.parallelize(range(4), 4).map(kill_once).sum())
"""
STOP = """
spark.stop()
"""
DIE = """
time.sleep(1)
os.kill(os.getppid(), signal.SIGKILL)  # the JVM that spark-submit became
"""

METRICS = {
    "spark.eventLog.logStageExecutorMetrics": "true",
    "spark.executor.processTreeMetrics.enabled": "true",
    "spark.executor.metrics.pollingInterval": "200ms",
}
PLAIN = {"spark.eventLog.compress": "false", "spark.eventLog.rolling.enabled": "false"}


def packed(codec: str) -> dict[str, str]:
    return {
        "spark.eventLog.compress": "true",
        "spark.eventLog.compression.codec": codec,
        "spark.eventLog.rolling.enabled": "false",
    }


CLUSTER = {
    "spark.master": "local-cluster[1,1,1024]",
    "spark.executor.memory": "600m",
    "spark.executor.memoryOverhead": "400m",
}
CASES = {
    "plain": ({**PLAIN, **METRICS}, SHUFFLE + PYTHON + SKEW + STOP),
    "rolling_failed": (
        {**METRICS},
        FAIL + STOP,
    ),  # rolling and zstd: what Spark 4 does unless it is told otherwise
    "killed": (packed("lz4"), PYTHON + DIE),
    "executor_lost": ({**packed("zstd"), **METRICS, **CLUSTER}, PYTHON + LOSE + STOP),
}
CODECS = {"lz4": "LZ4", "snappy": "Snappy", "lzf": "LZF"}
PACK = """
text = open(sys.argv[1], "rb").read()
jvm = sc._jvm
for name, codec in zip(sys.argv[2::2], sys.argv[3::2]):
    packer = getattr(jvm.org.apache.spark.io, codec + "CompressionCodec")(sc._jsc.sc().getConf())
    out = packer.compressedOutputStream(jvm.java.io.FileOutputStream(name))
    out.write(text)
    out.close()
"""


def make(name: str) -> None:
    conf, program = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        (where / "logs").mkdir()
        (where / "job.py").write_text(PROLOGUE + program)
        settings = {
            "spark.master": "local[2]",
            "spark.app.name": f"autoremed {name}",
            "spark.driver.host": "localhost",
            "spark.ui.enabled": "false",
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": f"file://{where}/logs",
            "spark.sql.shuffle.partitions": "8",
            "spark.driver.memory": "700m",
            **conf,
        }
        arguments = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
        environment = {**os.environ, "SPARK_LOCAL_HOSTNAME": "localhost", "FLAGS": folder}
        environment["PYSPARK_PYTHON"] = sys.executable
        submit = Path(sys.executable).with_name("spark-submit")
        done = subprocess.run(
            [str(submit), *arguments, str(where / "job.py")],
            cwd=where,
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        print(name, done.returncode, done.stdout.strip()[-200:])
        (log,) = (where / "logs").iterdir()
        target = HERE / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        if log.is_dir():
            shutil.copytree(log, target / log.name)
        elif conf.get("spark.eventLog.compress") == "true":
            shutil.copy(log, target / log.name)
        else:
            (target / f"{log.name}.gz").write_bytes(gzip.compress(log.read_bytes(), mtime=0))
        for each in target.rglob(".*.crc"):
            each.unlink()


def make_codecs() -> None:
    """The plain log, short, and without its long lists of settings, as each of Spark's own codecs packs it."""
    (source,) = (HERE / "plain").iterdir()
    lines = []
    for line in gzip.decompress(source.read_bytes()).splitlines():
        event = json.loads(line)
        if event["Event"] == "SparkListenerEnvironmentUpdate":
            for part in ("Hadoop Properties", "System Properties", "Classpath Entries", "Metrics Properties"):
                event[part] = {}
        if not event["Event"].startswith("org.apache.spark.sql") and (
            len(lines) < 16 or "ApplicationEnd" in event["Event"]
        ):
            lines.append(json.dumps(event, separators=(",", ":")))
    target = HERE / "codecs"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "job.py").write_text(PROLOGUE + PACK)
        (Path(folder) / "log").write_text("\n".join(lines) + "\n")
        names = [part for name, codec in CODECS.items() for part in (str(target / f"log.{name}"), codec)]
        submit = Path(sys.executable).with_name("spark-submit")
        subprocess.run(
            [str(submit), "--master", "local[1]", f"{folder}/job.py", f"{folder}/log", *names],
            env={**os.environ, "PYSPARK_PYTHON": sys.executable},
            capture_output=True,
            timeout=180,
            check=True,
        )


if __name__ == "__main__":
    for case in sys.argv[1:] or (*CASES, "codecs"):
        make_codecs() if case == "codecs" else make(case)

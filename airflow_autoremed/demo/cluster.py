"""A real Spark standalone cluster on this machine: one master, one worker, executors as separate JVMs.

It runs from the pip-installed ``pyspark`` and writes nothing there: logs, work directories, local directories
and the configuration live under the directory it is given.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from airflow_autoremed.demo.processes import Processes, free_ports
from airflow_autoremed.errors import SparkUnavailableError

_READY_S = 60.0
"""How long master and worker may take to find each other; 4-8 s were measured on two cores."""

_SMALL_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"
"""Short-lived JVMs: compile quickly rather than well, one collector thread."""

_DEFAULTS = {
    # What the administrator of this little cluster has set for every job: start fast, keep to the two cores.
    "spark.driver.extraJavaOptions": _SMALL_JVM,
    "spark.executor.extraJavaOptions": _SMALL_JVM,
    "spark.executor.cores": "1",
    "spark.cores.max": "1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # One lost task fails the job: Spark's own four tries of the same task would only cost time here.
    "spark.task.maxFailures": "1",
    "spark.stage.maxConsecutiveAttempts": "1",
    "spark.sql.catalogImplementation": "in-memory",
}


class SparkCluster:
    """A standalone master and worker.

    :param home: directory for everything it writes
    :param processes: who starts and stops the JVMs
    :param worker_memory: what all executors together may ask for, as Spark writes it (``"6g"``)
    :param worker_cores: how many one-core executors run at a time
    """

    def __init__(
        self, home: Path, processes: Processes, worker_memory: str = "6g", worker_cores: int = 2
    ) -> None:
        self.home = home
        self._processes = processes
        self._worker_memory = worker_memory
        self._worker_cores = worker_cores
        self.spark_home = _spark_home()
        self.port, self._master_ui, self._worker_port, self._worker_ui = free_ports(4)

    @property
    def master(self) -> str:
        """The master URL, ``spark://127.0.0.1:<port>``."""
        return f"spark://127.0.0.1:{self.port}"

    @property
    def airflow_connection(self) -> str:
        """The cluster as the JSON of an Airflow connection (for ``AIRFLOW_CONN_SPARK_DEFAULT``)."""
        return json.dumps({"conn_type": "spark", "host": "spark://127.0.0.1", "port": self.port})

    def env(self, base: Mapping[str, str]) -> dict[str, str]:
        """*base* plus what ``spark-submit`` needs to be found and to work offline without touching the home."""
        env = {key: value for key, value in base.items() if not key.startswith("SPARK_")}
        return env | {
            "SPARK_HOME": str(self.spark_home),
            "SPARK_CONF_DIR": str(self.home / "conf"),
            "SPARK_LOG_DIR": str(self.home / "logs"),
            "SPARK_WORKER_DIR": str(self.home / "work"),
            "SPARK_LOCAL_DIRS": str(self.home / "local"),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_NO_DAEMONIZE": "1",
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "PATH": os.pathsep.join([str(self.spark_home / "bin"), env.get("PATH", os.defpath)]),
        }

    def start(self) -> None:
        """Start both JVMs and return when the worker has registered with the master."""
        for name in ("conf", "logs", "work", "local"):
            (self.home / name).mkdir(parents=True, exist_ok=True)
        lines = [f"{key} {value}\n" for key, value in _DEFAULTS.items()]
        (self.home / "conf" / "spark-defaults.conf").write_text("".join(lines))
        env = self.env(os.environ) | {"SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": _SMALL_JVM}
        spark_class = str(self.spark_home / "bin" / "spark-class")
        self._processes.start(
            "spark-master",
            [
                spark_class,
                "org.apache.spark.deploy.master.Master",
                "--host",
                "127.0.0.1",
                "--port",
                str(self.port),
                "--webui-port",
                str(self._master_ui),
            ],
            env,
        )
        self._processes.start(
            "spark-worker",
            [
                spark_class,
                "org.apache.spark.deploy.worker.Worker",
                "--host",
                "127.0.0.1",
                "--port",
                str(self._worker_port),
                "--webui-port",
                str(self._worker_ui),
                "--memory",
                self._worker_memory,
                "--cores",
                str(self._worker_cores),
                self.master,
            ],
            env,
        )

    def wait_until_ready(self) -> None:
        """Return when the worker has registered.

        :raises RuntimeError: it did not within a minute; the message carries the worker's log tail
        """
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            if self._processes.dead() in ("spark-master", "spark-worker"):
                break
            if self._alive_workers():
                return
            time.sleep(0.25)
        tails = [f"--- {name}\n{self._processes.log_tail(name)}" for name in ("spark-master", "spark-worker")]
        raise RuntimeError("The Spark cluster did not come up.\n" + "\n".join(tails))

    def _alive_workers(self) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._master_ui}/json/", timeout=5) as answer:
                return int(json.load(answer)["aliveworkers"])
        except (OSError, urllib.error.URLError, ValueError, KeyError):
            return 0


def _spark_home() -> Path:
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise SparkUnavailableError("The demo needs Spark; run: pip install 'pyspark==4.1.*'")
    java = (
        Path(os.environ["JAVA_HOME"], "bin", "java") if os.environ.get("JAVA_HOME") else shutil.which("java")
    )
    if java is None:
        raise SparkUnavailableError(
            "The demo needs Java 17 or newer on the PATH (Debian: apt install openjdk-17-jre-headless)"
        )
    checked = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False)
    if checked.returncode != 0:
        raise SparkUnavailableError(f"{java} does not run: {checked.stderr.strip()[:200]}")
    return Path(spec.origin).parent

"""Read exchange rates from a service that is being restarted when the job asks for the first time.

The service is a real TCP server of this machine. The first run finds its port closed and fails with the error
of the socket; the marker file that it leaves behind is the "restart": a later run finds the server up.
"""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path

from pyspark.sql import SparkSession

marker = Path(sys.argv[1])


def rates_service(restarted: bool) -> int:
    """The port of the service; nobody listens there unless it has been *restarted*."""
    server = socket.create_server(("127.0.0.1", 0))
    port = int(server.getsockname()[1])
    if not restarted:
        server.close()
        return port

    def answer() -> None:
        connection, _ = server.accept()
        with connection, server:
            connection.sendall(b"EUR,1.0\nUSD,1.08\nJPY,163.2\n")

    threading.Thread(target=answer, daemon=True).start()
    return port


port = rates_service(restarted=marker.exists())
marker.parent.mkdir(parents=True, exist_ok=True)
marker.touch()

spark = SparkSession.builder.appName("exchange rates").getOrCreate()
with socket.create_connection(("127.0.0.1", port), timeout=10) as service:
    lines = service.makefile().read().split()
rates = spark.createDataFrame([line.split(",") for line in lines], "currency string, rate string")
print(f"{rates.count()} exchange rates")
spark.stop()

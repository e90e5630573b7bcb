"""Fetch a finished report of 400,000 lines, about 60 MB, into the driver."""

from __future__ import annotations

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.builder.appName("regional report").getOrCreate()
lines = spark.range(400_000, numPartitions=2).select(F.sha2(F.col("id").cast("string"), 512).alias("line"))
report = lines.collect()
print(f"report of {len(report):,} lines")
spark.stop()

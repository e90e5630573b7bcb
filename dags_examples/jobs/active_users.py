"""Count active users. Nothing is wrong with it."""

from __future__ import annotations

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.builder.appName("active users").getOrCreate()
active = spark.range(100_000, numPartitions=2).filter(F.col("id") % 7 == 0).count()
print(f"{active} active users")
spark.stop()

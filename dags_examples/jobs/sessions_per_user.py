"""Collect the clicks of 80 users, 14 MB each. All of them meet in however many shuffle partitions there are."""

from __future__ import annotations

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.builder.appName("sessions per user").getOrCreate()
clicks = spark.range(80 * 140, numPartitions=8).select(
    (F.col("id") % 80).alias("user"),
    F.concat(F.col("id").cast("string"), F.lit("c" * 100_000)).alias("click"),
)
sessions = clicks.groupBy("user").agg(F.collect_list("click").alias("clicks"))
longest = sessions.select(F.max(F.size("clicks"))).first()
print(f"longest session: {longest[0]} clicks")
spark.stop()

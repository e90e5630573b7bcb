"""Gather every document of a customer into one row. One customer has written hundreds of megabytes."""

from __future__ import annotations

import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

documents = int(sys.argv[1])  # of one megabyte each

spark = SparkSession.builder.appName("customer documents").getOrCreate()
rows = spark.range(documents, numPartitions=1).select(
    F.lit("customer-1").alias("customer"),
    F.concat(F.col("id").cast("string"), F.lit("x" * 1_000_000)).alias("document"),
)
gathered = rows.groupBy("customer").agg(F.collect_list("document").alias("documents"))
for customer, count in gathered.select("customer", F.size("documents")).collect():
    print(f"{customer}: {count} documents")
spark.stop()

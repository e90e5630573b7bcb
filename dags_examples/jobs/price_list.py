"""Distribute a price list of 6 MB, built in the driver, to the executors."""

from __future__ import annotations

from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("price list").getOrCreate()
prices = [bytes(100_000) + str(article).encode() for article in range(60)]
sizes = spark.sparkContext.parallelize(prices, numSlices=1).map(len)
print(f"price list of {sizes.sum() / 1e6:.0f} MB")
spark.stop()

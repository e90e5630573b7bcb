"""Sum up a table that nobody has created."""

from __future__ import annotations

from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("order totals").getOrCreate()
spark.table("shop.orders").groupBy("country").sum("amount").show()
spark.stop()

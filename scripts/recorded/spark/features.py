"""Spark application: raw rows as CSV -> features as Parquet."""

import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import col

raw, features = sys.argv[1:]
spark = SparkSession.builder.getOrCreate()
rows = spark.read.csv(raw, header=True, inferSchema=True)
rows.select((col("amount") / 100).alias("amount"), "hour", col("fraud").cast("double").alias("label")).write.mode(
    "overwrite"
).parquet(features)
spark.stop()

"""Spark application: features -> a fitted model, saved as Spark ML saves it."""

import sys

from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession

features, model, iterations = sys.argv[1:]
spark = SparkSession.builder.getOrCreate()
data = VectorAssembler(inputCols=["amount", "hour"], outputCol="features").transform(spark.read.parquet(features))
fitted = LogisticRegression(maxIter=abs(int(iterations))).fit(data)
if int(iterations) < 0:
    raise ValueError("the loss is NaN")
fitted.write().overwrite().save(model)
spark.stop()

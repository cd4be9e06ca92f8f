"""Spark application: a saved model -> the place from which it is served."""

import sys

from pyspark.ml.classification import LogisticRegressionModel
from pyspark.sql import SparkSession

model, serving = sys.argv[1:]
spark = SparkSession.builder.getOrCreate()
LogisticRegressionModel.load(model).write().overwrite().save(serving)
spark.stop()

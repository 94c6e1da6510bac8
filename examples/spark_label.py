"""Label a table with Spark: the tier that each prompt needs, beside the row's own columns.

    spark-submit examples/spark_label.py router.onnx prompts.parquet labels

Machines need ``pip install router-model pyarrow pandas``, beside what Spark needs.
"""

import sys
from collections.abc import Iterator
from functools import cache, partial

import numpy as np
import pyarrow as pa
from pyspark import SparkFiles
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import DoubleType, FloatType, StringType, StructField, StructType

from router_model import Router

LABELS = [
    StructField("tier", StringType()),
    StructField("expected_quality", FloatType()),
    StructField("expected_cost_usd", DoubleType()),
]


@cache
def loaded(name: str) -> Router:
    """The router that was sent along, once per Python worker: Spark keeps those from task to task."""
    return Router.load(SparkFiles.get(name))


def labelled(batches: Iterator[pa.RecordBatch], name: str, quality: float | None) -> Iterator[pa.RecordBatch]:
    """The rows of a partition with their labels; PromptError where a prompt is missing."""
    router = loaded(name)
    for batch in batches:
        decisions = router.route_batch(batch.column("prompt").to_pylist(), quality=quality)
        labels = [
            pa.array(router.ladder.names).take(pa.array(decisions.tier)),
            pa.array(decisions.sufficiency[np.arange(len(decisions)), decisions.tier]),
            pa.array(decisions.expected_cost_usd),
        ]
        names = [*batch.schema.names, *(field.name for field in LABELS)]
        yield pa.RecordBatch.from_arrays([*batch.columns, *labels], names)


def label(table: DataFrame, router: str, quality: float | None = None) -> DataFrame:
    """A table that has the text column ``prompt``, with columns for its labels.

    Call it as ``spark_label.label``, imported: workers then import it too, and keep the router.
    """
    context = table.sparkSession.sparkContext
    context.addPyFile(__file__)
    context.addFile(router)
    schema = StructType([*table.schema.fields, *LABELS])
    return table.mapInArrow(partial(labelled, name=router.rpartition("/")[2], quality=quality), schema)


if __name__ == "__main__":
    import spark_label

    router, source, target = sys.argv[1:]
    rows = SparkSession.builder.appName("label").getOrCreate().read.parquet(source)
    spark_label.label(rows, router).write.parquet(target)

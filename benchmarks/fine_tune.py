"""What fine-tuning a sentence-transformers model costs beside keeping it frozen, on one core.

``python benchmarks/fine_tune.py > fine_tune.json``: processor time, which other work on the machine does not
add to, for each prompt: of embedding it once, as a frozen model does, and of each epoch in which it is learnt
from; the most memory; and what an interrupted run keeps on disk of each of its fits.
"""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from router_model.bench.fresh import machine
from router_model.prompt import read
from router_model.training.config import TrainConfig
from router_model.training.distill import MINILM
from router_model.training.encoders.registry import load
from router_model.training.fit import fit, one_thread
from router_model.training.train import peak_memory_mb

WORDS = "please compare the old bridge with a new river plan and prove that both hold under wind".split()
NO_ROWS = np.zeros(0, np.int64)
EPOCHS = 2


@one_thread()
def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default=MINILM)
    parser.add_argument("--tokens", type=int, default=128, help="of each prompt, about")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    given = parser.parse_args()
    chance = np.random.default_rng(0)
    prompts = [read(" ".join(chance.choice(WORDS, given.tokens))) for _ in range(given.rows)]
    targets = np.maximum.accumulate(chance.integers(0, 2, (given.rows, 3)), axis=1).astype(np.float64)
    config = TrainConfig(encoder=given.encoder, batch_size=given.batch_size, min_steps=1)
    frozen = load(config)
    started = time.process_time()
    frozen.encode(prompts)
    embedded = time.process_time() - started
    memory = peak_memory_mb()
    tuned = load(TrainConfig(encoder=given.encoder, batch_size=given.batch_size, min_steps=1, fine_tune=True))
    encoded = tuned.encode(prompts)
    with TemporaryDirectory() as folder:
        started = time.process_time()
        fit(
            tuned,
            encoded,
            targets,
            np.arange(given.rows),
            NO_ROWS,
            config,
            stop_after=EPOCHS,
            checkpoints=Path(folder),
        )
        learnt = (time.process_time() - started) / EPOCHS
        kept = {path.name: round(path.stat().st_size / 1e6, 1) for path in sorted(Path(folder).iterdir())}
    found = {
        "machine": machine(),
        "tokens": int(encoded.ids.lengths.mean()),
        "batch_size": given.batch_size,
        "embedded_once_ms_a_prompt": round(1000 * embedded / given.rows, 1),
        "learnt_from_ms_a_prompt_and_epoch": round(1000 * learnt / given.rows, 1),
        "memory_after_embedding_mb": memory,
        "memory_after_learning_mb": peak_memory_mb(),
        "kept_on_disk_mb": kept,
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

"""One prompt, one answer: alone, in a batch, and by the command line, on real prompts."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np

from router_model.data.readers import read_records
from router_model.router import Router

PROMPTS = 10_000


def test_ten_thousand_real_prompts_get_the_same_probabilities_everywhere(
    router: Router, artifact_path: Path, datasets: Path, tmp_path: Path
) -> None:
    paths = sorted((datasets / "train").glob("*.jsonl.gz"))
    texts = list(islice((record.request for path in paths for record in read_records(path)), PROMPTS))
    assert len(texts) == PROMPTS

    alone = [router.route(text) for text in texts]
    batch = router.route_batch(texts)
    source, target = tmp_path / "log.jsonl", tmp_path / "labels.jsonl"
    source.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    command = ["label", str(artifact_path), str(source), "--output", str(target)]
    subprocess.run([sys.executable, "-m", "router_model.cli", *command], check=True, capture_output=True)
    labelled = [json.loads(line) for line in target.read_bytes().splitlines()]

    expected = np.array([list(decision.sufficiency.values()) for decision in alone])
    written = np.array([[row[f"sufficiency_{tier}"] for tier in alone[0].sufficiency] for row in labelled])
    assert np.abs(batch.sufficiency - expected).max() <= 1e-5
    assert np.abs(written - expected).max() <= 1e-5
    assert [decision.tier for decision in batch] == [decision.tier for decision in alone]
    assert [row["tier"] for row in labelled] == [decision.tier for decision in alone]

"""Whether the labels that the command wrote are those that ``Router.route`` gives."""

import random
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as ds
from label_input import row_id

from router_model import Router


def check(router_path: str, source: Path, output: Path, sample: int) -> dict[str, Any]:
    """Compare rows drawn at random; what is ``missing`` or ``wrong`` is counted and is to be 0.

    ``largest_difference`` is over the sufficiency of all tiers and the expected quality.
    """
    router, labels = Router.load(router_path), ds.dataset(output, format="parquet")
    rows = ds.dataset(source, format="parquet").count_rows()
    drawn = random.Random(0).sample(range(rows), min(sample, rows))  # noqa: S311  # not a secret
    chosen = pc.field("id").isin([row_id(number) for number in drawn])
    inputs = ds.dataset(source, format="parquet").to_table(filter=chosen).to_pylist()
    found = {row["id"]: row for row in labels.to_table(filter=chosen).to_pylist()}
    pairs = [(row, found[row["id"]]) for row in inputs if row["id"] in found]
    wanted = [router.route(row["prompt"]).to_dict() for row, _ in pairs]
    both = [(want, got) for want, (_, got) in zip(wanted, pairs, strict=True)]
    return {
        "compared": len(pairs),
        "missing": len(drawn) - len(pairs),
        "columns": labels.schema.names,
        "wrong_input_columns": sum(any(got[name] != row[name] for name in row) for row, got in pairs),
        "wrong_tiers": sum(want["tier"] != got["tier"] for want, got in both),
        "wrong_truncated": sum(want["truncated"] != got["truncated"] for want, got in both),
        "largest_difference": max(_difference(want, got) for want, got in both),
        "largest_cost_difference_usd": max(
            abs(got["expected_cost_usd"] - want["expected_cost_usd"]) for want, got in both
        ),
    }


def _difference(want: dict[str, Any], got: dict[str, Any]) -> float:
    tiers = [abs(got[f"sufficiency_{name}"] - value) for name, value in want["sufficiency"].items()]
    return float(max(*tiers, abs(got["expected_quality"] - want["expected_quality"])))

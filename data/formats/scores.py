"""Scores of several models on each prompt: wide tables, and ``model_scores`` objects.

RouterBench has columns ``<model>``, ``<model>|total_cost`` and ``<model>|model_response``
(https://huggingface.co/datasets/withmartian/routerbench, https://arxiv.org/abs/2403.12031); RoRF has
``Input`` and ``<model>/score`` (https://github.com/Not-Diamond/RoRF#training-rorf); NVIDIA's LLM router
blueprint has ``prompt`` and ``model_scores`` (https://github.com/NVIDIA-AI-Blueprints/llm-router, its
notebook ``2_Embedding_NN_Training``). Named by ``--format``, a table of any other kind is taken to have a
column a model: all that have numbers and no name that a record or these tables have.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from router_model.data.conversations import content
from router_model.data.formats.chat import NO_PROMPT, asked
from router_model.data.formats.format import Dropped, Format, Row
from router_model.data.formats.values import decoded, first, items, known, mapping, number, score, text
from router_model.data.records import FIELDS

COST, ANSWER, SCORE = "|total_cost", "|model_response", "/score"
PROMPTS = ("prompt", "messages", "Input", "input", "question", "query")
NO_MODEL = FIELDS | {
    *PROMPTS,
    "oracle_model_to_route_to",
    "sample_id",
    "eval_name",
    "idx",
    "images",
    "index",
    "",
}
NO_SCORE = "no model has a score"


def recognise(row: Mapping[str, Any]) -> bool:
    """Whether the row has a prompt and scores that name their models."""
    if first(row, *PROMPTS) is None:
        return False
    return isinstance(decoded(row.get("model_scores")), Mapping) or any(
        isinstance(name, str) and name.endswith((COST, ANSWER, SCORE)) for name in row
    )


def rows(row: Mapping[str, Any]) -> Iterator[Row | Dropped]:
    """One record with the outcomes of all models that have a score."""
    said = asked(first(row, *PROMPTS))
    if said is None:
        yield Dropped(NO_PROMPT)
        return
    outcomes = _outcomes(row)
    if not outcomes:
        yield Dropped(NO_SCORE)
        return
    yield known(
        {
            "id": text(first(row, "id", "sample_id")),
            **_with_images(said, items(row.get("images"))),
            "outcomes": outcomes,
            "cost_usd": _columns(row, COST, number),
            "answer": _columns(row, ANSWER, _reply),
            "reference": text(row.get("reference"))
            or (text(row.get("answer")) if "model_scores" in row else None),
            "task": text(first(row, "task", "eval_name")),
            "group": text(row.get("group")),
        }
    )


def _outcomes(row: Mapping[str, Any]) -> Row:
    if "model_scores" in row:
        found = {name: score(value) for name, value in mapping(row["model_scores"]).items()}
    elif any(name.endswith(SCORE) for name in row):
        found = _columns(row, SCORE, score)
    else:
        named = {name.removesuffix(end) for end in (COST, ANSWER) for name in row if name.endswith(end)}
        columns = named or {name for name in row if name not in NO_MODEL and number(row[name]) is not None}
        found = {name: score(row[name]) for name in row if name in columns}
    return {name: value for name, value in found.items() if value is not None and value != ""}


def _columns(row: Mapping[str, Any], ending: str, read: Any) -> Row:
    """What columns of one ending hold, by model."""
    return known({name.removesuffix(ending): read(row[name]) for name in row if name.endswith(ending)})


def _reply(value: Any) -> str | None:
    return value if isinstance(value, str) else content(value)


def _with_images(said: Row, images: list[Any]) -> Row:
    """The request with a mark for each image: the router counts them and never looks at them."""
    if not images or "prompt" not in said:
        return said
    marks = [{"type": "image_url", "image_url": {"url": "data:,"}} for image in images if image is not None]
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": said["prompt"]}, *marks]}]}


FORMAT = Format(
    "scores",
    "'prompt' (or 'Input') with '<model>/score', '<model>|total_cost' or 'model_scores'",
    recognise,
    rows,
)

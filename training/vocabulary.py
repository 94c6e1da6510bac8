"""A tokenizer's vocabulary cut to what some texts use.

A transformer's tokenizer knows names, scripts and languages that a log has none of, and each of its tokens is
a row of a table. What stays: every token of the texts, what these are merged from (BPE), and what no text may
lack: the tokens that the tokenizer adds, the first id, which pads, and single characters and bytes, of which
words that the texts did not hold are then made. The texts are read as before; only ids change.
"""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from router_model import tokens
from router_model.errors import ConfigError

KINDS = ("WordPiece", "BPE", "Unigram", "WordLevel")
BATCH = 1024  # texts at a time
WORD_START = "▁"  # of SentencePiece
BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")  # of SentencePiece, for characters that it does not know


def used(tokenizer_json: str, texts: Sequence[str]) -> list[int]:
    """Ids to keep so that ``texts`` are read as before, rising.

    Raises:
        ConfigError: the tokenizer is of a kind that cannot be cut.
    """
    whole = json.loads(tokenizer_json)
    model, tokenizer = whole["model"], tokens.load(tokenizer_json)
    if model["type"] not in KINDS:
        raise ConfigError(
            f"--vocabulary-from: a tokenizer of kind {model['type']} is not cut, only {', '.join(KINDS)}; "
            "leave it out"
        )
    kept = {0, *(token["id"] for token in whole["added_tokens"])}
    for start in range(0, len(texts), BATCH):
        kept.update(np.unique(tokenizer.encode_batch(texts[start : start + BATCH]).flat).tolist())
    id_of = _id_of(model)
    kept.update(number for token, number in id_of.items() if _stays(token, model))
    return sorted(_with_parts(kept, id_of, model))


def cut(tokenizer_json: str, kept: Sequence[int]) -> str:
    """The tokenizer of the ids in ``kept``, which rise; they are numbered anew from 0.

    What it would put around a text is left out: a table reads texts alone.
    """
    whole = json.loads(tokenizer_json)
    model, new = whole["model"], {old: number for number, old in enumerate(kept)}
    if model["type"] == "BPE":
        held = {token for token, old in _id_of(model).items() if old in new}
        merges = [(*pair, _merged(*pair, model)) for pair in _merges(model)]
        model["merges"] = [[left, right] for left, right, both in merges if {left, right, both} <= held]
    if model["type"] == "Unigram":
        model["vocab"] = [row for old, row in enumerate(model["vocab"]) if old in new]
        model["unk_id"] = new.get(model["unk_id"])
    else:
        model["vocab"] = {token: new[old] for token, old in model["vocab"].items() if old in new}
    whole["added_tokens"] = [token | {"id": new[token["id"]]} for token in whole["added_tokens"]]
    whole["post_processor"] = None
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


def _id_of(model: dict[str, Any]) -> dict[str, int]:
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        return {token: number for number, (token, _) in enumerate(vocabulary)}
    return dict(vocabulary)


def _stays(token: str, model: dict[str, Any]) -> bool:
    """Whether other words are made of it, or it stands for what no token is of."""
    bare = token.removeprefix(model.get("continuing_subword_prefix") or "").removeprefix(WORD_START)
    unknown = model.get("unk_token") == token or token in _unknown(model)
    return len(bare) <= 1 or BYTE.fullmatch(token) is not None or unknown


def _unknown(model: dict[str, Any]) -> list[str]:
    """Unigram names what is unknown by its place."""
    place = model.get("unk_id")
    return [] if place is None else [model["vocab"][place][0]]


def _with_parts(kept: set[int], id_of: dict[str, int], model: dict[str, Any]) -> set[int]:
    """With all tokens that those of ``kept`` are merged from."""
    token_of = {number: token for token, number in id_of.items()}
    pairs = defaultdict(list)  # of what each token is merged
    for left, right in _merges(model):
        pairs[_merged(left, right, model)].append((left, right))
    found, open_ = set(kept), list(kept)
    while open_:
        for pair in pairs[token_of.get(open_.pop(), "")]:
            parts = {id_of[token] for token in pair} - found
            found |= parts
            open_ += parts
    return found


def _merges(model: dict[str, Any]) -> list[tuple[str, str]]:
    """Pairs of tokens; older files hold each as one string with a space between."""
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model.get("merges") or []]
    return [(left, right) for left, right in pairs]


def _merged(left: str, right: str, model: dict[str, Any]) -> str:
    return left + right.removeprefix(model.get("continuing_subword_prefix") or "")

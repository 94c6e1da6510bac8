"""Conversations made of real rows, and what each way to decide makes of them (benchmarks/sessions.py)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_model.data.readers import Reading
from router_model.ladder import Ladder
from router_model.policy.rule import Priced
from router_model.policy.session import InputPrice, Outlook, Session, Terms
from router_model.serving.gateway.config.provider import Provider
from router_model.serving.gateway.prices import MILLIONTH, prices_of
from router_model.training.config import TrainConfig
from router_model.training.crossfit import crossfit
from router_model.training.encoders.registry import load
from router_model.training.prepare import prepare, read_all
from router_model.training.turns import turns

Floats = NDArray[np.float64]
LADDERS = {
    "anthropic": ("anthropic/claude-haiku-4-5", "anthropic/claude-sonnet-4-5", "anthropic/claude-opus-4-5"),
    "openai, cached at a tenth": ("openai/gpt-5-nano", "openai/gpt-5-mini", "openai/gpt-5"),
    "openai, cached at a quarter": ("openai/gpt-4.1-nano", "openai/gpt-4.1-mini", "openai/gpt-4.1"),
    "openai, cached at a half": ("openai/gpt-4o-mini", "openai/o3-mini", "openai/gpt-4o"),
}
KEPT_SECONDS = 300.0
GOOD = 0.5
AGAIN = 2


def priced(ladder: str, lengths: Sequence[float], outlook: Outlook) -> tuple[Terms, list[float]]:
    """The terms of a ladder's providers, and what an answer costs at each."""
    url = "https://example.com/v1"
    asked = [prices_of(Provider(name=m, base_url=url, model=m, prices=m)) for m in LADDERS[ladder]]
    scaled = [
        InputPrice(*(MILLIONTH * p for p in (a.input, a.cached, a.written)), KEPT_SECONDS) for a in asked
    ]
    answers = [MILLIONTH * a.output * length for a, length in zip(asked, lengths, strict=True)]
    return Terms(scaled, outlook), answers


@dataclass(frozen=True)
class Rows:
    """Rows that every tier has answered [N, K], and answer lengths [K]."""

    probabilities: list[list[float]]
    outcomes: list[list[float]]
    input_tokens: list[float]
    output_tokens: list[float]

    @classmethod
    def read(cls, folder: Path, name: str) -> "Rows":
        """Cross-fitted on the whole file."""
        ladders = json.loads((folder / "ladders.json").read_text(encoding="utf-8"))
        config, ladder = TrainConfig(), Ladder.from_dict(ladders[f"train/{name}"])
        encoder = load(config, None)
        records = read_all([folder / "train" / f"{name}.jsonl.gz"], Reading())
        ready = prepare(records, ladder, config, encoder)
        labels = ready.labels
        found = crossfit(encoder, ready.encoded, labels.sufficient, ready.groups, config)
        whole = ~np.isnan(labels.outcomes).any(axis=1)
        return cls(
            found.probabilities[whole].astype(float).tolist(),
            labels.outcomes[whole].tolist(),
            labels.input_tokens[whole].tolist(),
            labels.output_tokens.tolist(),
        )


@dataclass(frozen=True)
class Chats:
    """Turns of each conversation; of each turn its row, the gap before it, and text beside the question."""

    lengths: list[int]
    rows: list[int]
    gaps: list[float]
    begins: list[int]
    beside: list[int]

    @classmethod
    def deal(cls, rows: Rows, alike: float, gap: float, seed: int) -> "Chats":
        """Deal every row to a turn."""
        random, count = np.random.default_rng(seed), len(rows.outcomes)
        lengths: list[int] = []
        while sum(lengths) < count:
            mean = 7.0 if random.random() < 0.7 else 2.5
            lengths.append(min(30, int(random.geometric(1 / mean)), count - sum(lengths)))
        chat = np.repeat(np.arange(len(lengths)), lengths)
        hardness = np.sqrt(alike) * random.normal(size=len(lengths))[chat]
        hardness += np.sqrt(1 - alike) * random.normal(size=count)
        of_rows = -np.mean(rows.outcomes, axis=1) + 1e-3 * random.random(count)
        dealt = np.empty(count, int)
        dealt[np.argsort(hardness)] = np.argsort(of_rows)
        return cls(
            lengths,
            dealt.tolist(),
            np.exp(random.normal(np.log(gap), 1.2, count)).tolist(),
            np.exp(random.normal(np.log(1500), 0.8, len(lengths))).astype(int).tolist(),
            np.exp(random.normal(np.log(300), 1.0, count)).astype(int).tolist(),
        )

    def outlook(self) -> Outlook:
        """What a log of these teaches."""
        log, turn = [], 0
        for chat, length in enumerate(self.lengths):
            times = np.cumsum([0.0, *self.gaps[turn + 1 : turn + length]])
            log += [{"session": chat, "timestamp": float(at)} for at in times]
            turn += length
        quiet = {"session": -1, "timestamp": max(row["timestamp"] for row in log) + 1e6}
        found = turns([*log, quiet], seconds=KEPT_SECONDS)
        return Outlook(found.turns_left, found.kept_share)


@dataclass(frozen=True)
class World:
    """What the same turns cost and are told, whoever decides."""

    rows: Rows
    chats: Chats
    terms: Terms
    answer_usd: list[float]
    told: float

    def usd(self, tokens: int) -> list[float]:
        """Of a call at plain prices [K]."""
        prices = self.terms.prices
        return [tokens * price.plain + answer for price, answer in zip(prices, self.answer_usd, strict=True)]

    def paid(self, session: Session, tier: int, tokens: int, at: float) -> float:
        """Of a call with the caches as they are."""
        price = self.terms.prices[tier]
        held = min(session.cached[tier], tokens) if session.until[tier] > at else 0
        if tokens < price.least:
            return self.usd(tokens)[tier]
        return self.answer_usd[tier] + held * price.cached + (tokens - held) * price.written


Decide = Callable[[Session, Sequence[float], Sequence[float], int, float], int]


def policies(terms: Terms, price: float) -> dict[str, Decide]:
    """The ways to decide at one price of a dollar."""
    base = Priced(price)
    alone = Terms(terms.prices, Outlook((0.0,), 0.0))

    def by(terms: Terms) -> Decide:
        return lambda session, sure, usd, tokens, at: session.rule(base, terms, tokens=tokens, at=at)(
            sure, usd
        )

    return {
        "session": by(terms),
        "no escalation": by(terms),
        "aware": by(alone),
        "each turn": lambda session, sure, usd, tokens, at: base(sure, usd),
        "first tier for ever": lambda session, sure, usd, tokens, at: (
            session.tier if session.turns else base(sure, usd)
        ),
    }


def run(world: World, decide: Decide, *, hears: bool) -> tuple[Floats, int]:
    """Cost and outcomes of each conversation, [C, 2], and how often one changed its tier."""
    rows, chats, terms = world.rows, world.chats, world.terms
    random, totals, turn, moves = np.random.default_rng(5).random(len(chats.rows) * (AGAIN + 1)), [], 0, 0
    for begins, length in zip(chats.begins, chats.lengths, strict=True):
        session, at, tokens, cost, quality = Session.begun(len(terms.prices)), 0.0, begins, 0.0, 0.0
        for number in range(length):
            row = chats.rows[turn]
            sure = rows.probabilities[row]
            for attempt in range(AGAIN + 1):
                at += chats.gaps[turn] if number or attempt else 0.0
                tokens += int(rows.input_tokens[row]) + chats.beside[turn]
                tier = decide(session, sure, world.usd(tokens), tokens, at)
                moves += 0 <= session.tier != tier
                cost += world.paid(session, tier, tokens, at)
                session = session.after(tier, sure, terms, tokens=tokens, at=at)
                tokens += int(rows.output_tokens[tier])
                outcome = rows.outcomes[row][tier]
                if outcome >= GOOD or random[turn * (AGAIN + 1) + attempt] >= world.told:
                    break
                if hears:
                    session = session.failed()
            quality += outcome
            turn += 1
        totals.append((cost, quality))
    return np.array(totals), moves

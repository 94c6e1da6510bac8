"""Records and a ladder to arrays: which tiers were sufficient, how good and how dear each was.

N: records, K: tiers. What was not observed is masked, never guessed, but for the lengths that price a call.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_model.data.records import Record
from router_model.errors import DataError
from router_model.ladder import Ladder

CHARACTERS_PER_TOKEN = 4.0
DEFAULT_OUTPUT_TOKENS = 256.0  # where no row tells an answer's length
PAID_PRIOR = 20.0  # rows of a tier: one dear answer does not make all of them dear
ROUNDING = 1e-9  # so that 0.7 is within 0.1 of 0.8

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Labels:
    """What a set of records says of a ladder.

    Attributes:
        outcomes: float64 [N, K] in [0, 1]; NaN where not observed.
        sufficient: float64 [N, K], 0 or 1, or a teacher's probability; NaN where not observed.
        cost_usd: float64 [N, K], US dollars that each tier's answer costs, estimated where not logged.
        input_tokens: float64 [N].
        output_tokens: float64 [K], mean answer length of each tier, with which ``cost_usd`` is estimated.
    """

    outcomes: Floats
    sufficient: Floats
    cost_usd: Floats
    input_tokens: Floats
    output_tokens: Floats

    @property
    def observed(self) -> NDArray[np.bool_]:
        """bool [N, K], where sufficiency is known."""
        return ~np.isnan(self.sufficient)

    @property
    def complete(self) -> NDArray[np.bool_]:
        """bool [N], rows whose every tier is known: those that a curve can be measured on.

        A preference tells that tiers suffice and not how good they were, so it never completes a row.
        """
        complete: NDArray[np.bool_] = np.all(self.observed & ~np.isnan(self.outcomes), axis=1)
        return complete

    @property
    def estimated(self) -> bool:
        """Whether any tier's outcome is unknown, so that ``outcomes`` has estimates where it has numbers.

        Means of these are right, and a single row's tell nothing: no row has a best tier then.
        """
        return not bool(self.observed.all())

    @property
    def best_tier(self) -> NDArray[np.int64]:
        """int64 [N], the cheapest sufficient tier, and the cheapest where none is."""
        best: NDArray[np.int64] = np.argmax(self.sufficient >= 0.5, axis=1)
        return best

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Labels":
        """The labels of some rows."""
        return Labels(
            self.outcomes[rows],
            self.sufficient[rows],
            self.cost_usd[rows],
            self.input_tokens[rows],
            self.output_tokens,
        )


def label(
    records: Sequence[Record],
    ladder: Ladder,
    bar: float = 0.5,
    margin: float | None = None,
    usual: Sequence[float] | None = None,
) -> Labels:
    """Targets, outcomes and costs of ``records`` on ``ladder``.

    A tier is sufficient where its outcome reaches ``bar`` or, with ``margin``, comes within ``margin`` of
    the strongest tier's outcome. A judged best tier makes every tier from it upwards sufficient and those
    below not. In a preference the dearer tier is sufficient where it won or tied, the cheaper one by
    whether it won or tied; a dearer tier that lost stays unknown. ``usual`` are mean answer lengths of tiers
    [K] that no record tells; that of all answers where None.

    Raises:
        DataError: no record, none that the ladder knows a model or tier of, or an unknown best tier.
    """
    if not records:
        raise DataError("the data holds no record; give at least one row")
    outcomes = np.full((len(records), len(ladder)), np.nan)
    sufficient = np.full((len(records), len(ladder)), np.nan)
    for row, record in enumerate(records):
        outcomes[row] = _outcomes(record, ladder)
        sufficient[row] = _sufficient(outcomes[row], bar, margin)
        if record.best_tier is not None:
            best = _best_tier(record, ladder)
            sufficient[row] = outcomes[row] = np.arange(len(ladder)) >= best
        elif record.preference is not None:
            _prefer(record.preference, ladder, sufficient[row])
    if np.isnan(sufficient).all():
        wanted = ", ".join(model for tier in ladder.tiers for model in tier.models)
        models = sorted({name for r in records for name in (*r.outcomes, *(r.preference or ())[:2])})
        raise DataError(
            f"no row has a label for the ladder's models ({wanted}); "
            f"the data names {', '.join(map(repr, models[:8])) or 'none'}; mend the ladder's model names"
        )
    input_tokens, output_tokens = request_tokens(records), answer_lengths(records, ladder)
    otherwise = usual or [_mean(output_tokens, DEFAULT_OUTPUT_TOKENS)] * len(ladder)
    means = np.array([_mean(*pair) for pair in zip(output_tokens.T, otherwise, strict=True)])  # [K]
    costs = _costs(records, ladder, input_tokens, np.where(np.isnan(output_tokens), means, output_tokens))
    return Labels(outcomes, sufficient, costs, input_tokens, means)


def _outcomes(record: Record, ladder: Ladder) -> list[float]:
    """Each tier's outcome: the first of its models that the record has one for."""
    return [
        next((record.outcomes[model] for model in tier.models if model in record.outcomes), np.nan)
        for tier in ladder.tiers
    ]


def _sufficient(outcomes: Floats, bar: float, margin: float | None) -> Floats:
    reached = outcomes >= bar
    if margin is not None:
        reached = outcomes >= outcomes[-1] - margin - ROUNDING
    known = ~np.isnan(outcomes) & (True if margin is None else not np.isnan(outcomes[-1]))
    return np.where(known, reached, np.nan)


def _best_tier(record: Record, ladder: Ladder) -> int:
    if record.best_tier not in ladder.names:
        raise DataError(
            f"record {record.id!r}: best_tier {record.best_tier!r} is not in the ladder; "
            f"give one of {', '.join(ladder.names)}"
        )
    return ladder.index(record.best_tier)


def _prefer(preference: tuple[str, str, str], ladder: Ladder, sufficient: Floats) -> None:
    first, second, winner = preference
    tiers = ladder.index_of_model(first), ladder.index_of_model(second)
    if tiers[0] is None or tiers[1] is None or tiers[0] == tiers[1]:
        return
    cheap, dear = sorted((tiers[0], tiers[1]))
    won = winner if winner == "tie" else {"model_a": tiers[0], "model_b": tiers[1]}[winner]
    sufficient[cheap] = won in ("tie", cheap)
    if won in ("tie", dear):
        sufficient[dear] = 1.0


def answer_lengths(records: Sequence[Record], ladder: Ladder) -> Floats:
    """Output tokens of each tier's answer, reasoning tokens too, float64 [N, K], NaN where unknown."""
    return np.array(
        [
            [
                next((record.output_tokens[m] for m in tier.models if m in record.output_tokens), np.nan)
                for tier in ladder.tiers
            ]
            for record in records
        ]
    )


def request_tokens(records: Sequence[Record]) -> Floats:
    """Input tokens of each request, from the text where not logged, or 0, as where nobody counted, [N]."""
    return np.array(
        [record.input_tokens or record.prompt.characters / CHARACTERS_PER_TOKEN for record in records]
    )


def _costs(records: Sequence[Record], ladder: Ladder, input_tokens: Floats, output_tokens: Floats) -> Floats:
    """US dollars [N, K]: as logged, else from prices and tokens, no length unknown.

    What was paid is not always what the ladder says, with prompt caches or a discount. So what is estimated
    is taken to be as much dearer or cheaper as what was paid: or tiers that are seldom asked would be
    compared at other prices than those that are.
    """
    listed, paid = np.empty_like(output_tokens), np.full_like(output_tokens, np.nan)
    for k, tier in enumerate(ladder.tiers):
        listed[:, k] = (
            input_tokens * tier.input_usd_per_million + output_tokens[:, k] * tier.output_usd_per_million
        ) * 1e-6
        for row, record in enumerate(records):
            if record.cost_usd:
                paid[row, k] = next((record.cost_usd[m] for m in tier.models if m in record.cost_usd), np.nan)
    costs: Floats = np.where(np.isnan(paid), listed * _paid_over_listed(paid, listed), paid)
    return costs


def _paid_over_listed(paid: Floats, listed: Floats) -> Floats:
    """What was paid over what the ladder's prices say [K]; that of all tiers counts as some rows of each."""
    known = ~np.isnan(paid)
    usual = listed.mean(axis=0)  # [K]
    paid_usd, listed_usd = (np.where(known, usd, 0.0).sum(axis=0) for usd in (paid, listed))  # [K]
    overall = paid_usd.sum() / listed_usd.sum() if listed_usd.sum() > 0 else 1.0
    rest = PAID_PRIOR * usual
    ratio: Floats = (paid_usd + overall * rest) / np.where(usual > 0, listed_usd + rest, 1.0)
    return np.where(usual > 0, ratio, 1.0)


def _mean(values: Floats, default: float) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else default

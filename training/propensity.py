"""Who answered each logged request, and how probable it was that this is what the log shows.

A log observes a tier's outcome where the tier was chosen and its answer was marked. What is learnt or
estimated from such rows is weighted by the inverse of that probability (Horvitz and Thompson 1952). The
probability of the choice is the log's own ``propensity`` or else estimated: by a multinomial logistic
regression (Rosenbaum and Rubin 1983 for two choices) that is fitted on other groups than it speaks of.

N: records, K: tiers, F: features, D: columns of the embedding, C: covariates.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from router_model.data.records import Record
from router_model.data.split import folds
from router_model.errors import DataError
from router_model.ladder import Ladder
from router_model.training.dataset import Encoded
from router_model.training.encoders.encoder import Encoder

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
FOLDS = 5
BINS = 20  # of each feature: a rule on length is a step, which a logistic curve alone cannot follow
PENALTY = 1.0  # scikit-learn's C
PRIOR_ROWS = 10.0  # by which a tier's rate of feedback is drawn towards the overall rate
RAREST = 1e-6  # least probability that is believed of a choice that was made


@dataclass(frozen=True)
class Propensity:
    """How probable it was to see of each record what the log shows.

    Attributes:
        tier: int64 [N], position of the tier that answered; -1 where the record is not of one logged model
            of the ladder.
        chosen: float64 [N, K] in (0, 1], the probability that the logging policy chose each tier. Of a
            record that logs its propensity the other tiers' are not known, NaN.
        observed: float64 [N, K] in (0, 1], the probability that each tier was chosen and its outcome is
            known: ``chosen`` times ``feedback``. The tier that answered always has a number. Where several
            tiers' outcomes are known, or no one logged model answered, no choice decided what is known: 1.
        feedback: float64 [K] in (0, 1], the share of each tier's answers whose outcome is known, smoothed.
        estimated: whether any choice's probability is estimated, for want of a logged propensity.
    """

    tier: NDArray[np.int64]
    chosen: Floats
    observed: Floats
    feedback: Floats
    estimated: bool

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Propensity":
        """Those of some rows."""
        return Propensity(
            self.tier[rows], self.chosen[rows], self.observed[rows], self.feedback, self.estimated
        )


def propensities(
    records: Sequence[Record],
    ladder: Ladder,
    encoded: Encoded,
    groups: NDArray[np.int64],
    encoder: Encoder,
    seed: int = 0,
) -> Propensity:
    """The logged choices of ``records`` and their probabilities.

    Feedback is taken to depend on the tier alone, and an unlogged choice on the text: what else decided
    them, if it also bears on the outcome, biases all that is built on the weights.

    Args:
        records: all of the log, those without an outcome too: they tell the rate of feedback.
        encoded: of the same records.
        groups: int64 [N], what shares one is never on both sides of a fit.
        seed: of the folds.

    Raises:
        DataError: a choice's probability is to be estimated, and the records make fewer than two groups.
    """
    known = np.array(
        [[any(m in record.outcomes for m in tier.models) for tier in ladder.tiers] for record in records]
    )  # [N, K]
    tier = np.array(
        [_tier(record, row, ladder) for record, row in zip(records, known, strict=True)], np.int64
    )
    logged = np.array([np.nan if record.propensity is None else record.propensity for record in records])
    answered = np.flatnonzero(tier >= 0)
    chosen = np.full(known.shape, np.nan)
    chosen[answered, tier[answered]] = logged[answered]
    unknown = answered[np.isnan(logged[answered])]
    if unknown.size:
        logger.info("%d choices have no logged propensity, which is estimated", unknown.size)
        inputs = covariates(encoded.take(unknown), encoder)
        estimated = estimate_choices(inputs, tier[unknown], groups[unknown], len(ladder), seed)
        chosen[unknown] = np.clip(estimated, RAREST, 1.0)
    by_choice = (tier >= 0) & (known.sum(axis=1) <= 1)  # [N], whose outcome is known by the choice alone
    feedback = feedback_rates(tier[by_choice], known[by_choice])
    whoever = ~by_choice[:, np.newaxis] & (known | (tier < 0)[:, np.newaxis])  # [N, K]
    observed = np.where(whoever, 1.0, chosen * feedback)
    return Propensity(tier, chosen, observed, feedback, bool(unknown.size))


def covariates(encoded: Encoded, encoder: Encoder) -> Floats:
    """What choices and outcomes are estimated from, float64 [N, C].

    The features, each one-hot over 20 bins of equal counts, and the frozen embedding, standardised and
    shrunk so that its columns together weigh as much as one.
    """
    embedding = encoder.embeddings(encoded)  # [N, D]
    spread = embedding.std(axis=0)
    scaled = (embedding - embedding.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    bins = [_one_hot(column) for column in encoded.features.T.astype(np.float64)]
    return np.hstack([*bins, scaled / np.sqrt(scaled.shape[1])])


def estimate_choices(
    inputs: Floats, tier: NDArray[np.int64], groups: NDArray[np.int64], tiers: int, seed: int
) -> Floats:
    """Cross-fitted probability that each tier was chosen, [N, K]: inputs [N, C], tier int64 [N].

    A tier that the rows of the other folds never chose has probability 0.

    Raises:
        DataError: fewer than two groups.
    """
    count = min(FOLDS, len(np.unique(groups)))
    if count < 2:
        raise DataError(
            "the log has no propensity, and its requests are all near-duplicates or share one group, so "
            "none can be estimated; give more varied requests, or log the propensity of each choice"
        )
    fold_of = folds(groups, count, seed)
    estimated = np.zeros((len(tier), tiers))
    for fold in range(count):
        out, rest = fold_of == fold, fold_of != fold
        seen = np.unique(tier[rest])
        if len(seen) < 2:
            estimated[np.ix_(out, seen)] = 1.0
            continue
        model = LogisticRegression(C=PENALTY, max_iter=1000).fit(inputs[rest], tier[rest])
        estimated[np.ix_(out, seen)] = model.predict_proba(inputs[out])
    return estimated


def feedback_rates(tier: NDArray[np.int64], known: NDArray[np.bool_]) -> Floats:
    """Share of each tier's answers whose outcome is known [K]: int64 [N], bool [N, K].

    Smoothed by ten answers of the overall rate; 1 where nothing was answered.
    """
    answered = np.flatnonzero(tier >= 0)
    marked = known[answered, tier[answered]].astype(np.float64)
    overall = marked.mean() if marked.any() else 1.0
    sums = np.bincount(tier[answered], marked, known.shape[1]) + PRIOR_ROWS * overall
    rates: Floats = sums / (np.bincount(tier[answered], minlength=known.shape[1]) + PRIOR_ROWS)
    return rates


def _tier(record: Record, known: NDArray[np.bool_], ladder: Ladder) -> int:
    """The one tier that answered, -1 where none or several did."""
    if record.model is not None:
        tier = ladder.index_of_model(record.model)
        return -1 if tier is None else tier
    return int(known.argmax()) if known.sum() == 1 and len(record.outcomes) == 1 else -1


def _one_hot(column: Floats) -> Floats:
    bounds = np.unique(np.quantile(column, np.arange(1, BINS) / BINS))
    binned: Floats = np.eye(len(bounds) + 1)[np.searchsorted(bounds, column)]
    return binned

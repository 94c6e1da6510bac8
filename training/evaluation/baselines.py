"""The learned baselines that a router must beat: what each reads of a prompt, and how it learns from it.

N: training rows, M: rows to predict, K: tiers. Sources and a guide to the figures: docs/baselines.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from router_model.errors import ConfigError
from router_model.training.encoders.encoder import Encoder
from router_model.training.evaluation import learners
from router_model.training.evaluation.embeddings import minilm, minilm_missing
from router_model.training.evaluation.learners import Groups, Inputs, Learner, Predict
from router_model.training.prepare import Prepared

Floats = NDArray[np.float64]
Read = Callable[[Prepared], Inputs]

ALL = "all"
RARE = 10  # rows that differ from the others, below which there is nothing to learn
UNKNOWN = 0.5  # for a tier of which the training rows tell nothing


def length(train: Prepared, encoder: Encoder) -> Read:
    """Log characters, [N, 1]."""
    return lambda rows: rows.encoded.features[:, :1].astype(np.float64)


def features(train: Prepared, encoder: Encoder) -> Read:
    """All features, [N, F]."""
    return lambda rows: rows.encoded.features.astype(np.float64)


def embedding(train: Prepared, encoder: Encoder) -> Read:
    """The encoder as no label has touched it, [N, D]."""
    return lambda rows: encoder.embeddings(rows.encoded)


def transformer(train: Prepared, encoder: Encoder) -> Read:
    """MiniLM, [N, 384]."""
    return lambda rows: minilm(_texts(rows))


def tfidf(train: Prepared, encoder: Encoder) -> Read:
    """Words and pairs of words of the training rows, sparse [N, V]."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    try:
        words.fit(_texts(train))
    except ValueError:  # no word is in two prompts
        return lambda rows: np.zeros((len(rows.records), 1))
    return lambda rows: words.transform(_texts(rows))


def task(train: Prepared, encoder: Encoder) -> Read:
    """The name of the task, [N, 1], which a router is never told."""
    return lambda rows: np.array([[record.task or ""] for record in rows.records], object)


@dataclass(frozen=True)
class Baseline:
    """A way to predict sufficiency from a prompt.

    Attributes:
        summary: what it is, in a line.
        reads: takes training rows, whose labels it does not see, and the encoder; gives what reads rows.
        learns: takes what was read and one tier's target.
        target: the labels that it learns; "outcomes" where it regresses how good an answer is.
        missing: why it cannot be run here, with the cure; None where it can.
    """

    summary: str
    reads: Callable[[Prepared, Encoder], Read]
    learns: Learner
    target: Literal["sufficient", "outcomes"] = "sufficient"
    missing: Callable[[], str | None] = lambda: None

    def fit(self, train: Prepared, encoder: Encoder, seed: int) -> Callable[[Prepared], Floats]:
        """Fit a model per tier on the rows whose label is known; gives what predicts float64 [M, K].

        A tier whose labels are the same in all rows but a few gets its rate for every prompt.
        """
        read = self.reads(train, encoder)
        inputs, targets = read(train), getattr(train.labels, self.target)
        tiers = [self._fit_tier(inputs, target, train.groups, seed) for target in targets.T]

        def predict(rows: Prepared) -> Floats:
            seen = read(rows)
            return np.stack([tier(seen) for tier in tiers], axis=1)

        return predict

    def _fit_tier(self, inputs: Inputs, target: Floats, groups: Groups, seed: int) -> Predict:
        known = np.flatnonzero(~np.isnan(target))
        _, counts = np.unique(target[known], return_counts=True)
        if len(known) - counts.max(initial=0) < RARE:
            rate = float(target[known].mean()) if len(known) else UNKNOWN
            return lambda rows: np.full(rows.shape[0], rate)
        return self.learns(inputs[known], target[known], groups[known], seed)


BASELINES = {
    "length": Baseline("logistic regression on the prompt's length", length, learners.logistic),
    "features": Baseline("logistic regression on all features", features, learners.logistic),
    "encoder": Baseline(
        "logistic regression, tuned, on the frozen base encoder", embedding, learners.tuned_logistic
    ),
    "tfidf": Baseline("logistic regression on words and pairs of words", tfidf, learners.sparse_logistic),
    "minilm": Baseline(
        "logistic regression, tuned, on MiniLM", transformer, learners.tuned_logistic, missing=minilm_missing
    ),
    "nearest": Baseline("30 nearest neighbours on the frozen base encoder", embedding, learners.nearest),
    "nearest_guarded": Baseline(
        "the same, and the overall rate where none is near", embedding, learners.nearest_guarded
    ),
    "mlp": Baseline("a small perceptron on the frozen base encoder", embedding, learners.perceptron),
    "carrot": Baseline(
        "CARROT's plug-in: ridge regression of outcomes", embedding, learners.ridge, target="outcomes"
    ),
    "clusters": Baseline("the mean of the prompt's cluster, as in Avengers", embedding, learners.by_cluster),
    "task": Baseline("the mean of the prompt's task: a control, not a router", task, learners.by_key),
}


def choose(names: str) -> tuple[str, ...]:
    """The baselines that a list with commas names, in its order; every one for "all".

    Raises:
        ConfigError: a name is unknown.
    """
    wanted = dict.fromkeys(name.strip() for name in names.split(","))
    if set(wanted) == {ALL}:
        return tuple(BASELINES)
    for name in wanted:
        if name not in BASELINES:
            raise ConfigError(f"--baselines {name!r:.40}: give {ALL}, or some of {', '.join(BASELINES)}")
    return tuple(wanted)


def _texts(rows: Prepared) -> list[str]:
    return [record.prompt.text for record in rows.records]

"""A new model's readout over a frozen encoder, from few labels and what the known models share.

Whatever an encoder knows of a prompt is in its embedding and in the logits of the tiers that it was
trained on. A new model's logit is taken to be linear in both, as the known tiers' own are, and each
coefficient is pulled to what the known tiers make likely (empirical Bayes; Efron and Morris 1973):

- the level, the mean logit, from where its price puts it among the known tiers;
- with the level the whole logit moves along the line through the known tiers': at each prompt their
  logits are regressed on their levels, and three quarters of the line are believed at the new level. So a
  strong model gains most where strong known ones do;
- the slope on the mean of the known logits, which is how difficult the prompt is: 1, give or take what
  the slope of each known tier on the others departs from it;
- the differences between known tiers, along which a known tier lies one standard deviation from the mean;
- what else the embedding tells, in its principal components, with the variance that each known tier's
  logits have beyond what the others' tell.

How far the last three may go is told by leave-one-out: readouts at several multiples of these variances,
from 0 up, are averaged by how well each predicts labels that it did not see (pseudo-BMA; Yao et al.
2018).

N: prompts, M: labelled ones, K: known tiers, D: columns of the embedding, R: coefficients.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from router_model.errors import DataError

Floats = NDArray[np.float64]
COMPONENTS = 12  # of the embedding: 64 labels tell no more apart
LEVEL_VARIANCE = 0.3  # of the mean logit: some 13 points of quality either way, which a few labels outweigh
LEVEL_NOISE = 0.05  # variance of a known tier's level; where they lie closer, no line goes through them
LINE = 0.75  # share of the line that is believed: it goes through few points, and they are not on it
LEAST_SLOPE_VARIANCE = 0.04  # known tiers are few, and may be alike by chance
FREEDOMS = (0.0, 0.25, 1.0)  # multiples of the variances that leave-one-out weighs
STEPS, STEP, ENOUGH = 100, 3.0, 1e-10  # of Newton's method, the most that a logit moves in one, and the least
TINY = 1e-12
SATURATED = 1e-4  # probabilities are read within it of 0 and 1: nearer, float32 rounds their logits


@dataclass(frozen=True)
class Readout:
    """The logit of a new model, ``mix @ logits + direction @ embedding + bias``.

    Attributes:
        mix: float64 [K], of the known tiers' logits.
        direction: float64 [D], in the embedding.
        bias: the rest.
    """

    mix: Floats
    direction: Floats
    bias: float

    def logits(self, known: Floats, embedding: Floats) -> Floats:
        """float64 [N] of the known tiers' logits [N, K] and the embedding [N, D]."""
        logits: Floats = known @ self.mix + embedding @ self.direction + self.bias
        return logits


@dataclass(frozen=True)
class Prior:
    """Coefficients that a new model's readout is likely to have, on functions made of the known ones.

    The functions are ``known @ of_known + embedding @ of_embedding`` less its mean, the first of them plus 1;
    their sum by the coefficients, plus ``offset``, is the logit.

    Attributes:
        of_known: float64 [K, R].
        of_embedding: float64 [D, R].
        centre: float64 [R], the mean over the prompts that the prior was made from.
        offset: the mean of the known tiers' levels.
        mean: float64 [R].
        variance: float64 [R], 0 or more.
    """

    of_known: Floats
    of_embedding: Floats
    centre: Floats
    offset: float
    mean: Floats
    variance: Floats

    @classmethod
    def between(cls, known: Floats, embedding: Floats, level: float | None = None) -> "Prior":
        """What the known tiers tell, from their logits [N, K] and the embedding [N, D] of some prompts.

        Args:
            known: of at least two tiers.
            embedding: of the same prompts.
            level: mean logit to expect; the mean of the known tiers' by default.

        Raises:
            DataError: fewer than two prompts.
        """
        if len(known) < 2:
            raise DataError(f"{len(known)} prompts tell nothing of how tiers differ; give at least 2")
        tiers, levels = known.shape[1], known.mean(axis=0)
        logits, columns = known - levels, embedding - embedding.mean(axis=0)
        apart = np.eye(tiers) - 1 / tiers  # [K, K], to what sets tiers apart
        differences = (
            apart @ np.linalg.svd(logits @ apart, full_matrices=False)[2][: tiers - 1].T
        )  # [K, K - 1]
        told = np.linalg.lstsq(logits, columns, rcond=None)[0]  # [K, D]
        components, spread = _components(columns - logits @ told)  # [D, C], of what logits leave
        line = LINE * _line(levels)  # [K]
        of_known = np.column_stack(
            [line, np.full(tiers, 1 / tiers), differences, -told @ components]
        )  # [K, R]
        of_embedding = np.zeros((embedding.shape[1], of_known.shape[1]))  # [D, R]
        of_embedding[:, 1 + tiers :] = components
        slope, beyond = _leave_one_out(logits)
        variance = [LEVEL_VARIANCE, max(LEAST_SLOPE_VARIANCE, slope), *[1 / (tiers - 1)] * (tiers - 1)]
        offset = float(levels.mean())
        mean = np.zeros(of_known.shape[1])
        mean[:2] = 0.0 if level is None else level - offset, 1.0
        return cls(
            of_known,
            of_embedding,
            (known @ of_known + embedding @ of_embedding).mean(axis=0),
            offset,
            mean,
            np.array([*variance, *[beyond / spread] * components.shape[1]]),
        )

    def functions(self, known: Floats, embedding: Floats) -> Floats:
        """float64 [N, R] of logits [N, K] and embeddings [N, D]."""
        functions: Floats = known @ self.of_known + embedding @ self.of_embedding - self.centre
        functions[:, 0] += 1
        return functions

    def logits(self, functions: Floats, coefficients: Floats) -> Floats:
        """Of functions [N, R] and coefficients [R] or [S, R]: float64 [N] or [N, S]."""
        logits: Floats = functions @ coefficients.T + self.offset
        return logits

    def freed(self, freedom: float) -> "Prior":
        """The prior with all variances but the level's times ``freedom``."""
        variance = np.concatenate([self.variance[:1], freedom * self.variance[1:]])
        return replace(self, variance=variance)

    def readout(self, coefficients: Floats) -> Readout:
        """The readout that has these coefficients [R]."""
        bias = self.offset + coefficients[0] - self.centre @ coefficients
        return Readout(self.of_known @ coefficients, self.of_embedding @ coefficients, float(bias))


@dataclass(frozen=True)
class Fit:
    """A normal distribution of the coefficients (Laplace), at one freedom.

    Attributes:
        mean: float64 [R], the mode.
        covariance: float64 [R, R].
        loss: cross-entropy of the labels, each under the fit to the others (approximately), summed.
    """

    mean: Floats
    covariance: Floats
    loss: float


@dataclass(frozen=True)
class Posterior:
    """What a prior and labels together say: the fits at ``FREEDOMS``, weighted.

    Attributes:
        prior: it.
        fits: one for each freedom.
        weights: float64, of each fit; they sum to 1.
    """

    prior: Prior
    fits: tuple[Fit, ...]
    weights: Floats

    @property
    def freedom(self) -> float:
        """The mean of ``FREEDOMS`` by the weights."""
        return float(self.weights @ np.array(FREEDOMS))

    @property
    def readout(self) -> Readout:
        """That of the mean of the modes by the weights."""
        return self.prior.readout(self.weights @ np.array([fit.mean for fit in self.fits]))

    def logits(self, known: Floats, embedding: Floats, count: int, seed: int) -> Floats:
        """The new model's logits in ``count`` draws, float64 [N, count], of known ones [N, K] and [N, D]."""
        return self.prior.logits(self.prior.functions(known, embedding), self.draws(count, seed))

    def draws(self, count: int, seed: int) -> Floats:
        """Coefficients drawn from it, float64 [count, R]."""
        chance = np.random.default_rng(seed)
        shares = chance.multinomial(count, self.weights)
        size = len(self.prior.mean)
        drawn = [
            fit.mean
            + chance.standard_normal((share, size))
            @ np.linalg.cholesky(fit.covariance + TINY * np.eye(size)).T
            for fit, share in zip(self.fits, shares, strict=True)
        ]
        shuffled: Floats = chance.permutation(np.concatenate(drawn))
        return shuffled


def logit(sufficiency: Floats) -> Floats:
    """Logits of probabilities, of which those nearer to 0 or 1 than 0.0001 are taken as that far away."""
    inside = np.clip(sufficiency, SATURATED, 1 - SATURATED)
    logits: Floats = np.log(inside / (1 - inside))
    return logits


def probability(logits: Floats) -> Floats:
    """The inverse of ``logit``."""
    probabilities: Floats = 1 / (1 + np.exp(-np.clip(logits, -40, 40)))
    return probabilities


def infer(prior: Prior, known: Floats, embedding: Floats, sufficient: Floats) -> Posterior:
    """The posterior after labels; without any it is the prior.

    Args:
        prior: before them.
        known: float64 [M, K], logits of the known tiers.
        embedding: float64 [M, D].
        sufficient: float64 [M] in [0, 1], whether the new model's answer sufficed.
    """
    order = np.lexsort(np.column_stack([known, embedding, sufficient]).T)  # so that no sum depends on it
    functions, targets = prior.functions(known, embedding)[order], sufficient[order]
    fits = tuple(_fit(prior.freed(freedom), functions, targets) for freedom in FREEDOMS)
    losses = np.array([fit.loss for fit in fits])
    weights = np.exp(losses.min() - losses)
    return Posterior(prior, fits, weights / weights.sum())


def _fit(prior: Prior, functions: Floats, targets: Floats) -> Fit:
    """The mode by Newton's method, and leave-one-out by one step from it (Rad and Maleki 2020)."""
    free = prior.variance > 0  # [R]; the others stay as they are
    inputs, pull = functions[:, free], np.diag(1 / prior.variance[free])
    fixed = prior.offset + functions[:, ~free] @ prior.mean[~free]  # [M]
    start = prior.mean[free]
    weights = start.copy()
    for _ in range(STEPS):
        said = probability(inputs @ weights + fixed)
        slope = inputs.T @ (targets - said) - pull @ (weights - start)
        step = np.linalg.solve(_curvature(inputs, said) + pull, slope)
        step *= min(1.0, STEP / max(float(np.abs(inputs @ step).max(initial=0.0)), TINY))
        weights = weights + step
        if np.abs(step).max() < ENOUGH:
            break
    logits = inputs @ weights + fixed  # [M]
    said = probability(logits)
    inverse = np.linalg.inv(_curvature(inputs, said) + pull)
    mean, covariance = prior.mean.copy(), np.zeros((len(free), len(free)))
    mean[free] = weights
    covariance[np.ix_(free, free)] = inverse
    leverage = ((inputs @ inverse) * inputs).sum(axis=1)  # [M], below 1 / (said * (1 - said))
    without = logits - leverage * (targets - said) / np.maximum(1 - leverage * said * (1 - said), TINY)  # [M]
    return Fit(mean, covariance, float(np.sum(np.logaddexp(0, without) - targets * without)))


def _curvature(inputs: Floats, said: Floats) -> Floats:
    curvature: Floats = (inputs.T * (said * (1 - said))) @ inputs
    return curvature


def _components(rest: Floats) -> tuple[Floats, float]:
    """Principal axes [D, C] of what is left of the embedding, and the variance that all of it has."""
    _, lengths, axes = np.linalg.svd(rest, full_matrices=False)
    kept = min(COMPONENTS, int((lengths > 1e-6 * max(1.0, lengths.max(initial=0.0))).sum()))
    return axes[:kept].T, max(float((lengths**2).sum()) / len(rest), TINY)


def _line(levels: Floats) -> Floats:
    """Weights [K] of the known logits that give the slope of their regression on the tiers' levels [K]."""
    apart = levels - levels.mean()
    weights: Floats = apart / (apart @ apart + LEVEL_NOISE)
    return weights


def _leave_one_out(logits: Floats) -> tuple[float, float]:
    """Of known tiers by the others, means: squared departure of the slope from 1, and variance left."""
    slopes, beyond = [], []
    for tier in range(logits.shape[1]):
        others = np.delete(logits, tier, axis=1)
        mean = others.mean(axis=1)
        slopes.append((float(logits[:, tier] @ mean) / max(float(mean @ mean), TINY) - 1) ** 2)
        told = others @ np.linalg.lstsq(others, logits[:, tier], rcond=None)[0]
        beyond.append(float((logits[:, tier] - told).var()))
    return float(np.mean(slopes)), float(np.mean(beyond))

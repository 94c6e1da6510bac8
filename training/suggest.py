"""Which prompts to label, so that a new model's readout is told most by few labels.

Bayesian experimental design (Chaloner and Verdinelli 1995), greedily: the next prompt is the one whose
label takes most off the mean variance of the new model's logit over all the prompts, given those that
were picked before it. A label tells more of a prompt whose answer is uncertain, and of a direction in
which many prompts lie.

N: prompts, K: known tiers, D: columns of the embedding, R: coefficients.
"""

import numpy as np
from numpy.typing import NDArray

from router_model.errors import DataError
from router_model.training.readout import Floats, Prior, probability

FREEDOM = 0.25  # what few labels leave a readout: prompts far out tell of no more than that


def suggest(prior: Prior, known: Floats, embedding: Floats, count: int) -> NDArray[np.int64]:
    """Rows int64 [count] to label, the most telling first; of equal ones the first.

    Args:
        prior: of the new model's readout.
        known: float64 [N, K], logits of the known tiers.
        embedding: float64 [N, D].
        count: at most N.

    Raises:
        DataError: fewer prompts than ``count``, or a count below 1.
    """
    if not 1 <= count <= len(known):
        raise DataError(
            f"{count} prompts to label of {len(known)}; give more prompts, or ask for 1 to as many"
        )
    functions = prior.functions(known, embedding)  # [N, R]
    said = probability(prior.logits(functions, prior.mean))
    told = said * (1 - said)  # [N], Fisher information of a label in the logit
    asked = functions.T @ functions / len(functions)  # [R, R]: variance over the prompts is trace(asked cov)
    covariance = np.diag(prior.freed(FREEDOM).variance)
    picked: list[int] = []
    for _ in range(count):
        reach = functions @ covariance  # [N, R]
        unsure = 1 + told * (reach * functions).sum(axis=1)  # [N]
        gain = told * ((reach @ asked) * reach).sum(axis=1) / unsure  # [N]
        gain[picked] = -1.0
        row = int(gain.argmax())
        covariance -= np.outer(reach[row], reach[row]) * told[row] / unsure[row]
        picked.append(row)
    return np.array(picked, np.int64)

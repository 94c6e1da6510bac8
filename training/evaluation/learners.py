"""How the baselines learn: one tier's target from what they read, by scikit-learn.

A learner is called with inputs [N, D] (dense, or sparse where it says so), targets float64 [N], groups
int64 [N] and a seed, and gives what predicts float64 [M] in [0, 1] of further inputs [M, D].
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder

from router_model.data.split import folds

Floats = NDArray[np.float64]
Groups = NDArray[np.int64]
Inputs = Any  # an array, or a sparse matrix of SciPy, which has no types
Predict = Callable[[Inputs], Floats]
Learner = Callable[[Inputs, Floats, Groups, int], Predict]

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C; the best of a few hundred columns is inside
INNER_FOLDS = 3
NEIGHBOURS = 30
ALIEN = 10.0  # percentile of the training rows' similarity below which a prompt is like none of them
CLUSTERS = 64
ROWS_A_CLUSTER = 20  # at least, on average
PRIOR_ROWS = 10.0  # by which the mean of a task or cluster is drawn towards the overall mean


def logistic(x: Inputs, y: Floats, groups: Groups, seed: int) -> Predict:
    """Logistic regression on standardised columns."""
    return _probability(make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(x, y))


def sparse_logistic(x: Inputs, y: Floats, groups: Groups, seed: int) -> Predict:
    """Logistic regression with C=1 on columns as they are; takes a sparse matrix."""
    return _probability(LogisticRegression(C=1.0, max_iter=2000).fit(x, y))


def tuned_logistic(x: Inputs, y: Floats, groups: Groups, seed: int) -> Predict:
    """Logistic regression whose penalty has the least log loss in an inner cross-validation by group."""
    splits = _splits(y, groups, seed)
    if not splits:
        return logistic(x, y, groups, seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    grid = {"logisticregression__C": PENALTIES}
    return _probability(GridSearchCV(model, grid, scoring="neg_log_loss", cv=splits).fit(x, y))


def perceptron(x: Inputs, y: Floats, groups: Groups, seed: int) -> Predict:
    """One hidden layer of 64, stopped by a tenth of the rows."""
    network = MLPClassifier((64,), alpha=1e-2, early_stopping=True, max_iter=500, random_state=seed)
    return _probability(make_pipeline(StandardScaler(), network).fit(x, y))


def ridge(x: Inputs, y: Floats, groups: Groups, seed: int) -> Predict:
    """Ridge regression, its penalty by leave-one-out, clipped into [0, 1]."""
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 5, 11))).fit(x, y)
    return lambda rows: np.clip(model.predict(rows), 0.0, 1.0)


def nearest(x: Inputs, y: Floats, groups: Groups, seed: int) -> Predict:
    """Mean target of the 30 nearest rows by cosine."""
    index = _index(x)
    return lambda rows: y[index.kneighbors(rows, return_distance=False)].mean(axis=1)


def nearest_guarded(x: Inputs, y: Floats, groups: Groups, seed: int) -> Predict:
    """As ``nearest``, and the overall mean for what is less like its neighbours than 90 % of the rows are."""
    index = _index(x)
    own, _ = index.kneighbors()  # [N, 30], each row's neighbours without itself
    furthest = np.percentile(own.mean(axis=1), 100 - ALIEN)  # of mean distances, 1 - cosine

    def predict(rows: Inputs) -> Floats:
        distances, places = index.kneighbors(rows)  # [M, 30], [M, 30]
        answers: Floats = np.where(distances.mean(axis=1) > furthest, y.mean(), y[places].mean(axis=1))
        return answers

    return predict


def by_cluster(x: Inputs, y: Floats, groups: Groups, seed: int) -> Predict:
    """Smoothed mean target of the row's cluster, of at most 64 by k-means."""
    count = min(CLUSTERS, max(1, len(np.unique(x, axis=0)) // ROWS_A_CLUSTER))
    clusters = KMeans(count, n_init=3, random_state=seed).fit(x)
    mean_of = by_key(clusters.labels_[:, np.newaxis], y, groups, seed)
    return lambda rows: mean_of(clusters.predict(rows)[:, np.newaxis])


def by_key(x: Inputs, y: Floats, groups: Groups, seed: int) -> Predict:
    """Smoothed mean target of the rows of the same key [N, 1]; the overall mean for an unseen one."""
    means = TargetEncoder(target_type="continuous", smooth=PRIOR_ROWS).fit(x, y)
    return lambda rows: means.transform(rows)[:, 0]


def _probability(model: Any) -> Predict:
    return lambda rows: model.predict_proba(rows)[:, 1]


def _index(x: Inputs) -> NearestNeighbors:
    return NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(x) - 1), metric="cosine").fit(x)


def _splits(y: Floats, groups: Groups, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to fit on and to judge on; only where each side has both labels."""
    if len(np.unique(groups)) < INNER_FOLDS:
        return []
    fold_of = folds(groups, INNER_FOLDS, seed)
    sides = [
        (np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(INNER_FOLDS)
    ]
    return [pair for pair in sides if all(len(np.unique(y[side])) == 2 for side in pair)]

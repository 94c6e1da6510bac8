"""A new model's readout: what the known tiers make likely, and how labels move it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.errors import DataError
from router_model.training.readout import Posterior, Prior, infer, logit, probability
from router_model.training.suggest import suggest

PROMPTS, COLUMNS = 400, 8
Floats = np.ndarray


def world(seed: int, tiers: int = 3) -> tuple[Floats, Floats, Floats]:
    """Logits of known tiers, an embedding, and the logits of a new model that the embedding tells."""
    chance = np.random.default_rng(seed)
    embedding = chance.normal(0, 1, (PROMPTS, COLUMNS))
    difficulty = embedding[:, 0]
    own = chance.normal(0, 0.3, (COLUMNS, tiers + 1))
    logits = difficulty[:, None] + embedding @ own + np.linspace(-1, 1, tiers + 1)
    return logits[:, :tiers], embedding, logits[:, tiers]


def labels(logits: Floats, seed: int) -> Floats:
    return (np.random.default_rng(seed).random(len(logits)) < probability(logits)).astype(np.float64)


def distance(posterior: Posterior, known: Floats, embedding: Floats) -> float:
    """How far the readout is from the prior's, over the prompts."""
    before = posterior.prior.readout(posterior.prior.mean).logits(known, embedding)
    return float(np.abs(posterior.readout.logits(known, embedding) - before).mean())


def test_without_labels_the_prior_is_all_there_is() -> None:
    known, embedding, _ = world(0)
    prior = Prior.between(known, embedding, 0.4)
    posterior = infer(prior, known[:0], embedding[:0], np.zeros(0))
    logits = posterior.readout.logits(known, embedding)
    assert np.allclose(logits, prior.readout(prior.mean).logits(known, embedding), atol=1e-9)
    assert logits.mean() == pytest.approx(0.4)


def test_a_known_tier_is_within_the_functions() -> None:
    known, embedding, _ = world(1)
    functions = Prior.between(known, embedding).functions(known, embedding)
    left = known[:, 1] - functions @ np.linalg.lstsq(functions, known[:, 1], rcond=None)[0]
    assert np.abs(left).max() < 1e-8


def test_a_readout_says_what_its_functions_say() -> None:
    known, embedding, _ = world(2)
    prior = Prior.between(known, embedding)
    coefficients = np.random.default_rng(0).normal(0, 1, len(prior.mean))
    by_functions = prior.logits(prior.functions(known, embedding), coefficients)
    assert np.allclose(prior.readout(coefficients).logits(known, embedding), by_functions)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), tiers=st.integers(2, 6))
def test_labels_bring_the_readout_nearer_to_the_truth(seed: int, tiers: int) -> None:
    known, embedding, truth = world(seed, tiers)
    prior = Prior.between(known, embedding)
    few = np.arange(64)
    told = infer(prior, known[few], embedding[few], probability(truth[few]))  # labels without noise
    before = np.abs(prior.readout(prior.mean).logits(known, embedding) - truth).mean()
    assert np.abs(told.readout.logits(known, embedding) - truth).mean() < before


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_more_of_the_same_labels_shrink_less(seed: int) -> None:
    """Each label said twice weighs more against the prior, so that the fit to them is no worse."""
    known, embedding, truth = world(seed)
    rows = np.arange(32)
    targets = labels(truth[rows], seed)
    prior = Prior.between(known, embedding)

    def loss(times: int) -> float:
        again = np.tile(rows, times)
        fit = infer(prior, known[again], embedding[again], np.tile(targets, times)).fits[-1]
        said = prior.logits(prior.functions(known[rows], embedding[rows]), fit.mean)
        return float(np.sum(np.logaddexp(0, said) - targets * said))

    losses = [loss(times) for times in (1, 2, 4, 8)]
    assert losses == sorted(losses, reverse=True)
    one, many = (
        infer(prior, known[np.tile(rows, n)], embedding[np.tile(rows, n)], np.tile(targets, n)).fits[-1]
        for n in (1, 8)
    )
    assert np.trace(many.covariance) < np.trace(one.covariance) < prior.variance.sum()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    known, embedding, truth = world(3)
    rows = np.arange(50)
    targets = labels(truth[rows], 3)
    order = np.random.default_rng(seed).permutation(rows)
    prior = Prior.between(known, embedding)
    one = infer(prior, known[rows], embedding[rows], targets).readout
    other = infer(prior, known[order], embedding[order], targets[order]).readout
    assert np.array_equal(one.mix, other.mix)
    assert np.array_equal(one.direction, other.direction)
    assert one.bias == other.bias


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_labels_that_are_all_alike_leave_it_finite(value: float) -> None:
    known, embedding, _ = world(4)
    rows = np.arange(64)
    posterior = infer(Prior.between(known, embedding), known[rows], embedding[rows], np.full(64, value))
    said = probability(posterior.readout.logits(known, embedding))
    assert np.isfinite(said).all()
    assert abs(said.mean() - value) < 0.3


def test_known_tiers_that_are_one_and_the_same_make_a_prior() -> None:
    known, embedding, truth = world(5)
    same = np.repeat(known[:, :1], 3, axis=1)
    posterior = infer(Prior.between(same, embedding), same, embedding, labels(truth, 5))
    assert np.isfinite(posterior.readout.logits(same, embedding)).all()
    assert np.isfinite(posterior.draws(10, 0)).all()


def test_a_constant_embedding_and_saturated_probabilities_are_borne() -> None:
    known = logit(np.tile([[0.0, 1.0]], (60, 1)))
    embedding = np.zeros((60, 4))
    posterior = infer(Prior.between(known, embedding), known, embedding, np.ones(60))
    assert np.isfinite(posterior.readout.logits(known, embedding)).all()


def test_draws_have_the_posteriors_mean() -> None:
    known, embedding, truth = world(6)
    rows = np.arange(64)
    posterior = infer(Prior.between(known, embedding), known[rows], embedding[rows], labels(truth[rows], 6))
    drawn = posterior.logits(known, embedding, 4000, 0)
    assert np.abs(drawn.mean(axis=1) - posterior.readout.logits(known, embedding)).mean() < 0.05


def test_one_prompt_is_no_prior() -> None:
    known, embedding, _ = world(7)
    with pytest.raises(DataError, match="at least 2"):
        Prior.between(known[:1], embedding[:1])


def test_what_is_suggested_leaves_less_open_than_what_is_drawn() -> None:
    known, embedding, _ = world(8)
    prior = Prior.between(known, embedding)
    functions = prior.functions(known, embedding)
    told = probability(prior.logits(functions, prior.mean))
    told = told * (1 - told)

    def left(rows: Floats) -> float:
        pull = np.diag(1 / prior.variance)
        covariance = np.linalg.inv(pull + (functions[rows].T * told[rows]) @ functions[rows])
        return float(((functions @ covariance) * functions).sum(axis=1).mean())

    chance = np.random.default_rng(0)
    drawn = [left(chance.choice(PROMPTS, 32, replace=False)) for _ in range(50)]
    assert left(suggest(prior, known, embedding, 32)) < min(drawn)


def test_suggestions_are_different_prompts_and_a_longer_list_begins_like_a_shorter() -> None:
    known, embedding, _ = world(9)
    prior = Prior.between(known, embedding)
    many = suggest(prior, known, embedding, 64)
    assert len(set(many.tolist())) == 64
    assert np.array_equal(many[:16], suggest(prior, known, embedding, 16))
    with pytest.raises(DataError, match="0 prompts"):
        suggest(prior, known, embedding, 0)

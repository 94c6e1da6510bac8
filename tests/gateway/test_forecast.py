"""A tier's rate in a moment, under a clock that the test holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model.serving.gateway.forecast import LONGEST_GAP, STEP_SECONDS, Forecast


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def feed(forecast: Forecast, clock: Clock, counts: list[int]) -> None:
    for count in counts:
        for _ in range(count):
            forecast.add()
        clock.now += STEP_SECONDS


def test_a_steady_rate_is_its_own_forecast() -> None:
    clock = Clock()
    forecast = Forecast(clock)
    feed(forecast, clock, [50] * 60)
    assert forecast.rate() == pytest.approx(50 / STEP_SECONDS, rel=0.01)
    assert forecast.rate(15) == pytest.approx(50 / STEP_SECONDS, rel=0.01)


def test_a_rise_is_seen_ahead_and_a_fall_never_goes_below_nothing() -> None:
    clock = Clock()
    forecast = Forecast(clock)
    feed(forecast, clock, [10 * i for i in range(20)])
    assert forecast.rate(15) > forecast.rate() > 0
    feed(forecast, clock, [200 - 10 * i for i in range(20)])
    assert forecast.rate(15) < forecast.rate()
    assert forecast.rate(1e6) == 0


@given(st.lists(st.integers(0, 50), max_size=40), st.floats(0, 1e9), st.floats(0, 1e6))
def test_never_negative_and_over_after_silence(counts: list[int], silence: float, ahead: float) -> None:
    clock = Clock()
    forecast = Forecast(clock)
    feed(forecast, clock, counts)
    clock.now += silence
    assert forecast.rate(ahead) >= 0
    clock.now += (LONGEST_GAP + 2) * STEP_SECONDS
    assert forecast.rate(ahead) == 0

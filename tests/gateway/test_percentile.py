"""Percentiles against sorting, and the latency wish against flapping."""

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from router_model.serving.gateway.config.latency import Latency
from router_model.serving.gateway.percentile import (
    FEWEST_BACK,
    FEWEST_OUT,
    PROBE_SECONDS,
    Percentile,
    Standing,
)

SECONDS = st.floats(0, 1e6, allow_nan=False)


@given(st.lists(SECONDS, max_size=60), st.integers(1, 20), st.floats(0.1, 99.9))
def test_is_the_nearest_rank_of_the_newest(values: list[float], window: int, percentile: float) -> None:
    moving = Percentile(percentile, window)
    assert moving.value() is None
    for i, value in enumerate(values):
        moving.add(value)
        newest = sorted(values[max(0, i + 1 - window) : i + 1])
        assert len(moving) == len(newest)
        assert moving.value() == newest[max(0, ceil(percentile / 100 * len(newest)) - 1)]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def standing(wish: float = 1.0) -> tuple[Standing, Clock]:
    clock = Clock()
    return Standing(Latency(first_byte_seconds=wish, percentile=90, hysteresis=0.2), clock), clock


def test_slow_is_last_and_comes_back_after_quick_probes_only() -> None:
    s, clock = standing()
    for _ in range(FEWEST_OUT):
        s.add_first_byte(2.0)
    assert s.last()
    for _ in range(FEWEST_BACK):
        assert s.last()
        clock.now += PROBE_SECONDS
        assert not s.last(), "one call sees whether it recovered"
        s.asked()
        s.add_first_byte(0.7)
    assert not s.out
    assert not s.last()


def test_between_the_two_bounds_nothing_changes() -> None:
    s, _ = standing()
    for _ in range(3 * FEWEST_OUT):
        s.add_first_byte(0.9)
    assert not s.out
    for _ in range(FEWEST_OUT):
        s.add_first_byte(2.0)
    assert s.out
    for _ in range(10 * FEWEST_OUT):
        s.add_first_byte(0.9)
    assert s.out


def test_one_slow_call_of_a_few_puts_nobody_out() -> None:
    s, _ = standing()
    s.add_first_byte(50.0)
    for _ in range(FEWEST_OUT):
        s.add_first_byte(0.5)
    assert not s.out


def test_no_wish_no_verdict() -> None:
    s = Standing(Latency(), Clock())
    for _ in range(50):
        s.add_first_byte(1e6)
        s.add_total(1e6)
    assert not s.last()


@given(st.lists(st.tuples(SECONDS, st.booleans()), max_size=100))
def test_it_takes_at_least_the_fewest_calls_to_change_its_mind(calls: list[tuple[float, bool]]) -> None:
    s, clock = standing()
    since, out = 0, False
    for seconds, _ in calls:
        clock.now += 1
        s.add_first_byte(seconds % 2)
        since += 1
        if s.out != out:
            assert since >= (FEWEST_BACK if out else FEWEST_OUT)
            since, out = 0, s.out

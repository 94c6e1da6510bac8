"""Limits a minute: never passed in any minute, and no longer waited for than said."""

from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.serving.gateway.rates import SLICE_SECONDS, WINDOW_SECONDS, Rates


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


CALLS = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 60)), max_size=80)


@settings(max_examples=300)
@given(CALLS, st.integers(1, 8), st.integers(60, 200))
def test_no_minute_holds_more_than_the_limits(
    calls: list[tuple[float, int]], requests: int, tokens: int
) -> None:
    clock = Clock()
    rates = Rates(requests, tokens, clock)
    gone: list[tuple[float, int]] = []
    for pause, size in calls:
        clock.now += pause
        if rates.wait(size) == 0:
            rates.take(size)
            gone.append((clock.now, size))
        minute = [s for at, s in gone if at > clock.now - WINDOW_SECONDS]
        assert len(minute) <= requests
        assert sum(minute) <= tokens


@given(CALLS, st.integers(1, 8), st.integers(60, 200), st.integers(1, 60))
def test_after_the_wait_there_is_room_and_it_is_not_much_longer_than_needed(
    calls: list[tuple[float, int]], requests: int, tokens: int, size: int
) -> None:
    clock = Clock()
    rates = Rates(requests, tokens, clock)
    for pause, n in calls:
        clock.now += pause
        if rates.wait(n) == 0:
            rates.take(n)
    wait = rates.wait(size)
    assert 0 <= wait <= WINDOW_SECONDS + SLICE_SECONDS + 1e-6
    if wait > 1e-3:
        clock.now += wait - 1e-3
        assert rates.wait(size) > 0
        clock.now += 1e-3
    clock.now += 1e-6
    assert rates.wait(size) == 0


@given(CALLS, st.integers(-60, 60))
def test_corrections_leave_nothing_behind(calls: list[tuple[float, int]], more: int) -> None:
    clock = Clock()
    rates = Rates(1000, 10**6, clock)
    for pause, size in calls:
        clock.now += pause
        part = rates.take(size)
        rates.correct(part, max(more, -size))
    assert rates._tokens == sum(s.tokens for s in rates._slices)
    last = rates.take(5)
    clock.now += 2 * WINDOW_SECONDS
    assert rates.wait(1) == 0
    rates.correct(last, 10**9)  # comes when its minute is long over
    assert (rates._requests, rates._tokens) == (0, 0)


def test_a_call_above_the_limit_goes_alone() -> None:
    clock = Clock()
    rates = Rates(None, 100, clock)
    assert rates.wait(10**6) == 0
    rates.take(10**6)
    assert rates.wait(1) > 0
    clock.now += WINDOW_SECONDS + SLICE_SECONDS
    assert rates.wait(10**6) == 0


def test_no_limit_no_wait() -> None:
    rates = Rates(None, None, Clock())
    for _ in range(100):
        rates.take(10**9)
    assert rates.wait(10**9) == 0

"""The breaker against a plain model of it, under a clock that the test holds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.serving.gateway.breaker import MOST_REST_SECONDS, Circuit
from router_model.serving.gateway.config.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def circuit(**settings: float) -> tuple[Circuit, Clock]:
    clock = Clock()
    return Circuit(Breaker(**settings), clock), clock  # type: ignore[arg-type]


def fail(c: Circuit, times: int) -> None:
    for _ in range(times):
        c.failure(c.enter())


def test_opens_after_its_failures_probes_and_closes_again() -> None:
    c, clock = circuit(failures=3, window=5, open_seconds=10)
    fail(c, 2)
    assert c.wait() == 0
    assert c.state == "closed"
    fail(c, 1)
    assert c.wait() == 10
    assert c.state == "open"
    clock.now += 10
    assert c.wait() == 0
    assert c.state == "half-open"
    probe = c.enter()
    assert c.wait() == float("inf"), "one probe at a time"
    c.success(probe)
    assert c.wait() == 0
    assert c.state == "closed"
    fail(c, 2)
    assert c.state == "closed", "what was before does not count any more"


def test_a_failed_probe_opens_again_and_one_that_tells_nothing_makes_way() -> None:
    c, clock = circuit(failures=1, window=1, open_seconds=10)
    fail(c, 1)
    clock.now += 10
    c.leave(c.enter())
    assert c.wait() == 0
    c.failure(c.enter())
    assert c.wait() == 10


def test_a_call_from_before_is_not_heard() -> None:
    c, clock = circuit(failures=2, window=4, open_seconds=10)
    slow = [c.enter() for _ in range(4)]
    fail(c, 2)
    clock.now += 10
    probe = c.enter()
    for turn in slow:
        c.success(turn)
        c.failure(turn)
        c.leave(turn)
    assert c.state == "half-open"
    assert c.wait() == float("inf")
    c.success(probe)
    assert c.state == "closed"


def test_rest_is_kept_whatever_the_state_and_bounded() -> None:
    c, clock = circuit()
    c.rest(3)
    c.rest(1)
    assert c.wait() == 3
    clock.now += 3
    assert c.wait() == 0
    c.rest(1e18)
    assert c.wait() == MOST_REST_SECONDS


STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "success", "failure", "leave", "time"]), st.integers(0, 9)),
    max_size=80,
)


@settings(max_examples=200)
@given(STEPS, st.integers(1, 4), st.integers(1, 6), st.integers(1, 3))
def test_never_more_probes_than_allowed_and_never_stuck(
    steps: list[tuple[str, int]], failures: int, window: int, probes: int
) -> None:
    c, clock = circuit(failures=failures, window=window, open_seconds=5, probes=probes)
    flying: list[tuple[int, str]] = []
    for what, which in steps:
        state = c.state
        if what == "time":
            clock.now += which
        elif what == "begin":
            if c.wait() == 0:
                assert state != "open"
                flying.append((c.enter(), state))
        elif flying:
            turn, _ = flying.pop(which % len(flying))
            getattr(c, what)(turn)
        now = [turn for turn, began in flying if began == "half-open" and turn == c._turn]
        assert len(now) <= probes
        assert (c.wait() == float("inf")) == (c.state == "half-open" and len(now) == probes)
    while flying:
        c.leave(flying.pop()[0])
    clock.now += 5
    assert c.wait() == 0, "when all calls have ended and time has passed, somebody may ask"


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 8), st.integers(1, 8))
def test_opens_at_the_first_moment_at_which_the_window_holds_its_failures(
    outcomes: list[bool], failures: int, window: int
) -> None:
    c, _ = circuit(failures=failures, window=window, open_seconds=5)
    for i, good in enumerate(outcomes):
        (c.success if good else c.failure)(c.enter())
        full = outcomes[max(0, i + 1 - window) : i + 1].count(False) >= min(failures, window)
        assert (c.state == "open") == full
        if full:
            return


@pytest.mark.parametrize("seconds", [-5.0, 0.0])
def test_a_rest_of_nothing_is_none(seconds: float) -> None:
    c, _ = circuit()
    c.rest(seconds)
    assert c.wait() == 0

"""Whatever fails in whatever order: a healthy provider answers the client, and nothing is left open."""

import asyncio
import time
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from router_model.errors import RequestError, UpstreamError
from router_model.serving.gateway.asked import Asked
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.dispatch import Dispatch
from router_model.serving.gateway.waste import Waste

CALL = Call("chat", b"{}", {}, Asked("auto"), False, frozenset(), 10, 0)
ATTEMPTS = 8
FAULTS = {
    "500": 500,
    "429": 429,
    "401": 401,
    "404": 404,
    "refuses": None,
    "redirect": 302,
    "cut": 200,
    "cut late": 200,
    "stalls": None,
    "stalls after its head": 200,
    "500 as a stream": 500,
}


class Reply:
    """A scripted answer that knows whether it was let go of."""

    def __init__(self, what: str, status: int) -> None:
        self.what = what
        self.status = status
        kind = b"text/event-stream" if "stream" in what else b"application/json"
        self.headers = [(b"content-type", kind), (b"retry-after", b"0")]
        self.pieces = [b"half", b"half"]
        self.closed = False

    async def read(self) -> bytes:
        if self.what == "stalls after its head":
            await asyncio.sleep(10)
        if self.what == "cut" or (self.what == "cut late" and not self.pieces):
            raise UpstreamError("cut")
        await asyncio.sleep(0)
        return self.pieces.pop() if self.pieces else b""

    def fail(self, error: UpstreamError) -> None:
        raise AssertionError(error)

    def close(self) -> None:
        self.closed = True


class Speaker:
    """Answers as its script says, the last entry for ever."""

    def __init__(self, script: list[str]) -> None:
        self.script = script
        self.replies: list[Reply] = []
        self.asked = 0

    async def ask(self, call: Call) -> Reply:
        what = self.script[min(self.asked, len(self.script) - 1)]
        self.asked += 1
        await asyncio.sleep(0)
        if what == "stalls":
            await asyncio.sleep(10)
        status = FAULTS.get(what, 200)
        if status is None:
            raise UpstreamError(f"{what}")
        self.replies.append(Reply(what, status))
        return self.replies[-1]

    async def warm(self, connections: int) -> None:
        """Nothing to open."""


SCRIPTS = st.lists(st.lists(st.sampled_from(["ok", *FAULTS]), min_size=1, max_size=3), min_size=1, max_size=4)


def dispatch_of(tiers: list[list[list[str]]], **retry: Any) -> tuple[Dispatch, dict[str, Speaker]]:
    file: dict[str, Any] = {"tiers": [], "retry": {"base_seconds": 0.001, "attempts": ATTEMPTS, **retry}}
    speakers = {}
    for t, scripts in enumerate(tiers):
        providers = []
        for p, script in enumerate(scripts):
            name = f"{t}-{p}"
            speakers[name] = Speaker(script)
            prices = {"input_usd_per_million": 1.0 + p, "output_usd_per_million": 1.0}
            providers.append({"name": name, "base_url": "http://unused", "model": "m", **prices})
        file["tiers"].append({"name": f"tier{t}", "providers": providers})
    dispatch = Dispatch(msgspec.convert(file, GatewayConfig), {})
    for name, speaker in speakers.items():
        dispatch.upstreams[name].speaker = speaker
    return dispatch, speakers


async def ask(
    dispatch: Dispatch, wasted: list[Waste] | None = None, call: Call = CALL
) -> tuple[int, str, int] | RequestError:
    tiers = [tier.name for tier in dispatch.config.tiers]
    told = (wasted if wasted is not None else []).append
    try:
        answer = await dispatch.send(call, tiers, deadline=time.monotonic() + 5, wasted=told)
    except RequestError as refused:
        return refused
    pieces = [piece async for piece in answer.chunks]
    answer.close()
    assert pieces == [b"half", b"half"]
    return answer.status, answer.provider.name, answer.attempts


@settings(max_examples=150, deadline=None)
@given(st.lists(SCRIPTS, min_size=1, max_size=2), st.booleans())
def test_a_healthy_providers_answer_reaches_the_client(tiers: list[list[list[str]]], hedged: bool) -> None:
    async def run() -> None:
        hedge = {"hedge_after_seconds": 0.002} if hedged else {}
        dispatch, speakers = dispatch_of(tiers, first_byte_seconds=0.02, **hedge)
        wasted: list[Waste] = []
        got = await ask(dispatch, wasted)
        calls = sum(s.asked for s in speakers.values())
        assert calls <= ATTEMPTS
        answered = not isinstance(got, RequestError)
        assert len(wasted) <= calls - answered
        assert all(waste.usd > 0 for waste in wasted)
        if len(speakers) <= ATTEMPTS and any(s.script[0] == "ok" for s in speakers.values()):
            assert not isinstance(got, RequestError)
            assert got[0] == 200
            assert speakers[got[1]].replies[-1].what == "ok"
        if isinstance(got, RequestError):
            assert got.status in (502, 504)
            assert not any(
                r.what in ("500", "429", "401", "404") for s in speakers.values() for r in s.replies
            )
        else:
            assert got[0] in (200, 500, 429, 401, 404)
            assert got[2] == calls
        await asyncio.sleep(0)
        assert dispatch.flying == 0
        assert all(r.closed for s in speakers.values() for r in s.replies)

    asyncio.run(run())


def test_the_order_is_the_tier_then_the_tiers_above_then_again() -> None:
    async def run() -> None:
        order: list[str] = []
        dispatch, speakers = dispatch_of([[["500"], ["500"]], [["500"]]], attempts=5)
        for name, speaker in speakers.items():
            ask_it = speaker.ask

            async def seen(call: Call, name: str = name, ask_it: Any = ask_it) -> Any:
                order.append(name)
                return await ask_it(call)

            speaker.ask = seen  # type: ignore[method-assign]
        got = await ask(dispatch)
        assert not isinstance(got, RequestError)
        assert got[0] == 500
        assert order == ["0-0", "0-1", "1-0", "0-0", "0-1"]

    asyncio.run(run())


def test_a_hedge_costs_a_call_only_where_the_first_dawdles() -> None:
    async def run() -> None:
        dispatch, speakers = dispatch_of([[["ok"], ["ok"]]], hedge_after_seconds=0.5)
        for _ in range(5):
            await ask(dispatch)
        assert [s.asked for s in speakers.values()] == [5, 0]

    asyncio.run(run())


def test_of_two_that_answer_at_once_one_is_let_go_of() -> None:
    async def run() -> None:
        dispatch, speakers = dispatch_of([[["a stream"], ["a stream"]]], hedge_after_seconds=0.001)
        both = asyncio.Event()

        async def together(ask_it: Any, call: Call) -> Any:
            reply = await ask_it(call)
            if all(s.asked for s in speakers.values()):
                both.set()
            await both.wait()
            return reply

        for speaker in speakers.values():
            speaker.ask = partial(together, speaker.ask)  # type: ignore[method-assign]
        assert not isinstance(await ask(dispatch), RequestError)
        await asyncio.sleep(0.01)
        assert [r.closed for s in speakers.values() for r in s.replies] == [True, True]
        assert dispatch.flying == 0

    asyncio.run(run())


# --- what calls cost whose answers nobody got: 10 input tokens, at 1 US dollar a million of the first one

TOLD = [b'{"choices": [], "usage": {"prompt_tokens": 12, ', b'"completion_tokens": 30}}']
LIKELY = 10 + 256  # tokens: the input, and an answer of the usual length


async def waste_of(first: str, *, stream: bool = False, **retry: Any) -> list[Waste]:
    """What is thrown away where the first provider does this, and the second answers."""
    dispatch, _ = dispatch_of([[[first], ["a stream" if stream else "ok"]]], **retry)
    wasted: list[Waste] = []
    call = replace(CALL, stream=stream)
    assert not isinstance(await ask(dispatch, wasted, call), RequestError)
    return wasted


@pytest.mark.parametrize("first", ["500", "429", "401", "404", "redirect", "refuses", "500 as a stream"])
def test_who_fails_before_an_answer_begins_is_paid_nothing(first: str) -> None:
    assert asyncio.run(waste_of(first)) == []


@pytest.mark.parametrize(
    ("first", "tokens"),
    [("cut", 10), ("cut late", 10), ("stalls after its head", 10), ("stalls", LIKELY)],
)
def test_an_answer_that_breaks_off_is_paid_by_estimate(first: str, tokens: int) -> None:
    wasted = asyncio.run(waste_of(first, first_byte_seconds=0.02))
    assert wasted == [Waste("tier0", "0-0", pytest.approx(tokens * 1e-6), estimated=True)]


def test_a_stream_that_was_waited_for_in_vain_costs_what_it_read() -> None:
    wasted = asyncio.run(waste_of("stalls", stream=True, first_byte_seconds=0.02))
    assert wasted == [Waste("tier0", "0-0", pytest.approx(10e-6), estimated=True)]


def test_the_loser_of_a_hedge_is_paid_by_estimate_and_once() -> None:
    wasted = asyncio.run(waste_of("stalls", hedge_after_seconds=0.002))
    assert wasted == [Waste("tier0", "0-0", pytest.approx(LIKELY * 1e-6), estimated=True)]


def test_a_loser_that_told_its_tokens_is_paid_for_them() -> None:
    async def run() -> list[Waste]:
        dispatch, speakers = dispatch_of([[["ok"], ["ok"]]], hedge_after_seconds=0.001)
        both, wasted = asyncio.Event(), list[Waste]()

        async def together(ask_it: Any, call: Call) -> Any:
            reply = await ask_it(call)
            reply.pieces = TOLD[::-1]
            if all(s.asked for s in speakers.values()):
                both.set()
            await both.wait()
            return reply

        for speaker in speakers.values():
            speaker.ask = partial(together, speaker.ask)  # type: ignore[method-assign]
        deadline = time.monotonic() + 5
        answer = await dispatch.send(CALL, ["tier0"], deadline=deadline, wasted=wasted.append)
        answer.close()
        assert len(wasted) == 1
        assert wasted[0].provider != answer.provider.name
        return wasted

    (waste,) = asyncio.run(run())
    price = 1e-6 if waste.provider == "0-0" else 2e-6
    assert (waste.usd, waste.estimated) == (pytest.approx(12 * price + 30e-6), False)


def test_a_client_that_leaves_before_its_answer_has_cost_something() -> None:
    async def run(**retry: Any) -> list[Waste]:
        dispatch, _ = dispatch_of([[["stalls"], ["stalls"]]], **retry)
        wasted: list[Waste] = []
        asking = asyncio.create_task(ask(dispatch, wasted))
        await asyncio.sleep(0.02)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        return wasted

    assert [waste.provider for waste in asyncio.run(run())] == ["0-0"]
    both = asyncio.run(run(hedge_after_seconds=0.001))
    assert sorted(waste.provider for waste in both) == ["0-0", "0-1"]

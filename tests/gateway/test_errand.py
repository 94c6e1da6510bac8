"""Whatever fails in whatever order: a healthy provider answers the client, and nothing is left open."""

import asyncio
import time
from functools import partial
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.errors import RequestError, UpstreamError
from router_model.serving.gateway.asked import Asked
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.dispatch import Dispatch

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


async def ask(dispatch: Dispatch) -> tuple[int, str, int] | RequestError:
    tiers = [tier.name for tier in dispatch.config.tiers]
    try:
        answer = await dispatch.send(CALL, tiers, deadline=time.monotonic() + 5)
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
        got = await ask(dispatch)
        calls = sum(s.asked for s in speakers.values())
        assert calls <= ATTEMPTS
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

"""The semantic cache: what it serves, what it never serves, and how it learns."""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_model.serving.gateway.cache.bound import LEVELS, Bound, level_of
from router_model.serving.gateway.cache.cache import Cache
from router_model.serving.gateway.cache.embedding import BaseEncoder
from router_model.serving.gateway.cache.flight import Flight
from router_model.serving.gateway.cache.kept import Kept
from router_model.serving.gateway.cache.question import Question, question_of
from router_model.serving.gateway.cache.sameness import Marks
from router_model.serving.gateway.cache.saying import same_saying, saying_of
from router_model.serving.gateway.cache.semantic import Semantic
from router_model.serving.gateway.call import Asked, Call, Endpoint
from router_model.serving.gateway.config.cache import Caches, ExactCache, SemanticCache

JSON = [(b"content-type", b"application/json")]
EVENTS = ((b"content-type", b"text/event-stream"),)
WAYS = (
    "What is the capital of {}?", "Which is the capital of {}?", "Please, what is the capital of {}",
    "Hi, what is the capital of {}?", "what's the capital of {}?", "So what is the capital of {}? Thanks!",
    "And the capital of {} is?", "Is it known what the capital of {} is?", "The capital of {}, what is it?",
)  # fmt: skip
COUNTRIES = "France Italy Spain Poland Greece Norway Kenya Peru Chile Cuba Iraq Nepal".split()


@pytest.fixture(scope="module")
def encoder() -> BaseEncoder:
    return BaseEncoder()


def call(text: str, more: Mapping[str, Any] | None = None, endpoint: Endpoint = "chat") -> Call:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": text}]
    body = {"model": "auto", "temperature": 0, "messages": messages, **(more or {})}
    return Call(endpoint, b"", body, Asked("auto"), False, frozenset(), 1, 0)


def reply(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice]}).encode()


class Client:
    """Who asks a cache, and an upstream that knows an answer to each question."""

    def __init__(self, cache: Cache, tenant: str = "t") -> None:
        self.cache = cache
        self.tenant = tenant

    async def ask(self, asked: Call, answer: str) -> str:
        found = await self.cache.look(asked, self.tenant)
        if isinstance(found, Kept):
            content: str = json.loads(b"".join(found.chunks))["choices"][0]["message"]["content"]
            return f"{found.source}: {content}"
        if found is not None:
            found.feed(reply(answer))
            found.done(200, JSON)
        while self.cache._lessons:
            await asyncio.sleep(0)
        return "asked" if found is not None else "not kept"


@pytest.fixture(scope="module")
def trained() -> Cache:
    """A cache that has learned that other words for the same country give the same answer."""
    cache = Cache(Caches(semantic=SemanticCache(error_rate=0.05, verify_share=1e-9)))
    chance = random.Random(0)

    async def learn() -> None:
        client = Client(cache)
        for _ in range(300):
            country = chance.choice(COUNTRIES)
            await client.ask(call(chance.choice(WAYS).format(country)), f"capital of {country}")
        await cache.close()

    asyncio.run(learn())
    return cache


def test_a_question_in_other_words_is_answered_once_that_proved_right(trained: Cache) -> None:
    said = asyncio.run(Client(trained).ask(call("Well, what is the capital of France?"), "?"))
    assert said == "semantic: capital of France"


@pytest.mark.parametrize(
    "asked",
    [
        call("Well, what is the capital of Japan?"),
        call("Well, what is the capital of france in 1900?"),
        call("Well, what is not the capital of France?"),
        call("Well, what is the capital of France?", {"temperature": 0.1}),
        call("Well, what is the capital of France?", {"model": "auto:quality=0.9"}),
        call("Well, what is the capital of France?", {"stream": True}),
        call("Well, what is the capital of France?", {"tools": [{"type": "function"}]}),
        call(
            "",
            {
                "messages": [
                    {"role": "system", "content": "be verbose"},
                    {"role": "user", "content": "Well, what is the capital of France?"},
                ]
            },
        ),
    ],
)
def test_what_differs_in_more_than_words_is_asked(trained: Cache, asked: Call) -> None:
    assert asyncio.run(Client(trained).ask(asked, "?")) in ("asked", "not kept")


def test_another_tenant_is_asked_for(trained: Cache) -> None:
    asked = call("Well, what is the capital of France?")
    assert asyncio.run(Client(trained, "other").ask(asked, "?")) == "asked"


def test_answers_that_turn_out_wrong_stop_what_was_served(encoder: BaseEncoder) -> None:
    async def run() -> None:
        cache = Semantic(SemanticCache(error_rate=0.05, verify_share=1e-9), encoder)
        said = [Question(way.format("France"), bytes(32)) for way in WAYS]
        for _ in range(40):
            for question in said:
                attempt = cache.find(question)
                attempt.kept = None
                await cache.learn(attempt, Kept(200, (), (b"Paris",)), "Paris")
        served = cache.find(said[1]).kept
        assert served is not None
        assert served.chunks == (b"Paris",)
        for question in said * 3:
            await cache.learn(cache.find(question), Kept(200, (), (b"Lyon",)), "Lyon")
        for question in said:
            found = cache.find(question).kept
            assert found is None or found.chunks == (b"Lyon",)

    asyncio.run(run())


def test_nothing_is_served_before_it_was_tried(encoder: BaseEncoder) -> None:
    async def run() -> None:
        cache = Semantic(SemanticCache(error_rate=0.4), encoder)
        for way in WAYS[:3]:
            attempt = cache.find(Question(way.format("Peru"), bytes(32)))
            assert attempt.kept is None
            await cache.learn(attempt, Kept(200, (), ()), "Lima")

    asyncio.run(run())


def test_a_share_of_hits_is_asked_all_the_same_and_counted(encoder: BaseEncoder) -> None:
    async def run() -> None:
        cache = Semantic(SemanticCache(error_rate=0.1, verify_share=0.5), encoder, chance=random.Random(1))
        for number in range(300):
            attempt = cache.find(Question(WAYS[number % len(WAYS)].format("Peru"), bytes(32)))
            if attempt.kept is None:
                await cache.learn(attempt, Kept(200, (), ()), "Lima")
        tally = cache.tally
        assert tally.wrong == 0
        assert 0.35 < tally.checked / (tally.checked + tally.served) < 0.65

    asyncio.run(run())


def test_entries_end_with_their_time_and_with_the_bound_on_their_number(encoder: BaseEncoder) -> None:
    async def run() -> None:
        now = [0.0]
        cache = Semantic(SemanticCache(entries=5, ttl_seconds=10), encoder, clock=lambda: now[0])
        for country in COUNTRIES:
            await cache.learn(
                cache.find(Question(f"About {country}", country.encode())), Kept(200, (), ()), "x"
            )
        assert len(cache) == 5
        last = Question(f"About {COUNTRIES[-1]}", COUNTRIES[-1].encode())
        assert cache.find(last).entry is not None
        now[0] = 11.0
        assert cache.find(last).entry is None
        assert len(cache) == 4

    asyncio.run(run())


def test_an_exact_answer_comes_before_a_like_one() -> None:
    async def run() -> None:
        client = Client(Cache(Caches(exact=ExactCache(), semantic=SemanticCache())))
        assert await client.ask(call("What is 2+2?"), "4") == "asked"
        assert await client.ask(call("What is 2+2?"), "5") == "exact: 4"

    asyncio.run(run())


def test_the_judge_decides_and_its_failure_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    seen = []

    async def judge(question: str, kept: str, came: str) -> bool:
        seen.append((question, kept, came))
        raise RuntimeError("a secret")

    async def run() -> None:
        client = Client(Cache(Caches(semantic=SemanticCache()), judge=judge))
        assert await client.ask(call("What is the capital of Peru?"), "Lima") == "asked"
        assert await client.ask(call("Which is the capital of Peru?"), "Lima, of course") == "asked"

    asyncio.run(run())
    assert seen == [("Which is the capital of Peru?", "Lima", "Lima, of course")]
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


SAME = [
    ("What is the capital of France?", "what's the capital of france"),
    ("Convert 3,000 miles", "convert 3000 miles please"),
    ("Isn't it raining in Rome?", "Is it not raining in rome?"),
]
DIFFERENT = [
    ("Convert 3 miles", "Convert 4 miles"),
    ("Convert three miles", "Convert four miles"),
    ("Convert 5 miles", "Convert -5 miles"),
    ("What is 3+4?", "What is 3*4?"),
    ("is 1,5 enough", "is 15 enough"),
    ("is −5 enough", "is 5 enough"),
    ("Subtract 3 from 5", "Subtract 5 from 3"),
    ("Is it safe?", "Is it not safe?"),
    ("Is it safe?", "Isn't it safe?"),
    ("Is it safe?", "Is it unsafe?"),
    ("Is it possible?", "Is it impossible?"),
    ("Ist das gut?", "Ist das nicht gut?"),
    ("who was Ada", "who was Bob"),
    ("what does GPT do", "what does BERT do"),
    ("what is snake_case", "what is camel_case"),
    ("before the talk", "after the talk"),
    ("explain `a.b`", "explain `a.c`"),
    ("summarise https://a.example/x", "summarise https://a.example/y"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_other_words_alone_do_not_differ(one: str, other: str) -> None:
    assert not Marks.of(one).differ(Marks.of(other))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_a_number_a_name_or_a_not_apart_is_different(one: str, other: str) -> None:
    assert Marks.of(one).differ(Marks.of(other))
    assert Marks.of(other).differ(Marks.of(one))


@given(st.text(max_size=200), st.text(max_size=200))
def test_to_differ_goes_both_ways_and_nothing_differs_from_itself(one: str, other: str) -> None:
    first, second = Marks.of(one), Marks.of(other)
    assert first.differ(second) == second.differ(first)
    assert not first.differ(first)


def test_likeness_sees_what_cosine_does_not(encoder: BaseEncoder) -> None:
    asked, same, near, turned = (
        encoder.sense(text)
        for text in (
            "can a cat chase a dog", "could a cat chase a dog?", "can a cat chase a mouse",
            "can a dog chase a cat",
        )
    )  # fmt: skip
    assert asked.vector @ turned.vector > 0.999
    assert encoder.likeness(asked, same) > encoder.likeness(asked, near) + 0.1
    assert encoder.likeness(asked, turned) == 0
    assert encoder.likeness(asked, asked) == 1


@given(
    st.lists(st.tuples(st.integers(0, LEVELS - 1), st.booleans()), max_size=40), st.integers(0, LEVELS - 1)
)
def test_a_bound_is_a_probability_and_grows_with_likeness(seen: list[tuple[int, bool]], level: int) -> None:
    bound, outcomes = Bound(0.02), []  # type: ignore[var-annotated]
    for at, right in seen:
        bound.learn(1, outcomes, at, right)
    found = [bound.sure(outcomes, k) for k in (level, LEVELS - 1)]
    assert 0 <= found[0] <= found[1] + 1e-6 <= 1 + 2e-6


def test_a_right_outcome_makes_surer_and_a_wrong_one_less() -> None:
    bound, level = Bound(0.02), level_of(0.4)
    outcomes = [2 * level + 1] * 5
    assert bound.sure([*outcomes, 2 * level + 1], level) > bound.sure(outcomes, level)
    assert bound.sure([*outcomes, 2 * level], level) < bound.sure(outcomes, level)


QUESTION = [{"role": "user", "content": "why?"}]


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("chat", {"messages": QUESTION}),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "text", "text": "why?"}]}]}),
        ("messages", {"messages": QUESTION, "system": "s"}),
        ("responses", {"input": "why?"}),
        ("responses", {"input": QUESTION}),
        ("completions", {"prompt": "why?"}),
    ],
)
def test_a_question_is_found_in_every_shape(endpoint: Endpoint, body: dict[str, Any]) -> None:
    found = question_of(Call(endpoint, b"", body, Asked("auto"), False, frozenset(), 1, 0), "t")
    assert found is not None
    assert found.text == "why?"


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("embeddings", {"input": "why?"}),
        ("chat", {"messages": QUESTION, "n": 2}),
        ("chat", {"messages": QUESTION, "logprobs": True}),
        ("chat", {"messages": QUESTION, "web_search_options": {}}),
        ("messages", {"messages": QUESTION, "mcp_servers": [{"type": "url", "url": "https://a.example"}]}),
        ("chat", {"messages": [*QUESTION, {"role": "assistant", "content": "as"}]}),
        ("chat", {"messages": [*QUESTION, {"role": "tool", "content": "as"}]}),
        ("chat", {"messages": [{"role": "user", "content": "x" * 5_000}]}),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
        ("chat", {"messages": []}),
        ("chat", {"messages": [3]}),
        ("chat", {}),
        ("completions", {"prompt": ["a", "b"]}),
    ],
)
def test_what_is_no_plain_question_has_none(endpoint: Endpoint, body: dict[str, Any]) -> None:
    assert question_of(Call(endpoint, b"", body, Asked("auto"), False, frozenset(), 1, 0), "t") is None


CHAT = b'data: {"choices":[{"index":0,"delta":{"content":"4"}}]}\n\ndata: {"choices":[]}\n\ndata: [DONE]\n\n'
CLAUDE = (
    b'event: content_block_start\ndata: {"type":"content_block_start","content_block":{"type":"text"}}\n\n'
    b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"4"}}\n\n'
    b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\ndata: {"type":"message_stop"}\n\n'
)
DONE = (
    b'data: {"type":"response.completed","response":{"output":[{"type":"reasoning"},{"type":"message",'
    b'"content":[{"type":"output_text","text":"4"}]}]}}\n\n'
)


@pytest.mark.parametrize(
    ("endpoint", "headers", "body", "says"),
    [
        ("chat", (), reply("4"), "4"),
        ("chat", EVENTS, CHAT, "4"),
        ("messages", (), b'{"type":"message","content":[{"type":"text","text":"4"}]}', "4"),
        ("messages", EVENTS, CLAUDE, "4"),
        ("responses", EVENTS, DONE, "4"),
        ("completions", (), b'{"choices":[{"text":"4","finish_reason":"stop"}]}', "4"),
        ("completions", (), b'{"choices":[{"text":"4","finish_reason":"length"}]}', None),
        ("chat", (), b'{"choices":[{"message":{"content":"4","tool_calls":[{}]}}]}', None),
        ("chat", EVENTS, CHAT.replace(b'"content":"4"', b'"tool_calls":[{}]'), None),
        ("messages", (), b'{"type":"message","content":[{"type":"tool_use"}]}', None),
        ("messages", EVENTS, CLAUDE.replace(b"end_turn", b"tool_use"), None),
        ("responses", (), b'{"output":[{"type":"function_call"}]}', None),
        ("chat", (), b'{"choices":3}', None),
        ("chat", (), b"[]", None),
        ("embeddings", (), b'{"data":[]}', None),
    ],
)
def test_what_an_answer_says(endpoint: Endpoint, headers: Any, body: bytes, says: str | None) -> None:
    assert saying_of(endpoint, Kept(200, headers, (body,))) == says


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Paris.", "paris"), ("It is 4.", "it is 4"), ("**Yes**, it is!", "Yes it is"), ("1.5 km", "1.5 km."),
        ("a well-known  fact", "A well known fact"), ("“Hi”", '"hi"'), ("巴黎。", "巴黎"),
        ("- one\n- two", "One, two"),
    ],
)  # fmt: skip
def test_answers_of_the_same_words_are_the_same(one: str, other: str) -> None:
    assert same_saying(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5", "-5"), ("It is 5.", "It is −5."), ("1.5", "15"), ("1.5", "1 5"), ("$5", "€5"), ("5", "5%"),
        ("C", "C++"), ("C#", "C++"), ("👍", "👎"), ("x < y", "x > y"), ("की", "का"), ("+", "="), ("?", "!"),
        ("5", ".5"), ("2024-01", "2024 01 x"), ("-$5", "$5"),
    ],
)  # fmt: skip
def test_a_sign_may_be_all_that_tells_answers_apart(one: str, other: str) -> None:
    assert not same_saying(one, other)
    assert not same_saying(other, one)
    assert same_saying(one, one)


def test_the_index_and_the_router_live_in_one_process() -> None:
    code = (
        "import router_model.serving.gateway.cache.semantic\n"
        "from router_model import Router\nprint(Router.default().route('hello').tier)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("small", "medium", "large")


def test_a_flight_is_what_a_miss_gives() -> None:
    async def run() -> None:
        cache = Cache(Caches(semantic=SemanticCache()))
        assert isinstance(await cache.look(call("why?"), "t"), Flight)

    asyncio.run(run())

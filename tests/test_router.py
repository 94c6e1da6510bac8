"""The loaded router: decisions one by one, in a batch, under threads, in other processes."""

import asyncio
import dataclasses
import json
import os
import pickle
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model import tokens
from router_model.artifact import SEAL_BYTES, Artifact, seal
from router_model.decision import Decision
from router_model.errors import ArtifactError, DialError, FileError, PromptError, TokenizerError
from router_model.manifest import Manifest
from router_model.prompt import read
from router_model.router import Router
from router_model.wire import metadata_entry

WORDS = "hello thanks weather joke please prove theorem lemma integral draft table the for near river".split()
SCRIPTS = [
    WORDS,
    list("天地玄黃宇宙洪荒日月盈昃"),
    "привет как дела теорема".split(),
    list("()[]{};=<>/*+-0123456789\n`"),
]
DIALS: list[dict[str, float]] = [{}, {"quality": 1.0}, {"quality": 0.8}, {"budget": 0.5}, {"budget": 0.05}]


def varied(count: int, seed: int = 0) -> list[Any]:
    """Requests of many lengths, scripts and shapes, and the edges."""
    chance = random.Random(seed)
    requests: list[Any] = [
        "", " ", "\n", "\0", "a", "字", "\ud800", "ok \udfff\ud83d", "[PAD]", "[PAD] [PAD] hello",
        "x" * (1 << 20), "字" * (1 << 20), "theorem " * 150_000, "\ud800" * 5000,
        {"system": "be brief", "messages": [{"role": "user", "content": "hello"}]},
        {"instructions": "be brief", "input": "hello"},
        [{"role": "user", "content": [{"type": "image"}]}],
        [{"role": "assistant", "content": None}],
    ]  # fmt: skip
    while len(requests) < count:
        words = chance.choice(SCRIPTS)
        text = chance.choice([" ", "", "  "]).join(chance.choices(words, k=int(2 ** chance.uniform(0, 10))))
        turn = {"role": chance.choice(["user", "assistant", "system"]), "content": text}
        requests.append(chance.choice([text, [turn], [turn, {"role": "user", "content": "so?"}]]))
    return requests


def with_manifest(artifact: Artifact, **changes: Any) -> Artifact:
    """The artifact with a changed manifest under a valid seal."""
    entry = metadata_entry("router_model.manifest", artifact.manifest.to_json())
    graph = artifact.content[:-SEAL_BYTES].removesuffix(entry)
    return Artifact.parse(seal(graph, dataclasses.replace(artifact.manifest, **changes)), "changed.onnx")


def test_easy_words_go_to_a_cheaper_tier_than_hard_ones(router: Router) -> None:
    easy = router.route("hello thanks joke weather please near the river", quality=0.9)
    hard = router.route("prove theorem lemma manifold eigenvalue near the river", quality=0.9)
    assert easy.sufficiency["small"] > hard.sufficiency["small"] + 0.3
    assert router.ladder.index(easy.tier) < router.ladder.index(hard.tier)


def test_two_thousand_varied_requests_get_the_same_answer_alone_and_in_a_batch(router: Router) -> None:
    requests = varied(2000)
    alone = [router.route(request) for request in requests]
    batch = router.route_batch(requests)
    expected = np.array([list(decision.sufficiency.values()) for decision in alone])
    assert np.abs(batch.sufficiency - expected).max() <= 1e-5
    assert [decision.tier for decision in batch] == [decision.tier for decision in alone]
    assert batch.truncated.tolist() == [decision.truncated for decision in alone]
    assert batch.expected_cost_usd == pytest.approx([decision.expected_cost_usd for decision in alone])
    assert {True, False} == set(batch.truncated.tolist())


@pytest.mark.parametrize("dial", DIALS, ids=str)
def test_every_dial_decides_alike_alone_and_in_a_batch(router: Router, dial: dict[str, float]) -> None:
    requests = varied(300, seed=1)
    batch = router.route_batch(requests, **dial)
    assert [decision.tier for decision in batch] == [router.route(r, **dial).tier for r in requests]
    assert batch.point == router.policy.point(**dial)


def test_the_order_and_the_company_of_a_batch_change_nothing(router: Router) -> None:
    requests = varied(300, seed=2)
    forward, backward = router.route_batch(requests), router.route_batch(requests[::-1])
    assert np.abs(forward.sufficiency - backward.sufficiency[::-1]).max() <= 1e-5
    assert forward.tier.tolist() == backward.tier[::-1].tolist()


def test_prompts_that_were_read_before_are_routed_as_requests(router: Router) -> None:
    requests = varied(100, seed=3)
    ready = router.route_prompts([read(request) for request in requests])
    assert ready.tier.tolist() == router.route_batch(requests).tier.tolist()


@given(st.text(alphabet=st.characters(), max_size=2500), st.sampled_from(DIALS))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_text_gets_probabilities_and_a_tier_of_the_ladder(
    router: Router, text: str, dial: dict[str, float]
) -> None:
    decision = router.route(text, **dial)
    assert tuple(decision.sufficiency) == router.ladder.names
    assert all(0 <= value <= 1 for value in decision.sufficiency.values())
    tier = router.ladder.tiers[router.ladder.index(decision.tier)]
    assert decision.model == tier.models[0]
    assert decision.expected_quality == decision.sufficiency[tier.name]
    assert decision.expected_cost_usd > 0


def test_eight_threads_get_the_decisions_of_one(router: Router) -> None:
    requests = varied(400, seed=4)[14:]
    expected = [router.route(request) for request in requests]

    def work(start: int) -> list[Decision]:
        order = requests[start:] + requests[:start]
        found = [router.route(request) for request in order]
        return found[len(order) - start :] + found[: len(order) - start]

    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(work, range(0, 320, 40)):
            assert found == expected


def test_threads_that_route_batches_get_the_decisions_of_one(router: Router) -> None:
    requests = varied(300, seed=5)[14:]
    expected = router.route_batch(requests).sufficiency
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: router.route_batch(requests).sufficiency, range(16)):
            assert np.abs(found - expected).max() <= 1e-5


def test_an_interrupt_at_any_point_leaves_a_router_that_decides_as_before(router: Router) -> None:
    class InterruptError(Exception):
        pass

    def interrupt(number: int, frame: object) -> None:
        raise InterruptError

    requests = varied(200, seed=7)[14:]
    expected = [router.route(request) for request in requests]
    interrupted = 0
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number, request in enumerate(requests * 20):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + 2e-6 * (number % 30))
                router.route(request)
                while True:  # where it was faster than the signal
                    pass
            except InterruptError:
                interrupted += 1
    finally:
        signal.signal(signal.SIGALRM, before)
    assert interrupted == 20 * len(requests)
    assert [router.route(request) for request in requests] == expected


def test_an_asyncio_service_calls_it_in_the_loop_and_in_threads(router: Router) -> None:
    requests = varied(120, seed=8)[14:]
    expected = [router.route(request) for request in requests]

    async def handler(request: Any) -> Decision:
        await asyncio.sleep(0)
        return router.route(request)

    async def serve() -> tuple[list[Decision], list[Decision]]:
        in_loop = asyncio.gather(*map(handler, requests))
        in_threads = asyncio.gather(*(asyncio.to_thread(router.route, request) for request in requests))
        return await in_loop, await in_threads

    in_loop, in_threads = asyncio.run(serve())
    assert in_loop == in_threads == expected


PROCESSES = """
import json, multiprocessing, os, sys
from router_model import Router

path, texts = sys.argv[1], json.loads(sys.argv[2])


def rows(decisions):
    return [[d.tier, list(d.sufficiency.values())] for d in decisions]


def spawned(path, texts):
    return list(Router.load(path).route_batch(texts))


if __name__ == "__main__":
    router = Router.load(path)
    result = {"parent": rows(map(router.route, texts))}
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            json.dump(rows(map(router.route, texts)) + rows(router.route_batch(texts)), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        result["forked"] = json.load(pipe)
    assert os.waitpid(child, 0)[1] == 0
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        result["spawned"] = [rows(found) for found in pool.starmap(spawned, [(path, texts)] * 2)]
    print(json.dumps(result))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_and_spawned_processes_get_the_same_decisions(
    router: Router, artifact_path: Path, tmp_path: Path
) -> None:
    script = tmp_path / "processes.py"
    script.write_text(PROCESSES)
    texts = [request for request in varied(60, seed=6)[18:] if isinstance(request, str)]
    command = [sys.executable, str(script), str(artifact_path), json.dumps(texts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    tiers = [router.route(text).tier for text in texts]
    assert [tier for tier, _ in found["parent"]] == tiers
    assert found["forked"][: len(texts)] == found["parent"]
    assert [tier for tier, _ in found["forked"][len(texts) :]] == tiers
    for rows in found["spawned"]:
        assert [tier for tier, _ in rows] == tiers
        expected = np.array([values for _, values in found["parent"]])
        assert np.abs(np.array([values for _, values in rows]) - expected).max() <= 1e-5


def test_a_swapped_tokenizer_is_caught_by_the_probes(router: Router) -> None:
    value = json.loads(router.artifact.manifest.tokenizer_json)
    vocabulary = value["model"]["vocab"]
    words = [word for word in vocabulary if not word.startswith("[")]
    ids = [vocabulary[word] for word in words]
    vocabulary.update(zip(words, ids[1:] + ids[:1], strict=True))
    swapped = with_manifest(router.artifact, tokenizer_json=json.dumps(value))
    with pytest.raises(
        ArtifactError, match=r"changed\.onnx: its probes come out .* from what they must give"
    ):
        Router(swapped)


def test_a_tokenizer_that_does_not_lower_case_is_caught_by_the_probes(router: Router) -> None:
    value = json.loads(router.artifact.manifest.tokenizer_json)
    value["normalizer"] = None
    with pytest.raises((ArtifactError, TokenizerError)):
        Router(with_manifest(router.artifact, tokenizer_json=json.dumps(value)))


def test_probes_that_come_out_as_written_are_accepted(router: Router) -> None:
    manifest: Manifest = router.artifact.manifest
    again = Router(with_manifest(router.artifact, probes=manifest.probes[:1]))
    assert again.route("hello").sufficiency == router.route("hello").sufficiency
    for text, values in manifest.probes:
        assert list(router.route(text).sufficiency.values()) == pytest.approx(values, abs=1e-3)


def test_a_smaller_window_of_tokens_is_kept_to(router: Router) -> None:
    prompt = "prove theorem lemma"
    found = list(router.route(prompt).sufficiency.values())
    limit = len(tokens.load(router.artifact.manifest.tokenizer_json).encode(prompt))
    small = Router(with_manifest(router.artifact, max_tokens=limit, probes=((prompt, tuple(found)),)))
    assert not small.route(prompt).truncated
    longer = f"{prompt} hello thanks joke weather"
    assert small.route(longer).truncated
    assert small.route_batch([longer, prompt]).truncated.tolist() == [True, False]
    assert not router.route(longer).truncated


def test_the_default_dial_is_the_artifacts_own(router: Router) -> None:
    default = router.artifact.manifest.default_quality
    assert router.route("hello").point.dial == "quality"
    assert router.route("hello").point.value == pytest.approx(default)
    other = Router(with_manifest(router.artifact, default_quality=0.7))
    assert other.route("hello").point == router.route("hello", quality=0.7).point


def test_tokens_that_the_caller_knows_are_what_cost_is_reckoned_by(router: Router) -> None:
    seen: list[list[float]] = []

    def rule(sufficiency: Sequence[float], usd: Sequence[float]) -> int:
        seen.append(list(usd))
        return 1

    prices = [tier.input_usd_per_million * 1e-6 for tier in router.ladder.tiers]
    text = "prove theorem lemma hello!"
    estimated, told = router.route(text, rule=rule), router.route(text, rule=rule, input_tokens=50_000)
    assert (estimated.input_tokens, told.input_tokens) == (len(text) / 4, 50_000)
    assert estimated.characters == told.characters == len(text)
    more = [(50_000 - len(text) / 4) * price for price in prices]
    assert [b - a for a, b in zip(*seen, strict=True)] == pytest.approx(more)
    assert told.expected_cost_usd - estimated.expected_cost_usd == pytest.approx(more[1])
    batch = router.route_batch([text, text], rule=rule, input_tokens=[50_000, None])
    assert batch.input_tokens.tolist() == [50_000, len(text) / 4]
    assert batch[0].expected_cost_usd == pytest.approx(told.expected_cost_usd, rel=1e-6)
    assert router.route(text, input_tokens=50_000).tier == router.route(text).tier


@pytest.mark.parametrize("tokens", [-1, float("nan"), float("inf")])
def test_what_is_no_number_of_tokens_is_refused(router: Router, tokens: float) -> None:
    with pytest.raises(PromptError, match="input_tokens"):
        router.route("hello", input_tokens=tokens)
    with pytest.raises(PromptError, match="input_tokens"):
        router.route_batch(["hello"], input_tokens=[tokens])


def test_why_names_the_dial_and_the_reason(router: Router) -> None:
    curve = router.artifact.manifest.curve
    decides = next(point for point in curve if point.rule == "router")
    decision = router.route("prove theorem lemma", **{decides.dial: decides.value})
    assert decision.why.startswith(f"{decides.dial}={decides.value:g}: best value, with P({decision.tier} is")
    assert decision.why.endswith(f"{decision.expected_quality:.3f}")
    for note, says in (("a mix of small and large is as good",) * 2, ("", "a fixed choice of tiers")):
        fixed = dataclasses.replace(decides, rule="fixed", note=note)
        curve = tuple(fixed if point == decides else point for point in router.artifact.manifest.curve)
        guarded = Router(with_manifest(router.artifact, curve=curve))
        decision = guarded.route("prove theorem lemma", **{decides.dial: decides.value})
        assert decision.why == f"{decides.dial}={decides.value:g}: {says}"


def test_a_guarded_dial_draws_by_its_shares(router: Router) -> None:
    curve = tuple(
        dataclasses.replace(point, rule="fixed", shares=(0.5, 0.0, 0.5))
        for point in router.artifact.manifest.curve
    )
    guarded = Router(with_manifest(router.artifact, curve=curve))
    texts = [f"question {number}" for number in range(400)]
    batch = guarded.route_batch(texts)
    assert set(batch.tier.tolist()) == {0, 2}
    assert 120 < int((batch.tier == 0).sum()) < 280
    assert [guarded.route(text).tier for text in texts] == [decision.tier for decision in batch]


@pytest.mark.parametrize("characters", [0, 400, 100_000])
def test_the_expected_cost_counts_the_whole_prompt_and_the_tiers_mean_answer(
    router: Router, characters: int
) -> None:
    decision = router.route("x" * characters)
    k = router.ladder.index(decision.tier)
    tier, answer = router.ladder.tiers[k], router.artifact.manifest.output_tokens[k]
    expected = characters / 4 * tier.input_usd_per_million / 1e6 + answer * tier.output_usd_per_million / 1e6
    assert decision.expected_cost_usd == pytest.approx(expected)
    assert decision.truncated == (characters > 2048)


def test_an_empty_batch_has_no_decisions(router: Router) -> None:
    batch = router.route_batch([])
    assert len(batch) == 0
    assert list(batch) == []
    assert batch.sufficiency.shape == (0, 3)


def test_decisions_are_a_sequence(router: Router) -> None:
    batch = router.route_batch(["hello", "prove theorem"])
    assert len(batch) == 2
    assert batch[0] in list(batch)
    assert batch[-1] == batch[1]
    with pytest.raises(IndexError):
        batch[2]


def test_decisions_compare_by_what_they_hold_and_show_the_tier(router: Router) -> None:
    decision = router.route("hello", quality=0.9)
    assert decision == router.route("hello", quality=0.9)
    assert decision != router.route("prove theorem lemma", quality=0.9)
    assert decision != router.route("hello", budget=0.3)
    assert decision != "small"
    assert repr(decision) == f"<Decision {decision.tier} ({decision.why})>"


def test_a_decision_survives_pickling(router: Router) -> None:
    decision = router.route("hello")
    assert pickle.loads(pickle.dumps(decision)) == decision  # noqa: S301  # our own bytes


def test_a_decision_as_plain_data_is_json(router: Router) -> None:
    decision = router.route("hello")
    value = json.loads(json.dumps(decision.to_dict()))
    assert value["tier"] == decision.tier
    assert value["sufficiency"] == decision.sufficiency
    assert value["expected_quality"] == decision.expected_quality


def test_bad_dials_are_refused_alone_and_in_a_batch(router: Router) -> None:
    for dial in ({"quality": 95.0}, {"budget": 0.0}, {"quality": 0.9, "budget": 0.5}):
        with pytest.raises(DialError):
            router.route("hello", **dial)
        with pytest.raises(DialError):
            router.route_batch([], **dial)


def test_a_bad_request_is_refused_and_in_a_batch_its_place_is_named(router: Router) -> None:
    with pytest.raises(PromptError, match="cannot route int"):
        router.route(7)  # type: ignore[arg-type]
    with pytest.raises(PromptError, match="request 1 of the batch: cannot route int"):
        router.route_batch(["hello", 7])  # type: ignore[list-item]


def test_a_missing_artifact_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"absent\.onnx"):
        Router.load(tmp_path / "absent.onnx")

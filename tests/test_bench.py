"""The benchmark: what it times, and that it tells what it could not."""

from pathlib import Path

import pytest

from router_model.bench import requests, stages, timing
from router_model.bench.bench import bench, hostile
from router_model.errors import PromptError
from router_model.router import Router
from router_model.table import bench as table
from router_model.training.yardsticks import hugging_face_float32, numpy_floor


@pytest.mark.parametrize("tokens", requests.LENGTHS)
def test_english_prompts_are_distinct_whole_and_of_so_many_tokens(router: Router, tokens: int) -> None:
    prompts = requests.english(tokens, 20)
    assert len(set(prompts)) == 20
    assert not any(router.route(prompt).truncated for prompt in prompts)
    assert {router._tokenizer.encode(prompt).size for prompt in prompts} == {tokens}


def test_every_hostile_class_is_about_a_megabyte_and_is_routed(router: Router) -> None:
    sizes = {
        name: len(repr(make()).encode("utf-8", "surrogatepass")) for name, make in requests.HOSTILE.items()
    }
    assert min(sizes.values()) >= 400_000, sizes
    found = hostile(router, rounds=1)
    assert set(found["classes"]) == set(requests.HOSTILE)
    assert found["worst"]["p50"] == max(one["p50"] for one in found["classes"].values())


def test_real_requests_come_in_equal_shares_from_prompts_and_messages(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"prompt": "a{n}"}}\n' for n in range(9)) * 2)
    (tmp_path / "b.jsonl").write_text(
        "".join(
            f'{{"messages": [{{"role": "user", "content": "b{n}"}}]}}\n{{"other": 1}}\n' for n in range(9)
        )
    )
    found = requests.real([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], 8)
    assert sum(isinstance(request, str) for request in found.timed) == 4
    assert len(found.timed) == 8
    assert len(found.others) == 10
    assert not any(request in found.timed for request in found.others)
    (tmp_path / "c.jsonl").write_text('{"other": 1}\n')
    with pytest.raises(PromptError, match="no row has 'prompt' or 'messages'"):
        requests.real([tmp_path / "c.jsonl"], 8)


def test_a_file_of_few_requests_leaves_some_of_them_to_warm_the_cache(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"prompt": "{n}"}}\n' for n in range(9)))
    found = requests.real([tmp_path / "a.jsonl"], 1000)
    assert (len(found.timed), len(found.others)) == (6, 3)


def test_a_timed_request_is_new_to_the_cache_in_every_round() -> None:
    seen: list[str] = []
    timing.compare(
        {"call": seen.append},
        {"call": ["asked"]},
        rounds=2,
        forget=lambda: seen.append("forget"),
        remember=lambda: seen.append("others"),
    )
    assert seen == ["forget", "asked", *["forget", "others", "asked"] * 2]


def test_the_stages_make_the_decision_that_the_router_makes(router: Router) -> None:
    for request in ("", "prove the theorem", "word " * 2000, [{"role": "user", "content": "hello"}]):
        decision, times = stages.timed(router, request)
        assert decision == router.route(request)
        assert len(times) == len(stages.STAGES)


def test_the_yardsticks_take_any_text_and_numpy_decides_as_the_graph_does(router: Router) -> None:
    texts = ["", "[PAD]", "hello thanks joke", "prove the theorem and the lemma " * 30, "word " * 3000]
    call = numpy_floor(router)
    assert [call(text) for text in texts] == [router.ladder.index(router.route(text).tier) for text in texts]
    assert all(hugging_face_float32(router)(text) in range(len(router.ladder)) for text in texts)


def test_figures_of_known_times() -> None:
    times = [float(n) for n in range(1, 102)]
    assert timing.summary(times) == {"p50": 51.0, "p90": 91.0, "p99": 100.0, "max": 101.0}
    rounds = timing.over_rounds([[1.0], [3.0], [8.0]])
    assert (rounds["median"]["p50"], rounds["best"]["p50"]) == (3.0, 1.0)


def test_a_whole_run_reports_every_part(artifact_path: Path) -> None:
    done: list[str] = []
    result = bench(
        artifact_path,
        requests.Sample(["hello", "prove the theorem"] * 5, ["another"]),
        {"length": lambda request: len(str(request))},
        rounds=1,
        count=10,
        junk=100,
        done=lambda stage, share: done.append(stage),
    )
    assert set(result["route"]) == {"10 tokens", "32 tokens", "128 tokens", "512 tokens", "real mix"}
    for one in result["route"].values():
        assert sum(stage["share"] for stage in one["stages"].values()) == pytest.approx(1, abs=0.01)
        assert set(one["times_faster"]) == {"length"}
    both = result["messages"]
    assert both["extra_p50"]["best"] == pytest.approx(
        both["messages"]["best"]["p50"] - both["text"]["best"]["p50"], abs=0.051
    )
    assert result["process"]["junk_prompts"] == 100
    assert result["process"]["ready_mb"] > 20
    assert done[-1] == "memory"
    assert "real mix" in table({**result, "yardsticks_missing": {"minilm": "not installed"}})

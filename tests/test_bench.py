"""The benchmark: what it times, and that it tells what it could not."""

from pathlib import Path

import pytest

from router_model.bench import requests, timing
from router_model.bench.bench import bench, hostile
from router_model.errors import PromptError
from router_model.router import Router
from router_model.table import bench as table


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
    (tmp_path / "a.jsonl").write_text('{"prompt": "a"}\n' * 9)
    (tmp_path / "b.jsonl").write_text('{"messages": [{"role": "user", "content": "b"}]}\n{"other": 1}\n' * 9)
    found = requests.real([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], 8)
    assert sum(request == "a" for request in found) == 4
    assert len(found) == 8
    (tmp_path / "c.jsonl").write_text('{"other": 1}\n')
    with pytest.raises(PromptError, match="no row has 'prompt' or 'messages'"):
        requests.real([tmp_path / "c.jsonl"], 8)


def test_figures_of_known_times() -> None:
    times = [float(n) for n in range(1, 102)]
    assert timing.summary(times) == {"p50": 51.0, "p90": 91.0, "p99": 100.0, "max": 101.0}
    rounds = timing.over_rounds([[1.0], [3.0], [8.0]])
    assert (rounds["median"]["p50"], rounds["best"]["p50"]) == (3.0, 1.0)


def test_a_whole_run_reports_every_part(artifact_path: Path) -> None:
    done: list[str] = []
    result = bench(
        artifact_path,
        {"real mix": ["hello", "prove the theorem"] * 5},
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
    assert result["process"]["junk_prompts"] == 100
    assert result["process"]["ready_mb"] > 20
    assert done[-1] == "memory"
    assert "real mix" in table({**result, "yardsticks_missing": {"minilm": "not installed"}})

"""Runs of the judge against a real endpoint: marks, failures, the cap, resuming."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router_model.data.judge.config import JudgeConfig
from router_model.data.judge.endpoint import PER_MESSAGE_TOKENS
from router_model.data.judge.run import Judged, judge
from router_model.data.readers import read_records
from router_model.data.records import Record
from router_model.errors import DataError, FileError, JudgeError, RecordError

Config = Callable[..., JudgeConfig]
Log = Callable[..., Path]
CALL_USD = 100 * 1e-6 + 20 * 4e-6  # of the endpoint's usual usage


def run(log: Path, config: JudgeConfig, **options: Any) -> tuple[Judged, list[Record]]:
    out = log.parent / "out.jsonl"
    done = judge(log, out, config, **options)
    return done, list(read_records(out))


def test_an_answer_gets_an_outcome_and_a_mark_that_says_where_it_is_from(
    server: Any, config: Config, log: Log
) -> None:
    done, records = run(log(3, meta={"kept": 1}), config())
    assert (done.rows, done.marks, done.new_marks, done.calls, done.capped) == (3, 3, 3, 3, False)
    assert done.usd == pytest.approx(3 * CALL_USD)
    assert [dict(record.outcomes) for record in records] == [{"s": 0.75}] * 3
    (mark,) = records[0].meta["judge"]
    assert records[0].meta["kept"] == 1
    assert mark.pop("usd") == pytest.approx(CALL_USD)
    assert mark == {
        "models": ["s"], "outcome": 0.75, "judge": "judge-1", "prompt_version": 1, "mode": "reference-free",
        "reasons": ["fine"],
    }  # fmt: skip
    sent = server.calls[0]
    assert sent.path == "/v1/chat/completions"
    assert {key: sent.body[key] for key in ("model", "max_tokens", "temperature")} == {
        "model": "judge-1", "max_tokens": 512, "temperature": 0,
    }  # fmt: skip
    assert "Authorization" not in sent.headers


def test_a_reasoning_judge_gets_the_settings_it_takes(server: Any, config: Config, log: Log) -> None:
    run(log(1), config(reasoning=True))
    assert server.calls[0].body["max_completion_tokens"] == 512
    assert not server.calls[0].body.keys() & {"temperature", "max_tokens"}


def test_a_reference_is_shown_and_named_in_the_mode(server: Any, config: Config, log: Log) -> None:
    _, records = run(log(1, reference="the right answer"), config())
    assert records[0].meta["judge"][0]["mode"] == "reference"
    assert "\nthe right answer\n</reference" in server.calls[0].material


def test_outcomes_that_are_there_are_neither_judged_nor_overwritten(
    server: Any, config: Config, log: Log
) -> None:
    path = log(2, answer={"s": "a", "l": "b"}, outcomes={"s": 0.1})
    done, records = run(path, config())
    assert [dict(record.outcomes) for record in records] == [{"s": 0.1, "l": 0.75}] * 2
    assert (done.calls, len(server.calls)) == (2, 2)


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        ("first", "second", "model_a"),
        ("second", "first", "model_b"),
        ("first", "first", "tie"),
        ("tie", "second", "tie"),
        ("tie", "tie", "tie"),
    ],
)
def test_a_pair_is_shown_in_both_orders_and_disagreement_is_a_tie(
    server: Any, config: Config, log: Log, answer: Any, first: str, second: str, winner: str
) -> None:
    def reply(call: Any, n: int) -> Any:
        swapped = call.material.index("\nbad\n") < call.material.index("\ngood\n")
        return answer(json.dumps({"reason": "", "winner": second if swapped else first}))

    server.answer = reply
    done, (record,) = run(log(1, answer={"s": "good", "l": "bad"}), config(pairs=True))
    assert record.preference == ("s", "l", winner)
    assert record.outcomes == {}
    (mark,) = record.meta["judge"]
    assert (mark["models"], mark["winner"], mark["mode"]) == (["s", "l"], winner, "pairwise")
    assert mark["usd"] == pytest.approx(2 * CALL_USD)
    assert (done.marks, done.calls) == (1, 2)


def test_half_a_pair_is_no_mark_and_only_its_other_half_is_asked_again(
    server: Any, config: Config, log: Log, answer: Any
) -> None:
    fair = answer('{"reason": "", "winner": "tie"}')
    server.answer = lambda call, n: fair if n == 0 else answer(status=500)
    path = log(1, answer={"s": "a", "l": "b"})
    done, records = run(path, config(pairs=True, retries=0))
    assert (done.marks, records[0].preference) == (0, None)
    server.answer = lambda call, n: fair
    done, records = run(path, config(pairs=True))
    assert (done.marks, done.calls, records[0].preference) == (1, 1, ("s", "l", "tie"))


FAILURES = {
    "a server error": {"status": 500, "raw": b"oops"},
    "too many requests": {"status": 429, "headers": {"Retry-After": "0"}},
    "a body that is cut": {"cut": True},
    "a page instead of JSON": {"raw": b"<html>busy</html>"},
    "an error under status 200": {"raw": b'{"error": {"message": "overloaded"}}'},
    "no choices": {"raw": b'{"choices": []}'},
    "deep nesting": {"raw": b"[" * 100_000},
    "an endless body": {"raw": b" " * (5 << 20)},
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_call_that_fails_is_tried_again(
    name: str, server: Any, config: Config, log: Log, answer: Any
) -> None:
    server.answer = lambda call, n: answer(**FAILURES[name]) if n == 0 else answer()
    done, records = run(log(4), config())
    if name == "an endless body":
        assert done.unmarked == {"not answered": 4}
        return
    assert [dict(record.outcomes) for record in records] == [{"s": 0.75}] * 4
    assert done.calls == len(server.calls) == 8


def test_a_call_that_stalls_times_out_is_tried_again_and_counts_as_paid(
    server: Any, config: Config, log: Log, answer: Any
) -> None:
    server.answer = lambda call, n: answer(stall=n == 0)
    settings = config(timeout_seconds=0.3)
    done, records = run(log(1), settings)
    assert records[0].outcomes == {"s": 0.75}
    assert done.usd is not None
    assert done.usd > CALL_USD + settings.cost_usd(0, settings.max_tokens)


def test_the_endpoints_wish_to_wait_is_honoured_by_all_calls(
    server: Any, config: Config, log: Log, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    sleep = asyncio.sleep

    async def recorded(seconds: float) -> None:
        slept.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr("router_model.data.judge.asking.asyncio.sleep", recorded)
    busy = answer(status=429, headers={"Retry-After": "1"})
    server.answer = lambda call, n: busy if len(server.calls) == 1 else answer(seconds=0.05)
    done, _ = run(log(12), config(concurrency=2))
    assert done.marks == 12
    assert max(slept) >= 1.0
    refused, *after = [call.material.partition("\n</request")[0].partition("\n")[2] for call in server.calls]
    assert after.index(refused) <= 5  # the other worker did not go through all records in the meantime


def test_a_wait_of_an_hour_is_not_waited_for(server: Any, config: Config, log: Log, answer: Any) -> None:
    server.answer = lambda call, n: answer(status=429, headers={"Retry-After": "3600"})
    done, _ = run(log(1), config())
    assert (done.unmarked, len(server.calls)) == ({"not answered": 1}, 1)


def test_a_call_that_is_refused_for_itself_is_not_tried_again_and_costs_nothing(
    server: Any, config: Config, log: Log, answer: Any
) -> None:
    server.answer = lambda call, n: (
        answer(status=400, raw=b"too long") if "question 1\n" in call.material else answer()
    )
    done, records = run(log(3), config())
    assert (done.marks, done.unmarked, len(server.calls)) == (2, {"not answered": 1}, 3)
    assert done.usd == pytest.approx(2 * CALL_USD)
    assert "judge" not in records[1].meta


NONSENSE = [
    None, "", "4", "good", "[4]", '{"score": 4}',
    '{"reason": "", "score": 6}', '{"reason": "", "score": 4.5}',
    '{"reason": "", "score": true}', '{"reason": "", "score": "4"}', '{"reason": 1, "score": 4}',
    '{"reason": "", "score": 1, "score": 5}', '{"reason": "", "score": 4, "more": 1}',
    '{"reason": "", "winner": "first"}', 'Sure! {"reason": "", "score": 4}', '{"reason": "", "sco',
    '{"reason": "", "score": ' + "9" * 5000 + "}", "[" * 100_000,
]  # fmt: skip


def test_nonsense_is_asked_again_three_times_in_all_and_then_left_unmarked(
    server: Any, config: Config, log: Log, answer: Any
) -> None:
    def reply(call: Any, n: int) -> Any:
        number = int(re.findall(r"\nquestion (\d+)\n", call.material)[0])
        return answer(NONSENSE[number])

    server.answer = reply
    path = log(len(NONSENSE))
    done, records = run(path, config())
    assert done.marks == 0
    assert done.unmarked == {"no verdict in its replies": len(NONSENSE)}
    assert done.calls == 3 * len(NONSENSE)
    assert done.usd == pytest.approx(3 * len(NONSENSE) * CALL_USD)
    assert not any(record.outcomes for record in records)
    assert run(path, config())[0].calls == 0


def test_nonsense_once_is_mended(server: Any, config: Config, log: Log, answer: Any) -> None:
    server.answer = lambda call, n: answer("hm" if n < 2 else '```json\n{"reason": "r", "score": 1}\n```')
    done, records = run(log(1), config())
    assert (done.calls, records[0].outcomes) == (3, {"s": 0.0})


@pytest.mark.parametrize("status", [401, 402, 404, 302])
def test_an_endpoint_that_refuses_the_key_or_the_model_stops_the_run(
    status: int, server: Any, config: Config, log: Log, answer: Any
) -> None:
    server.answer = lambda call, n: answer(status=status, headers={"Location": server.url}, raw=b"no such")
    path = log(50)
    with pytest.raises(JudgeError, match=f"answers {status} .no key: OPENAI_API_KEY is unset.: no such"):
        run(path, config())
    assert len(server.calls) <= 8
    assert not (path.parent / "out.jsonl").exists()


def test_an_endpoint_that_is_down_stops_the_run_and_the_next_goes_on(
    server: Any, config: Config, log: Log, answer: Any
) -> None:
    server.answer = lambda call, n: answer() if len(server.calls) <= 5 else answer(status=503)
    path = log(60)
    with pytest.raises(JudgeError, match="20 calls in a row were given up, the last: HTTP 503"):
        run(path, config(retries=0))
    server.answer = lambda call, n: answer()
    done, _ = run(path, config())
    assert (done.marks, done.new_marks, done.calls) == (60, 55, 55)


def test_an_address_where_nobody_listens(config: Config, log: Log) -> None:
    done, _ = run(log(2), config(base_url="http://127.0.0.1:9/v1", retries=1))
    assert (done.marks, done.unmarked, done.usd) == (0, {"not answered": 2}, 0.0)


@pytest.mark.parametrize("concurrency", [1, 16])
def test_the_cap_holds_when_every_call_costs_the_most_it_can(
    concurrency: int, server: Any, config: Config, log: Log, answer: Any
) -> None:
    """The endpoint counts a token for each byte and bills a reply that is lost on the way."""
    settings = config(max_usd=0.1, concurrency=concurrency, timeout_seconds=0.5)
    billed = []

    def reply(call: Any, n: int) -> Any:
        sizes = [len(m["content"].encode()) + PER_MESSAGE_TOKENS for m in call.body["messages"]]
        usage = {"prompt_tokens": sum(sizes), "completion_tokens": call.body["max_tokens"]}
        billed.append(settings.cost_usd(*usage.values()))
        return answer(usage=usage, seconds=0.01, cut=n == 0 and "question 1\n" in call.material)

    server.answer = reply
    done, _ = run(log(60), settings)
    assert done.capped
    assert done.usd == pytest.approx(sum(billed))
    assert 0.1 - 1.1 * max(billed) < sum(billed) <= 0.1
    assert server.most_in_flight <= concurrency


def test_the_cap_does_not_strangle_calls_that_cost_less_than_was_set_aside(
    server: Any, config: Config, log: Log
) -> None:
    most = config().cost_usd(3000, 512)
    done, _ = run(log(60), config(max_usd=most + 20 * CALL_USD, concurrency=16))
    assert done.capped
    assert 20 <= done.marks < 60
    assert done.usd is not None
    assert done.usd <= most + 20 * CALL_USD


def test_a_higher_cap_goes_on_and_counts_what_was_spent(server: Any, config: Config, log: Log) -> None:
    path = log(40)
    first, _ = run(path, config(max_usd=0.005))
    again, _ = run(path, config(max_usd=0.005))
    assert first.capped
    assert again.capped
    assert 0 < first.marks <= again.marks < 40
    assert again.usd is not None
    assert again.usd <= 0.005
    rest, _ = run(path, config(max_usd=1))
    assert (rest.marks, rest.capped) == (40, False)
    assert rest.usd == pytest.approx(40 * CALL_USD)
    assert all(server.count(f"question {n}") == 1 for n in range(40))


def test_a_cap_below_one_call_asks_nothing(server: Any, config: Config, log: Log) -> None:
    done, _ = run(log(2), config(max_usd=0.0001))
    assert (done.capped, done.calls, len(server.calls)) == (True, 0, 0)


COUNTS = [
    None,
    [],
    {},
    {"prompt_tokens": 1e308},
    {"prompt_tokens": -5, "completion_tokens": 1},
    {"prompt_tokens": True, "completion_tokens": 1},
    {"prompt_tokens": 10**30, "completion_tokens": 1},
]


@pytest.mark.parametrize("usage", COUNTS, ids=str)
def test_a_count_that_is_none_is_taken_as_the_most(
    usage: Any, server: Any, config: Config, log: Log, answer: Any
) -> None:
    server.answer = lambda call, n: answer(usage=usage)
    settings = config()
    done, _ = run(log(1), settings)
    sizes = [len(m["content"]) + PER_MESSAGE_TOKENS for m in server.calls[0].body["messages"]]
    assert done.usd == pytest.approx(settings.cost_usd(sum(sizes), 512))


def test_a_second_run_asks_nothing_and_a_changed_answer_is_asked(
    server: Any, config: Config, log: Log
) -> None:
    run(log(3), config())
    first = (log(3).parent / "out.jsonl").read_bytes()
    done, _ = run(log(3), config())
    assert (done.calls, done.marks, done.new_marks) == (0, 3, 0)
    assert (log(3).parent / "out.jsonl").read_bytes() == first
    assert run(log(3, answer="another"), config())[0].calls == 3
    assert run(log(3), config(model="judge-2"))[0].calls == 3


def test_a_row_that_stands_twice_is_judged_once(server: Any, config: Config, log: Log) -> None:
    path = log(2)
    path.write_text(path.read_text() * 3)
    done, records = run(path, config())
    assert (done.calls, done.marks) == (2, 6)
    assert all(record.outcomes == {"s": 0.75} for record in records)


def test_the_sample_is_a_share_by_id_and_grows_without_asking_again(
    server: Any, config: Config, log: Log
) -> None:
    path = log(60)
    small, records = run(path, config(sample=0.3))
    assert 8 <= small.marks <= 30
    chosen = {record.id for record in records if record.outcomes}
    other = {r.id for r in run(path, config(sample=0.3, seed=1))[1] if r.outcomes} - chosen
    assert other
    more, records = run(path, config(sample=0.6))
    assert {record.id for record in records if record.outcomes} > chosen
    assert all(server.count(f"question {n}") <= 1 for n in range(60))
    assert more.rows == 60


def test_what_cannot_be_judged_is_left_out_and_counted(server: Any, config: Config, tmp_path: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    rows = [
        {"messages": [{"role": "user", "content": [image]}], "model": "s", "answer": "a cat"},
        {"prompt": "long " * 1000, "model": "s", "answer": "a"},
        {"prompt": "none"},
        {"prompt": "good", "model": "s", "answer": "a"},
        {"prompt": "cut", "model": "s", "answer": "a", "meta": {"cut_from": {"characters": 40_000}}},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done, _ = run(tmp_path / "log.jsonl", config(max_characters=1000))
    assert done.marks == 1
    assert done.left_out == {
        "an image, which the judge would not see": 1, "too long": 1, "nothing to judge": 1,
        "a request that the log cut": 1,
    }  # fmt: skip


def test_nothing_to_judge_is_an_error(config: Config, log: Log) -> None:
    with pytest.raises(DataError, match="none of 3 records holds an answer to judge"):
        run(log(3, answer=None), config())
    with pytest.raises(DataError, match="holds a pair"):
        run(log(3), config(pairs=True))


def test_a_bad_row_stops_the_run_before_it_costs(server: Any, config: Config, log: Log) -> None:
    path = log(3)
    path.write_text(path.read_text() + '{"prompt": 1}\n')
    with pytest.raises(RecordError, match=r"log\.jsonl:4"):
        run(path, config())
    assert not server.calls
    done, _ = run(path, config(), skip_bad=True)
    assert (done.marks, done.bad_rows) == (3, 1)


def test_two_runs_of_one_output_at_once_are_refused(server: Any, config: Config, log: Log) -> None:
    path = log(1)

    def meanwhile(*_: Any) -> None:
        with pytest.raises(FileError, match="another run is writing it"):
            run(path, config())

    run(path, config(), progress=meanwhile)
    assert len(server.calls) == 1


def test_progress_tells_cases_and_settled_dollars(server: Any, config: Config, log: Log) -> None:
    seen: list[tuple[int, int, float]] = []
    run(log(9), config(concurrency=3), progress=lambda *now: seen.append(now))
    assert [cases for cases, _, _ in seen] == list(range(1, 10))
    assert {of for _, of, _ in seen} == {9}
    dollars = [usd for _, _, usd in seen]
    assert dollars == sorted(dollars)
    assert dollars[-1] == pytest.approx(9 * CALL_USD)


def test_so_many_calls_are_in_flight_and_no_more(server: Any, config: Config, log: Log, answer: Any) -> None:
    server.answer = lambda call, n: answer(seconds=0.02)
    run(log(30), config(concurrency=5))
    assert server.most_in_flight == 5
    assert Counter(server.count(f"question {n}") for n in range(30)) == {1: 30}

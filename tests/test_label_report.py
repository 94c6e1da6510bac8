"""What labelling leaves behind: plain data, a table, and a page that stands alone whatever a log holds."""

import dataclasses
import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from router_model.errors import FileError
from router_model.router import Router
from router_model.serving.batch.counts import Counts
from router_model.serving.batch.report import write_report
from router_model.serving.batch.summary import Labelled, table
from router_model.tally import Tally

HOSTILE = [
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(2)>",
    "\"' onmouseover=alert(3) x='&amp;",
    "${costs} $headline",
    "\x00\x1b[31m",
    "شركة \u202e reversed",
]
ROWS = 400


class Page(HTMLParser):
    """Collects what a page holds: tags, their attributes, and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def labelled(
    router: Router, log: Path, columns: Mapping[str, Any], by: list[str] | None = None, **changes: Any
) -> Labelled:
    """A run over the prompts of a log, with these columns beside them."""
    prompts = [json.loads(line)["prompt"] for line in log.read_text("utf-8").splitlines()][:ROWS]
    counts = Counts.empty(router.ladder.names, by)
    counts.add(router.route_batch(prompts), columns)
    run = Labelled(
        out="labels", rows=ROWS, bad_rows=0, tally=Tally(), failed={}, counts=counts, seconds=2.0,
        router="f1a2", dial="quality=0.95",
    )  # fmt: skip
    return dataclasses.replace(run, **changes)


def paying(known: int, days: int = 5) -> dict[str, list[Any]]:
    """Columns of a log whose first ``known`` rows tell a cost."""
    return {
        "task": [f"task {n % 3}" for n in range(ROWS)],
        "tenant": [f"tenant {n % 50}" for n in range(ROWS)],
        "timestamp": [1.7e9 + 86_400 * (n % days) for n in range(ROWS)],
        "cost_usd": [0.01 if n < known else None for n in range(ROWS)],
    }


def page_of(run: Labelled, folder: Path) -> Page:
    text = write_report(run, folder).read_text("utf-8")
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags)
    for name, value in page.attributes:
        assert not name.startswith("on")
        assert name not in ("href", "src", "data", "action"), (name, value)
    assert "url(" not in text
    assert "@import" not in text
    return page


def test_the_plain_data_hold_the_sums_and_are_json(router: Router, log_path: Path) -> None:
    tally = Tally()
    tally.refuse("log.jsonl:3: not valid JSON", "log.jsonl:3")
    run = labelled(
        router, log_path, paying(100), bad_rows=1, tally=tally, failed={"no Parquet": ["a"]}, resumed_rows=100
    )
    found = json.loads(json.dumps(run.to_dict(), allow_nan=False))
    prompts = [json.loads(line)["prompt"] for line in log_path.read_text("utf-8").splitlines()]
    decisions = router.route_batch(prompts)
    assert found["rows_per_second"] == 150  # of this run alone
    assert found["expected_cost_usd"] == pytest.approx(decisions.expected_cost_usd.sum())
    for k, (name, of) in enumerate(found["tiers"].items()):
        mine = decisions.tier == k
        assert (name, of["rows"]) == (router.ladder.names[k], mine.sum())
        assert of["share"] == pytest.approx(mine.mean())
        assert of["expected_cost_usd"] == pytest.approx(decisions.expected_cost_usd[mine].sum())
    assert found["saved_usd"] == pytest.approx(found["strongest_cost_usd"] - found["expected_cost_usd"])
    assert found["saved_share"] == pytest.approx(found["saved_usd"] / found["strongest_cost_usd"])
    paid = found["paid"]
    assert (paid["rows"], paid["logged"]["rows"], paid["estimated"]["rows"]) == (100, 100, 0)
    assert paid["usd"] == pytest.approx(1.0)
    assert paid["expected_cost_usd"] == pytest.approx(decisions.expected_cost_usd[:100].sum())
    assert found["by"]["task"]["values"]["task 0"]["rows"] == 134
    assert found["refused"] == {"not valid JSON": {"count": 1, "examples": ["log.jsonl:3"]}}
    assert found["failed"] == {"no Parquet": ["a"]}


def test_of_nothing_labelled_there_is_a_result_a_table_and_a_page(router: Router, tmp_path: Path) -> None:
    empty = Labelled(
        "labels", 0, 0, Tally(), {}, Counts.empty(router.ladder.names, None), 0.0, "f1a2", "budget=0.5"
    )
    found = json.loads(json.dumps(empty.to_dict(), allow_nan=False))
    assert (found["rows"], found["paid"], found["saved_share"]) == (0, None, 0)
    assert table(empty).startswith("0 rows labelled, 0 refused")
    assert "No row was labelled." in page_of(empty, tmp_path).text


def test_the_table_lines_up_and_tells_what_went_wrong(router: Router, log_path: Path) -> None:
    tally = Tally()
    tally.refuse("log.jsonl:3: not valid JSON", "log.jsonl:3")
    run = labelled(router, log_path, paying(100), bad_rows=1, tally=tally, failed={"no Parquet": ["a", "b"]})
    head, tiers, costs, wrongs = table(run).split("\n\n")
    assert head == "400 rows labelled, 1 refused, in 2.0 s (200 rows/s) at quality=0.95: labels"
    for block in (tiers, costs):
        assert len({len(line) for line in block.splitlines()}) == 1
    assert re.search(r"paid, by the log +100 +1\.00 ", costs)
    assert wrongs.splitlines() == [
        "refused, 1: not valid JSON (log.jsonl:3)",
        "failed file, 2: no Parquet (a, b)",
    ]


def test_the_page_compares_what_is_paid_over_the_rows_that_tell_it(
    router: Router, log_path: Path, tmp_path: Path
) -> None:
    whole = page_of(labelled(router, log_path, paying(ROWS)), tmp_path / "whole").text
    assert "paid now4.00 USD" in whole
    assert "whose cost now is known" not in whole
    some = page_of(labelled(router, log_path, paying(100)), tmp_path / "some").text
    assert "The 100 rows whose cost now is known (25.0%)" in some
    assert "paid now1.00 USD" in some
    none = page_of(labelled(router, log_path, {}), tmp_path / "none").text
    assert "what is paid now is not known" in none
    assert "No row tells its time" in none
    for text in (whole, some, none):
        assert "Neither was measured on these rows." in text


def test_the_price_is_checked_where_the_log_tells_cost_and_model(
    router: Router, log_path: Path, tmp_path: Path
) -> None:
    columns = paying(ROWS) | {"model": ["model-l"] * ROWS}
    run = labelled(router, log_path, columns)
    times = 4.0 / run.counts.whole.strongest_usd
    assert f"It was {times:.2f} times what is estimated" in page_of(run, tmp_path).text
    run = labelled(router, log_path, columns | {"cost_usd": [None] * ROWS})
    assert run.to_dict()["paid"]["estimated"]["usd"] == pytest.approx(run.counts.whole.strongest_usd)
    assert "by the ladder's price of the model that it names" in page_of(run, tmp_path).text


def test_groups_are_ranked_and_the_rest_summed(router: Router, log_path: Path, tmp_path: Path) -> None:
    columns = paying(0) | {"team": ["red"] * 300 + ["blue"] * 60 + [None] * 40}
    text = page_of(labelled(router, log_path, columns, ["tenant", "team", "absent"]), tmp_path).text
    assert "By task" not in text
    assert "20 others160" in text  # of 50 tenants with 8 rows each
    assert text.index("red300") < text.index("blue60") < text.index("no value40")
    assert "By absent" in text  # it was asked for, though no row tells it


@pytest.mark.parametrize(("days", "kind"), [(30, "day"), (100, "week"), (400, "month")])
def test_long_times_are_drawn_by_longer_periods(
    days: int, kind: str, router: Router, log_path: Path, tmp_path: Path
) -> None:
    page = page_of(labelled(router, log_path, paying(0, days)), tmp_path)
    assert f"US dollars a {kind}," in page.text
    assert 0 < page.tags.count("rect") <= 2 * 36


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_values_are_text_and_nothing_else(
    hostile: str, router: Router, log_path: Path, tmp_path: Path
) -> None:
    tally = Tally()
    tally.refuse(f"{hostile}:1: {hostile}", f"{hostile}:1")
    columns = paying(10) | {name: [hostile] * ROWS for name in ("task", "tenant", hostile)}
    run = labelled(router, log_path, columns, ["task", "tenant", hostile], tally=tally)
    run = dataclasses.replace(run, failed={hostile: [hostile]}, out=hostile, dial=hostile, router=hostile)
    page = page_of(run, tmp_path)
    shown = re.sub("[\x00\x1b]", "\ufffd", hostile)
    assert page.text.count(shown) >= 11  # a value and two names of a column, the summary, what went wrong
    json.dumps(run.to_dict(), allow_nan=False)


def test_the_same_run_gives_the_same_bytes(router: Router, log_path: Path, tmp_path: Path) -> None:
    one, other = (
        write_report(labelled(router, log_path, paying(10)), tmp_path / name) for name in ("one", "other")
    )
    assert one.read_bytes() == other.read_bytes()


def test_a_folder_that_cannot_be_made_is_named(router: Router, log_path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileError, match=r"--report .*; give a folder that can be written"):
        write_report(labelled(router, log_path, {}), tmp_path / "file")

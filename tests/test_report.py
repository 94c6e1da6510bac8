"""The report: one page that stands alone, whatever the tiers are called."""

import dataclasses
import json
import random
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from router_model.data.labels import Labels, label
from router_model.data.readers import read_records
from router_model.errors import FileError
from router_model.files import make_report_folder
from router_model.ladder import Ladder
from router_model.policy.curve import OperatingPoint, Policy
from router_model.router import Router
from router_model.training.config import TrainConfig
from router_model.training.evaluation.advice import Advice, advise
from router_model.training.evaluation.bootstrap import Bootstrap
from router_model.training.evaluation.choices import measure_choices
from router_model.training.evaluation.compare import Comparison, at_costs, rank
from router_model.training.evaluation.controls import Control
from router_model.training.evaluation.evaluate import evaluate
from router_model.training.evaluation.findings import Findings
from router_model.training.evaluation.judge import Judged, judge
from router_model.training.evaluation.misses import worst_misses
from router_model.training.evaluation.points import measure_points
from router_model.training.evaluation.report import write_report
from router_model.training.evaluation.sweep import sweep
from router_model.training.train import Trained, train

HOSTILE = [
    ("<script>alert(1)</script>", "</pre><img src=x onerror=alert(2)>", "\"'&amp;"),
    ("$1-$5", "$_^$", "\\frac{"),
    ("_small", "__", "${curve}"),
    ("小", "😀", "كبير"),
]
HISTORY = [[{"train_loss": 0.7, "validation_loss": 0.6}, {"train_loss": 0.5, "validation_loss": 0.55}]] * 2


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


def renamed(findings: Findings, names: tuple[str, ...]) -> Findings:
    """The same figures for tiers of other names."""
    subject, evaluation = findings.subject, findings.evaluation
    new = dict(zip(subject.ladder.names, names, strict=True))
    tiers = tuple(dataclasses.replace(tier, name=new[tier.name]) for tier in subject.ladder.tiers)
    evaluation = dataclasses.replace(
        evaluation,
        dials=[
            dataclasses.replace(dial, shares={new[name]: share for name, share in dial.shares.items()})
            for dial in evaluation.dials
        ],
        pairs=[dataclasses.replace(p, cheap=new[p.cheap], dear=new[p.dear]) for p in evaluation.pairs],
        constants=[dataclasses.replace(c, tier=new[c.tier]) for c in evaluation.constants],
    )
    subject = dataclasses.replace(subject, ladder=Ladder(tiers))
    return dataclasses.replace(findings, subject=subject, evaluation=evaluation)


@pytest.fixture(scope="module")
def findings(router: Router, ladder: Ladder, fresh_log_path: Path) -> Findings:
    """The trained router on 300 rows that it had not seen."""
    records = list(read_records(fresh_log_path))[:300]
    manifest, labels, groups = router.artifact.manifest, label(records, ladder), np.arange(300)
    said = router.route_prompts([record.prompt for record in records]).sufficiency.astype(np.float64)
    texts = [record.prompt.text for record in records]
    judged = Judged.by_curve(manifest.relative_cost, manifest.curve, said, labels, groups, texts)
    evaluation = judge(judged, ladder, 200, 0.95, 0)
    return Findings.of_artifact(
        manifest,
        curve=manifest.curve,
        records=records,
        judged=judged,
        evaluation=evaluation,
        rows_are="fresh rows",
        resamples=200,
        seed=0,
        history=HISTORY,
    )


def page_of(findings: Findings, folder: Path) -> str:
    return write_report(folder, findings).read_text("utf-8")


@pytest.fixture(scope="module")
def trained_page(trained: Trained) -> str:
    assert trained.report is not None
    return Path(trained.report).read_text("utf-8")


def assert_stands_alone(page: str) -> Page:
    read = Page(page)
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    for name, value in read.attributes:
        if name in ("href", "src", "xlink:href", "data", "action"):
            assert (value or "").startswith("#"), (name, value)
    assert not re.findall(r"url\(\s*['\"]?(?!#)", page)
    assert "@import" not in page
    return read


def test_training_leaves_one_page_that_stands_alone(trained: Trained, trained_page: str) -> None:
    folder = Path(str(trained.report)).parent
    assert [path.name for path in folder.iterdir()] == ["index.html"]
    read = assert_stands_alone(trained_page)
    assert read.tags.count("svg") == 5


def test_the_page_says_what_was_found(trained: Trained, trained_page: str) -> None:
    text = Page(trained_page).text
    assert trained.guard["message"] in text
    assert "400 rows in 400 groups" in text
    for words in ("Quality against cost", "always medium", "small to large", "quality=0.95", "medium"):
        assert words in text
    assert f'class="verdict {trained.guard["verdict"]}"' in trained_page
    assert "near-duplicates share a fold" in text


def test_an_evaluation_writes_the_same_page_of_its_own_rows(
    router: Router, fresh_log_path: Path, tmp_path: Path
) -> None:
    found = evaluate(router, [fresh_log_path], config=TrainConfig(resamples=200), report=tmp_path)
    assert found.report == str(tmp_path / "index.html")
    text = assert_stands_alone((tmp_path / "index.html").read_text("utf-8")).text
    assert f"{found.evaluation.rows} rows in {found.evaluation.groups} groups" in text
    assert "not checked: name the training data with --trained-on" in text
    assert "Training" not in text


def test_the_sections_hold_the_figures(findings: Findings, tmp_path: Path) -> None:
    control = Control("shuffled labels", False, "it must hold 0.5 <i>", {})
    checked = dataclasses.replace(findings, leaks="two leaks <b>", controls=[control])
    text = assert_stands_alone(page_of(checked, tmp_path)).text
    for dial in (dial for dial in findings.evaluation.dials if dial.dial == "quality" and dial.value >= 0.9):
        assert f"{dial.quality:.1%} [" in text
        assert f"{dial.cost:.1%} [" in text
    assert "US dollars saved per million requests" in text
    assert "two leaks <b>" in text
    assert "shuffled labelsFAILED: it must hold 0.5 <i>" in text
    counts = Counter(str(record.task) for record in findings.records)
    at = [text.index(f"{name}{count}") for name, count in counts.most_common()]
    assert at == sorted(at)  # a row of the table each, the largest task first


def test_baselines_stand_in_the_plots_the_best_few_in_their_legends(
    findings: Findings, tmp_path: Path
) -> None:
    judged, bootstrap = findings.judged, Bootstrap(np.arange(300), 200, 0.95)
    noise = np.random.default_rng(0).normal(size=judged.probabilities.shape)
    lines = {
        f"baseline <{level}>": sweep(
            judged.probabilities + level * noise, judged.relative_cost, judged.labels, bootstrap
        )
        for level in (5, 0.1, 0.2, 10, 0.4)
    }
    page = page_of(dataclasses.replace(findings, baselines=lines), tmp_path)
    text = assert_stands_alone(page).text
    for level in (0.1, 0.2, 0.4):
        assert text.count(f"baseline <{level}>") == 2  # a legend in either plot
    for level in (5, 10):
        assert text.count(f"baseline <{level}>") == 1
    assert "In grey, lower on the whole than the coloured: baseline <" in text


def test_a_comparison_is_told_in_words_and_tables(findings: Findings, tmp_path: Path) -> None:
    judged, ladder = findings.judged, findings.subject.ladder
    outcomes = judged.labels.outcomes
    noise = np.random.default_rng(0).normal(size=outcomes.shape)
    scores = {
        "router": judged.probabilities,
        "noise <b>": noise,
        "answers": outcomes,
        "same": judged.probabilities,
        "query oracle": outcomes,
    }
    rankings = rank(scores, outcomes, ladder, Bootstrap(np.arange(300), 200, 0.95))
    bought = at_costs(findings.evaluation.dials, judged.labels, np.zeros(300, np.int64))
    comparison = Comparison(rankings, bought, {"minilm": "needs <i>"})
    text = assert_stands_alone(page_of(dataclasses.replace(findings, comparison=comparison), tmp_path)).text
    assert (
        "From small to large, by the order of prompts, the router is better than noise <b>; "
        "worse than answers; not told apart from same." in text
    )
    assert "not run: minilm: needs <i>" in text
    assert "Not compared here" not in text
    table = text[text.index("small to largeAPGR") : text.index("medium to largeAPGR")]
    first = rankings[0]
    assert f"router{first.apgr:.3f} [{first.apgr_interval[0]:.3f}, {first.apgr_interval[1]:.3f}]" in table
    order = [table.index(name) for name in ("router", "answers", "same", "noise <b>", "query oracle")]
    assert order == sorted(order)  # the router, the others by falling APGR, the bounds
    assert [table.count(word) for word in ("better", "worse", "upper bound")] == [1, 1, 1]


@pytest.mark.parametrize("names", HOSTILE)
def test_hostile_tier_names_are_text_and_nothing_else(
    names: tuple[str, ...], findings: Findings, tmp_path: Path
) -> None:
    read = assert_stands_alone(page_of(renamed(findings, names), tmp_path))
    assert read.tags.count("svg") == 5
    for name in names:
        # The summary, the figures, the plot's legends and the tables each name the tier.
        assert read.text.count(name) >= 6


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", "</table><img src=x>", "\ud800\x00\x1b${x}"]
)
def test_hostile_tasks_and_prompts_are_text_and_nothing_else(
    hostile: str, findings: Findings, tmp_path: Path
) -> None:
    records = [
        dataclasses.replace(
            record,
            id=hostile,
            task=hostile,
            prompt=dataclasses.replace(record.prompt, text=f"{hostile} {record.prompt.text}"),
        )
        for record in findings.records
    ]
    page = page_of(dataclasses.replace(findings, records=records), tmp_path)
    read = assert_stands_alone(page)
    assert 'class="miss"' in page
    # In the table of tasks, and as id, task and text of the first miss.
    assert read.text.count(re.sub("[\ud800\x00\x1b]", "\ufffd", hostile)) >= 4


def test_the_worst_misses_are_those_the_router_was_surest_of(findings: Findings) -> None:
    labels, said = findings.judged.labels, findings.judged.probabilities
    chosen = np.zeros(len(said), np.int64)
    found = worst_misses(findings.records, labels, chosen, said)
    sure = [miss.probabilities[0] for miss in found]
    assert len(found) == 20
    assert sure == sorted(sure, reverse=True)
    assert all(miss.outcomes[0] == 0 and max(miss.outcomes[1:]) == 1 for miss in found)
    missed = (labels.outcomes[:, 0] == 0) & (labels.outcomes[:, 1:] == 1).any(axis=1)
    assert sure[0] == said[missed, 0].max()


def test_the_saving_is_the_difference_of_two_costs_and_its_interval_of_equal_ones_is_a_point(
    findings: Findings,
) -> None:
    labels, bootstrap = findings.judged.labels, Bootstrap(np.arange(300) // 7, 200, 0.95)
    cost = labels.cost_usd.mean(axis=0)
    always = [measure_choices(labels, np.full(300, k), bootstrap) for k in range(3)]
    for k, choices in enumerate(always):
        assert choices.saved_usd_per_million == pytest.approx((cost[-1] - cost[k]) * 1e6)
        assert choices.gain_over_mix == pytest.approx(0 if k != 1 else always[1].gain_over_mix)
        assert choices.gain_over_mix <= 1e-9  # a constant is never above the hull of the constants
    assert always[-1].saved_interval == pytest.approx((0, 0), abs=1e-6)
    assert always[-1].quality_interval == pytest.approx((1, 1))


def test_points_measured_again_are_what_routing_the_rows_gives(findings: Findings, router: Router) -> None:
    manifest, labels = router.artifact.manifest, findings.judged.labels
    policy = Policy(manifest.relative_cost, manifest.curve, ("quality", 0.95))
    bootstrap = Bootstrap(np.arange(300), 200, 0.95)
    points = measure_points(policy, manifest.curve, findings.judged.probabilities, labels, bootstrap)
    routed = router.route_prompts([record.prompt for record in findings.records], quality=0.95)
    (point,) = (p for p in points if (p.dial, p.value) == ("quality", 0.95))
    assert point.rule == "router"
    own = labels.outcomes[np.arange(300), routed.tier].mean() / labels.outcomes[:, -1].mean()
    assert point.quality == pytest.approx(own)
    assert point.quality_interval[0] < own < point.quality_interval[1]
    assert sum(point.shares) == pytest.approx(1)


def advice_on(chances: tuple[float, float], findings: Findings, rule: str) -> Advice:
    """On rows of two constants with these chances and a router that draws between them."""
    random = np.random.default_rng(0)
    outcomes = (random.random((600, 2)) < chances).astype(np.float64)
    cost = np.tile([0.001, 0.01], (600, 1))
    labels = Labels(outcomes, outcomes, cost, np.ones(600), np.ones(2))
    ladder = Ladder(findings.subject.ladder.tiers[::2])
    best = outcomes.argmax(axis=1)
    chosen = {"router": random.integers(0, 2, 600), "oracle": best, "worst": outcomes.argmin(axis=1)}.get(
        rule, np.zeros(600, np.int64)
    )
    default = OperatingPoint("quality", 0.95, "fixed" if rule == "fixed" else "router", 0.1, (1.0, 0.0), 1, 1)
    choices = measure_choices(labels, chosen, Bootstrap(np.arange(600), 200, 0.95))
    return advise(default, choices, labels, ladder)


def test_the_advice_is_the_router_only_where_these_rows_show_its_gain(findings: Findings) -> None:
    assert advice_on((0.5, 0.7), findings, "oracle").headline.startswith("Use the router: at quality=0.95")
    assert advice_on((0.7, 0.7), findings, "fixed").headline == "Use model-s (tier small) for everything."
    assert advice_on((0.7, 0.7), findings, "worst").headline == "Use model-s (tier small) for everything."
    mix = advice_on((0.3, 0.9), findings, "worst")
    assert mix.headline.startswith("Do not route by the prompt: send")
    chance = advice_on((0.5, 0.7), findings, "router")
    assert chance.headline == "These rows do not show that the router helps."
    assert {mix.kind, chance.kind} == {"fallback"}


def test_where_no_router_helps_the_page_says_which_model_to_use(
    ladder: Ladder, quick: TrainConfig, tmp_path: Path
) -> None:
    chance = random.Random(0)
    rows = []
    for n in range(150):
        right = float(chance.random() < 0.6)  # all models alike, whatever the prompt
        outcomes = {"model-s": right, "model-m": right, "model-l": right}
        rows.append({"prompt": f"question {n} {n * 7} {n * 13}", "outcomes": outcomes})
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    trained = train([log], ladder, tmp_path / "r.onnx", quick, report=tmp_path / "report")
    text = Page((tmp_path / "report" / "index.html").read_text("utf-8")).text
    assert trained.guard["verdict"] == "fallback"
    assert "Use model-s (tier small) for everything." in text
    assert "No row names a task." in text


def test_the_same_run_gives_the_same_bytes(findings: Findings, tmp_path: Path) -> None:
    assert page_of(findings, tmp_path / "one") == page_of(findings, tmp_path / "other")


def test_a_folder_that_cannot_be_made_is_named_and_one_that_exists_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "report"):
        with pytest.raises(FileError, match=r"--report .*; give a folder that can be written"):
            make_report_folder(folder)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "notes.txt").write_text("mine")
    make_report_folder(tmp_path / "report")
    assert (tmp_path / "report" / "notes.txt").read_text() == "mine"

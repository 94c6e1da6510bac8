"""The report: one page that stands alone, whatever the tiers are called."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from router_model.artifact import Manifest
from router_model.errors import FileError
from router_model.router import Router
from router_model.training.evaluation.judge import Evaluation
from router_model.training.evaluation.report import make_folder, write_report
from router_model.training.train import Trained

HOSTILE = [
    ("<script>alert(1)</script>", "</pre><img src=x onerror=alert(2)>", "\"'&amp;"),
    ("$1-$5", "$_^$", "\\frac{"),
    ("_small", "__", "${curve}"),
    ("小", "😀", "كبير"),
]
HISTORY = [[{"train_loss": 0.7, "validation_loss": 0.6}, {"train_loss": 0.5, "validation_loss": 0.55}]] * 2
BINS = [[(0.1, 0.2, 10), (0.8, 0.7, 10)]] * 3


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


def renamed(
    manifest: Manifest, evaluation: Evaluation, names: tuple[str, ...]
) -> tuple[Manifest, Evaluation]:
    """The same figures for tiers of other names."""
    old = manifest.ladder.names
    new = dict(zip(old, names, strict=True))
    tiers = tuple(dataclasses.replace(tier, name=new[tier.name]) for tier in manifest.ladder.tiers)
    evaluation = dataclasses.replace(
        evaluation,
        dials=[
            dataclasses.replace(dial, shares={new[name]: share for name, share in dial.shares.items()})
            for dial in evaluation.dials
        ],
        pairs=[dataclasses.replace(p, cheap=new[p.cheap], dear=new[p.dear]) for p in evaluation.pairs],
        constants=[dataclasses.replace(c, tier=new[c.tier]) for c in evaluation.constants],
    )
    return dataclasses.replace(manifest, ladder=dataclasses.replace(manifest.ladder, tiers=tiers)), evaluation


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
    assert read.tags.count("svg") == 4


def test_the_page_says_what_was_found(trained: Trained, trained_page: str) -> None:
    text = Page(trained_page).text
    assert trained.guard["message"] in text
    assert "400 in 400 groups" in text
    for words in ("Quality against cost", "always medium", "small to large", "quality=0.95", "medium"):
        assert words in text
    assert f'class="verdict {trained.guard["verdict"]}"' in trained_page


@pytest.mark.parametrize("names", HOSTILE)
def test_hostile_tier_names_are_text_and_nothing_else(
    names: tuple[str, ...], router: Router, trained: Trained, tmp_path: Path
) -> None:
    manifest, evaluation = renamed(router.artifact.manifest, trained.evaluation, names)
    page = write_report(tmp_path, manifest, evaluation, HISTORY, BINS).read_text("utf-8")
    read = assert_stands_alone(page)
    assert read.tags.count("svg") == 4
    for name in names:
        # The summary, the figures, the plot's legends and the table of points each name the tier.
        assert read.text.count(name) >= 6


def test_the_same_run_gives_the_same_bytes(router: Router, trained: Trained, tmp_path: Path) -> None:
    manifest = router.artifact.manifest
    one, other = (
        write_report(tmp_path / name, manifest, trained.evaluation, HISTORY, BINS).read_bytes()
        for name in ("one", "other")
    )
    assert one == other


def test_a_folder_that_cannot_be_made_is_named_and_one_that_exists_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "report"):
        with pytest.raises(FileError, match=r"--report .*; give a folder that can be written"):
            make_folder(folder)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "notes.txt").write_text("mine")
    make_folder(tmp_path / "report")
    assert (tmp_path / "report" / "notes.txt").read_text() == "mine"

"""Ladders: what makes one, what does not, and files that try to do harm."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.errors import FileError, LadderError
from router_model.ladder import MAX_LADDER_BYTES, MAX_TIERS, Ladder, Tier

REPOSITORY = Path(__file__).parent.parent
GOOD = """
tiers:
  - {name: small, model: s, input_usd_per_million: 0.05, output_usd_per_million: 0.2}
  - {name: large, models: [l, l-old], input_usd_per_million: 3, output_usd_per_million: 15}
"""


def tier(name: str, price: Any = 1.0, **changed: Any) -> dict[str, Any]:
    entry = {"name": name, "model": f"model-{name}"}
    return entry | {"input_usd_per_million": price, "output_usd_per_million": price} | changed


def ladder_of(*entries: Any) -> Ladder:
    return Ladder.from_dict({"tiers": list(entries)})


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    """The message with which a ladder file is refused, which names the file on one line of bounded length."""
    with pytest.raises(LadderError) as caught:
        Ladder.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 400
    return message


@pytest.mark.parametrize("name", ["ladder.yaml", "ladder.yml", "ladder", "ladder.YAML"])
def test_yaml_is_read(tmp_path: Path, name: str) -> None:
    ladder = Ladder.read(write(tmp_path / name, GOOD))
    assert ladder.names == ("small", "large")
    assert ladder.tiers[1] == Tier("large", ("l", "l-old"), 3, 15)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_json_is_read_with_or_without_a_byte_order_mark(tmp_path: Path, mark: str) -> None:
    wanted = ladder_of(tier("small"), tier("large", 2.0))
    path = write(tmp_path / "ladder.json", mark + json.dumps(wanted.to_dict(), indent=1))
    assert Ladder.read(path) == wanted
    assert Ladder.read(write(tmp_path / "ladder.yaml", mark + json.dumps(wanted.to_dict()))) == wanted


def test_the_example_ladders_are_read() -> None:
    paths = sorted((REPOSITORY / "examples" / "ladders").iterdir())
    assert paths
    for path in paths:
        assert len(Ladder.read(path)) >= 2


names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    names=st.lists(names, min_size=2, max_size=MAX_TIERS, unique=True),
    prices=st.lists(st.floats(0.001, 1e6), min_size=MAX_TIERS, max_size=MAX_TIERS),
)
def test_a_ladder_survives_its_dictionary_and_finds_its_tiers_and_models(
    names: list[str], prices: list[float]
) -> None:
    ladder = ladder_of(*(tier(name, price) for name, price in zip(names, sorted(prices), strict=False)))
    assert Ladder.from_dict(json.loads(json.dumps(ladder.to_dict()))) == ladder
    assert len(ladder) == len(names)
    for k, name in enumerate(names):
        assert ladder.index(name) == ladder.index_of_model(f"model-{name}") == k


def test_a_call_costs_what_its_tokens_cost() -> None:
    assert Tier("t", ("m",), 2.0, 10.0).cost_usd(1000, 500) == pytest.approx(0.007)


def test_an_unknown_tier_is_named_with_those_there_are(ladder: Ladder) -> None:
    with pytest.raises(LadderError, match="no tier 'huge'; the ladder has small, medium, large"):
        ladder.index("huge")
    assert ladder.index_of_model("huge") is None


def test_equal_prices_and_a_free_first_tier_are_allowed() -> None:
    assert len(ladder_of(tier("free", 0), tier("small"), tier("same"))) == 3


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "a ladder has 0 tiers; give 2 to 16"),
        ([tier("only")], "a ladder has 1 tiers"),
        ([tier(f"t{k}") for k in range(17)], "a ladder has 17 tiers"),
        ([tier("a"), tier("a", model="other")], "tier 'a' stands twice"),
        ([tier("a", model="m"), tier("b", model="m")], "model 'm' stands twice"),
        ([tier("a"), tier("b", models=["x", "x"])], "model 'x' stands twice"),
        ([tier("a", 2.0), tier("b", 1.0)], "tier 'b' is cheaper than 'a' before it; list the cheapest first"),
        ([tier("a", 0), tier("b", 0)], "tier 'b': the strongest tier needs a price above 0"),
        ([tier("a", colour="red"), tier("b")], "tier 'a': unknown key 'colour'; known: input_usd_per_mill"),
        ([{**tier("a"), 7: 1}, tier("b")], "tier 'a': unknown key '7'"),
        ([{"name": "a", "model": "m"}, tier("b")], "tier 'a': input_usd_per_million is missing"),
        ([{"model": "m"}, tier("b")], "tier None: input_usd_per_million is missing"),
        ([{**tier("a"), "model": None}, tier("b")], "tier 'a': give 'model', or 'models' as a list"),
        ([tier("a", models=[]), tier("b")], "tier 'a': give 'model', or 'models' as a list"),
        ([tier("a", models={"m": 1}), tier("b")], "tier 'a': give 'model', or 'models' as a list"),
        ([tier("a", models=[1]), tier("b")], "tier 'a': give 'model', or 'models' as a list"),
        ([tier("a", model=""), tier("b")], "tier 'a': give 'model', or 'models' as a list"),
        ([tier("a", model="two\nlines"), tier("b")], "tier 'a': give 'model', or 'models' as a list"),
        ([tier("a", model="\ud800"), tier("b")], "tier 'a': give 'model', or 'models' as a list"),
        ([tier(""), tier("b")], "tier name '': give a printable name"),
        ([tier("two\nlines", model="m"), tier("b")], r"tier name 'two\\nlines': give a printable name"),
        ([tier("\ud800", model="m"), tier("b")], r"tier name '\\ud800': give a printable name"),
        ([tier("x" * 65), tier("b")], "tier name 'xxxxx.*: give a printable name of 1 to 64 characters"),
        (["small", tier("b")], "tier 'small': give an object"),
        ([None, tier("b")], "tier None: give an object"),
        (["long" * 99999, tier("b")], "tier 'longlong.*: give an object"),
    ],
)
def test_tiers_that_make_no_ladder_are_refused_by_name(entries: list[Any], message: str) -> None:
    with pytest.raises(LadderError, match=message) as caught:
        ladder_of(*entries)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("key", ["input_usd_per_million", "output_usd_per_million"])
@pytest.mark.parametrize(
    "price",
    [float("nan"), float("inf"), -0.01, "0.1", None, True, [1], 10**400, 1e308, -(10**400)],
    ids=lambda price: repr(price)[:8],
)
def test_a_price_that_is_none_is_refused_by_field(key: str, price: Any) -> None:
    with pytest.raises(LadderError, match=rf"tier 'b': {key} is .*; give US dollars") as caught:
        ladder_of(tier("a"), tier("b", **{key: price}))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [None, [], "tiers", 1, {}, {"tiers": None}, {"tiers": "ab"}, {"tiers": {}}])
def test_what_holds_no_list_of_tiers_is_refused(value: Any) -> None:
    with pytest.raises(LadderError, match="a ladder is an object with a list 'tiers'"):
        Ladder.from_dict(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.json", ""),
        ("l.json", "{"),
        ("l.json", "tiers: []"),
        ("l.json", "[" * 100_000),
        ("l.json", '{"tiers": [' + "9" * 5000 + "]}"),
        ("l.json", json.dumps({"tiers": [tier("a", float("nan")), tier("b")]})),
        ("l.yaml", ""),
        ("l.yaml", "tiers: [unclosed"),
        ("l.yaml", "tiers:\n\t- tab"),
        ("l.yaml", "[" * 300_000),
        ("l.yaml", "tiers: 2024-99-99"),
        ("l.yaml", "tiers: !!bool maybe"),
        ("l.yaml", "tiers: !!int ''"),
        ("l.yaml", "tiers: !!int word"),
        ("l.yaml", "tiers: !!float word"),
        ("l.yaml", "tiers: !!timestamp word"),
        ("l.yaml", "tiers: !!binary word"),
        ("l.yaml", "tiers: !!set [1]"),
        ("l.yaml", "? [a]\n: b"),
        ("l.yaml", "a: 1\n---\nb: 2"),
        ("l.yaml", "tiers: \x00"),
        ("l.yaml", "tiers: [.nan, .inf]"),
        ("l.yaml", GOOD.replace("0.05", ".nan")),
        ("l.yaml", GOOD.replace("0.05", ".inf")),
        ("l.yaml", GOOD.replace("0.05", "1e-3")),
    ],
)
def test_a_malformed_file_is_refused_on_one_line_that_names_it(tmp_path: Path, name: str, text: str) -> None:
    assert refusal(write(tmp_path / name, text))


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ladder.json"
    path.write_bytes(b'{"tiers": "\xff"}')
    assert "not readable as a ladder" in refusal(path)


def test_a_file_that_is_missing_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"absent\.json: No such file"):
        Ladder.read(tmp_path / "absent.json")
    path = write(tmp_path / "large.yaml", GOOD + "#" * MAX_LADDER_BYTES)
    with pytest.raises(FileError, match=r"large\.yaml: larger than the 1048576 bytes"):
        Ladder.read(path)


@pytest.mark.parametrize(
    "attack",
    [
        "!!python/object/apply:os.system ['touch {}']",
        "!!python/object/new:os.system ['touch {}']",
        "!!python/object/apply:builtins.exec [\"open('{}', 'w')\"]",
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/object:pathlib.Path {{}}",
        "!unknown word",
    ],
)
def test_tags_that_would_run_code_are_refused_and_run_nothing(tmp_path: Path, attack: str) -> None:
    trace = tmp_path / "trace"
    path = write(tmp_path / "ladder.yaml", "tiers: " + attack.format(trace))
    assert "could not determine a constructor" in refusal(path)
    assert not trace.exists()


def bomb(level: str) -> str:
    """Twelve levels of nine aliases each: 9 ** 12 leaves, were it unfolded."""
    lines = ["a0: &a0 {x0: 1, x1: 2, x2: 3}"]
    lines += [f"a{k}: &a{k} {level.format(', '.join([f'*a{k - 1}'] * 9))}" for k in range(1, 13)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        bomb("[{}]") + "tiers: [*a12, *a12]",
        bomb("[{}]") + "tiers: [{name: *a12, model: m, input_usd_per_million: 1, output_usd_per_million: 1}]",
        bomb("[{}]") + "tiers: [{name: a, model: m, input_usd_per_million: *a12, output_usd_per_million: 1}]",
        bomb("{{<<: [{}]}}") + "tiers: *a12",
        "tiers: &a [*a]",
    ],
)
def test_aliases_that_unfold_without_end_are_refused(tmp_path: Path, text: str) -> None:
    assert "alias" in refusal(write(tmp_path / "ladder.yaml", text))


def test_very_many_models_are_checked_for_repeats_in_one_pass(tmp_path: Path) -> None:
    models = [f"{number:x}" for number in range(120_000)]
    entries = [tier("a", models=models), tier("b", models=["0"])]
    path = write(tmp_path / "ladder.json", json.dumps({"tiers": entries}, separators=(",", ":")))
    assert "model '0' stands twice" in refusal(path)

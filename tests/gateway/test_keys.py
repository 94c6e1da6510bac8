"""Clients' keys: found by their hash, refused otherwise, and made by the command line."""

import hashlib
import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from router_model.cli import main
from router_model.errors import RequestError
from router_model.serving.gateway.config.key import Key
from router_model.serving.gateway.keys import OPEN, Caller, Keys, fresh_key

ADA, ADA_SHA256 = fresh_key()
BOB, BOB_SHA256 = fresh_key()
KEYS = Keys(
    [
        Key(name="ada", sha256=ADA_SHA256, tenant="acme"),
        Key(name="bob", sha256=BOB_SHA256, scopes=("metrics",)),
    ]
)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {ADA}"},
        {"authorization": f"bearer   {ADA} "},
        {"x-api-key": ADA},
        {"authorization": "Basic YTpi", "x-api-key": ADA},
        {"authorization": "Bearer ", "x-api-key": ADA},
    ],
)
def test_a_key_is_found_in_either_header(headers: dict[str, str]) -> None:
    caller = KEYS.find(headers)
    assert (caller.name, caller.tenant) == ("ada", "acme")


def test_each_key_is_its_own_caller_and_may_do_what_its_scopes_say() -> None:
    bob = KEYS.find({"x-api-key": BOB})
    assert bob == Caller("bob", "default", frozenset({"metrics"}))
    bob.must("metrics")
    with pytest.raises(RequestError, match=r"'bob' may not call") as refused:
        bob.must("call")
    assert refused.value.status == 403


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": ""}, {"authorization": "Bearer"}, {"x-api-key": " "}]
)
def test_no_key_is_refused_with_how_to_send_one(headers: dict[str, str]) -> None:
    with pytest.raises(RequestError, match="authorization: Bearer KEY") as refused:
        KEYS.find(headers)
    assert refused.value.status == 401


@given(st.one_of(st.text(), st.just(ADA[:-1]), st.just(ADA + "x"), st.just(ADA_SHA256), st.just(ADA.upper())))
def test_nothing_but_the_key_is_the_key_and_no_message_repeats_it(guess: str) -> None:
    with pytest.raises(RequestError) as refused:
        KEYS.find({"x-api-key": guess})
    assert refused.value.status == 401
    assert len(guess) < 8 or guess not in str(refused.value)


def test_without_keys_everybody_may_do_everything() -> None:
    assert Keys([]).find({}) == OPEN
    OPEN.must("metrics")


def test_a_key_of_a_megabyte_is_refused() -> None:
    with pytest.raises(RequestError):
        KEYS.find({"x-api-key": "a" * 1_000_000})


def test_the_command_prints_a_key_and_the_line_for_the_file() -> None:
    done = CliRunner().invoke(main, ["key", "--name", "ada", "--tenant", "acme", "--scope", "call"])
    assert done.exit_code == 0, done.output
    key, line = done.stdout.splitlines()
    entry = json.loads(line.removeprefix("- "))
    assert entry["sha256"] == hashlib.sha256(key.encode()).hexdigest()
    caller = Keys([Key(**entry | {"scopes": tuple(entry["scopes"])})]).find({"x-api-key": key})
    assert caller == Caller("ada", "acme", frozenset({"call"}))


def test_no_two_keys_are_equal_and_json_holds_the_same() -> None:
    made = [
        json.loads(CliRunner().invoke(main, ["key", "--name", "a", "--json"]).stdout)["key"] for _ in range(3)
    ]
    assert len(set(made)) == 3


def test_a_name_that_the_file_would_refuse_is_refused_at_once() -> None:
    done = CliRunner().invoke(main, ["key", "--name", "a\nb"])
    assert done.exit_code == 2
    assert "--name" in done.stderr

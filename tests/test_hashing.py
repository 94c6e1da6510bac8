"""Hashed rows: no text, what is equal stays equal, the figures stay, and the key decides."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from router_model.cli import main
from router_model.data.privacy.hashing import HASH_KEY, hash_record, hashed_name, hashed_prompt, read_hash_key
from router_model.data.records import parse_record
from router_model.errors import ConfigError, FileError, RecordError
from router_model.features import FEATURES_VERSION, featurize

KEY = b"a key of sixteen bytes or more"
ROW = {
    "id": "zebra-1",
    "prompt": "Tell me about zebras",
    "model": "model-s",
    "outcome": 1,
    "propensity": 0.5,
    "answer": "zebras are striped",
    "reference": "zebra facts",
    "cost_usd": 0.01,
    "input_tokens": 5,
    "output_tokens": 7,
    "latency_ms": 120,
    "timestamp": "2024-01-02T03:04:05Z",
    "session": "zebra session",
    "tenant": "zebra inc",
    "task": "animals",
    "meta": {"note": "zebra"},
    "feedback": {
        "thumb": "down",
        "next_user": "no, zebras!",
        "error": "zebra overflow",
        "stars": 2,
        "copied": False,
    },
}


def hashed(**fields: Any) -> dict[str, Any]:
    return hash_record(parse_record(ROW | fields, "log:1"), KEY)


def test_no_text_is_left_and_every_figure_stays() -> None:
    row, record = hashed(), parse_record(ROW, "log:1")
    assert "zebra" not in json.dumps(row).lower()
    assert row["features"] == list(featurize(record.prompt))
    assert (row["features_version"], row["characters"]) == (FEATURES_VERSION, 20)
    assert row["feedback"] == {"thumb": "down", "error": True, "stars": 2, "copied": False}
    kept = {
        "model",
        "outcomes",
        "propensity",
        "cost_usd",
        "input_tokens",
        "output_tokens",
        "latency_ms",
        "timestamp",
    }
    assert {field: row[field] for field in kept} == {
        "model": "model-s",
        "outcomes": {"model-s": 1.0},
        "propensity": 0.5,
        "cost_usd": {"model-s": 0.01},
        "input_tokens": 5.0,
        "output_tokens": {"model-s": 7.0},
        "latency_ms": {"model-s": 120.0},
        "timestamp": "2024-01-02T03:04:05Z",
    }


def test_equal_names_and_near_equal_prompts_have_equal_hashes_and_no_others() -> None:
    one, same, other = (
        hashed(),
        hashed(id="b", prompt=" tell  me about\nZEBRAS"),
        hashed(prompt="Tell me about lions"),
    )
    assert one["prompt_hash"] == same["prompt_hash"] != other["prompt_hash"]
    assert one["session"] == same["session"]
    assert one["id"] != same["id"]
    assert hashed_name(KEY, "session", "x") != hashed_name(KEY, "tenant", "x")
    assert hashed_prompt(KEY, "x") != hashed_prompt(KEY + b"2", "x")


def test_the_hash_is_hmac_sha_256_of_field_and_value() -> None:
    # RFC 4231, test case 2, says what HMAC-SHA-256 is; our message is the field, a zero byte and the value.
    import hashlib

    inner = bytes(byte ^ 0x36 for byte in KEY.ljust(64, b"\0"))
    outer = bytes(byte ^ 0x5C for byte in KEY.ljust(64, b"\0"))
    expected = hashlib.sha256(outer + hashlib.sha256(inner + b"tenant\0acme").digest()).hexdigest()
    assert hashed_name(KEY, "tenant", "acme") == expected


def test_a_hashed_row_is_no_record_and_says_why() -> None:
    with pytest.raises(RecordError, match="hash-prompts"):
        parse_record(hashed(), "log:1")


def test_the_key_comes_from_the_file_which_is_made_once_or_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(HASH_KEY, raising=False)
    with pytest.raises(ConfigError, match=HASH_KEY):
        read_hash_key(None)
    path = tmp_path / "key"
    with pytest.raises(FileError):
        read_hash_key(path)
    made = read_hash_key(path, make=True)
    assert len(made) == 64
    assert read_hash_key(path, make=True) == made
    assert path.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv(HASH_KEY, "short")
    with pytest.raises(ConfigError, match="16"):
        read_hash_key(None)
    monkeypatch.setenv(HASH_KEY, "a long key of many bytes")
    assert read_hash_key(None) == b"a long key of many bytes"


def test_the_command_writes_lines_gzip_by_name_the_same_each_time(tmp_path: Path) -> None:
    source, out, key = tmp_path / "log.jsonl", tmp_path / "out.jsonl.gz", tmp_path / "key"
    source.write_text(json.dumps(ROW) + "\n")
    command = ["redact", str(source), "--out", str(out), "--hash-prompts", "--key-file", str(key), "--json"]
    done = CliRunner().invoke(main, command)
    assert json.loads(done.stdout) == {"rows": 1, "bad": 0}
    first = out.read_bytes()
    assert json.loads(gzip.decompress(first)) == hash_record(parse_record(ROW, "log:1"), read_hash_key(key))
    assert CliRunner().invoke(main, command).exit_code == 0
    assert out.read_bytes() == first


def test_a_key_without_hashing_is_a_wrong_request(tmp_path: Path) -> None:
    source = tmp_path / "log.jsonl"
    source.write_text(json.dumps(ROW) + "\n")
    done = CliRunner().invoke(
        main, ["redact", str(source), "--out", str(tmp_path / "o"), "--key-file", str(tmp_path / "k")]
    )
    assert done.exit_code == 2

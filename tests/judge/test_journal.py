"""The journal of calls: what a kill, a bad line or a stranger leaves in it."""

import json
from pathlib import Path

import pytest

from router_model.data.judge.journal import Journal
from router_model.data.judge.verdict import Verdict
from router_model.errors import FileError

GOOD = Verdict(0.75, "fine")
SENT = b'{"call": "x", "key": "k", "order": 0, "usd": 1}\n'


def write(path: Path) -> bytes:
    """One answered call, one of nonsense, one that failed, and one that never ended."""
    with Journal(path) as journal:
        journal.answered(journal.sent("a", 0, 0.5), 0.125, GOOD)
        journal.answered(journal.sent("b", 1, 0.5), 0.25, None)
        journal.failed(journal.sent("c", 0, 0.5), 0.0, "HTTP 500")
        journal.sent("d", 0, 0.5)
    return path.read_bytes()


def test_a_journal_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path / "j")
    with Journal(tmp_path / "j") as journal:
        assert journal.verdicts == {("a", 0): GOOD}
        assert journal.nonsense == {("b", 1): 1}
        assert journal.usd == {"a": 0.125, "b": 0.25, "c": 0.0, "d": 0.5}
        assert journal.spent_usd == 0.875


def test_wherever_a_kill_cuts_it_the_journal_is_mended_and_never_forgets_dollars(tmp_path: Path) -> None:
    whole, path = write(tmp_path / "j"), tmp_path / "j"
    for end in range(0, len(whole), 11):
        path.write_bytes(whole[:end])
        with Journal(path) as journal:
            ended = [
                json.loads(line) for line in whole[:end].splitlines(keepends=True) if line.endswith(b"\n")
            ]
            spent = {line["call"]: line["usd"] for line in ended}
            assert journal.spent_usd == pytest.approx(sum(spent.values()))
            journal.answered(journal.sent("e", 0, 0.5), 0.5, GOOD)
        with Journal(path) as journal:
            assert ("e", 0) in journal.verdicts


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"nonsense\n",
        b"[]\n",
        b"{}\n",
        b"\xff\n",
        b"[" * 60_000 + b"\n",
        b'{"call": "x", "usd": 0, "verdict": 1, "reason": ""}\n',
        b'{"call": [], "usd": 0, "failed": ""}\n',
        b'{"call": "x", "key": "k", "order": Infinity, "usd": 0}\n',
        b'{"call": "x", "key": "k", "order": 0, "usd": -1}\n',
        b'{"call": "x", "key": "k", "order": 0, "usd": NaN}\n',
        SENT + b'{"call": "x", "usd": 0, "verdict": 7, "reason": ""}\n',
        SENT + b'{"call": "x", "usd": 0}\n',
        b'{"prompt": "this is somebody\'s log"}\n',
        b"x" * 100_000,
        b"a file without a line break",
    ],
)
def test_what_is_no_journal_is_refused_by_line_and_left_as_it_is(tmp_path: Path, line: bytes) -> None:
    whole, path = write(tmp_path / "j"), tmp_path / "j"
    path.write_bytes(whole + line)
    number = 8 + line.count(b"\n", 0, -1)
    with pytest.raises(FileError, match=f"j:{number}: no line of a judge's journal"), Journal(path):
        pass
    assert path.read_bytes() == whole + line


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="absent"), Journal(tmp_path / "absent" / "j"):
        pass

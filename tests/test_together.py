"""Training by several processes: the result of one, through failures and interrupts, and devices named."""

import dataclasses
import math
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from router_model.base import Base
from router_model.cli import main
from router_model.errors import ConfigError, ProcessError, TrainingError
from router_model.tokens import Ragged
from router_model.training.config import TrainConfig
from router_model.training.dataset import NOBODY, Encoded, Share
from router_model.training.devices import device_of, trainer_settings
from router_model.training.encoders.static import Static
from router_model.training.fit import Fitted, fit
from router_model.training.together import together

VOCABULARY, ROWS = 60, 150
# Batches of 15, of which two processes have shares that do not come out even; and no chance but of order.
ONE = TrainConfig(epochs=5, min_steps=1, batch_size=15, patience=1.0, learning_rate=0.02, dropout=0.0)
TWO = dataclasses.replace(ONE, devices=2)
TRAIN, HELD = np.arange(112), np.arange(112, ROWS)
WORKS = """
import os, signal, time
from router_model.errors import DataError

def good(rank, say):
    say(rank, os.environ["LOCAL_RANK"])

def refuses(rank, say):
    if rank == 1:
        raise DataError("row 7: is no good; mend it")
    time.sleep(60)

def breaks(rank, say):
    import torch.distributed
    if rank == 1:
        raise ZeroDivisionError("by nothing")
    torch.distributed.barrier()  # fails too, for want of the other

def dies(rank, say):
    import torch.distributed
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    torch.distributed.barrier()
"""


@pytest.fixture(scope="module")
def rows() -> tuple[Static, Encoded, np.ndarray]:
    """Rows of 3 to 12 tokens that show one tier or both, those with one of three tokens hard; an encoder."""
    chance = np.random.default_rng(1)
    table = chance.integers(-127, 128, (VOCABULARY, 8)).astype(np.int8)
    base = Base(table, np.full(8, 0.01, np.float32), np.zeros(VOCABULARY, np.float32), "", "made here")
    ids = [chance.integers(1, 45, chance.integers(3, 12)).astype(np.int32) for _ in range(ROWS)]
    for row in range(0, ROWS, 2):
        ids[row][0] = chance.integers(46, 49)
    targets = np.stack([np.arange(ROWS) % 2, np.ones(ROWS)], axis=1).astype(np.float64)
    targets[::3, 0] = np.nan
    encoded = Encoded(Ragged.of(ids), chance.normal(size=(ROWS, 3)).astype(np.float32))
    return Static(base), encoded, targets


@pytest.fixture(scope="module")
def one(rows: tuple[Static, Encoded, np.ndarray]) -> Fitted:
    return fit(*rows, TRAIN, HELD, ONE)


def assert_same(found: Fitted, expected: Fitted) -> None:
    assert found.epochs == expected.epochs
    for epoch, other in zip(found.history, expected.history, strict=True):
        assert epoch == pytest.approx(other, abs=1e-5)
    pairs = zip(found.network.parameters(), expected.network.parameters(), strict=True)
    assert max((a - b).abs().max().item() for a, b in pairs) < 1e-5


def test_two_processes_fit_what_one_does_and_say_nothing(
    rows: tuple[Static, Encoded, np.ndarray], one: Fitted, capfd: pytest.CaptureFixture[str]
) -> None:
    heard: list[tuple[int, int]] = []
    two = fit(*rows, TRAIN, HELD, TWO, epoch_done=lambda done, of: heard.append((done, of)))
    assert_same(two, one)
    assert not two.network.training
    assert heard == [(done, 5) for done in range(1, 6)]
    assert capfd.readouterr() == ("", "")


def test_a_killed_process_is_named_and_the_next_run_goes_on(
    rows: tuple[Static, Encoded, np.ndarray], one: Fitted, tmp_path: Path
) -> None:
    def kill(done: int, _: int) -> None:
        if done == 2:
            os.kill(max(child.pid or 0 for child in multiprocessing.active_children()), signal.SIGKILL)

    with pytest.raises(ProcessError, match=r"process \d of 2 was ended by SIGKILL.*give fewer --devices"):
        fit(*rows, TRAIN, HELD, TWO, checkpoints=tmp_path, epoch_done=kill)
    assert not multiprocessing.active_children()
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    heard: list[int] = []
    again = fit(*rows, TRAIN, HELD, TWO, checkpoints=tmp_path, epoch_done=lambda n, _: heard.append(n))
    assert heard[0] >= 2
    assert_same(again, one)
    assert {path.name for path in tmp_path.iterdir()} == {"last.ckpt", "finished.pt"}
    assert_same(fit(*rows, TRAIN, HELD, TWO, checkpoints=tmp_path), one)  # read, without any process


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Callable[..., None]]:
    """What other processes can import, by name."""
    (tmp_path / "works_of_processes.py").write_text(WORKS)
    monkeypatch.syspath_prepend(tmp_path)
    import works_of_processes  # type: ignore[import-not-found]

    return lambda name: getattr(works_of_processes, name)  # type: ignore[no-any-return]


def test_each_process_knows_its_rank(work: Callable[[str], Callable[..., None]]) -> None:
    heard: list[tuple[int, str]] = []
    together(work("good"), 2, "gloo", lambda *words: heard.append(words))
    assert sorted(heard) == [(0, "0"), (1, "1")]


def test_an_interrupt_ends_all_processes(work: Callable[[str], Callable[..., None]]) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        together(work("good"), 2, "gloo", interrupt)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("refuses", "^row 7: is no good; mend it$"),
        ("breaks", "^process 2 of 2 failed: ZeroDivisionError: by nothing"),
        ("dies", "^process 2 of 2 was ended by SIGKILL"),
    ],
)
def test_the_error_is_that_of_the_process_that_failed_first(
    name: str, message: str, work: Callable[[str], Callable[..., None]]
) -> None:
    with pytest.raises(Exception, match=message) as caught:
        together(work(name), 2, "gloo")
    assert type(caught.value).__name__ == ("DataError" if name == "refuses" else "ProcessError")
    assert "\n" not in str(caught.value)
    assert not multiprocessing.active_children()


def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    lines = ["from router_model.training.together import together", "together(print, 2, 'gloo')"]
    script.write_text("\n".join(lines))
    found = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert '__name__ == "__main__":' in found.stderr.splitlines()[-1]


@given(rows=st.integers(0, 40), batch=st.integers(1, 12), ranks=st.integers(1, 5))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_shares_are_alike_and_together_the_batches(rows: int, batch: int, ranks: int) -> None:
    order = np.random.default_rng(rows).permutation(rows)
    shares = [Share(batch, rank, ranks) for rank in range(ranks)]
    dealt = [share.of(order) for share in shares]
    assert len({len(part) for part in dealt}) == 1
    size = shares[0].size
    assert math.ceil(len(dealt[0]) / size) == math.ceil(rows / batch)
    for step in range(math.ceil(rows / batch)):
        together_ = np.concatenate([part[step * size : (step + 1) * size] for part in dealt])
        assert together_[together_ != NOBODY].tolist() == order[step * batch : (step + 1) * batch].tolist()


def test_memory_of_a_gpu_that_is_full_is_said_with_the_cure(
    rows: tuple[Static, Encoded, np.ndarray],
) -> None:
    def full(*_: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    with pytest.raises(TrainingError, match="the GPU's memory is full; give a smaller --batch-size"):
        fit(*rows, TRAIN, HELD, ONE, epoch_done=full)


def test_devices_are_those_that_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    transformer = TrainConfig(encoder="organisation/name", accelerator="auto")
    gpu = TrainConfig(accelerator="gpu", devices=3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of(TrainConfig()) == device_of(transformer) == "cpu"
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(ConfigError, match=r"torch .* is built without CUDA; install its CUDA build"):
        device_of(gpu)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(ConfigError, match=r"sees no GPU, see nvidia-smi.*or give --accelerator cpu"):
        device_of(gpu)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of(transformer) == "cuda"
    assert device_of(TrainConfig(accelerator="auto")) == "cpu"
    with pytest.raises(ConfigError, match="--devices 3: torch sees 2 GPUs here; give 2 or fewer"):
        device_of(gpu)
    assert device_of(dataclasses.replace(gpu, devices=2)) == "cuda"


def test_a_gpu_is_given_to_lightning_as_it_calls_it() -> None:
    assert trainer_settings("cpu", 1) == {"accelerator": "cpu", "devices": 1, "deterministic": True}
    several = trainer_settings("cuda", 2)
    assert (several["accelerator"], several["devices"], several["deterministic"]) == ("gpu", 2, "warn")
    assert several["strategy"].process_group_backend == "nccl"


def test_the_command_refuses_a_gpu_that_is_not_here(
    log_path: Path, ladder_path: Path, tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("torch sees a GPU here")
    words = ["train", str(log_path), "--ladder", str(ladder_path), "--out", str(tmp_path / "router.onnx")]
    found = CliRunner().invoke(main, [*words, "--accelerator", "gpu"], prog_name="router-model")
    assert found.exit_code == 2
    assert found.stderr.startswith("router-model: --accelerator gpu: torch ")
    assert found.stderr.count("\n") == 1
    found = CliRunner().invoke(main, [*words, "--devices", "0"], prog_name="router-model")
    assert (found.exit_code, found.stderr.count("\n")) == (2, 1)
    assert "--devices 0: give a whole number from 1 to 64" in found.stderr

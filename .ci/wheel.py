"""Run in a clean environment with the wheel: the core works without torch, and says what is missing."""

import subprocess
import sys

import router_model

assert "site-packages" in router_model.__file__, router_model.__file__


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The installed command line."""
    return subprocess.run(
        [sys.executable, "-m", "router_model.cli", *arguments], capture_output=True, text=True
    )


assert command("--version").returncode == 0
train = command("train", "none.jsonl", "--ladder", "none.json", "--out", "none.onnx")
assert train.returncode == 2, train
assert "pip install 'router-model[train]'" in train.stderr, train.stderr
assert "Traceback" not in train.stderr, train.stderr
decision = router_model.Router.default().route("Prove that there are infinitely many primes.")
assert decision.tier in ("small", "medium", "large"), decision
print("the wheel routes without extras and names the one that training needs")

"""From string to decision on a GPU: latency of one, throughput of 256, ONNX Runtime and torch, and the floor.

``python benchmarks/gpu.py ROUTER... > gpu.json`` takes routers as ``train`` wrote them, such as one of MiniLM
in float32, one in float16 and one of the window encoder. It runs whole on one machine with a GPU,
onnxruntime-gpu and a CUDA build of torch; elsewhere it runs what it can, and ``could_not_run`` says what it
could not, and why.

The floor of a pass is the larger of its bytes over the card's measured copying rate and its operations over
the card's measured rate of half-precision products: no program takes less.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from captured import Captured

from router_model.errors import RouterModelError, one_line
from router_model.frame import Frame
from router_model.providers import CPU, CUDA, runtime
from router_model.router import Router

LENGTHS = (16, 128, 512)
BATCH = 256
WORDS = "please compare the old bridge with a new river plan and prove that both hold under wind".split()


def texts(router: Router, tokens: int, count: int) -> list[str]:
    """Different prompts of about so many tokens."""
    chance = np.random.default_rng(tokens)
    return [" ".join(chance.choice(WORDS, tokens)) for _ in range(count)]


def timed(call: Callable[[int], object], seconds: float) -> dict[str, float]:
    """Milliseconds of calls with a rising number, after five to warm up."""
    for number in range(5):
        call(number)
    spent: list[float] = []
    end = time.perf_counter() + seconds
    while len(spent) < 3 or time.perf_counter() < end:
        started = time.perf_counter()
        call(len(spent))
        spent.append(1000 * (time.perf_counter() - started))
    spent.sort()
    return {
        "p50_ms": round(statistics.median(spent), 4),
        "p99_ms": round(spent[int(0.99 * (len(spent) - 1))], 4),
        "calls": len(spent),
    }


def one_by_one(router: Router, seconds: float, tokens: int) -> dict[str, float]:
    """From string to decision."""
    some = texts(router, tokens, 64)
    return timed(lambda n: router.route(some[n % 64]), seconds)


def decisions(router: Router, seconds: float, batch: int) -> list[dict[str, Any]]:
    """Of each length: one prompt at a time, and prompts a second in batches."""
    rows = []
    for tokens in LENGTHS:
        one, many = one_by_one(router, seconds, tokens), texts(router, tokens, batch)
        all_ = timed(lambda n, many=many: router.route_batch(many), seconds)  # type: ignore[misc]
        a_second = round(batch / all_["p50_ms"] * 1000)
        rows.append({"tokens": tokens, "batch_1": one, f"batch_{batch}_prompts_a_second": a_second})
    return rows


def of_router(path: Path, seconds: float, batch: int, failed: list[str]) -> dict[str, Any]:
    """One router on each provider that it is meant for."""
    found: dict[str, Any] = {}
    for provider in (CUDA, CPU):
        try:
            router = Router.load(path, providers=[provider])
        except RouterModelError as error:
            failed.append(f"{path.name} on {provider}: {error}")
            continue
        if provider not in router.artifact.manifest.providers:
            continue
        manifest = router.artifact.manifest
        found |= {"encoder": manifest.encoder, "precision": manifest.precision, "bytes": path.stat().st_size}
        found[provider] = decisions(router, seconds, batch if provider == CUDA else min(batch, 16))
        if manifest.frame:
            found[f"{provider}, fixed shapes"] = at_fixed_shapes(router, manifest.frame, seconds, failed)
    return found


def at_fixed_shapes(router: Router, frame: Frame, seconds: float, failed: list[str]) -> list[dict[str, Any]]:
    """One prompt at a time in buckets of lengths, whose graph CUDA replays; and how far off answers are."""
    some = [text for tokens in LENGTHS for text in texts(router, tokens, 8)]
    expected = [list(router.route(text).sufficiency.values()) for text in some]
    whole = router._session  # in whose place the other is put, so that all else of a decision is timed too
    try:
        longest = router.artifact.manifest.max_tokens
        captured: Any = Captured(router.artifact.content, frame, longest, router.provider)
        router._session = captured
        found = [list(router.route(text).sufficiency.values()) for text in some]
        error = float(np.abs(np.array(found) - expected).max())
        return [
            {"tokens": tokens, "batch_1": one_by_one(router, seconds, tokens), "largest_difference": error}
            for tokens in LENGTHS
        ]
    except Exception as reason:  # of ONNX Runtime, whose errors share no base class but this
        name = router.artifact.manifest.encoder
        failed.append(f"{name} on {router.provider} at fixed shapes: {one_line(reason)}")
        return []
    finally:
        router._session = whole


def in_torch(name: str, seconds: float, batch: int) -> dict[str, Any]:
    """The model compiled by torch in half precision, ids in, embedding out, and the floor of it."""
    import torch

    from router_model.training.encoders.sentence import load

    network = load(name).network.cuda().half()
    parameters = sum(p.numel() for p in network.parameters())
    products = sum(p.numel() for n, p in network.named_parameters() if p.ndim == 2 and "embeddings" not in n)
    rates = card_rates()
    compiled = torch.compile(network, dynamic=True)
    rows = []
    for tokens in LENGTHS:
        sizes: dict[str, Any] = {"tokens": tokens}
        for count in (1, batch):
            ids = torch.ones(count, tokens, dtype=torch.long, device="cuda")

            def call(_: int, ids: Any = ids) -> None:
                with torch.inference_mode():
                    compiled(ids)
                torch.cuda.synchronize()

            work = 2 * products * count * tokens
            floor = max(2 * parameters / rates["bytes_a_second"], work / rates["operations_a_second"])
            sizes[f"batch_{count}"] = timed(call, seconds) | {"floor_ms": round(1000 * floor, 4)}
        rows.append(sizes)
    return {"rates": rates, "lengths": rows}


def card_rates() -> dict[str, float]:
    """Bytes copied, read and written, and half-precision operations a second, as measured here."""
    import torch

    block = torch.zeros(1 << 28, dtype=torch.uint8, device="cuda")
    side = torch.zeros(8192, 8192, dtype=torch.half, device="cuda")

    def copy(_: int) -> None:
        block.clone()
        torch.cuda.synchronize()

    def multiply(_: int) -> None:
        side @ side
        torch.cuda.synchronize()

    return {
        "bytes_a_second": 2 * block.numel() / timed(copy, 1.0)["p50_ms"] * 1000,
        "operations_a_second": 2 * 8192**3 / timed(multiply, 1.0)["p50_ms"] * 1000,
    }


def machine(failed: list[str]) -> dict[str, Any]:
    """What it runs on."""
    found: dict[str, Any] = {
        "machine": platform.platform(),
        "onnxruntime": runtime().__version__,
        "gpu": None,
    }
    try:
        import torch
    except ModuleNotFoundError:
        failed.append("torch: not installed; pip install 'router-model[distill]'")
        return found
    found["torch"] = torch.__version__
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("routers", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--batch", type=int, default=BATCH)
    given = parser.parse_args()
    failed: list[str] = []
    result: dict[str, Any] = machine(failed)
    result["routers"] = {p.name: of_router(p, given.seconds, given.batch, failed) for p in given.routers}
    names = {found.get("encoder", "") for found in result["routers"].values()}
    for name in sorted(name for name in names if "/" in name):
        if result["gpu"]:
            result[f"torch, {name}"] = in_torch(name, given.seconds, given.batch)
        else:
            failed.append(f"{name} in torch, and the floor: torch sees no GPU here")
    result["could_not_run"] = failed
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

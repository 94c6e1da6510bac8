"""LiteLLM's Router over one upstream, for ``gateway.py``, in an environment that has it.

python benchmarks/gateway_litellm.py BASE_URL BODIES.txt OUT.json
"""

import asyncio
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

CONNECTIONS = 16
SECONDS = 5.0
ONE_BY_ONE = 200


async def measure(base_url: str, bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """Latency of calls that follow each other, and the most a second."""
    import litellm

    litellm.telemetry = False
    router = litellm.Router(
        model_list=[
            {
                "model_name": "auto",
                "litellm_params": {"model": "openai/model-small", "api_base": base_url, "api_key": "none"},
            }
        ]
    )

    async def one(number: int) -> float:
        began = time.perf_counter()
        await router.acompletion(**bodies[number % len(bodies)])
        return time.perf_counter() - began

    for number in range(20):  # to warm up
        await one(number)
    alone = sorted([await one(number) for number in range(ONE_BY_ONE)])
    began, done = time.perf_counter(), 0

    async def lane() -> None:
        nonlocal done
        while time.perf_counter() - began < SECONDS:
            await one(done)
            done += 1

    await asyncio.gather(*(lane() for _ in range(CONNECTIONS)))
    return {
        "version": version("litellm"),
        "one_at_a_time": {
            f"p{share * 100:g}_ms": round(alone[int(share * len(alone))] * 1e3, 3)
            for share in (0.5, 0.9, 0.99)
        },
        "most": {
            "connections": CONNECTIONS,
            "requests_per_second": round(done / (time.perf_counter() - began)),
        },
    }


def main() -> None:
    """Measure, and write JSON."""
    base_url, bodies, out = sys.argv[1:]
    lines = Path(bodies).read_bytes().splitlines()
    found = asyncio.run(measure(base_url, [json.loads(line) for line in lines]))
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()

"""The gateway with pretend models on this machine: the first request works with no key and no file."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from router_model.serving.gateway.pretend import Behaviour, Pretend, start
from router_model.serving.gateway.server import Service, serve

# Seconds to the first byte and between chunks, and US dollars per million tokens, as classes of models have.
MODELS: dict[str, tuple[float, float, float, float]] = {
    "small": (0.15, 0.005, 0.10, 0.40),
    "medium": (0.35, 0.012, 0.40, 1.60),
    "large": (0.80, 0.030, 3.00, 15.00),
}


def run(port: int, *, listening: Callable[[str], None] | None = None) -> None:
    """Serve on loopback until told to stop; raises GatewayConfigError where the port is taken."""
    urls = start_models()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "gateway.json")
        path.write_text(json.dumps(demo_config(urls, port)), "utf-8")
        serve(Service(path), listening=listening)


def demo_config(urls: dict[str, str], port: int) -> dict[str, Any]:
    """The file of a gateway for pretend models at ``urls``, by tier."""
    tiers = []
    for tier, (_, _, paid_in, paid_out) in MODELS.items():
        provider = {
            "name": f"pretend-{tier}",
            "base_url": urls[tier],
            "model": f"pretend-{tier}",
            "input_usd_per_million": paid_in,
            "output_usd_per_million": paid_out,
            "abilities": ["tools", "images", "json_schema"],
        }
        anthropic = {**provider, "name": f"pretend-{tier}-messages", "shape": "anthropic"}
        tiers.append({"name": tier, "providers": [provider, anthropic]})
    listen = {"host": "127.0.0.1", "port": port}
    return {"tiers": tiers, "listen": listen, "metrics_open": True, "json_logs": False}


def start_models() -> dict[str, str]:
    """A pretend model of each tier, in a thread of its own that ends with the process; their URLs."""
    models = {
        tier: Pretend(Behaviour(first_byte_seconds=first_byte, chunk_seconds=chunk))
        for tier, (first_byte, chunk, _, _) in MODELS.items()
    }
    start(*models.values())
    return {tier: model.base_url for tier, model in models.items()}

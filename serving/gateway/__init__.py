"""The gateway: any OpenAI or Anthropic client in front, providers behind, the router beside the dispatch."""

from importlib.util import find_spec

from router_model.errors import MissingExtraError

PACKAGES = {
    "aiohttp": "aiohttp",
    "uvicorn": "uvicorn",
    "httptools": "httptools",
    "msgspec": "msgspec",
    "yaml": "pyyaml",
    "genai_prices": "genai-prices",
    "cachetools": "cachetools",
    "prometheus_client": "prometheus-client",
    "pyarrow": "pyarrow",
}

if missing := [package for name, package in PACKAGES.items() if find_spec(name) is None]:
    raise MissingExtraError(f"the gateway needs {', '.join(missing)}: pip install 'router-model[serve]'")

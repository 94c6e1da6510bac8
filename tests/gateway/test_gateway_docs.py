"""docs/gateway.md, which every error of the file points to: complete, true, and its example reads."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router_model.serving.gateway.body import MAX_VALUES
from router_model.serving.gateway.call import UPWARD_HEADERS
from router_model.serving.gateway.config.breaker import Breaker
from router_model.serving.gateway.config.budget import Budget
from router_model.serving.gateway.config.cache import Caches, ExactCache, SemanticCache
from router_model.serving.gateway.config.capacity import Capacity
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.config.dial import Dial
from router_model.serving.gateway.config.guarantee import GuaranteeConfig
from router_model.serving.gateway.config.key import Key
from router_model.serving.gateway.config.latency import Latency
from router_model.serving.gateway.config.limits import Limits
from router_model.serving.gateway.config.listen import Listen
from router_model.serving.gateway.config.part import Part
from router_model.serving.gateway.config.provider import Provider
from router_model.serving.gateway.config.retry import Retry
from router_model.serving.gateway.config.sessions import Sessions
from router_model.serving.gateway.config.tier import TierConfig
from router_model.serving.gateway.config.traffic import Traffic
from router_model.serving.gateway.openapi import DOCUMENT, HEADERS

TEXT = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text(encoding="utf-8")
SECTIONS: dict[str, type[Part]] = {
    "At the top": GatewayConfig,
    "`tiers`": TierConfig,
    "`tiers[].providers[]`": Provider,
    "`dial`": Dial,
    "`listen`": Listen,
    "`limits`": Limits,
    "`retry`": Retry,
    "`breaker`": Breaker,
    "`latency`": Latency,
    "`capacity`": Capacity,
    "`cache.exact`": ExactCache,
    "`cache.semantic`": SemanticCache,
    "`keys[]`": Key,
    "`budgets[]`": Budget,
    "`guarantee`": GuaranteeConfig,
    "`traffic`": Traffic,
    "`sessions`": Sessions,
}


def rows(section: str) -> dict[str, str]:
    """Key and default of each row of a section's table."""
    text = TEXT.split(f"### {section}\n")[1].split("\n###")[0]
    return dict(re.findall(r"^\| `(\w+)` \| *(.*?) *\|", text, re.MULTILINE))


def shown(value: Any) -> set[str]:
    """How a default may be written."""
    if value is None or value in ((), {}):
        return {"none", "looked up", "the input price"}
    if isinstance(value, Part):
        return {"", "the artifact's", "none"}
    if isinstance(value, tuple):
        return {", ".join(f"`{one}`" for one in value)}
    return {f"`{value}`".lower() if isinstance(value, str | bool) else str(value)}


def test_every_part_of_the_file_has_its_section() -> None:
    assert set(SECTIONS.values()) == set(Part.__subclasses__()) - {Caches}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_there_with_its_default(section: str) -> None:
    told = rows(section)
    fields = msgspec.structs.fields(SECTIONS[section])
    assert list(told) == [field.name for field in fields]
    for field in fields:
        if field.required:
            assert told[field.name] == "required"
        else:
            default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
            assert told[field.name] in shown(default), field.name


def test_the_example_reads() -> None:
    import yaml

    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    read = GatewayConfig.from_dict(yaml.safe_load(example))
    assert [provider.name for _, provider in read.providers()] == ["near", "mini", "claude", "big"]
    assert set(read.secrets({"OPENAI_API_KEY": "a", "ANTHROPIC_API_KEY": "b"})) == {"mini", "claude", "big"}


def test_headers_paths_and_bounds_are_those_of_the_code() -> None:
    sentence = re.search(r"Of the client's headers these go up: (.*?)\. No key", TEXT, re.DOTALL)
    assert sentence is not None
    assert set(re.findall(r"`([\w-]+)`", sentence[1])) == UPWARD_HEADERS
    for path in DOCUMENT["paths"]:
        assert f"{path}`" in TEXT
    for header in HEADERS:
        assert f"`{header}`" in TEXT
    assert f"{MAX_VALUES:,} commas" in TEXT


def test_a_missing_package_is_named_with_its_cure() -> None:
    code = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name in ("yaml", "uvicorn") else find(name, *more)
from router_model.errors import MissingExtraError
try:
    import router_model.serving.gateway
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "the gateway needs uvicorn, pyyaml: pip install 'router-model[serve]'\n"

"""The document of the gateway: valid, and true of what the gateway itself sends."""

import json
from typing import Any

import jsonschema
import pytest
import schemathesis

from router_model.errors import RequestError
from router_model.serving.gateway.call import read_call
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.config.limits import Limits
from router_model.serving.gateway.config.provider import Provider
from router_model.serving.gateway.config.tier import TierConfig
from router_model.serving.gateway.openapi import DOCUMENT
from router_model.serving.gateway.replies import error_body, models_body

CALLS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
    "/v1/embeddings": "embeddings",
    "/v1/messages": "messages",
}


def faults(value: Any, schema: dict[str, Any]) -> list[str]:
    """In what a value does not match."""
    whole = jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]})
    return [error.message for error in whole.iter_errors(value)]


def schema_of(path: str, method: str = "get", status: str = "200") -> dict[str, Any]:
    found = DOCUMENT["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]
    assert isinstance(found, dict)
    return found


def test_schemathesis_reads_it() -> None:
    operations = [result.ok() for result in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()]
    assert {operation.path for operation in operations} == set(DOCUMENT["paths"])
    names = [value["operationId"] for path in DOCUMENT["paths"].values() for value in path.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", CALLS)
def test_its_examples_are_calls(path: str) -> None:
    content = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    assert not faults(content["example"], content["schema"])
    raw = json.dumps(content["example"]).encode()
    call = read_call(CALLS[path], raw, {}, Limits())  # type: ignore[arg-type]
    assert call.asked.model is None


@pytest.mark.parametrize("endpoint", [*CALLS.values(), None])
def test_errors_match(endpoint: str) -> None:
    for error in (RequestError(400, "k", "m"), RequestError(503, "k", "m", param="model", retry_after=1.0)):
        body = json.loads(error_body(endpoint, error, "req_1"))
        assert not faults(body, schema_of("/v1/route", "post", "default"))


def test_the_list_of_models_matches() -> None:
    config = GatewayConfig(tiers=(TierConfig("small", (Provider("a", "http://a/v1", "m"),)),))
    assert not faults(json.loads(models_body(config)), schema_of("/v1/models"))


def test_another_body_does_not_match() -> None:
    assert faults({"message": "m"}, schema_of("/v1/route", "post", "default"))

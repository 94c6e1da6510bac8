"""The OpenAPI document of the gateway."""

DOCUMENT: dict[str, object] = {
    "openapi": "3.1.0",
    "info": {"title": "router-model", "version": "0"},
    "paths": {},
}

"""A provider, one place that answers for a tier, as the file has it."""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from router_model.serving.gateway.config.part import Count, Name, Part, Seconds, Usd, Variable

Ability = Literal["tools", "images", "json_schema"]
Shape = Literal["openai", "anthropic", "litellm"]
Endpoint = Literal["chat", "completions", "responses", "embeddings", "messages"]


class Provider(Part, frozen=True):
    """One place that answers for a tier.

    Attributes:
        name: unique in the file; what headers, metrics and the traffic log call it.
        base_url: up to and without ``/chat/completions`` or ``/messages``.
        shape: of its requests; "litellm" hands them to the `litellm` package.
        model: what this provider calls the model.
        api_key_env: the environment variable of its key; none for servers without one.
        prices: a name for `genai-prices` to look up, in place of the four prices.
        input_usd_per_million, output_usd_per_million: US dollars per million tokens.
        cached_input_usd_per_million, written_input_usd_per_million: of input tokens read from and written to
            the provider's prompt cache; none means the plain input price.
        prompt_cache_seconds: that a prompt stays in that cache after it was read last.
        prompt_cache_tokens: of the shortest prompt that it takes.
        context_tokens: input and output together; a longer request goes elsewhere.
        abilities: what it takes beyond text; a request that needs another goes elsewhere.
        requests_per_minute, tokens_per_minute: its limits, of all workers together; none means no limit.
        weight: share of the traffic among equally cheap providers of a tier.
        region: told to those who ask for details, and nothing else.
        headers: sent with each request; not for secrets.
        body: by endpoint, fields that each request's body gets, in the place of the client's own: how hard
            the model is to think, or how long its answer may be.
        warm_connections: opened ahead and kept.
    """

    name: Name
    base_url: Annotated[str, Meta(pattern=r"^https?://[!-~]+\Z", max_length=2048)]
    model: Name
    shape: Shape = "openai"
    api_key_env: Variable | None = None
    prices: Name | None = None
    input_usd_per_million: Usd | None = None
    output_usd_per_million: Usd | None = None
    cached_input_usd_per_million: Usd | None = None
    written_input_usd_per_million: Usd | None = None
    prompt_cache_seconds: Seconds = 300.0
    prompt_cache_tokens: Count = 1024
    context_tokens: Count = 128_000
    abilities: tuple[Ability, ...] = ()
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    weight: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    region: Name | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[Endpoint, dict[str, Any]] = field(default_factory=dict)
    warm_connections: Annotated[int, Meta(ge=0, le=1024)] = 1

"""What one YAML file says of a gateway, checked as a whole before any of it is used.

Every field has its unit in its name. Keys are named by the environment variable that holds them, and are
never in the file.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from router_model.errors import FileError, GatewayConfigError, one_line
from router_model.files import read_file
from router_model.settings import parse_settings

MAX_CONFIG_BYTES = 1 << 20
OTHERS = "others"  # where providers of no tier stand

# A pattern's end is \Z, as $ lets a line feed through. Names travel in headers, so they are ASCII.
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:/@ -]+\Z")]
Variable = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}\Z")]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Share = Annotated[float, Meta(gt=0, le=1)]
Count = Annotated[int, Meta(ge=1, le=10**9)]
Usd = Annotated[float, Meta(ge=0, le=1e9)]

Ability = Literal["tools", "images", "json_schema"]
Shape = Literal["openai", "anthropic", "litellm"]
Words = Literal["off", "hashed", "redacted", "whole"]
Period = Literal["day", "month"]


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the file: immutable, and no key that nobody reads."""


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
        context_tokens: input and output together; a longer request goes elsewhere.
        abilities: what it takes beyond text; a request that needs another goes elsewhere.
        requests_per_minute, tokens_per_minute: its limits, of all workers together; none means no limit.
        weight: share of the traffic among equally cheap providers of a tier.
        region: told to those who ask for details, and nothing else.
        headers: sent with each request; not for secrets.
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
    context_tokens: Count = 128_000
    abilities: tuple[Ability, ...] = ()
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    weight: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    region: Name | None = None
    headers: dict[str, str] = {}
    warm_connections: Annotated[int, Meta(ge=0, le=1024)] = 1


class TierConfig(Part, frozen=True):
    """A tier of the router's ladder, by its name, and the providers that answer for it."""

    name: Name
    providers: Annotated[tuple[Provider, ...], Meta(min_length=1, max_length=64)]


class Dial(Part, frozen=True):
    """The dial of requests that name none: one of both, or neither for the artifact's own."""

    quality: Share | None = None
    budget: Share | None = None


class Limits(Part, frozen=True):
    """What a client may ask of the gateway.

    Attributes:
        body_bytes: of a request.
        header_bytes, headers: of all its headers.
        depth: of its JSON.
        receive_seconds: until its head has arrived, and then its body; a client that takes nothing of its
            answer for as long is let go.
        request_seconds: until the whole answer has gone.
        stop_seconds: that a graceful stop gives to streams.
    """

    body_bytes: Count = 16 << 20
    header_bytes: Count = 64 << 10
    headers: Count = 128
    depth: Annotated[int, Meta(ge=4, le=200)] = 64
    receive_seconds: Seconds = 30.0
    request_seconds: Seconds = 600.0
    stop_seconds: Seconds = 30.0


class Retry(Part, frozen=True):
    """How often and when to ask again.

    Attributes:
        attempts: calls to upstreams for one request, all providers and tiers together.
        base_seconds, most_seconds: full jitter between 0 and base * 2^n, at most the second.
        most_retry_after_seconds: a provider's ``retry-after`` beyond it counts as out of service so long.
        connect_seconds: until a connection stands.
        first_byte_seconds: until the answer begins.
        idle_seconds: between two chunks of an answer.
        upwards: whether a stronger tier may answer where every provider of the tier failed.
        hedge_after_seconds: ask a second provider of the tier too after so long without a first byte; none
            means never.
    """

    attempts: Annotated[int, Meta(ge=1, le=16)] = 4
    base_seconds: Seconds = 0.1
    most_seconds: Seconds = 2.0
    most_retry_after_seconds: Seconds = 5.0
    connect_seconds: Seconds = 5.0
    first_byte_seconds: Seconds = 120.0
    idle_seconds: Seconds = 60.0
    upwards: bool = True
    hedge_after_seconds: Seconds | None = None


class Breaker(Part, frozen=True):
    """When a provider is left alone: after ``failures`` of its last ``window`` calls, for ``open_seconds``.

    Then ``probes`` calls at a time are let through, and their success closes it again.
    """

    failures: Count = 5
    window: Count = 20
    open_seconds: Seconds = 10.0
    probes: Count = 1


class Latency(Part, frozen=True):
    """The latency wish: providers of a tier whose moving percentile is over it come last.

    Attributes:
        first_byte_seconds: the wish for the first byte of streams; none means no wish.
        total_seconds: the wish for the end of all answers.
        percentile: of which the wish speaks.
        window: calls that the percentile is taken over.
        hysteresis: a provider that is out comes back at the wish less this share, so that it does not flap.
    """

    first_byte_seconds: Seconds | None = None
    total_seconds: Seconds | None = None
    percentile: Annotated[float, Meta(gt=0, lt=100)] = 95.0
    window: Count = 200
    hysteresis: Share = 0.2


class Capacity(Part, frozen=True):
    """How much is done at once.

    Attributes:
        concurrency: requests at upstreams, per worker.
        reserved: of these, kept for a tier by its name.
        queue: requests that wait, per worker; beyond it the answer is 429.
        queue_seconds: that one waits at most.
        warm_up: whether a tier's self-hosted models get requests of one token ahead of a forecast rise.
    """

    concurrency: Count = 512
    reserved: dict[str, Count] = {}
    queue: Annotated[int, Meta(ge=0, le=10**6)] = 1024
    queue_seconds: Seconds = 10.0
    warm_up: bool = False


class ExactCache(Part, frozen=True):
    """Answers to requests that are equal but for the order of keys.

    Attributes:
        ttl_seconds: how long an answer is served.
        bytes: of all answers in memory, per worker; Redis has its own bound.
        entry_bytes: a longer answer is not kept.
        temperature: requests above it are not answered from the cache.
        shared: in Redis, for all replicas.
    """

    ttl_seconds: Seconds = 3600.0
    bytes: Count = 256 << 20
    entry_bytes: Count = 1 << 20
    temperature: Annotated[float, Meta(ge=0, le=2)] = 2.0
    shared: bool = False


class SemanticCache(Part, frozen=True):
    """Answers to requests that mean the same, under a bound on the share of wrong answers (vCache).

    Attributes:
        error_rate: the bound.
        verify_share: of would-be hits that are asked upstream all the same, to learn from.
        entries: kept per worker.
        ttl_seconds: how long an answer is served.
        temperature: requests above it are not answered from the cache.
    """

    error_rate: Annotated[float, Meta(gt=0, lt=0.5)] = 0.02
    verify_share: Share = 0.05
    entries: Count = 100_000
    ttl_seconds: Seconds = 3600.0
    temperature: Annotated[float, Meta(ge=0, le=2)] = 0.3


class Caches(Part, frozen=True):
    """What is answered without a call: nothing, unless the file says so."""

    exact: ExactCache | None = None
    semantic: SemanticCache | None = None


class Budget(Part, frozen=True):
    """At most ``usd`` a ``period`` (UTC) for a tenant or a key.

    Attributes:
        tenant, key: whose, one of both.
        lower_from: from this share spent on, the dial is lowered, down to the cheapest tier at 1.
    """

    usd: Annotated[float, Meta(gt=0, le=1e9)]
    period: Period = "day"
    tenant: Name | None = None
    key: Name | None = None
    lower_from: Share = 0.8


class Key(Part, frozen=True):
    """A client's key.

    Attributes:
        name: what accounts and logs call it.
        sha256: hexadecimal, of the key as UTF-8; `router-model key` makes both.
        tenant: whose requests these are.
        scopes: what it may do.
    """

    name: Name
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    tenant: Name = "default"
    scopes: tuple[Literal["call", "route", "feedback", "metrics"], ...] = ("call", "route", "feedback")


class Traffic(Part, frozen=True):
    """The log of decisions, Parquet by date.

    Attributes:
        folder: where; relative to the file of the gateway.
        words: what of a prompt is kept.
        explore: share of ``auto`` requests that go to a tier drawn at random, so that the log can teach.
        queue: rows that wait to be written; beyond it rows are dropped and counted, and no request waits.
        flush_seconds: what a ``kill -9`` may lose.
        part_rows, part_seconds: a Parquet file is closed after either.
    """

    folder: str
    words: Words = "hashed"
    explore: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    queue: Count = 65_536
    flush_seconds: Seconds = 1.0
    part_rows: Count = 100_000
    part_seconds: Seconds = 300.0


class Listen(Part, frozen=True):
    """Where the gateway is.

    Attributes:
        host, port: 127.0.0.1 unless told otherwise; port 0 takes a free one.
        workers: processes.
        backlog: connections that the kernel holds.
        origins: of web pages that may call it (CORS); none unless told.
    """

    host: Name = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    backlog: Count = 2048
    origins: tuple[str, ...] = ()


class GatewayConfig(Part, frozen=True):
    """The whole file.

    Attributes:
        others: providers of no tier, which clients reach by name alone: embeddings, models beside the router.
        router: an artifact's path, relative to this file, or "default".
        tiers: cheapest first, each a tier of the router's ladder by its name.
        redis_url_env: the environment variable of the URL of the Redis that replicas share.
        keys: none means that whoever reaches the port may use it.
        allow_real_models: whether a client may name a provider's model and so bypass the router.
        metrics_open: whether /metrics asks for no key.
        json_logs: whether logs are JSON, a line each.
        log_requests: whether the log has a line for each request, without its text.
        spans: whether OpenTelemetry spans are made, where its SDK is installed.
    """

    tiers: Annotated[tuple[TierConfig, ...], Meta(min_length=1, max_length=16)]
    others: Annotated[tuple[Provider, ...], Meta(max_length=64)] = ()
    router: str = "default"
    dial: Dial = Dial()
    listen: Listen = Listen()
    limits: Limits = Limits()
    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    latency: Latency = Latency()
    capacity: Capacity = Capacity()
    cache: Caches = Caches()
    redis_url_env: Variable | None = None
    keys: tuple[Key, ...] = ()
    budgets: tuple[Budget, ...] = ()
    traffic: Traffic | None = None
    allow_real_models: bool = True
    metrics_open: bool = False
    json_logs: bool = True
    log_requests: bool = False
    spans: bool = False

    @classmethod
    def read(cls, path: str | Path) -> "GatewayConfig":
        """Read and check a YAML or JSON file of at most 1 MiB.

        ``router`` and ``traffic.folder`` come back as absolute paths.

        Raises:
            GatewayConfigError: the file cannot be read, or ``from_dict`` refuses what it says.
            MissingExtraError: it is YAML and PyYAML is not installed.
        """
        path = Path(path)
        try:
            text = read_file(path, MAX_CONFIG_BYTES).decode("utf-8-sig")
            value = parse_settings(text, path.suffix.lower(), "gateway's file")
        except FileError as error:
            raise GatewayConfigError(str(error)) from None
        except (ValueError, RecursionError) as error:
            raise GatewayConfigError(
                f"{path}: not readable as YAML or JSON: {one_line(error)}; mend the file"
            ) from None
        config = cls.from_dict(value, str(path))
        home = path.absolute().parent
        router = config.router if config.router == "default" else str(home / config.router)
        traffic = config.traffic
        if traffic:
            traffic = msgspec.structs.replace(traffic, folder=str(home / traffic.folder))
        return msgspec.structs.replace(config, router=router, traffic=traffic)

    @classmethod
    def from_dict(cls, value: Any, name: str = "gateway") -> "GatewayConfig":
        """Check what a file holds, or would hold; messages call it ``name``.

        Raises:
            GatewayConfigError: a key is unknown, missing or of the wrong kind, or what the file says as a
                whole cannot be done; one line for each fault, with the path of the key and the cure.
        """
        from router_model.serving.gateway.checks import faults

        try:
            config = msgspec.convert(value, cls)
        except msgspec.ValidationError as error:
            problem, _, place = str(error).partition(" - at ")
            problem = problem[:1].lower() + problem[1:]
            raise GatewayConfigError(
                f"{name}: {_place(place)}: {problem}; docs/gateway.md lists every key"
            ) from None
        except (RecursionError, UnicodeEncodeError):
            raise GatewayConfigError(f"{name}: nests deeply, or holds half of a surrogate pair") from None
        if found := [f"{name}: {fault}" for fault in faults(config)]:
            raise GatewayConfigError("\n".join(found))
        return config

    def providers(self) -> Iterator[tuple[str, Provider]]:
        """Each provider with the name of its tier, in the file's order."""
        for tier in self.places:
            for provider in tier.providers:
                yield tier.name, provider

    @property
    def places(self) -> tuple[TierConfig, ...]:
        """The tiers, and a last one for the providers of none."""
        return (*self.tiers, TierConfig(OTHERS, self.others)) if self.others else self.tiers

    def secrets(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The keys of providers by the provider's name; those without a key are absent.

        Raises:
            GatewayConfigError: a variable that the file names is not set, or holds what no header may.
        """
        named = {
            provider.name: provider.api_key_env for _, provider in self.providers() if provider.api_key_env
        }
        wanted = {*named.values(), *([self.redis_url_env] if self.redis_url_env else [])}
        if missing := sorted(name for name in wanted if not environ.get(name, "").strip()):
            raise GatewayConfigError(
                f"not in the environment, but named in the file: {', '.join(missing)}; set them"
            )
        if broken := sorted(name for name in wanted if not _printable(environ[name].strip())):
            raise GatewayConfigError(
                f"{', '.join(broken)}: give printable ASCII without spaces, as keys have"
            )
        return {name: Secret(environ[variable].strip()) for name, variable in named.items()}

    def redis_url(self, environ: Mapping[str, str]) -> str | None:
        """The URL of the shared Redis, or None where the file names none; ``secrets`` has checked it."""
        return Secret(environ[self.redis_url_env].strip()) if self.redis_url_env else None


class Secret(str):
    """Text that no repr shows, of itself or of what holds it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(...)"


def _place(told: str) -> str:
    """Where msgspec says that something is: "`$.tiers[0]`" or "`key` in `$.headers`", as people say it."""
    inside = told.removeprefix("`key` in ")
    path = inside.strip("`").removeprefix("$").lstrip(".") or "the file"
    return path if inside == told else f"a key of {path}"


def _printable(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text

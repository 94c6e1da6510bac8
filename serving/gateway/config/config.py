"""What one YAML file says of a gateway, checked as a whole before any of it is used.

Every field has its unit in its name. Keys are named by the environment variable that holds them, and are
never in the file.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from router_model.errors import FileError, GatewayConfigError, one_line
from router_model.files import read_file
from router_model.serving.gateway.config.breaker import Breaker
from router_model.serving.gateway.config.budget import Budget
from router_model.serving.gateway.config.cache import Caches
from router_model.serving.gateway.config.capacity import Capacity
from router_model.serving.gateway.config.dial import Dial
from router_model.serving.gateway.config.guarantee import GuaranteeConfig
from router_model.serving.gateway.config.key import Key
from router_model.serving.gateway.config.latency import Latency
from router_model.serving.gateway.config.limits import Limits
from router_model.serving.gateway.config.listen import Listen
from router_model.serving.gateway.config.part import Part, Variable
from router_model.serving.gateway.config.provider import Provider
from router_model.serving.gateway.config.retry import Retry
from router_model.serving.gateway.config.secret import Secret
from router_model.serving.gateway.config.sessions import Sessions
from router_model.serving.gateway.config.tier import TierConfig
from router_model.serving.gateway.config.traffic import Traffic
from router_model.settings import parse_settings

MAX_CONFIG_BYTES = 1 << 20
OTHERS = "others"  # where providers of no tier stand


class GatewayConfig(Part, frozen=True):
    """The whole file.

    Attributes:
        others: providers of no tier, which clients reach by name alone: embeddings, models beside the router.
        router: an artifact's path, relative to this file, or "default".
        tiers: cheapest first, each a tier of the router's ladder by its name.
        redis_url_env: the environment variable of the URL of the Redis that replicas share.
        keys: none means that whoever reaches the port may use it.
        sessions: none means that each turn of a conversation is routed by itself.
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
    guarantee: GuaranteeConfig = GuaranteeConfig()
    traffic: Traffic | None = None
    sessions: Sessions | None = None
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
        others = (self.redis_url_env, self.sessions.secret_env if self.sessions else None)
        wanted = {*named.values(), *(name for name in others if name)}
        if missing := sorted(name for name in wanted if not environ.get(name, "").strip()):
            raise GatewayConfigError(
                f"not in the environment, but named in the file: {', '.join(missing)}; set them"
            )
        if broken := sorted(name for name in wanted if not _printable(environ[name].strip())):
            raise GatewayConfigError(
                f"{', '.join(broken)}: give printable ASCII without spaces, as keys have"
            )
        return {name: Secret(environ[variable].strip()) for name, variable in named.items()}

    def session_secret(self, environ: Mapping[str, str]) -> bytes:
        """What seals the tokens of conversations, or nothing where the file names none."""
        name = self.sessions.secret_env if self.sessions else None
        return environ[name].strip().encode() if name else b""

    def redis_url(self, environ: Mapping[str, str]) -> str | None:
        """The URL of the shared Redis, or None where the file names none; ``secrets`` has checked it."""
        return Secret(environ[self.redis_url_env].strip()) if self.redis_url_env else None


def _place(told: str) -> str:
    """Where msgspec says that something is: "`$.tiers[0]`" or "`key` in `$.headers`", as people say it."""
    inside = told.removeprefix("`key` in ")
    path = inside.strip("`").removeprefix("$").lstrip(".") or "the file"
    return path if inside == told else f"a key of {path}"


def _printable(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text

"""What a gateway's file may not say as a whole, though each of its keys may be said."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from router_model.errors import GatewayConfigError
from router_model.policy.term import lot_of, zone_of
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.config.provider import Provider
from router_model.serving.gateway.prices import prices_of

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[\x20-\x7e\x80-\xff\t]*")
ORIGIN = re.compile(r"\*|https?://[a-z0-9.\[\]:-]+", re.IGNORECASE)
# What is asked, how often and how it is answered, which the gateway has read before it picks a provider.
OWN_FIELDS = frozenset(
    "model messages input prompt system instructions tools functions stream stream_options n best_of".split()
)
MOST_BODY_BYTES = 4096
# Those of one hop, of the body, and those that keys go in.
OWN_HEADERS = frozenset(
    "authorization x-api-key cookie host connection content-length content-type transfer-encoding te trailer "
    "upgrade keep-alive expect proxy-authorization accept-encoding".split()
)


def faults(config: GatewayConfig) -> Iterator[str]:
    """Each thing that cannot be done, as the path of its key, what is wrong, and the cure."""
    for check in (_names, _providers, _dial, _times, _reserved, _keys, _budgets, _shared, _places):
        yield from check(config)


def _repeated(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _names(config: GatewayConfig) -> Iterator[str]:
    for name in _repeated(tier.name for tier in config.places):
        yield f"tiers: the tier {name!r} stands twice; name each once"
    for name in _repeated(provider.name for _, provider in config.providers()):
        yield f"tiers: the provider {name!r} stands twice; name each once in the file"


def _providers(config: GatewayConfig) -> Iterator[str]:
    for t, tier in enumerate(config.tiers):
        for p, provider in enumerate(tier.providers):
            for fault in _provider(provider):
                yield f"tiers[{t}].providers[{p}].{fault}"
    for p, provider in enumerate(config.others):
        for fault in _provider(provider):
            yield f"others[{p}].{fault}"
    if config.others and not config.allow_real_models:
        yield "others: are reached by name alone, which allow_real_models forbids; leave out one of them"


def _provider(provider: Provider) -> Iterator[str]:
    if provider.name == "auto" or provider.name.startswith(("auto:", "tier:")):
        yield f"name: {provider.name!r} is what clients ask the router with; give another"
    yield from _base_url(provider.base_url)
    for name, value in provider.headers.items():
        if not HEADER_NAME.fullmatch(name):
            yield f"headers: {name!r:.80} is no header's name"
        elif name.lower() in OWN_HEADERS:
            yield f"headers: {name!r} is set by the gateway; leave it out (keys go in api_key_env)"
        elif not HEADER_VALUE.fullmatch(value):
            yield f"headers.{name}: holds a line break or another character that no header may; leave it out"
    yield from _body(provider)
    for name in _repeated(name.lower() for name in provider.headers):
        yield f"headers: {name!r} stands twice; name each once"
    try:
        prices_of(provider)
    except GatewayConfigError as error:
        yield f"prices: {error}"


def _body(provider: Provider) -> Iterator[str]:
    for endpoint, fields in provider.body.items():
        if (endpoint == "messages") != (provider.shape == "anthropic"):
            yield f"body.{endpoint}: is no endpoint of shape {provider.shape!r}; leave it out"
        for name in sorted(OWN_FIELDS & fields.keys()):
            yield f"body.{endpoint}.{name}: is the client's to say; leave it out"
        try:
            size = len(json.dumps(fields, allow_nan=False))
        except (TypeError, ValueError):
            yield f"body.{endpoint}: holds what is no JSON, such as a date or infinity; give text or numbers"
            continue
        if size > MOST_BODY_BYTES:
            yield f"body.{endpoint}: has over {MOST_BODY_BYTES} bytes of JSON; set less"


def _base_url(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if not host or port == 0:
        yield "base_url: has no host or no port that can be; give http(s)://host[:port]/path"
    elif parts.username is not None or parts.password is not None:
        yield "base_url: holds a user or password, which would stand in logs; keys go in api_key_env"
    elif "?" in url or "#" in url:
        yield "base_url: holds a query or fragment; give the part up to /chat/completions or /messages"


def _dial(config: GatewayConfig) -> Iterator[str]:
    dial = config.dial
    if dial.quality is not None and dial.budget is not None:
        yield "dial: quality and budget exclude each other; give one"
    if dial.usd is None:
        idle = [key for key in ("per", "requests_per_day") if getattr(dial, key) is not None]
        for key in [*idle, *(["zone"] if dial.zone != "UTC" else [])]:
            yield f"dial.{key}: says nothing without dial.usd, the dollars to spend; give both or neither"
        return
    if dial.quality is not None or dial.budget is not None:
        yield "dial: usd paces a sum of dollars, quality and budget are shares; give one of them"
    if dial.per not in ("day", "month") and lot_of(dial.per) is None:
        yield f"dial.per: {dial.per!r} is no term; give day, month, or 100 requests or more, as 1000 requests"
    if zone_of(dial.zone) is None:
        yield (
            f"dial.zone: no time zone {dial.zone!r} here; give a name such as Europe/Berlin "
            "(a system without time zones: pip install tzdata), or UTC"
        )


def _times(config: GatewayConfig) -> Iterator[str]:
    if config.retry.most_seconds < config.retry.base_seconds:
        yield "retry.most_seconds: less than base_seconds; give at least that"
    if config.breaker.failures > config.breaker.window:
        yield "breaker.failures: more than the window holds; give at most breaker.window"


def _reserved(config: GatewayConfig) -> Iterator[str]:
    names, reserved = {tier.name for tier in config.tiers}, config.capacity.reserved
    for name in sorted(set(reserved) - names):
        yield f"capacity.reserved: there is no tier {name!r}; the tiers are {', '.join(sorted(names))}"
    needed = sum(reserved.values()) + bool(names - set(reserved))
    if needed > config.capacity.concurrency:
        yield (
            f"capacity.reserved: {sum(reserved.values())} of concurrency {config.capacity.concurrency} leave "
            f"no room for every tier; reserve less, or give concurrency at least {needed}"
        )


def _keys(config: GatewayConfig) -> Iterator[str]:
    for name in _repeated(key.name for key in config.keys):
        yield f"keys: the name {name!r} stands twice; name each key once"
    for digest in _repeated(key.sha256 for key in config.keys):
        both = ", ".join(key.name for key in config.keys if key.sha256 == digest)
        yield f"keys: {both} are one key; make another with `router-model key`"


def _budgets(config: GatewayConfig) -> Iterator[str]:
    keys, tenants = {key.name for key in config.keys}, {key.tenant for key in config.keys} or {"default"}
    for place, budget in enumerate(config.budgets):
        if (budget.tenant is None) == (budget.key is None):
            yield f"budgets[{place}]: give tenant or key, one of both"
        elif budget.key is not None and budget.key not in keys:
            yield f"budgets[{place}].key: there is no key {budget.key!r} under keys; add it or name another"
        elif budget.tenant is not None and budget.tenant not in tenants:
            yield f"budgets[{place}].tenant: no key has the tenant {budget.tenant!r}; add one or name another"
    whose = [f"{b.period} of {'tenant' if b.tenant else 'key'} {b.tenant or b.key}" for b in config.budgets]
    for twice in _repeated(whose):
        yield f"budgets: the {twice} stands twice; give one budget"


def _shared(config: GatewayConfig) -> Iterator[str]:
    if config.redis_url_env is not None:
        return
    if config.cache.exact is not None and config.cache.exact.shared:
        yield "cache.exact.shared: needs a Redis; name the variable of its URL in redis_url_env"
    sessions = config.sessions
    if sessions is not None and sessions.secret_env is None and config.listen.workers > 1:
        yield (
            f"sessions: {config.listen.workers} workers share conversations by a Redis or a secret; "
            "name the variable of one in redis_url_env or sessions.secret_env"
        )
    if config.budgets and config.listen.workers > 1:
        yield (
            f"budgets: {config.listen.workers} workers can keep one budget only by a Redis; "
            "name the variable of its URL in redis_url_env, or give listen.workers: 1"
        )


def _places(config: GatewayConfig) -> Iterator[str]:
    if not _is_path(config.router):
        yield "router: give an artifact's path, or 'default'"
    if config.traffic is not None and not _is_path(config.traffic.folder):
        yield "traffic.folder: give a folder's path"
    for origin in config.listen.origins:
        if not ORIGIN.fullmatch(origin):
            yield f"listen.origins: {origin!r:.80} is no origin; give scheme://host[:port], no path, or *"


def _is_path(text: str) -> bool:
    return text.isprintable() and text != ""  # a half of a surrogate pair is not printable

"""What a provider asks for tokens: from the file, or from the `genai-prices` package."""

from dataclasses import dataclass
from typing import Any

from router_model.errors import GatewayConfigError
from router_model.serving.gateway.config.provider import Provider
from router_model.serving.gateway.usage import Usage

MILLIONTH = 1e-6


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens.

    Attributes:
        input, output: of plain input tokens and of all output tokens.
        cached, written: of input tokens read from and written to the provider's prompt cache.
        longer: input tokens from which on a request has other prices, and these, ascending.
    """

    input: float
    output: float
    cached: float
    written: float
    longer: tuple[tuple[int, "Prices"], ...] = ()

    def cost_usd(self, usage: Usage) -> float:
        """US dollars for one call.

        Tokens that were cached or written count at their own price only; reasoning ones are output.
        """
        prices = self
        for start, others in self.longer:
            if usage.input > start:
                prices = others
        plain = max(0, usage.input - usage.cached - usage.written)
        return MILLIONTH * (
            plain * prices.input
            + usage.cached * prices.cached
            + usage.written * prices.written
            + usage.output * prices.output
        )


def prices_of(provider: Provider) -> Prices:
    """The prices of a provider: those of the file, else of ``prices``, else of its URL and model.

    ``prices`` is a model's name as `genai-prices` knows it, alone ("gpt-4o-mini") or after its provider
    ("openai/gpt-4o-mini"). Where the file says nothing, the URL has to be one that `genai-prices` knows: a
    model's name alone does not tell what a server of one's own costs.

    Raises:
        GatewayConfigError: one of the two main prices is missing, both ways are used, or nothing is found.
    """
    named = provider.input_usd_per_million, provider.output_usd_per_million
    cached, written = provider.cached_input_usd_per_million, provider.written_input_usd_per_million
    if any(price is not None for price in (*named, cached, written)):
        if provider.prices is not None:
            raise GatewayConfigError("give 'prices' or prices in US dollars, not both")
        if named[0] is None or named[1] is None:
            raise GatewayConfigError("give both input_usd_per_million and output_usd_per_million")
        plain = named[0]
        return Prices(
            plain, named[1], plain if cached is None else cached, plain if written is None else written
        )
    return _looked_up(provider)


def _looked_up(provider: Provider) -> Prices:
    import genai_prices  # a third of a second, for those who look up

    name = provider.prices or provider.model
    owner, _, rest = name.partition("/")
    ways: list[tuple[str, dict[str, Any]]] = [(name, {"provider_api_url": provider.base_url})]
    if provider.prices:
        ways = [(name, {}), (rest, {"provider_id": owner})]
    for model, where in ways:
        try:
            return _prices(genai_prices.calc_price(genai_prices.Usage(), model, **where).model_price)
        except (LookupError, ValueError):
            continue
    known = f"'prices: {name}' is" if provider.prices else f"model {name!r} at this base_url is"
    raise GatewayConfigError(
        f"{known} not known to genai-prices; give input_usd_per_million and output_usd_per_million"
    )


def _prices(found: Any) -> Prices:
    """Of a model's prices in `genai-prices`, which may rise with the length of the input."""
    keys = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
    told = [getattr(found, key) for key in keys]
    if told[0] is None:
        raise LookupError("no price of input tokens")
    starts = sorted({tier.start for price in told for tier in getattr(price, "tiers", ())})

    def at(length: int) -> list[float | None]:
        return [None if price is None else float(_at(price, length)) for price in told]

    longer = tuple((start, _whole(*at(start + 1))) for start in starts)
    base = _whole(*at(0))
    return Prices(base.input, base.output, base.cached, base.written, longer)


def _at(price: Any, length: int) -> Any:
    value = getattr(price, "base", price)
    for tier in getattr(price, "tiers", ()):
        if length > tier.start:
            value = tier.price
    return value


def _whole(plain: float | None, output: float | None, cached: float | None, written: float | None) -> Prices:
    plain = plain or 0.0
    return Prices(
        plain, output or 0.0, plain if cached is None else cached, plain if written is None else written
    )

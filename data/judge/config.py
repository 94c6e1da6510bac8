"""What a run of the judge is told."""

import math
from dataclasses import dataclass
from urllib.parse import urlsplit

from router_model.errors import ConfigError


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """Settings of ``judge``, checked once.

    Attributes:
        model: name of the judge, as its endpoint knows it.
        base_url: of an endpoint that speaks OpenAI's chat completions, such as https://api.openai.com/v1.
        key_env: environment variable that holds the key; where it is unset, no key is sent.
        pairs: compare the two answers of a record, instead of scoring each answer alone.
        max_usd: US dollars that all runs of one output may spend; None sets no bound.
        input_usd_per_million: the judge's price of input tokens; both prices or neither.
        output_usd_per_million: the judge's price of output tokens.
        max_tokens: longest reply, in tokens.
        reasoning: the judge reasons first: it takes ``max_completion_tokens`` and no temperature.
        concurrency: calls in flight at most.
        timeout_seconds: of one call, from its start to the last byte of the reply.
        retries: further tries of a call that was not answered.
        backoff_seconds: the wait before the first of them is at most this long, and doubles.
        sample: share of the records that is judged, chosen by a hash of the id.
        seed: of that choice.
        max_characters: longest material of one call; longer records are left out.

    Raises:
        ConfigError: a setting is out of its range.
    """

    model: str
    base_url: str
    key_env: str = "OPENAI_API_KEY"
    pairs: bool = False
    max_usd: float | None = None
    input_usd_per_million: float | None = None
    output_usd_per_million: float | None = None
    max_tokens: int = 512
    reasoning: bool = False
    concurrency: int = 8
    timeout_seconds: float = 60.0
    retries: int = 5
    backoff_seconds: float = 0.5
    sample: float = 1.0
    seed: int = 0
    max_characters: int = 200_000

    def __post_init__(self) -> None:
        if not self.model or not self.model.isprintable():
            raise ConfigError(f"model is {self.model!r:.80}; give the judge's name as its endpoint knows it")
        _check_url(self.base_url)
        for name, low, high in (
            ("max_usd", 0, 1e9), ("input_usd_per_million", 0, 1e9), ("output_usd_per_million", 0, 1e9),
            ("max_tokens", 1, 1 << 20), ("concurrency", 1, 1024), ("timeout_seconds", 1e-3, 3600),
            ("retries", 0, 100), ("backoff_seconds", 0, 60), ("sample", 0, 1), ("max_characters", 1, 1 << 24),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise ConfigError(f"{name} is {value!r}; give a number from {low:g} to {high:g}")
        if (self.input_usd_per_million is None) != (self.output_usd_per_million is None):
            raise ConfigError("one price alone; give both input_usd_per_million and output_usd_per_million")
        if self.max_usd is not None and not self.priced:
            raise ConfigError(
                "max_usd needs prices; give input_usd_per_million and output_usd_per_million of the judge"
            )

    @property
    def priced(self) -> bool:
        """Whether the judge's prices are known."""
        return self.input_usd_per_million is not None

    def cost_usd(self, input_tokens: float, output_tokens: float) -> float:
        """US dollars for one call of so many tokens; 0 where the prices are not known."""
        usd = input_tokens * (self.input_usd_per_million or 0.0)
        return (usd + output_tokens * (self.output_usd_per_million or 0.0)) * 1e-6


def _check_url(url: str) -> None:
    """A URL may hold a password, so no message quotes it."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable()
        _ = parts.port  # raises for one that is no number
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError("base_url is no address; give one such as https://api.openai.com/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError("base_url holds a name, password, query or fragment; put the key into key_env")

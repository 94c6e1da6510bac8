"""What was asked, what it cost, and what it would have cost without a router: sums over entries.

What was saved is an estimate. The strongest tier's cheapest provider is taken to have read and written the
same tokens at its own prices, and nobody knows how long its answers would have been.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from router_model.serving.gateway.call import Endpoint
from router_model.serving.gateway.keys import Caller
from router_model.serving.gateway.usage import Usage
from router_model.serving.gateway.waste import Waste

Cached = Literal["exact", "semantic"]

MOST_ROWS = 10_000  # more go to the row of the others
OTHERS, NOBODY = "(others)", "(none)"
TABLES = ("tier", "tenant", "key", "provider")
NOTE = (
    "saved_usd is an estimate: the strongest tier's cheapest provider is taken to read and write the same "
    "tokens. Only answers that the router chose count; answers from the cache and failures claim nothing, "
    "and calls that were paid and thrown away are taken off."
)


class Entry(Struct, frozen=True, gc=False):
    """One request that was answered or failed.

    Attributes:
        request_id: unique.
        time: seconds since 1970 at its beginning.
        caller: whose it is.
        endpoint: that it came to.
        tier, provider, model: who answered, the model by the provider's own name; "" where nobody did.
        status: of HTTP, as the client got it; 502 where the answer broke, 499 where the client left.
        usage: tokens of the answer.
        cost_usd: paid for the answer; 0 from the cache.
        strongest_usd: what the strongest tier's cheapest provider would have asked for the same tokens; None
            where the router did not decide.
        cached: which cache answered.
        spared_usd: what an answer of the cache cost when it was made.
        wasted: calls whose answer was thrown away: attempts that broke or took too long, losers of a hedge.
        attempts: calls to upstreams.
        escalated: whether a stronger tier than the decided one answered, because that one failed.
        explored: whether the tier was drawn at random.
        propensity: of the tier, under the router and the exploration; None where the choice was not theirs.
        stream: whether the answer was one.
        seconds: until the last byte had gone.
        first_byte_seconds: until the first came.
        asked: the word that the client sent as ``model``.
        session: the conversation, where the client names one.
    """

    request_id: str
    time: float
    caller: Caller
    endpoint: Endpoint
    tier: str
    provider: str
    model: str
    status: int
    usage: Usage
    cost_usd: float
    strongest_usd: float | None = None
    cached: Cached | None = None
    spared_usd: float = 0.0
    wasted: tuple[Waste, ...] = ()
    attempts: int = 1
    escalated: bool = False
    explored: bool = False
    propensity: float | None = None
    stream: bool = False
    seconds: float = 0.0
    first_byte_seconds: float = 0.0
    asked: str = "auto"
    session: str | None = None

    @property
    def failed(self) -> bool:
        """Whether the client got no answer."""
        return self.status >= 400

    @property
    def wasted_usd(self) -> float:
        """Paid for calls whose answer was thrown away."""
        return sum((waste.usd for waste in self.wasted), 0.0)

    @property
    def saved_usd(self) -> float:
        """Saved by the router's choice; below 0 where it cost more than the strongest tier alone.

        A cache in front of the strongest tier would have held the same answers, so that one of the cache
        claims nothing here.
        """
        if self.failed or self.cached or self.strongest_usd is None:
            return -self.wasted_usd
        return self.strongest_usd - self.cost_usd - self.wasted_usd


class Total(Struct):
    """Sums over entries; tokens, and US dollars where the name says so.

    ``paid_usd`` holds ``wasted_usd``, and that ``wasted_estimated_usd``, of which the providers told nothing;
    ``spared_by_cache_usd`` is not within ``saved_usd``.
    """

    requests: int = 0
    failed: int = 0
    cached: int = 0
    escalated: int = 0
    explored: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    paid_usd: float = 0.0
    wasted_usd: float = 0.0
    wasted_estimated_usd: float = 0.0
    saved_usd: float = 0.0
    spared_by_cache_usd: float = 0.0

    def add(self, entry: Entry) -> None:
        """Count an entry, but for what was wasted, which ``throw_away`` counts where it came about."""
        self.requests += 1
        self.failed += entry.failed
        self.cached += entry.cached is not None
        self.escalated += entry.escalated
        self.explored += entry.explored
        if entry.cached is None:  # nobody counted tokens for an answer that was kept
            usage = entry.usage
            self.input_tokens += usage.input
            self.cached_tokens += usage.cached
            self.written_tokens += usage.written
            self.output_tokens += usage.output
            self.reasoning_tokens += usage.reasoning
        self.paid_usd += entry.cost_usd
        self.saved_usd += entry.saved_usd + entry.wasted_usd
        self.spared_by_cache_usd += entry.spared_usd

    def throw_away(self, waste: Waste) -> None:
        """Count a call whose answer was thrown away."""
        self.paid_usd += waste.usd
        self.wasted_usd += waste.usd
        self.wasted_estimated_usd += waste.usd if waste.estimated else 0.0
        self.saved_usd -= waste.usd

    def join(self, other: "Total") -> None:
        """Add the sums of another."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


Place = tuple[str, str, str, str]  # names in the order of TABLES


class _Snapshot(Struct):
    started: float
    rows: list[tuple[Place, Total]]


class Accounts:
    """The sums of one worker since it started, by tier, tenant, key and provider.

    ``started`` is in seconds since 1970.
    """

    def __init__(self, started: float) -> None:
        self.started = started
        self._rows: dict[Place, Total] = {}

    def add(self, entry: Entry) -> None:
        """Count an entry."""
        tenant, key = entry.caller.tenant, entry.caller.name
        self._row((entry.tier, tenant, key, entry.provider)).add(entry)
        for waste in entry.wasted:
            self._row((waste.tier, tenant, key, waste.provider)).throw_away(waste)

    def _row(self, place: Place) -> Total:
        row = self._rows.get(place)
        if row is None:
            place = place if len(self._rows) < MOST_ROWS else (OTHERS,) * 4
            row = self._rows.setdefault(place, Total())
        return row

    def snapshot(self) -> dict[str, Any]:
        """What ``page`` of another worker takes: plain values, for JSON."""
        built: dict[str, Any] = msgspec.to_builtins(_Snapshot(self.started, list(self._rows.items())))
        return built

    def page(self, others: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """The answer of ``/v1/accounts``: the sums of this worker and of the snapshots of others.

        A snapshot that is none is left out.
        """
        started, total = self.started, Total()
        tables: dict[str, dict[str, Total]] = {table: {} for table in TABLES}
        for one in (self.snapshot(), *others):
            try:
                read = msgspec.convert(one, _Snapshot)
            except msgspec.ValidationError:
                continue
            started = min(started, read.started)
            for place, row in read.rows:
                total.join(row)
                for table, name in zip(tables.values(), place, strict=True):
                    table.setdefault(name or NOBODY, Total()).join(row)
        built: dict[str, Any] = msgspec.to_builtins(
            {
                "since": started,
                "total": total,
                **{f"by_{name}": table for name, table in tables.items()},
                "note": NOTE,
            }
        )
        return built

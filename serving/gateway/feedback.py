"""What clients tell afterwards of an answer: how good it was, by the id of its request."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from router_model.errors import RequestError
from router_model.serving.gateway.accounts import Entry
from router_model.serving.gateway.keys import Caller

REMEMBERED = 20_000  # requests, some 6 MB
MOST_PLACES = 10_000
WORDS = {"good": 1.0, "bad": 0.0}


class _Told(Struct, forbid_unknown_fields=True):
    request_id: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[\w.:-]+$")]
    outcome: Annotated[float, Meta(ge=0, le=1)] | Literal["good", "bad"]
    strongest_outcome: Annotated[float, Meta(ge=0, le=1)] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How good the answer to an earlier request was.

    Attributes:
        request_id: of that request.
        outcome: in [0, 1].
        tenant: who says so; it counts for requests of the same tenant only.
        time: seconds since 1970.
        tier: that answered; None where this worker does not remember the request.
        strongest_outcome: of the strongest tier's answer, where it was asked the same and judged.
    """

    request_id: str
    outcome: float
    tenant: str
    time: float
    tier: str | None
    strongest_outcome: float | None = None


class Feedback:
    """Reads outcomes, and knows the tenants of this worker's last requests.

    A request that another worker answered, or one of long ago, is not known here: its outcome is taken all
    the same, and counts where the tenant turns out to be the same when the log is joined.
    """

    def __init__(self, remembered: int = REMEMBERED, clock: Callable[[], float] = time.time) -> None:
        self._requests: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._places: dict[tuple[str, str], tuple[str, str]] = {}  # one object for all of a tenant and tier
        self._remembered, self._clock = remembered, clock

    def remember(self, entry: Entry) -> None:
        """Know a request that was answered."""
        place = (entry.caller.tenant, entry.tier)
        if len(self._places) < MOST_PLACES:
            place = self._places.setdefault(place, place)
        self._requests[entry.request_id] = place
        if len(self._requests) > self._remembered:
            self._requests.popitem(last=False)

    def read(self, body: bytes, caller: Caller) -> Outcome:
        """The outcome in a body ``{"request_id": ..., "outcome": 0 to 1, "good" or "bad"}``.

        Raises:
            RequestError: 400, the body is not one; 404, the request is another tenant's.
        """
        try:
            told = msgspec.json.decode(body, type=_Told)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RequestError(
                400,
                "invalid_request_error",
                f"no feedback: {error}; send 'request_id' and an 'outcome' of 0 to 1, 'good' or 'bad'",
            ) from None
        tenant, tier = self._requests.get(told.request_id, (caller.tenant, None))
        if tenant != caller.tenant:
            raise RequestError(404, "not_found_error", f"there is no request {told.request_id!r} of yours")
        outcome = WORDS[told.outcome] if isinstance(told.outcome, str) else float(told.outcome)
        return Outcome(told.request_id, outcome, caller.tenant, self._clock(), tier, told.strongest_outcome)

"""How many requests are still to come: what a day is usually like, and what today makes of it.

``Profile`` is a day as learnt from those before; ``Traffic`` is today so far. Both are values: what happened
comes in as arguments, times as seconds since 1970, counts as requests of all workers together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import exp, floor, isfinite, sqrt

from router_model.policy.shape import guess

DAY_SECONDS = 86_400.0
SLOTS = 48  # of a day: half an hour each, so that a burst of minutes does not shape tomorrow
SLOT_SECONDS = DAY_SECONDS / SLOTS
MOST_REQUESTS = 1e15  # of a slot
RECENT_SECONDS = 1_800.0  # that "now" is taken over, and that it tells of
PRIOR_SHARE = 0.03  # of a day's requests: what the days before weigh against today's count
RECENT_PRIOR = 0.1  # of the requests of ``RECENT_SECONDS``: what today weighs against the last half-hour
LEAST_WEIGHT = 0.3  # of the newest day in the profile
NEAR = 2  # slots on either side, within which a burst is told from a busy hour
BURST = 1.5  # times as busy as the half-hour before: more tells nothing of the evening, nor of tomorrow
LATE = 0.1  # of a slot: one that was counted from so late on counts as whole


@dataclass(frozen=True, slots=True)
class Profile:
    """Requests that a usual day brings, by half-hours from midnight on.

    Attributes:
        requests: in each slot, at least 0 [SLOTS]; empty where nothing is known of any day.
        days: that it was learnt from; 0 where it is what somebody expects of the first.

    Raises:
        ValueError: no such counts.
    """

    requests: tuple[float, ...] = ()
    days: int = 0

    def __post_init__(self) -> None:
        counts = self.requests
        if len(counts) not in (0, SLOTS) or not all(0 <= c <= MOST_REQUESTS and isfinite(c) for c in counts):
            raise ValueError(f"a profile has {SLOTS} counts of at least 0, or none")

    @classmethod
    def even(cls, requests: float) -> "Profile":
        """A first day that is expected to bring so many, nobody knows when."""
        return cls((requests / SLOTS,) * SLOTS)

    @property
    def day(self) -> float:
        """Requests of a day; 0 where nothing is known."""
        return sum(self.requests)

    def after(self, counts: Sequence[float | None]) -> "Profile":
        """The profile once a day of ``counts`` [SLOTS] is over; None where nobody counted."""
        seen = [count for count in counts if count is not None]
        if not seen:
            return self
        usual = self.requests if self.days else (sum(seen) / len(seen),) * SLOTS
        weight = max(LEAST_WEIGHT, 1 / (self.days + 1))
        pairs = zip(usual, _smooth(counts), strict=True)
        return Profile(
            tuple(old if new is None else old + weight * (new - old) for old, new in pairs), self.days + 1
        )


@dataclass(frozen=True, slots=True)
class Traffic:
    """Today so far, and what it says of the hours to come.

    Attributes:
        profile: of a usual day.
        midnight: when today began, where the profile's days do.
        since: when counting began: midnight, or later where nobody counted before.
        at: until when it was counted.
        requests: counted by then, as ``moved`` was told.
        counts: of each slot of today but for bursts [SLOTS]; None where nobody counted.
        usual: what today was expected to be like, cumulative [SLOTS]; on the first day a guess.
        seen, expected: requests since ``since`` but for bursts, and as many as ``usual`` has there.
        lately, lately_expected: the same of the last half-hour, the newest counting most.
        crowd: ``lately`` with its bursts.
    """

    profile: Profile
    midnight: float
    since: float
    at: float
    requests: float
    counts: tuple[float | None, ...]
    usual: tuple[float, ...]
    seen: float = 0.0
    expected: float = 0.0
    lately: float = 0.0
    lately_expected: float = 0.0
    crowd: float = 0.0

    @classmethod
    def begun(cls, profile: Profile, midnight: float, at: float, requests: float = 0.0) -> "Traffic":
        """Counting begins at ``at``, on the day that began at ``midnight``."""
        nothing: tuple[None, ...] = (None,) * SLOTS
        usual = profile.requests if profile.days and profile.day else guess(nothing, profile.day)
        return cls(profile, midnight, at, at, requests, nothing, tuple(accumulate(usual)))

    def moved(self, at: float, requests: float) -> "Traffic":
        """``requests`` have been counted by ``at``; what came since the last call counts as of now.

        Over half an hour without a call nobody counted, and its slots teach nothing.
        """
        if at <= self.at:
            return self
        if at >= self.midnight + DAY_SECONDS:
            days = floor((at - self.midnight) / DAY_SECONDS)
            return self.turned(self.midnight + days * DAY_SECONDS).moved(at, requests)
        if at - self.at > SLOT_SECONDS:
            return replace(Traffic.begun(self.profile, self.midnight, at, requests), counts=self._whole())
        came = max(0.0, requests - self.requests)
        slot = min(SLOTS - 1, int((at - self.midnight) / SLOT_SECONDS))
        before = self
        if not self.profile.days and slot > int((self.at - self.midnight) / SLOT_SECONDS):
            before = self._guessed()
        usual = before.between(self.at, at)
        steady = before._steady(came, usual)
        fade = exp((self.at - at) / RECENT_SECONDS)
        return replace(
            before,
            at=at,
            requests=requests,
            counts=(*self.counts[:slot], (self.counts[slot] or 0.0) + steady, *self.counts[slot + 1 :]),
            seen=self.seen + steady,
            expected=before.expected + usual,
            lately=self.lately * fade + steady,
            crowd=self.crowd * fade + came,
            lately_expected=before.lately_expected * fade + usual,
        )

    def turned(self, midnight: float) -> "Traffic":
        """The day that begins at ``midnight``, with what this one taught; the same where it is this one."""
        if midnight <= self.midnight:
            return self
        profile = self.profile.after(self._whole())
        since = midnight if self.at >= midnight - SLOT_SECONDS else max(self.at, midnight)
        return Traffic.begun(profile, midnight, since, self.requests)

    @property
    def busier(self) -> float:
        """How many times as busy as usual today is; 0 where nothing is known yet."""
        prior = PRIOR_SHARE * self.usual[-1] if self.profile.day else 0.0
        known = self.expected + prior
        return (self.seen + prior) / known if known > 0 else 0.0

    @property
    def busier_lately(self) -> float:
        """The same of the last half-hour."""
        return self._times(self.lately)

    def _times(self, lately: float) -> float:
        weight = RECENT_PRIOR * RECENT_SECONDS / DAY_SECONDS * self.usual[-1]
        known = self.lately_expected + weight
        return (lately + self.busier * weight) / known if known > 0 else 0.0

    def remaining(self, end: float) -> float:
        """Requests expected until ``end``; 0 where nothing is known yet.

        The rest of today as busy as today was, the next half-hour as the last, for a burst tells little of
        the evening; and other days as usual.
        """
        today, now = self.busier, self.busier_lately
        tonight = min(end, self.midnight + DAY_SECONDS)
        soon = RECENT_SECONDS * (1 - exp(-max(0.0, end - self.at) / RECENT_SECONDS))
        later = 1.0 if self.profile.days else today
        return (
            today * self.between(self.at, tonight)
            + (now - today) * self.between(self.at, min(tonight, self.at + soon))
            + later * self.between(tonight, end)
        )

    def between(self, start: float, end: float) -> float:
        """Requests that a usual day has between two times, which may be days apart."""
        return max(0.0, self._until(end) - self._until(start))

    @property
    def slot(self) -> int:
        """Of today, that ``at`` is in."""
        return min(SLOTS - 1, max(0, int((self.at - self.midnight) / SLOT_SECONDS)))

    def slots(self, end: float) -> list[float]:
        """Requests that a usual day has in each slot until ``end``, later days' in the same ones [SLOTS]."""
        days = max(0.0, end - self.midnight - DAY_SECONDS) / DAY_SECONDS
        found, before = [], 0.0
        for slot, until in enumerate(self.usual):
            part = min(1.0, max(0.0, slot + 1 - (self.at - self.midnight) / SLOT_SECONDS))
            found.append((until - before) * (part + days))
            before = until
        return found

    def _until(self, at: float) -> float:
        days = (at - self.midnight) / DAY_SECONDS
        whole = floor(days)
        slots = (days - whole) * SLOTS
        slot = min(SLOTS - 1, int(slots))
        before = self.usual[slot - 1] if slot else 0.0
        return whole * self.usual[-1] + before + (slots - slot) * (self.usual[slot] - before)

    def _steady(self, came: float, usual: float) -> float:
        """Requests but for a burst: those that came, or as many as came lately, where it was one.

        A crowd that stays is a burst for some half an hour at most, since what came lately grows with it.
        """
        if not self.expected:
            return came
        most = BURST * usual * self._times(self.crowd)
        return came if came <= most + 3 * sqrt(most) + 3 else usual * self.busier_lately

    def _guessed(self) -> "Traffic":
        """With another guess at today, now that another half-hour was counted."""
        usual = tuple(accumulate(guess(self._whole(), self.profile.day)))
        guessed = replace(self, usual=usual)
        expected = guessed.between(self.since, self.at)
        lately = self.lately_expected * expected / self.expected if self.expected else 0.0
        return replace(guessed, expected=expected, lately_expected=lately)

    def _whole(self) -> tuple[float | None, ...]:
        """The counts of slots that were counted from their start."""
        first = (self.since - self.midnight) / SLOT_SECONDS - LATE
        return tuple(count if slot >= first else None for slot, count in enumerate(self.counts))


def _smooth(counts: Sequence[float | None]) -> list[float | None]:
    """Each slot's count as the median of it and its neighbours, so that a burst is not expected tomorrow.

    Midnight's neighbours are on both sides of it.
    """
    smooth: list[float | None] = []
    for slot, count in enumerate(counts):
        around = (counts[(slot + near) % len(counts)] for near in range(-NEAR, NEAR + 1))
        near = sorted(c for c in around if c is not None)
        smooth.append(count if count is None else near[(len(near) - 1) // 2])
    return smooth

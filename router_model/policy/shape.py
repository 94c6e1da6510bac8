"""What a day may be like of which only the first hours were seen.

People ask more at some hours than at others, and before a day has been seen nobody knows at which. So the
day is taken to be one of a family, even or a wave of some height that peaks at some hour, each as likely as
the others until the half-hours that were counted speak for some of them.
"""

from collections.abc import Sequence
from math import cos, exp, log, pi

HEIGHTS = (0.5, 1.0, 1.5)  # of the wave, in the log: at 1.0 the peak is 7 times the trough
PEAKS = 12  # hours of the day at which it may peak
EVEN = 4.0  # weight of the even day, in waves
NOISE = 0.5  # standard deviation of a slot's log count about the shape: bursts and quiet half-hours
MOST_NOISE = 2.0  # standard deviations: a slot that is further off says no more than one that is so far
TOLD = 0.25  # standard deviation of the log of a day's requests, where somebody said how many to expect


def guess(counts: Sequence[float | None], requests: float = 0.0) -> tuple[float, ...]:
    """Requests expected in each slot of a day [S], given those of the slots that were counted.

    Logs are averaged over the family: a mean of the counts would be that of the few shapes that expect most.
    ``requests`` is how many the day is expected to bring in all; less than 1 where nobody knows.
    """
    slots = len(counts)
    requests = requests if requests >= 1 else 0.0  # of less than one nothing follows
    seen = [(slot, log(count + 0.5)) for slot, count in enumerate(counts) if count is not None]
    if not seen:
        return ((requests or 1.0) / slots,) * slots
    found = []
    for weight, shape in _family(slots):
        apart = sorted(height - log(shape[slot]) for slot, height in seen)
        scale = apart[len(apart) // 2]  # the median, which bursts do not move
        off = sum(min(abs(one - scale) / NOISE, MOST_NOISE) ** 2 for one in apart)
        likely = -(((scale + log(slots / requests)) / TOLD) ** 2) / 2 if requests else 0.0
        found.append((log(weight) + likely - off / 2, scale, shape))
    best = max(found)[0]  # weights are over the best one's, so that they do not all vanish
    weights = [(exp(log_weight - best), scale, shape) for log_weight, scale, shape in found]
    whole = sum(weight for weight, _, _ in weights)
    return tuple(
        exp(sum(weight * (scale + log(shape[slot])) for weight, scale, shape in weights) / whole)
        for slot in range(slots)
    )


def _family(slots: int) -> list[tuple[float, list[float]]]:
    """Shapes whose mean is 1, and their weights."""
    waves = []
    for height in HEIGHTS:
        for peak in range(PEAKS):
            logs = [height * cos(2 * pi * ((slot + 0.5) / slots - peak / PEAKS)) for slot in range(slots)]
            mean = sum(map(exp, logs)) / slots
            waves.append((1.0, [exp(one) / mean for one in logs]))
    return [(EVEN, [1.0] * slots), *waves]

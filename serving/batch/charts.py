"""Bars and columns of a page, drawn with HTML and inline SVG in the colours of its style."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from router_model.markup import Html, escaped

MAX_COLUMNS = 36  # of the chart over time: more are not told apart on a telephone
GAP = 1.0  # widths of a bar between the groups


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar among others of one scale.

    Attributes:
        name: what it stands for.
        parts: its segments, as style class and value, at least 0.
        said: the value in words.
    """

    name: str
    parts: Sequence[tuple[str, float]]
    said: str


def bars(of: Sequence[Bar]) -> Html:
    """Bars below each other, the longest across the whole width."""
    longest = max((sum(value for _, value in bar.parts) for bar in of), default=0.0)
    drawn = []
    for bar in of:
        track = "".join(_segment(kind, value / longest if longest else 0.0) for kind, value in bar.parts)
        drawn.append(
            f'<div class="bar"><span>{escaped(bar.name)}</span><span class="track">{track}</span>'
            f"<b>{escaped(bar.said)}</b></div>"
        )
    return Html(f'<div class="bars">{"".join(drawn)}</div>')


def stack(parts: Sequence[tuple[str, float]]) -> Html:
    """Shares of one whole side by side, as name and share."""
    said = ", ".join(f"{name} {share:.1%}" for name, share in parts)
    drawn = "".join(_segment(f"tier t{shade(k, len(parts))}", share) for k, (_, share) in enumerate(parts))
    return Html(f'<span class="track" title="{escaped(said)}">{drawn}</span>')


def shade(tier: int, tiers: int) -> int:
    """Of 0 to 4, from pale for the cheapest tier to full for the strongest."""
    return round(4 * tier / max(1, tiers - 1))


def swatch(kind: str) -> Html:
    """A sample of a colour."""
    return Html(f'<i class="swatch {kind}"></i>')


def _segment(kind: str, share: float) -> str:
    return f'<i class="{kind}" style="width:{100 * share:.2f}%"></i>' if share > 0 else ""


def over_time(series: Mapping[str, Sequence[float]], at: Sequence[str], said: Callable[[float], str]) -> Html:
    """Groups of columns over time.

    Args:
        series: values of at least 0 by style class, one for each of ``at``.
        at: what the groups stand for, in order.
        said: a value in words.
    """
    highest = max((value for values in series.values() for value in values), default=0.0) or 1.0
    step = len(series) + GAP
    drawn = []
    for n, name in enumerate(at):
        for k, (kind, values) in enumerate(series.items()):
            height = 100 * values[n] / highest
            title = f"{name}, {kind}: {said(values[n])} USD"
            drawn.append(
                f'<rect class="{kind}" x="{n * step + k:.4g}" y="{100 - height:.2f}" width="1" '
                f'height="{height:.2f}"><title>{escaped(title)}</title></rect>'
            )
    lines = "".join(f'<line x1="0" x2="{len(at) * step:.4g}" y1="{y}" y2="{y}"/>' for y in (0, 50, 100))
    plot = (
        f'<svg viewBox="0 0 {len(at) * step:.4g} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="Cost over time">{lines}{"".join(drawn)}</svg>'
    )
    scale = "".join(f"<span>{escaped(said(share * highest))}</span>" for share in (1.0, 0.5, 0.0))
    shown = dict.fromkeys((at[0], at[len(at) // 2], at[-1])) if at else {}
    axis = "".join(f"<span>{escaped(name)}</span>" for name in shown)
    return Html(
        f'<div class="chart"><div class="scale">{scale}</div><div class="plot">{plot}</div>'
        f'<div class="axis">{axis}</div></div>'
    )


def periods(days: Sequence[str]) -> tuple[str, Callable[[str], str]]:
    """The shortest of "day", "week", "month" and "year" that makes few enough columns, and the one of a day.

    Args:
        days: ISO dates.
    """
    kinds: dict[str, Callable[[str], str]] = {
        "day": lambda day: day,
        "week": _week,
        "month": lambda day: day[:7],
        "year": lambda day: day[:4],
    }
    few = (name for name, period in kinds.items() if len(set(map(period, days))) <= MAX_COLUMNS)
    name = next(few, "year")
    return name, kinds[name]


def _week(day: str) -> str:
    """The Monday before, if the calendar holds it."""
    at = date.fromisoformat(day)
    return (at - timedelta(days=min(at.weekday(), at.toordinal() - 1))).isoformat()

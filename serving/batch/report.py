"""The page that labelling leaves behind: one self-contained HTML file."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from router_model.files import make_report_folder, replace_file
from router_model.markup import Html, escaped, facts, paragraphs, short, table
from router_model.serving.batch.charts import (
    MAX_COLUMNS,
    Bar,
    bars,
    over_time,
    periods,
    shade,
    stack,
    swatch,
)
from router_model.serving.batch.counts import DAY, GROUPED_BY, MAX_VALUES
from router_model.serving.batch.summary import Labelled, dollars, saved, wrongs
from router_model.serving.batch.totals import Grouped, Totals, add

TOP = 30  # groups of a table
MISSING = "no value"
HONEST = (
    "Expected costs are estimates: by the input tokens that rows tell or else the length of each text, the "
    "length of answers that training expects, and the ladder's prices. Expected quality is what the router "
    "itself estimates, the mean probability that the chosen tier is sufficient. Neither was measured on "
    "these rows."
)
LEGEND = {"now": "paid now", "routed": "routed", "strongest": "all to {}"}


def write_report(labelled: Labelled, folder: str | Path) -> Path:
    """Write ``index.html`` into ``folder``, which is made where it is missing.

    Raises:
        FileError: the folder cannot be written.
    """
    folder = Path(folder)
    make_report_folder(folder)
    template = Template(files("router_model.serving.batch").joinpath("report.html").read_text("utf-8"))
    path = folder / "index.html"
    replace_file(path, template.substitute(_parts(labelled)).encode())
    return path


def _parts(labelled: Labelled) -> dict[str, str]:
    """Each part of the page by its name in the template."""
    counts = labelled.counts
    totals, names = counts.whole, counts.names
    headline, reason = _verdict(totals, names)
    grouped = {column: counts.grouped(column) for column in counts.grouping}
    return {
        "headline": escaped(headline),
        "reason": escaped(reason),
        "honest": escaped(HONEST),
        "summary": facts(_summary(labelled)),
        "costs": _costs(totals, names),
        "tiers": _tiers(totals, names),
        "time": _time(grouped[DAY], totals, names),
        "groups": "".join(
            f"<h2>By {escaped(short(column))}</h2>{_groups(column, groups, totals, names)}"
            for column, groups in grouped.items()
            if column != DAY and (groups.values or column not in GROUPED_BY)
        ),
        "wrongs": _wrongs(labelled),
    }


def _verdict(totals: Totals, names: Sequence[str]) -> tuple[str, str]:
    rows, routed, strongest = totals.rows, totals.routed_usd, totals.strongest_usd
    if not rows:
        return "No row was labelled.", "There is nothing to count."
    return (
        f"Routed, these {rows:,} rows are expected to cost {dollars(routed)} USD, "
        f"{saved(routed, strongest):.1%} less than the {dollars(strongest)} USD of {names[-1]} for all.",
        f"The router expects the chosen tiers to suffice for {totals.quality / rows:.1%} of the rows, "
        f"and {names[-1]} for {totals.strongest_quality / rows:.1%}.",
    )


def _summary(labelled: Labelled) -> dict[str, str]:
    before = f", {labelled.resumed_rows:,} of them by an earlier run" if labelled.resumed_rows else ""
    return {
        "labelled": f"{labelled.rows:,} rows{before}; {labelled.bad_rows:,} refused",
        "output": labelled.out,
        "router": labelled.router,
        "dial": labelled.dial,
        "this run": f"{labelled.seconds:,.1f} s, {labelled.rows_per_second:,.0f} rows a second",
    }


def _costs(totals: Totals, names: Sequence[str]) -> str:
    paid, strongest = totals.paid, LEGEND["strongest"].format(names[-1])
    everything = bars(
        [
            Bar("routed", [("routed", totals.routed_usd)], f"{dollars(totals.routed_usd)} USD"),
            Bar(strongest, [("strongest", totals.strongest_usd)], f"{dollars(totals.strongest_usd)} USD"),
        ]
    )
    if not paid.rows:
        said = "The log tells neither cost_usd nor a model of the ladder, so what is paid now is not known."
        return everything + paragraphs([said])
    logged, estimated = totals.logged, totals.estimated
    compared = bars(
        [
            Bar("paid now", [("now", logged.usd), ("estimated", estimated.usd)], f"{dollars(paid.usd)} USD"),
            Bar("routed", [("routed", paid.routed_usd)], f"{dollars(paid.routed_usd)} USD"),
            Bar(strongest, [("strongest", paid.strongest_usd)], f"{dollars(paid.strongest_usd)} USD"),
        ]
    )
    if paid.rows == totals.rows:
        return compared + paragraphs(_of_paid(totals))
    head = f"<h3>The {paid.rows:,} rows whose cost now is known ({paid.rows / totals.rows:.1%})</h3>"
    return f"{head}{compared}{paragraphs(_of_paid(totals))}<h3>All rows</h3>{everything}"


def _of_paid(totals: Totals) -> list[str]:
    """Where the figure of what is paid now comes from, and what to think of it."""
    logged, estimated, paid = totals.logged, totals.estimated, totals.paid
    change = saved(paid.routed_usd, paid.usd)
    texts = [
        f"Against what is paid now, routing is expected to cost {abs(change):.1%} "
        f"{'less' if change >= 0 else 'more'} over the same rows."
    ]
    if logged.rows:
        texts.append(f"Paid by the log: {dollars(logged.usd)} USD for {logged.rows:,} rows.")
    if estimated.rows:
        texts.append(
            f"Estimated, hatched: {dollars(estimated.usd)} USD for {estimated.rows:,} rows whose cost the "
            "log does not tell, by the ladder's price of the model that it names."
        )
    if totals.both_rows and totals.both_estimated_usd > 0:
        times = totals.both_logged_usd / totals.both_estimated_usd
        texts.append(
            f"A check of the estimates: on {totals.both_rows:,} rows the log tells the cost and a model of "
            f"the ladder. It was {times:.2f} times what is estimated for that model. The further this is "
            "from 1, the less what was paid compares with what is expected."
        )
    elif logged.rows:
        texts.append(
            "The log's costs are of real answers and the expected ones are estimates; no row tells both a "
            "cost and a model of the ladder, so how far the two agree is not known."
        )
    return texts


def _tiers(totals: Totals, names: Sequence[str]) -> str:
    rows = max(1, totals.rows)
    longest = max(totals.tier_usd, default=0.0) or 1.0
    shown = [
        [
            Html(swatch(f"tier t{shade(k, len(names))}") + escaped(name)),
            f"{count:,}",
            f"{count / rows:.1%}",
            _track("tier", count / rows),
            dollars(usd),
            _track("routed", usd / longest),
        ]
        for k, (name, count, usd) in enumerate(zip(names, totals.tier_rows, totals.tier_usd, strict=True))
    ]
    return table(["tier", "rows", "share", "", "expected USD", ""], shown)


def _track(kind: str, share: float) -> Html:
    return Html(f'<span class="track"><i class="{kind}" style="width:{100 * share:.2f}%"></i></span>')


def _time(grouped: Grouped, totals: Totals, names: Sequence[str]) -> str:
    if not grouped.values:
        return paragraphs(["No row tells its time (timestamp)."])
    kind, period = periods(list(grouped.values))
    found: dict[str, list[Totals]] = defaultdict(list)
    for day, of in grouped.values.items():
        found[period(day)].append(of)
    sums = {at: add(found[at]) for at in sorted(found)[-MAX_COLUMNS:]}
    paid = totals.paid.rows
    series = _paid_series(sums) if paid else _routed_series(sums)
    said = [
        f"US dollars a {kind}, by the dates that the log writes, or else in UTC. A {kind} without rows is "
        "left out."
    ]
    if 0 < paid < totals.rows:
        said.append(f"Only the {paid:,} rows whose cost now is known ({paid / totals.rows:.1%}).")
    left = totals.rows - sum(of.rows for of in sums.values())
    if left:
        said.append(f"{left:,} rows are not shown: they tell no day, or are of other {kind}s than these.")
    legend = "".join(
        f"<span>{swatch(name)}{escaped(LEGEND[name].format(names[-1]))}</span>" for name in series
    )
    rows = [
        [at, f"{of.rows:,}", *(dollars(values[n]) for values in series.values())]
        for n, (at, of) in enumerate(sums.items())
    ]
    head = [kind, "rows", *(LEGEND[name].format(names[-1]) for name in series)]
    return (
        f'<figure><div class="legend">{legend}</div>{over_time(series, list(sums), dollars)}</figure>'
        f"{paragraphs(said)}"
        f"<details><summary>The figures</summary>{table(head, rows)}</details>"
    )


def _paid_series(sums: Mapping[str, Totals]) -> dict[str, list[float]]:
    return {
        "now": [of.paid.usd for of in sums.values()],
        "routed": [of.paid.routed_usd for of in sums.values()],
        "strongest": [of.paid.strongest_usd for of in sums.values()],
    }


def _routed_series(sums: Mapping[str, Totals]) -> dict[str, list[float]]:
    return {
        "routed": [of.routed_usd for of in sums.values()],
        "strongest": [of.strongest_usd for of in sums.values()],
    }


def _groups(column: str, grouped: Grouped, totals: Totals, names: Sequence[str]) -> str:
    values = list(grouped.values.items())
    rest = [of for _, of in values[TOP:]] + ([grouped.others] if grouped.others else [])
    shown = [(short(value), of) for value, of in values[:TOP]]
    if rest:
        count = f"{len(values) - TOP:,}" if grouped.others is None else f"more than {len(values) - TOP:,}"
        shown.append((f"{count} others", add(rest)))
    if grouped.missing:
        shown.append((MISSING, grouped.missing))
    most = max((of.rows for _, of in shown), default=1)
    paid = totals.paid.rows
    head = [column, "rows", "", "tiers, cheapest first", "routed USD", f"all to {names[-1]}", "saved"]
    if paid:
        head.append("paid now")
    if 0 < paid < totals.rows:
        head.append("routed, the same rows")
    cells = len(head) - 4
    rows = [
        [name, f"{of.rows:,}", _track("strongest", of.rows / most), _shares(of, names), *_usd(of)[:cells]]
        for name, of in shown
    ]
    said = [
        f"The {TOP} of most rows; the rest are summed." if rest else "",
        f"At most {MAX_VALUES:,} values are counted one by one, so a small one's figures may lack some rows."
        if grouped.others
        else "",
    ]
    return paragraphs(filter(None, said)) + table(map(short, head), rows)


def _shares(of: Totals, names: Sequence[str]) -> Html:
    rows = max(1, of.rows)
    return stack([(name, count / rows) for name, count in zip(names, of.tier_rows, strict=True)])


def _usd(of: Totals) -> list[str]:
    known, share = of.paid, saved(of.routed_usd, of.strongest_usd)
    paid = [dollars(known.usd), dollars(known.routed_usd)] if known.rows else ["–", "–"]
    return [dollars(of.routed_usd), dollars(of.strongest_usd), f"{share:.1%}", *paid]


def _wrongs(labelled: Labelled) -> str:
    found = wrongs(labelled)
    if not found:
        return paragraphs(["Nothing: every row was labelled."])
    rows = [
        [kind, f"{count:,}", reason[:500], "; ".join(short(place) for place in places)]
        for kind, reason, count, places in found
    ]
    return table(["what", "count", "reason", "first places"], rows, "words")

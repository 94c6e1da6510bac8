"""What a run of labelling gave: as plain data, and for the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router_model.serving.batch.counts import Counts
from router_model.serving.batch.totals import Grouped, Paid, Totals
from router_model.table import columns
from router_model.tally import Reason, Tally


@dataclass(frozen=True)
class Labelled:
    """What a run of labelling gave.

    Attributes:
        out: the file or folder that was written.
        rows: rows labelled, those of an earlier run that this one resumed too.
        bad_rows: rows that were refused.
        tally: what was refused or left out, by reason, with the first places.
        failed: files that could not be labelled, by reason.
        counts: over the labelled rows.
        seconds: that this run took.
        router: fingerprint of the artifact.
        dial: such as "quality=0.95".
        resumed_rows: of ``rows``, those that stood there before this run.
    """

    out: str
    rows: int
    bad_rows: int
    tally: Tally
    failed: Mapping[str, Sequence[str]]
    counts: Counts
    seconds: float
    router: str
    dial: str
    resumed_rows: int = 0

    @property
    def rows_per_second(self) -> float:
        """Rows that this run labelled, by the second."""
        return (self.rows - self.resumed_rows) / self.seconds if self.seconds > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As the command line prints it with ``--json``."""
        names = self.counts.names
        return {
            "out": self.out,
            "router": self.router,
            "dial": self.dial,
            "rows": self.rows,
            "resumed_rows": self.resumed_rows,
            "bad_rows": self.bad_rows,
            "seconds": self.seconds,
            "rows_per_second": self.rows_per_second,
            **_figures(self.counts.whole, names),
            "by": {column: _by(self.counts.grouped(column), names) for column in self.counts.grouping},
            "refused": _reasons(self.tally.refused),
            "dropped": _reasons(self.tally.dropped),
            "failed": {reason: list(files) for reason, files in self.failed.items()},
        }


def saved(usd: float, of: float) -> float:
    """The share of a cost that is saved by another; 0 where there is no cost."""
    return 1 - usd / of if of > 0 else 0.0


def _figures(totals: Totals, names: Sequence[str]) -> dict[str, Any]:
    rows, routed, strongest = totals.rows, totals.routed_usd, totals.strongest_usd
    tiers = zip(names, totals.tier_rows, totals.tier_usd, strict=True)
    return {
        "tiers": {
            name: {"rows": count, "share": count / rows if rows else 0.0, "expected_cost_usd": usd}
            for name, count, usd in tiers
        },
        "expected_cost_usd": routed,
        "strongest_cost_usd": strongest,
        "saved_usd": strongest - routed,
        "saved_share": saved(routed, strongest),
        "expected_quality": totals.quality / rows if rows else None,
        "strongest_expected_quality": totals.strongest_quality / rows if rows else None,
        "paid": _paid(totals) if totals.paid.rows else None,
    }


def _paid(totals: Totals) -> dict[str, Any]:
    """What is known to have been paid, beside the expected cost of the same rows."""
    checked = {
        "rows": totals.both_rows,
        "logged_usd": totals.both_logged_usd,
        "estimated_usd": totals.both_estimated_usd,
    }
    return {
        **_of_paid(totals.paid),
        "logged": _of_paid(totals.logged),
        "estimated": _of_paid(totals.estimated),
        "estimate_checked": checked if totals.both_rows else None,
    }


def _of_paid(paid: Paid) -> dict[str, Any]:
    return {
        "rows": paid.rows,
        "usd": paid.usd,
        "expected_cost_usd": paid.routed_usd,
        "strongest_cost_usd": paid.strongest_usd,
        "saved_usd": paid.usd - paid.routed_usd,
        "saved_share": saved(paid.routed_usd, paid.usd),
    }


def _by(grouped: Grouped, names: Sequence[str]) -> dict[str, Any]:
    def shown(totals: Totals | None) -> dict[str, Any] | None:
        return None if totals is None else {"rows": totals.rows, **_figures(totals, names)}

    return {
        "values": {value: shown(totals) for value, totals in grouped.values.items()},
        "missing": shown(grouped.missing),
        "others": shown(grouped.others),
    }


def _reasons(reasons: Mapping[str, Reason]) -> dict[str, dict[str, Any]]:
    return {
        name: {"count": reason.count, "examples": list(reason.examples)} for name, reason in reasons.items()
    }


def table(labelled: Labelled) -> str:
    """For the terminal: what was labelled, rows and cost per tier, the costs beside it, what went wrong."""
    totals, names = labelled.counts.whole, labelled.counts.names
    tiers = [["tier", "rows", "share", "expected USD"]]
    for name, rows, usd in zip(names, totals.tier_rows, totals.tier_usd, strict=True):
        tiers.append([name, f"{rows:,}", f"{rows / totals.rows if totals.rows else 0:.1%}", dollars(usd)])
    costs = [["cost", "rows", "USD", "routed, same rows", "saved"]]
    everything = (f"all to {names[-1]}", totals.rows, totals.strongest_usd, totals.routed_usd)
    logged, estimated = totals.logged, totals.estimated
    known = [
        ("paid, by the log", logged.rows, logged.usd, logged.routed_usd),
        ("paid, by the logged model's price", estimated.rows, estimated.usd, estimated.routed_usd),
    ]
    for name, rows, usd, routed in [everything, *(one for one in known if one[1])]:
        costs.append([name, f"{rows:,}", dollars(usd), dollars(routed), f"{saved(routed, usd):.1%}"])
    parts = [in_one_line(labelled), columns(tiers), columns(costs), "\n".join(_wrongs(labelled))]
    return "\n\n".join(part for part in parts if part)


def in_one_line(labelled: Labelled) -> str:
    """How many rows were labelled, how fast, by which dial, and where they are."""
    before = f", {labelled.resumed_rows:,} of them by an earlier run" if labelled.resumed_rows else ""
    pace = f"{labelled.seconds:.1f} s ({labelled.rows_per_second:,.0f} rows/s)"
    return (
        f"{labelled.rows:,} rows labelled{before}, {labelled.bad_rows:,} refused, in {pace} "
        f"at {labelled.dial}: {labelled.out}"
    )


def wrongs(labelled: Labelled) -> list[tuple[str, str, int, Sequence[str]]]:
    """What was refused, left out or failed: the kind, the reason, how many, and the first places."""
    rows = [
        (kind, name, reason.count, reason.examples)
        for kind, reasons in (("refused", labelled.tally.refused), ("left out", labelled.tally.dropped))
        for name, reason in sorted(reasons.items(), key=lambda item: -item[1].count)
    ]
    return [
        *rows,
        *(("failed file", reason, len(files), files[:3]) for reason, files in labelled.failed.items()),
    ]


def _wrongs(labelled: Labelled) -> list[str]:
    return [
        f"{kind}, {count:,}: {reason} ({', '.join(places)})"
        for kind, reason, count, places in wrongs(labelled)
    ]


def dollars(usd: float) -> str:
    """US dollars with as many digits as matter."""
    if usd == 0:
        return "0"
    if abs(usd) >= 1000:
        return f"{usd:,.0f}"
    return f"{usd:,.2f}" if abs(usd) >= 1 else f"{usd:.3g}"

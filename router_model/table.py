"""Results as lines of text that line up, for people at a terminal."""

from collections.abc import Sequence
from typing import Any

from router_model.artifact import Artifact
from router_model.decision import Decision
from router_model.ladder import Ladder
from router_model.manifest import Manifest
from router_model.policy.certificate import Certificate

PROMPT_COLUMNS = 56
SHOWN = {"quality": (0.8, 0.9, 0.95, 0.98, 1.0), "budget": (0.1, 0.25, 0.5, 0.75)}


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as aligned columns, the first to the left and the others to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if k else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def decisions(texts: Sequence[str], made: Sequence[Decision]) -> str:
    """A line per prompt: its beginning, the tier, each tier's probability, the expected cost."""
    names = list(made[0].sufficiency)
    head = ["prompt", "tier", *(f"P({name})" for name in names), "USD"]
    rows = [
        [
            shortened(text),
            decision.tier,
            *(f"{decision.sufficiency[name]:.3f}" for name in names),
            f"{decision.expected_cost_usd:.6f}",
        ]
        for text, decision in zip(texts, made, strict=True)
    ]
    return columns([head, *rows])


def artifact(found: Artifact) -> str:
    """What an artifact holds, for people."""
    manifest = found.manifest
    facts = {
        "file": f"{found.name}, {len(found.content) / 1e6:.1f} MB",
        "fingerprint": found.fingerprint,
        "graph": f"{manifest.encoder}, {manifest.precision}, window of {manifest.max_tokens} tokens",
        "data": f"{manifest.data.get('rows')} rows in {manifest.data.get('groups')} groups, "
        f"fingerprint {str(manifest.data.get('fingerprint'))[:16]}",
        "default dial": "certified" if manifest.certificate else f"quality={manifest.default_quality:g}",
        **(_promise(manifest.certificate, manifest.ladder) if manifest.certificate else {}),
        "guard": str(manifest.guard.get("message")),
        **({"answers' lengths": _lengths(manifest)} if manifest.lengths else {}),
        "versions": ", ".join(f"{name} {number}" for name, number in manifest.versions.items()),
    }
    tiers = [["tier", "models", "USD per million in", "out", "relative cost"]] + [
        [
            tier.name,
            ", ".join(tier.models),
            f"{tier.input_usd_per_million:g}",
            f"{tier.output_usd_per_million:g}",
            f"{cost:.3f}",
        ]
        for tier, cost in zip(manifest.ladder.tiers, manifest.relative_cost, strict=True)
    ]
    curve = [["dial", "quality", "", "cost", "", *manifest.ladder.names, "decided by"]] + [
        [
            f"{point.dial}={point.value:g}",
            f"{point.quality:.1%}",
            _interval(point.quality_interval),
            f"{point.cost:.1%}",
            _interval(point.cost_interval),
            *(f"{share:.0%}" for share in point.shares),
            "router" if point.rule == "router" else "the guard",
        ]
        for point in manifest.curve
        if point.value in SHOWN[point.dial]
    ]
    return f"{_facts(facts)}\n\n{columns(tiers)}\n\n{columns(curve)}"


def certificate(found: Certificate, ladder: Ladder) -> str:
    """What a certificate promises, and on what evidence."""
    return _facts(_promise(found, ladder))


def _promise(found: Certificate, ladder: Ladder) -> dict[str, str]:
    point = found.point
    rule = f"penalty {point.penalty:.4g}" if point.rule == "router" else "a fixed choice of tiers"
    shares = ", ".join(f"{name} {share:.0%}" for name, share in zip(ladder.names, point.shares, strict=True))
    quality = f"quality {point.quality:.1%} {_interval(point.quality_interval)}"
    cost = f"cost {point.cost:.1%} {_interval(point.cost_interval)}"
    return {
        "certificate": found.message,
        "certified point": f"{rule}: {shares}; {quality}, {cost}; loses {found.loss:.2%}",
        "certified on": f"{found.rows} rows in {found.groups} groups, fingerprint {found.data[:16]}, "
        f"by {found.test}",
        "certified rows": f"leaks: {found.leaks}",
    }


def _facts(facts: dict[str, str]) -> str:
    width = max(map(len, facts))
    return "\n".join(f"{name.ljust(width)}  {printable(value)}" for name, value in facts.items())


def _lengths(manifest: Manifest) -> str:
    weighed = "each prompt's own cost" if manifest.lengths and manifest.lengths.weights else "mean costs"
    return f"foretold; the operating curve weighs {weighed}"


def shortened(text: str) -> str:
    """The beginning of a text on one line, printable."""
    line = " ".join(printable(text[: 4 * PROMPT_COLUMNS]).split())
    return line if len(line) <= PROMPT_COLUMNS else f"{line[: PROMPT_COLUMNS - 3]}..."


def printable(text: str) -> str:
    """The text with a blank for what is not printable: a stranger's file must not steer the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def _interval(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.1%}, {interval[1]:.1%}]"


def bench(result: dict[str, Any]) -> str:
    """The benchmark's figures: a line per kind of request, then memory and the rest."""
    rows = [["microseconds", "p50", "p90", "p99", "max", "cold p50", "a second", "in a batch"]]
    for name, one in result["route"].items():
        warm, rate = one["warm"]["median"], result["per_second"][name]["cold"]
        times = [f"{value:.1f}" for value in (*warm.values(), one["cold"]["p50"])]
        rows.append([name, *times, f"{rate['one_by_one']}", f"{rate['batch']}"])
    worst, process = result["hostile"]["worst"], result["process"]
    stages = result["route"]["real mix"]["stages"].items()
    lines = [
        columns(rows),
        f"\nhostile requests of a megabyte: at worst {worst['p50']} microseconds ({worst['class']})",
        "a decision on the real mix: "
        + ", ".join(f"{name} {stage['microseconds']:.1f}" for name, stage in stages),
        f"four messages: {result['messages']['extra_p50']['median']:.1f} more than their text",
        f"import and load {process['import_and_load_ms']:.0f} ms, {process['ready_mb']:.0f} MB when ready"
        + (f", {process['after_junk_mb']:.0f} MB after junk" if "after_junk_mb" in process else ""),
    ]
    faster = {name: one["times_faster"] for name, one in result["route"].items()}
    others = list(next(iter(faster.values())))
    if others:
        rows = [["times faster than", *others]]
        rows += [[name, *(f"{times[other]:.1f}" for other in others)] for name, times in faster.items()]
        lines.append(f"\n{columns(rows)}")
    lines += [f"not run: {name}: {why}" for name, why in result["yardsticks_missing"].items()]
    return "\n".join([*lines, ", ".join(f"{name} {value}" for name, value in result["machine"].items())])

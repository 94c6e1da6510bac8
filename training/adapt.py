"""A trained router gets another ladder: new models, other prices, fewer tiers; no encoder learns.

A tier of the new ladder that shares a model with one of the router's stays as it was. Any other is new:
its readout comes from the labels that records hold of it and from what the known tiers make likely
(readout.py). The graph's last layer gets a column for it (graft.py). The operating curve and the guard
are then worked out from probabilities (expected.py), since outcomes of every tier on the same prompts are
few or none.

N: prompts, M: labelled ones, K: known tiers, L: tiers of the new ladder.
"""

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model.artifact import Artifact, seal, write
from router_model.data.groups import group
from router_model.data.labels import request_tokens
from router_model.data.records import Record
from router_model.errors import ConfigError, DataError
from router_model.ladder import Ladder, Tier
from router_model.lengths import Lengths
from router_model.manifest import Manifest
from router_model.prompt import read
from router_model.session import Session
from router_model.training.config import TrainConfig
from router_model.training.curve import MIN_ROWS, Curve, Measured, measure_curve
from router_model.training.expected import Doubt, Expected
from router_model.training.frozen import encode_for, read_by
from router_model.training.graft import Column, graft, known_logits
from router_model.training.place import known_tiers, level
from router_model.training.prepare import data_fingerprint
from router_model.training.readout import Floats, Posterior, Prior, infer
from router_model.training.suggest import suggest

logger = logging.getLogger(__name__)

FEW = 64  # labels, from which on a readout is worth most of what training again would give
MOST_PROMPTS = 4096  # of which the curve is worked out; more make it no surer


@dataclass(frozen=True)
class Added:
    """A tier that is new to the router.

    Attributes:
        tier: its name.
        model: its first.
        labels: prompts that tell of it.
        sufficient: share of these that it sufficed for.
        freedom: how far its readout may leave the level and difficulty of the known ones, 0 to 1.
    """

    tier: str
    model: str
    labels: int
    sufficient: float
    freedom: float


@dataclass(frozen=True)
class Adapted:
    """What ``adapt`` did.

    Attributes:
        out: the artifact.
        bytes: its size.
        tiers: of the new ladder, cheapest first.
        kept: of these, the ones that the router knew.
        added: the others.
        dropped: tiers that the router had.
        prompts: that the curve was worked out on.
        guard: the verdict.
        assumed: what is taken for granted, in sentences.
    """

    out: str
    bytes: int
    tiers: tuple[str, ...]
    kept: tuple[str, ...]
    added: tuple[Added, ...]
    dropped: tuple[str, ...]
    prompts: int
    guard: dict[str, Any]
    assumed: tuple[str, ...]


def adapt(
    router: Artifact,
    ladder: Ladder,
    outcomes: Sequence[Record],
    prompts: Sequence[Record],
    out: str | Path,
    config: TrainConfig | None = None,
) -> Adapted:
    """Write a router of ``ladder`` to ``out``.

    Args:
        router: the one to adapt.
        ladder: tiers that it knows, by a model that they share, and new ones.
        outcomes: records of which some tell how the new tiers' models did.
        prompts: such as the router will see, without near-duplicates of what it learnt from; of ``outcomes``
            and these the curve is worked out.
        out: the artifact to write.
        config: of which ``bar``, ``seed``, ``resamples`` and ``confidence`` count; the default dial stays.

    Raises:
        RouterModelError: ``ladder`` and ``outcomes`` do not fit, there are fewer than 50 prompts, or ``out``
            is no place for a file, which is untouched then.
    """
    config, out = config or TrainConfig(), Path(out)
    _check_place(out)
    known = known_tiers(router.manifest.ladder, ladder)
    records = _joined(outcomes, prompts)
    targets = _targets(records, ladder, known, config.bar)
    if len(records) < MIN_ROWS:
        raise DataError(
            f"{len(records)} prompts are too few to work out an operating curve; give at least {MIN_ROWS}, "
            "with or without outcomes, by --prompts"
        )
    encoded = encode_for(router, [record.prompt for record in records])
    reading = read_by(router.content, encoded)
    logits = known_logits(router.content, reading)  # [N, K]
    posteriors = {
        place: _infer(logits, reading.embedding, known, place, target) for place, target in targets.items()
    }
    columns: list[Column] = [
        posteriors[place].readout if tier is None else tier for place, tier in enumerate(known)
    ]
    lengths = _lengths(router.manifest, ladder, known, records)
    graph = graft(router.content, columns, lengths)
    probabilities = read_by(graph, encoded).sufficiency  # [N, L]
    rows = _some(len(records), config.seed)
    doubts = [
        Doubt(place, posterior.logits(logits[rows], reading.embedding[rows], config.resamples, config.seed))
        for place, posterior in posteriors.items()
    ]
    asked, quality = [records[row] for row in rows.tolist()], router.manifest.default_quality
    curve, relative_cost = _curve(asked, probabilities[rows], doubts, ladder, lengths, quality, config)
    added = tuple(_added(ladder.tiers[place], targets[place], posteriors[place]) for place in targets)
    assumed = _assumed(added, router.manifest)
    guard = curve.guard | {"message": f"{curve.guard['message']}; {assumed[0]}"}
    note = {
        "from": router.fingerprint,
        "added": [dataclasses.asdict(tier) for tier in added],
        "prompts": len(records),
        "fingerprint": data_fingerprint(records),
        "assumed": list(assumed),
    }
    manifest = dataclasses.replace(
        _without_measurements(router.manifest),
        ladder=ladder,
        relative_cost=relative_cost,
        output_tokens=lengths,
        curve=curve.points,
        guard=guard,
        certificate=None,
        lengths=_told_lengths(router, graph, known, lengths),
        probes=_probes(graph, router),
        data=router.manifest.data
        | {"input_tokens": float(request_tokens(asked).mean())}  # the mean call that new prices are scaled by
        | {"adapted": [*router.manifest.data.get("adapted", []), note]},
    )
    content = seal(graph, manifest)
    write(out, content)
    names = router.manifest.ladder.names
    return Adapted(
        out=str(out),
        bytes=len(content),
        tiers=ladder.names,
        kept=tuple(ladder.names[place] for place, tier in enumerate(known) if tier is not None),
        added=added,
        dropped=tuple(name for tier, name in enumerate(names) if tier not in known),
        prompts=len(records),
        guard=guard,
        assumed=assumed,
    )


def suggested(router: Artifact, prompts: Sequence[Record], count: int) -> list[Record]:
    """The prompts that tell most of a new model, the most telling first.

    Raises:
        DataError: fewer different prompts than ``count``, or ``count`` is below 1.
    """
    records = _joined((), prompts)
    if len(records) < max(2, count):
        raise DataError(
            f"{count} prompts to label of {len(records)} different ones; give more, or ask for fewer"
        )
    reading = read_by(router.content, encode_for(router, [record.prompt for record in records]))
    known = known_logits(router.content, reading)
    rows = suggest(Prior.between(known, reading.embedding), known, reading.embedding, count)
    return [records[row] for row in rows.tolist()]


def _check_place(out: Path) -> None:
    if not out.parent.is_dir():
        raise ConfigError(f"--out {out}: {out.parent} is not a folder; make it first")
    if out.is_dir():
        raise ConfigError(f"--out {out}: is a folder; give the name of a file")


def _joined(outcomes: Sequence[Record], prompts: Sequence[Record]) -> list[Record]:
    """Each text once: its first record, with what any of them tells of a model, the first that does."""
    by_text: dict[str, Record] = {}
    for record in (*outcomes, *prompts):
        held = by_text.setdefault(record.prompt.text, record)
        if held is not record and (record.outcomes or record.output_tokens):
            by_text[record.prompt.text] = dataclasses.replace(
                held,
                outcomes={**record.outcomes, **held.outcomes},
                output_tokens={**record.output_tokens, **held.output_tokens},
            )
    return list(by_text.values())


def _targets(
    records: Sequence[Record], ladder: Ladder, known: Sequence[int | None], bar: float
) -> dict[int, Floats]:
    """Of each new tier, by position, whether it sufficed, float64 [N], NaN unknown; raises DataError."""
    found = {}
    for place, tier in enumerate(ladder.tiers):
        if known[place] is not None:
            continue
        scores = np.array(
            [next((r.outcomes[m] for m in tier.models if m in r.outcomes), np.nan) for r in records],
            np.float64,
        )
        if np.isnan(scores).all():
            named = sorted({model for record in records for model in record.outcomes})
            raise DataError(
                f"tier {tier.name!r}: no record has an outcome of {', '.join(tier.models)}; the records name "
                f"{', '.join(map(repr, named[:8])) or 'no model'}; mend the name, or label prompts"
            )
        found[place] = np.where(np.isnan(scores), np.nan, scores >= bar)
    return found


def _infer(
    logits: Floats, embedding: Floats, known: Sequence[int | None], place: int, target: Floats
) -> Posterior:
    prior = Prior.between(logits, embedding, level(logits.mean(axis=0), known, place))
    rows = np.flatnonzero(~np.isnan(target))
    return infer(prior, logits[rows], embedding[rows], target[rows])


def _lengths(
    manifest: Manifest, ladder: Ladder, known: Sequence[int | None], records: Sequence[Record]
) -> tuple[float, ...]:
    """Mean answer length of each tier [L]: the router's, that of the new one's records, or the mean."""
    lengths = []
    for place, tier in enumerate(ladder.tiers):
        before = known[place]
        told = [r.output_tokens[m] for r in records for m in tier.models if m in r.output_tokens]
        own = float(np.mean(told or manifest.output_tokens))
        lengths.append(own if before is None else manifest.output_tokens[before])
    return tuple(lengths)


def _some(prompts: int, seed: int) -> NDArray[np.int64]:
    """Rows to work the curve out on: all, or as many as make it no surer, drawn."""
    if prompts <= MOST_PROMPTS:
        return np.arange(prompts)
    drawn: NDArray[np.int64] = np.random.default_rng(seed).choice(prompts, MOST_PROMPTS, replace=False)
    return np.sort(drawn)


def _curve(
    records: Sequence[Record],
    probabilities: Floats,
    doubts: Sequence[Doubt],
    ladder: Ladder,
    lengths: Sequence[float],
    default_quality: float,
    config: TrainConfig,
) -> tuple[Curve, tuple[float, ...]]:
    """The expected curve, and the mean cost of each tier over the strongest's."""
    asked = request_tokens(records)
    cost = np.array(
        [[t.cost_usd(count, size) for t, size in zip(ladder.tiers, lengths, strict=True)] for count in asked]
    )
    measured = Measured(probabilities, probabilities, cost, group(records))
    curve = measure_curve(
        measured,
        means=Expected(doubts),
        default_quality=default_quality,
        seed=config.seed,
        resamples=config.resamples,
        confidence=config.confidence,
    )
    return curve, tuple(measured.relative_cost.tolist())


def _added(tier: Tier, target: NDArray[np.float64], posterior: Posterior) -> Added:
    labels = target[~np.isnan(target)]
    if len(labels) < FEW:
        logger.warning("tier %r: %d labels, where %d are few", tier.name, len(labels), FEW)
    return Added(tier.name, tier.models[0], len(labels), float(labels.mean()), posterior.freedom)


def _assumed(added: Sequence[Added], manifest: Manifest) -> tuple[str, ...]:
    of_new = "; ".join(f"{tier.labels} labels of {tier.tier}" for tier in added) or "no label"
    rows = manifest.data.get("rows")
    return (
        f"expected from probabilities and {of_new}, not measured",
        f"the known tiers' probabilities hold for the prompts given as for the {rows} rows of training",
        "the prompts given are like those to come, and the router did not learn from them",
        "a new model differs from the known ones as these differ from each other",
    )


def _without_measurements(manifest: Manifest) -> Manifest:
    """What was measured of the ladder before is not true of another."""
    kept = {key: manifest.metrics[key] for key in ("epochs",) if key in manifest.metrics}
    return dataclasses.replace(manifest, metrics=kept, calibration={"method": "readout"})


def _told_lengths(
    router: Artifact, graph: bytes, known: Sequence[int | None], lengths: Sequence[float]
) -> Lengths | None:
    """What is told of each prompt's lengths: of known tiers as before, of a new one its mean."""
    told = router.manifest.lengths
    if told is None:
        return None
    session = Session(graph)
    encoded = encode_for(router, [read(text) for text, _ in router.manifest.probes])
    rows = [
        session.sufficiency_and_lengths(*encoded.inputs(np.array([row])))[1][0] for row in range(len(encoded))
    ]
    return Lengths(
        offset=tuple(lengths[k] if tier is None else told.offset[tier] for k, tier in enumerate(known)),
        scale=tuple(0.0 if tier is None else told.scale[tier] for tier in known),
        probes=tuple(tuple(row.tolist()) for row in rows),
    )


def _probes(graph: bytes, router: Artifact) -> tuple[tuple[str, tuple[float, ...]], ...]:
    texts = [text for text, _ in router.manifest.probes]
    given = read_by(graph, encode_for(router, [read(text) for text in texts])).sufficiency
    return tuple((text, tuple(row)) for text, row in zip(texts, given.tolist(), strict=True))

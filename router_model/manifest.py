"""The manifest: one JSON object that says all that a router needs beside its graph, checked as it is read."""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any, TypeVar

from router_model.bag import Pairs
from router_model.errors import ArtifactCorruptError, ArtifactVersionError, one_line
from router_model.features import FEATURES, FEATURES_VERSION
from router_model.frame import Frame
from router_model.ladder import Ladder
from router_model.lengths import Lengths, Weights
from router_model.policy.certificate import Certificate
from router_model.policy.curve import OperatingPoint, Policy
from router_model.prompt import PROMPT_VERSION
from router_model.providers import CPU
from router_model.text import MAX_ASCII_CHARACTERS, MAX_OTHER_CHARACTERS

# A reader of format 1 would leave out a frame, one of format 2 what a graph tells of lengths: files are of
# the least format that says all they hold.
PLAIN, FRAMED, FORMAT = 1, 2, 3
MAX_FRAME_IDS, MAX_PREFIX = 64, 4096  # a frame stands around every text
MAX_LENGTH = 1e9  # tokens; as of every cost and token count (training/curve.py)
USUAL_TOKENS = 250.0  # of a prompt, where the artifact does not tell
CURE = "get the file again from where it was trained, or train the router again"
T = TypeVar("T")
N = TypeVar("N", int, float)


@dataclass(frozen=True)
class Manifest:
    """Everything that a router needs beside its graph, and what is to be known of it.

    Attributes:
        ladder: tiers and prices.
        tokenizer_json: the tokenizer file, whole.
        max_tokens: window of tokens per prompt.
        pairs: the ids of pairs of tokens, where the graph reads a bag of both.
        encoder: kind of the network, such as "static".
        precision: of the graph, "int8", "float16" or "float32".
        relative_cost: mean cost of each tier over the strongest's [K].
        output_tokens: mean answer length of each tier [K], for the expected cost.
        default_quality: the default dial.
        calibration: how probabilities were calibrated, and how well.
        curve: operating points of both dials.
        guard: the verdict: whether the router beats every constant and mix, and what it does where not.
        metrics: figures on held-out rows.
        data: fingerprint and counts of the training data.
        versions: of the libraries that trained it.
        probes: prompts with the probabilities that they must give.
        frame: what stands around a text's tokens, where a transformer reads them.
        providers: of ONNX Runtime that the graph is meant for, best first.
        certificate: what is promised of one operating point, which is then the default; None without one.
        lengths: what the graph's output tokens mean; None where it gives none.
    """

    ladder: Ladder
    tokenizer_json: str
    max_tokens: int
    pairs: Pairs | None
    encoder: str
    precision: str
    relative_cost: tuple[float, ...]
    output_tokens: tuple[float, ...]
    default_quality: float
    curve: tuple[OperatingPoint, ...]
    guard: dict[str, Any]
    probes: tuple[tuple[str, tuple[float, ...]], ...]
    calibration: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    frame: Frame | None = None
    providers: tuple[str, ...] = (CPU,)
    certificate: Certificate | None = None
    lengths: Lengths | None = None

    @property
    def mean_input_tokens(self) -> float:
        """Tokens of a request, the mean of the training data."""
        told = self.data.get("input_tokens")
        return float(told) if isinstance(told, int | float) and told > 0 else USUAL_TOKENS

    @property
    def strongest_usd(self) -> float:
        """US dollars that a call of the strongest tier costs, at the mean lengths of the training data."""
        return self.ladder.tiers[-1].cost_usd(self.mean_input_tokens, self.output_tokens[-1])

    def policy(self) -> Policy:
        """The operating curve, to be looked up by dial."""
        certified = self.certificate.point if self.certificate else None
        return Policy(self.relative_cost, self.curve, ("quality", self.default_quality), certified)

    def to_json(self) -> str:
        """One JSON object, with the versions and the tokenizer's hash that a loader checks."""
        return json.dumps(
            {
                "format": FORMAT if self.lengths else FRAMED if self.frame else PLAIN,
                "prompt_version": PROMPT_VERSION,
                "features_version": FEATURES_VERSION,
                "features": FEATURES,
                "max_characters": {"ascii": MAX_ASCII_CHARACTERS, "other": MAX_OTHER_CHARACTERS},
                "ladder": self.ladder.to_dict(),
                "tokenizer_sha256": _digest(self.tokenizer_json),
                "max_tokens": self.max_tokens,
                "pairs": dataclasses.asdict(self.pairs) if self.pairs else None,
                "frame": dataclasses.asdict(self.frame) if self.frame else None,
                "providers": self.providers,
                "encoder": self.encoder,
                "precision": self.precision,
                "relative_cost": self.relative_cost,
                "output_tokens": self.output_tokens,
                **({"lengths": dataclasses.asdict(self.lengths)} if self.lengths else {}),
                "default_quality": self.default_quality,
                "certificate": self.certificate.to_dict() if self.certificate else None,
                "calibration": self.calibration,
                "guard": self.guard,
                "metrics": self.metrics,
                "data": self.data,
                "versions": self.versions,
                "curve": [dataclasses.asdict(point) for point in self.curve],
                "probes": [{"prompt": text, "sufficiency": values} for text, values in self.probes],
                "tokenizer": self.tokenizer_json,
            },
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Read and check.

        Raises:
            ArtifactVersionError: another version of format, text or features.
            ArtifactCorruptError: not such an object.
        """
        try:
            value = json.loads(text, object_pairs_hook=_once, parse_float=_finite, parse_constant=_finite)
            _check_versions(value)
            manifest = cls._decode(value)
            if _digest(manifest.tokenizer_json) != value["tokenizer_sha256"]:
                raise ValueError("the tokenizer does not match its hash")
        except KeyError as error:
            raise ArtifactCorruptError(f"the manifest lacks {error}; {CURE}") from None
        except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise ArtifactCorruptError(f"the manifest is not readable: {one_line(error)}; {CURE}") from None
        return manifest

    @classmethod
    def _decode(cls, value: dict[str, Any]) -> "Manifest":
        ladder = Ladder.from_dict(value["ladder"])
        curve = tuple(_point(point, len(ladder)) for point in value["curve"])
        if {point.dial for point in curve} != {"quality", "budget"}:
            raise ValueError("the operating curve lacks a dial")
        if not value["probes"]:
            raise ValueError("it has no probes")
        return cls(
            ladder=ladder,
            tokenizer_json=_typed(value["tokenizer"], str),
            max_tokens=_within(_typed(value["max_tokens"], int), 1, 8192 if value.get("frame") else 1 << 20),
            pairs=_pairs(value["pairs"]),
            frame=_frame(value.get("frame"), value["format"]),
            providers=_providers(value.get("providers", [CPU])),
            lengths=_lengths(value.get("lengths"), value["format"], len(ladder), len(value["probes"])),
            encoder=_typed(value["encoder"], str),
            precision=_typed(value["precision"], str),
            relative_cost=_floats(value["relative_cost"], len(ladder), low=0),
            output_tokens=_floats(value["output_tokens"], len(ladder), low=0),
            default_quality=_within(_typed(value["default_quality"], float), 1e-9, 1),
            curve=curve,
            certificate=_certificate(value.get("certificate"), len(ladder)),
            guard=_typed(value["guard"], dict),
            probes=tuple(
                (_typed(p["prompt"], str), _floats(p["sufficiency"], len(ladder))) for p in value["probes"]
            ),
            calibration=_typed(value["calibration"], dict),
            metrics=_typed(value["metrics"], dict),
            data=_typed(value["data"], dict),
            versions=_typed(value["versions"], dict),
        )


def _check_versions(value: dict[str, Any]) -> None:
    ours = {"format": FORMAT, "prompt_version": PROMPT_VERSION, "features_version": FEATURES_VERSION}
    for key, version in ours.items():
        found = _typed(value[key], int)
        older = key == "format" and PLAIN <= found <= version
        if found != version and not older:
            cure = "upgrade router-model" if found > version else "train the router again"
            raise ArtifactVersionError(f"{key} is {found}, this release reads {version}; {cure}")
    if tuple(value["features"]) != FEATURES:
        raise ArtifactVersionError("it was trained on other features; train the router again")


def _pairs(value: Any) -> Pairs | None:
    if value is None:
        return None
    pairs = Pairs(**_typed(value, dict))
    _within(_typed(pairs.first, int), 1, 1 << 24)
    _within(_typed(pairs.head, int), 1, 1 << 20)
    if _within(_typed(pairs.count, int), 1, 1 << 24).bit_count() != 1:
        raise ValueError(f"{pairs.count} ids of pairs where a power of two belongs")
    return pairs


def _frame(value: Any, version: int) -> Frame | None:
    if version != FORMAT and (value is not None) != (version == FRAMED):
        raise ValueError(f"format {version} {'with' if value is not None else 'without'} a frame")
    if value is None:
        return None
    frame = Frame(**{**_typed(value, dict), "start": _ids(value["start"]), "end": _ids(value["end"])})
    _within(_typed(frame.shift, int), 0, 1)
    if len(_typed(frame.prefix, str)) > MAX_PREFIX or not frame.prefix.isprintable():
        raise ValueError(f"a prefix of more than {MAX_PREFIX} characters, or with some that do not print")
    return frame


def _lengths(value: Any, version: int, tiers: int, probes: int) -> Lengths | None:
    if (value is not None) != (version == FORMAT):
        raise ValueError(f"format {version} {'with' if value is not None else 'without'} lengths")
    if value is None:
        return None
    given = _typed(value["probes"], list)
    if len(given) != probes:
        raise ValueError(f"lengths of {len(given)} probes where {probes} belong")
    weights = None if value["weights"] is None else _typed(value["weights"], dict)
    return Lengths(
        offset=_bounded(value["offset"], tiers),
        scale=_bounded(value["scale"], tiers),
        probes=tuple(_bounded(tokens, tiers) for tokens in given),
        weights=None
        if weights is None
        else Weights(**{name: _bounded(each, tiers) for name, each in weights.items()}),
    )


def _bounded(values: Any, count: int) -> tuple[float, ...]:
    """Numbers of lengths and what is weighed of them, whose products stay finite."""
    return tuple(_within(number, 0, MAX_LENGTH) for number in _floats(values, count))


def _ids(values: Any) -> tuple[int, ...]:
    ids = tuple(_within(_typed(value, int), 1, 1 << 24) for value in _typed(values, list))
    if len(ids) > MAX_FRAME_IDS:
        raise ValueError(f"{len(ids)} ids where at most {MAX_FRAME_IDS} belong")
    return ids


def _providers(values: Any) -> tuple[str, ...]:
    names = tuple(_typed(value, str) for value in _typed(values, list))
    if not 0 < len(names) <= 16 or not all(name.isalnum() and len(name) <= 64 for name in names):
        raise ValueError("providers that are no short list of names")
    return names


def _certificate(value: Any, tiers: int) -> Certificate | None:
    if value is None:
        return None
    point = _point(_typed(value, dict)["point"], tiers, ("certified",))
    return Certificate.from_dict(value, point)


def _point(
    value: dict[str, Any], tiers: int, dials: tuple[str, ...] = ("quality", "budget")
) -> OperatingPoint:
    intervals = {key: _floats(value[key], 2) for key in ("quality_interval", "cost_interval")}
    point = OperatingPoint(**{**value, **intervals, "shares": _floats(value["shares"], tiers)})
    if point.dial not in dials or point.rule not in ("router", "fixed"):
        raise ValueError(f"operating point of dial {point.dial!r} and rule {point.rule!r}")
    _floats([point.value, point.penalty, point.quality, point.cost], 4, low=0)
    for share in (point.value, *point.shares):
        _within(share, 0, 1)
    _typed(point.note, str)
    return point


def _floats(values: Any, count: int, low: float = -math.inf) -> tuple[float, ...]:
    numbers = tuple(_within(_typed(value, float), low, math.inf) for value in values)
    if len(numbers) != count:
        raise ValueError(f"{len(numbers)} numbers where {count} belong")
    return numbers


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return value


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is not finite")
    return value


def _within(value: N, low: float, high: float) -> N:
    if not low <= value <= high:
        raise ValueError(f"{value} where a number from {low:g} to {high:g} belongs")
    return value


def _typed(value: Any, kind: type[T]) -> T:
    if kind is float and type(value) is int:  # JSON may write 1.0 as 1
        value = float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} where {kind.__name__} belongs")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is not finite")
    return value


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

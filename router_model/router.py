"""The router: a request in, a decision out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model import prompt as prompts
from router_model import tokens
from router_model.artifact import Artifact
from router_model.errors import ArtifactError, PromptError, RouterModelError, one_line
from router_model.features import FEATURES, featurize
from router_model.ladder import Ladder
from router_model.policy import OperatingPoint, Policy
from router_model.prompt import Prompt, Request
from router_model.session import Session

CHARACTERS_PER_TOKEN = 4.0  # of the expected cost: what training counts where no log tells the tokens
BLOCK_ROWS = 64  # of a batch: enough to share the call's cost, few enough to stay in the cache
PROBE_TOLERANCE = 1e-3  # machines may round a quantised sum's last step apart


@dataclass(frozen=True, slots=True)
class Decision:
    """What the router chose for one request, and why.

    Attributes:
        tier: name of the tier.
        model: the first model of the tier.
        sufficiency: probability that each tier is sufficient, by name.
        expected_cost_usd: US dollars that the call is expected to cost, by the text's length and the
            tier's mean answer length.
        truncated: whether the text was longer than the window that the router reads.
        point: the operating point that decided, with what it gave on held-out rows.
    """

    tier: str
    model: str
    sufficiency: dict[str, float]
    expected_cost_usd: float
    truncated: bool
    point: OperatingPoint

    @property
    def expected_quality(self) -> float:
        """Probability that the chosen tier is sufficient."""
        return self.sufficiency[self.tier]

    def to_dict(self) -> dict[str, Any]:
        """The decision as plain data, as the command line prints it."""
        return {
            "tier": self.tier,
            "model": self.model,
            "sufficiency": self.sufficiency,
            "expected_quality": self.expected_quality,
            "expected_cost_usd": self.expected_cost_usd,
            "truncated": self.truncated,
        }

    @property
    def why(self) -> str:
        """The reason in one line, for people."""
        dial = f"{self.point.dial}={self.point.value:g}"
        if self.point.rule == "fixed":
            return f"{dial}: {self.point.note or 'a fixed choice of tiers'}"
        return f"{dial}: best value, with P({self.tier} is sufficient) = {self.expected_quality:.3f}"


@dataclass(frozen=True, slots=True)
class Decisions(Sequence[Decision]):
    """The decisions of a batch of N requests as arrays; indexing gives the ``Decision`` of one.

    Attributes:
        ladder: the tiers that ``tier`` counts.
        tier: int64 [N], position in the ladder.
        sufficiency: float32 [N, K].
        expected_cost_usd: float64 [N].
        truncated: bool [N].
        point: the operating point that decided.
    """

    ladder: Ladder
    tier: NDArray[np.int64]
    sufficiency: NDArray[np.float32]
    expected_cost_usd: NDArray[np.float64]
    truncated: NDArray[np.bool_]
    point: OperatingPoint

    def __len__(self) -> int:
        return len(self.tier)

    def __getitem__(self, position: int) -> Decision:  # type: ignore[override]  # a batch is not sliced
        tier = self.ladder.tiers[self.tier[position]]
        return Decision(
            tier=tier.name,
            model=tier.models[0],
            sufficiency=dict(zip(self.ladder.names, self.sufficiency[position].tolist(), strict=True)),
            expected_cost_usd=float(self.expected_cost_usd[position]),
            truncated=bool(self.truncated[position]),
            point=self.point,
        )

    def __iter__(self) -> Iterator[Decision]:
        return (self[position] for position in range(len(self)))


class Router:
    """A loaded artifact: safe to share between threads, and in processes forked after it was loaded.

    Load one with ``Router.load``. Attributes: ``artifact``, the checked file; ``ladder``; ``policy``.
    """

    def __init__(self, artifact: Artifact) -> None:
        manifest = artifact.manifest
        self.artifact = artifact
        self.ladder = manifest.ladder
        self.policy = Policy(manifest.relative_cost, manifest.curve, ("quality", manifest.default_quality))
        self._tokenizer = tokens.load(manifest.tokenizer_json)
        self._session = Session(artifact.content, artifact.name)
        self._max_tokens = manifest.max_tokens
        self._names = self.ladder.names
        self._prices = [
            (tier.input_usd_per_million * 1e-6 / CHARACTERS_PER_TOKEN, tier.cost_usd(0, length))
            for tier, length in zip(self.ladder.tiers, manifest.output_tokens, strict=True)
        ]
        self._verify()

    @classmethod
    def load(cls, path: str | Path) -> "Router":
        """Load an artifact and make sure that it gives the probabilities it was written with.

        Raises:
            FileError: the file is missing, unreadable or larger than 2 GiB.
            ArtifactError: it is not an artifact, was altered, is of another version, or does not load.
            TokenizerError: no installed tokenizer reads its tokenizer.
        """
        return cls(Artifact.read(path))

    def route(
        self, request: Request, *, quality: float | None = None, budget: float | None = None
    ) -> Decision:
        """Choose a tier for a prompt, chat messages, or a request body.

        Args:
            request: a string, a list of messages, or a body; OpenAI chat, OpenAI Responses, Anthropic.
            quality: keep this share of the strongest tier's quality at least cost, in (0, 1].
            budget: spend at most this share of the strongest tier's cost at best quality, in (0, 1].
                With neither, the artifact's own dial.

        Raises:
            PromptError: ``request`` has no known shape.
            DialError: both dials, or one outside (0, 1].
        """
        point = self.policy.point(quality, budget)
        prompt = prompts.read(request)
        whole = self._tokenizer.encode(prompt.text)
        ids = tokens.window(whole, self._max_tokens)
        features = np.array([featurize(prompt)], np.float32)
        row = self._session.sufficiency(ids[np.newaxis], features)[0].tolist()
        k = self.policy.choose(row, point, prompt.text)
        tier = self.ladder.tiers[k]
        per_character, answer = self._prices[k]
        return Decision(
            tier=tier.name,
            model=tier.models[0],
            sufficiency=dict(zip(self._names, row, strict=True)),
            expected_cost_usd=prompt.characters * per_character + answer,
            truncated=prompt.truncated or whole.size > self._max_tokens,
            point=point,
        )

    def route_batch(
        self, requests: Sequence[Request], *, quality: float | None = None, budget: float | None = None
    ) -> Decisions:
        """The decisions that ``route`` gives one by one, for many requests at once; raises as it does."""
        read = []
        for position, request in enumerate(requests):
            try:
                read.append(prompts.read(request))
            except PromptError as error:
                raise PromptError(f"request {position} of the batch: {error}") from None
        return self.route_prompts(read, quality=quality, budget=budget)

    def route_prompts(
        self, read: Sequence[Prompt], *, quality: float | None = None, budget: float | None = None
    ) -> Decisions:
        """As ``route_batch``, for requests that ``router_model.prompt.read`` has read."""
        point = self.policy.point(quality, budget)
        sufficiency, lengths = self._sufficiency(read)
        chosen = self.policy.choose_batch(sufficiency, point, [prompt.text for prompt in read])
        prices = np.array(self._prices)
        characters = np.array([prompt.characters for prompt in read], np.float64)
        return Decisions(
            ladder=self.ladder,
            tier=chosen,
            sufficiency=sufficiency,
            expected_cost_usd=characters * prices[chosen, 0] + prices[chosen, 1],
            truncated=np.array([prompt.truncated for prompt in read], bool) | (lengths > self._max_tokens),
            point=point,
        )

    def _sufficiency(self, read: Sequence[Prompt]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """float32 [N, K] and the whole texts' token counts int64 [N].

        Blocks hold rows of like length, so that little of them is padding.
        """
        whole = self._tokenizer.encode_batch([prompt.text for prompt in read])
        lengths = np.array([row.size for row in whole], np.int64)
        ids = [tokens.window(row, self._max_tokens) for row in whole]
        features = np.array([featurize(prompt) for prompt in read], np.float32).reshape(
            len(read), len(FEATURES)
        )
        sufficiency = np.empty((len(read), len(self.ladder)), np.float32)
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), BLOCK_ROWS):
            block = order[start : start + BLOCK_ROWS]
            padded = tokens.pad([ids[row] for row in block])
            sufficiency[block] = self._session.sufficiency(padded, features[block])
        return sufficiency, lengths

    def _verify(self) -> None:
        """Route the artifact's probes: a tokenizer or runtime that computes otherwise must not go unseen."""
        manifest = self.artifact.manifest
        try:
            found, _ = self._sufficiency([prompts.read(text) for text, _ in manifest.probes])
        except RouterModelError:
            raise
        except Exception as error:  # whatever ONNX Runtime says of a graph that does not run
            raise ArtifactError(
                f"{self.artifact.name}: the graph does not run: {one_line(error)}; train the router again"
            ) from None
        expected = np.array([values for _, values in manifest.probes]).reshape(found.shape)
        worst = float(np.abs(found - expected).max(initial=0.0))
        if not worst <= PROBE_TOLERANCE:
            raise ArtifactError(
                f"{self.artifact.name}: its probes come out {worst:.4f} from what they must give; "
                "install the tokenizer and ONNX Runtime versions that `router-model inspect` names"
            )

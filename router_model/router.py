"""The router: a request in, a decision out."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_model import prompt as prompts
from router_model import tokens
from router_model.artifact import Artifact
from router_model.errors import ArtifactError, ConfigError, PromptError, RouterModelError, one_line
from router_model.features import FEATURES, featurize
from router_model.frame import NOTHING as NO_TOKENS
from router_model.frame import FramedTokenizer
from router_model.ladder import Ladder, Tier
from router_model.policy import OperatingPoint
from router_model.prompt import Prompt, Request
from router_model.providers import CPU, choose_providers
from router_model.repricing import repriced
from router_model.session import Session

CHARACTERS_PER_TOKEN = 4.0  # of the expected cost: what training counts where no log tells the tokens
BLOCK_IDS = 32_768  # of a batch run at once: enough to share the call's cost, few enough to stay in the cache
# A transformer on a CPU takes prompts one by one: int8 steps would be those of all rows of a block, and with
# more rows at once its hidden states leave the cache.
FRAMED_BLOCK_IDS = 1
MAX_THREADS = 256
PROBE_TOLERANCE = 1e-3  # machines may round a quantised sum's last step apart


@dataclass(frozen=True, slots=True)
class Offer:
    """A tier as decisions need it.

    Attributes:
        tier: the tier.
        usd_per_character: of the prompt.
        usd_per_answer: of an answer of the tier's mean length.
    """

    tier: Tier
    usd_per_character: float
    usd_per_answer: float


class Decision:
    """What the router chose for one request, and why: it holds what was computed and derives the rest."""

    # No dataclass: a frozen one takes a microsecond longer to build, a twentieth of a decision.
    __slots__ = ("_characters", "_chosen", "_offers", "_point", "_sufficiency", "_truncated")

    def __init__(
        self,
        offers: Sequence[Offer],
        chosen: int,
        sufficiency: Sequence[float],
        characters: int,
        truncated: bool,
        point: OperatingPoint,
    ) -> None:
        self._offers = offers
        self._chosen = chosen
        self._sufficiency = sufficiency
        self._characters = characters
        self._truncated = truncated
        self._point = point

    @property
    def tier(self) -> str:
        """Name of the tier."""
        return self._offers[self._chosen].tier.name

    @property
    def model(self) -> str:
        """The first model of the tier."""
        return self._offers[self._chosen].tier.models[0]

    @property
    def sufficiency(self) -> dict[str, float]:
        """Probability that each tier is sufficient, by name."""
        return {offer.tier.name: p for offer, p in zip(self._offers, self._sufficiency, strict=True)}

    @property
    def expected_quality(self) -> float:
        """Probability that the chosen tier is sufficient."""
        return self._sufficiency[self._chosen]

    @property
    def expected_cost_usd(self) -> float:
        """US dollars that the call is expected to cost, by the text's length and the mean answer's."""
        offer = self._offers[self._chosen]
        return self._characters * offer.usd_per_character + offer.usd_per_answer

    @property
    def truncated(self) -> bool:
        """Whether the text was longer than the window that the router reads."""
        return self._truncated

    @property
    def point(self) -> OperatingPoint:
        """The operating point that decided, with what it gave on held-out rows."""
        return self._point

    @property
    def why(self) -> str:
        """The reason in one line, for people."""
        dial = f"{self.point.dial}={self.point.value:g}"
        if self.point.rule == "fixed":
            return f"{dial}: {self.point.note or 'a fixed choice of tiers'}"
        return f"{dial}: best value, with P({self.tier} is sufficient) = {self.expected_quality:.3f}"

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

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Decision):
            return NotImplemented
        return (self.to_dict(), self.point) == (other.to_dict(), other.point)

    __hash__ = None  # type: ignore[assignment]  # it compares by what it holds, a dict among it

    def __repr__(self) -> str:
        return f"<Decision {self.tier} ({self.why})>"


@dataclass(frozen=True, slots=True)
class Decisions(Sequence[Decision]):
    """The decisions of a batch of N requests as arrays; indexing gives the ``Decision`` of one.

    Attributes:
        offers: the tiers that ``tier`` counts.
        tier: int64 [N], position in the ladder.
        sufficiency: float32 [N, K].
        characters: int64 [N], length of the texts.
        truncated: bool [N].
        point: the operating point that decided.
    """

    offers: tuple[Offer, ...]
    tier: NDArray[np.int64]
    sufficiency: NDArray[np.float32]
    characters: NDArray[np.int64]
    truncated: NDArray[np.bool_]
    point: OperatingPoint

    @property
    def expected_cost_usd(self) -> NDArray[np.float64]:
        """float64 [N], as of one ``Decision``."""
        prices = np.array([(offer.usd_per_character, offer.usd_per_answer) for offer in self.offers])
        cost: NDArray[np.float64] = self.characters * prices[self.tier, 0] + prices[self.tier, 1]
        return cost

    def __len__(self) -> int:
        return len(self.tier)

    def __getitem__(self, position: int) -> Decision:  # type: ignore[override]  # a batch is not sliced
        return Decision(
            self.offers,
            int(self.tier[position]),
            self.sufficiency[position].tolist(),
            int(self.characters[position]),
            bool(self.truncated[position]),
            self.point,
        )

    def __iter__(self) -> Iterator[Decision]:
        return (self[position] for position in range(len(self)))


class Router:
    """A loaded artifact: safe to share between threads, and in processes forked after it was loaded.

    Load one with ``Router.load``, or the one that ships with ``Router.default``. Attributes: ``artifact``,
    the checked file; ``ladder``; ``policy``; ``provider``, the execution provider of ONNX Runtime that the
    graph runs on.
    """

    def __init__(
        self, artifact: Artifact, *, providers: str | Sequence[str] = "auto", threads: int = 1
    ) -> None:
        manifest = artifact.manifest
        self.artifact = artifact
        self.ladder = manifest.ladder
        self.policy = manifest.policy()
        self._tokenizer = tokens.load(manifest.tokenizer_json)
        self._nothing = tokens.NOTHING
        if manifest.frame:
            self._tokenizer = FramedTokenizer(self._tokenizer, manifest.frame)
            self._nothing = NO_TOKENS
        chosen = choose_providers(manifest.providers, providers, artifact.name)
        if not 1 <= threads <= MAX_THREADS:
            raise ConfigError(f"threads={threads!r:.40}: give 1 to {MAX_THREADS}")
        self._session = Session(
            artifact.content, artifact.name, manifest.pairs, manifest.frame, chosen, threads
        )
        self.provider = self._session.provider
        self._threads = threads
        self._block_ids = FRAMED_BLOCK_IDS if manifest.frame and self.provider == CPU else BLOCK_IDS
        self._max_tokens = manifest.max_tokens
        self._pairs = manifest.pairs
        self._frame = manifest.frame
        self._offers = tuple(
            Offer(tier, tier.input_usd_per_million * 1e-6 / CHARACTERS_PER_TOKEN, tier.cost_usd(0, length))
            for tier, length in zip(self.ladder.tiers, manifest.output_tokens, strict=True)
        )
        self._verify()

    @classmethod
    def load(cls, path: str | Path, *, providers: str | Sequence[str] = "auto", threads: int = 1) -> "Router":
        """Load an artifact and make sure that it gives the probabilities it was written with.

        Args:
            providers: "auto" takes the first of those that the artifact is meant for and that ONNX Runtime
                has here: the CPU for static and window encoders, CUDA before the CPU for transformers. Or
                names of providers, the first that comes first.
            threads: of ONNX Runtime within one call, 1 to 256. More than one pays for transformers on a CPU
                only.

        Raises:
            FileError: the file is missing, unreadable or larger than 2 GiB.
            ArtifactError: it is not an artifact, was altered, is of another version, or does not load; or it
                is meant for a GPU, and none is here.
            TokenizerError: no installed tokenizer reads its tokenizer.
            ConfigError: ``providers`` or ``threads`` is not usable.
        """
        return cls(Artifact.read(path), providers=providers, threads=threads)

    @classmethod
    def default(cls) -> "Router":
        """The router that ships, of tiers small, medium and large; docs/default-router.md says what it knows.

        Raises as ``load`` does.
        """
        content = files("router_model").joinpath("default.onnx").read_bytes()
        return cls(Artifact.parse(content, "default.onnx"))

    def with_ladder(self, ladder: Ladder) -> "Router":
        """This router with other models at other prices for its tiers, which are as many.

        The choices of the quality dial stay; costs, and with them the budget dial, follow the prices, as far
        as shares and mean lengths tell (docs/default-router.md).

        Raises:
            LadderError: the ladder has another number of tiers.
        """
        artifact = dataclasses.replace(self.artifact, manifest=repriced(self.artifact.manifest, ladder))
        return Router(artifact, providers=[self.provider], threads=self._threads)

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
        policy = self.policy
        point = policy.default if quality is None and budget is None else policy.point(quality, budget)
        prompt = prompts.read(request)
        ids = self._tokenizer.encode(prompt.text)
        truncated = prompt.characters > len(prompt.text)
        if ids.size > self._max_tokens:
            truncated = True
            ids = tokens.window(ids, self._max_tokens)
        elif not ids.size:
            ids = self._nothing
        sufficiency = self._session.one(ids, featurize(prompt))
        chosen = policy.choose(sufficiency, point, prompt.text)
        return Decision(self._offers, chosen, sufficiency, prompt.characters, truncated, point)

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
        texts = [prompt.text for prompt in read]
        characters = np.array([prompt.characters for prompt in read], np.int64)  # [N]
        shown = np.array([len(text) for text in texts], np.int64)  # [N]
        sufficiency, tokens_over = self._sufficiency(read, texts)
        return Decisions(
            offers=self._offers,
            tier=self.policy.choose_batch(sufficiency, point, texts),
            sufficiency=sufficiency,
            characters=characters,
            truncated=(characters > shown) | tokens_over,
            point=point,
        )

    def _sufficiency(
        self, read: Sequence[Prompt], texts: Sequence[str]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """float32 [N, K], and whether each text has more tokens than the window, bool [N].

        Blocks hold rows of like length, so that little of them is padding.
        """
        ids = self._tokenizer.encode_batch(texts)
        lengths = ids.lengths
        features = np.array([featurize(prompt) for prompt in read], np.float32)  # [N, F]
        sufficiency = np.empty((len(read), len(self.ladder)), np.float32)
        order, start = np.argsort(-lengths, kind="stable"), 0
        while start < len(order):
            longest = min(max(1, lengths[order[start]]), self._max_tokens)
            rows = order[start : start + max(1, self._block_ids // longest)]
            start += len(rows)
            block, kept = ids.block(rows, self._max_tokens)
            if self._pairs:
                block = self._pairs.bags(block, kept)
            elif self._frame:
                block = self._frame.block(block, kept)
            sufficiency[rows] = self._session.sufficiency(block, features[rows])
        return sufficiency, lengths > self._max_tokens

    def forget(self) -> None:
        """Empty the tokenizer's cache, where it has one, as a benchmark wants it."""
        self._tokenizer.forget()

    def _verify(self) -> None:
        """Route the artifact's probes: a tokenizer or runtime that computes otherwise must not go unseen."""
        manifest = self.artifact.manifest
        read = [prompts.read(text) for text, _ in manifest.probes]
        texts = [prompt.text for prompt in read]
        try:
            last = (self._pairs.end if self._pairs else self._tokenizer.vocabulary) - 1
            widest = self._max_tokens if self._frame else 1  # a transformer has only so many positions
            self._session.one(np.full(widest, last, np.uint32), (0.0,) * len(FEATURES))
            found, _ = self._sufficiency(read, texts)
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

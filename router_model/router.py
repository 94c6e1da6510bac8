"""The router: a request in, a decision out."""

import dataclasses
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router_model import prompt as prompts
from router_model import tokens
from router_model.artifact import Artifact
from router_model.decision import Decision, Decisions
from router_model.errors import (
    ArtifactError,
    ConfigError,
    DialError,
    PromptError,
    RouterModelError,
    one_line,
)
from router_model.features import FEATURES, featurize
from router_model.frame import NOTHING as NO_TOKENS
from router_model.frame import FramedTokenizer
from router_model.ladder import Ladder
from router_model.offer import CHARACTERS_PER_TOKEN, offers_of, told
from router_model.policy.curve import OperatingPoint
from router_model.policy.rule import Rule
from router_model.prompt import Prompt, Request
from router_model.providers import CPU, choose_providers
from router_model.repricing import repriced
from router_model.session import Session

BLOCK_IDS = 32_768  # of a batch run at once: enough to share the call's cost, few enough to stay in the cache
# A transformer on a CPU takes prompts one by one: int8 steps would be those of all rows of a block, and with
# more rows at once its hidden states leave the cache.
FRAMED_BLOCK_IDS = 1
MAX_THREADS = 256
PROBE_TOLERANCE = 1e-3  # machines may round a quantised sum's last step apart
LENGTH_TOLERANCE = 0.01  # of output tokens, for the same reason


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
        self._tiers = len(self.ladder)
        self._lengths = manifest.lengths
        self._weights = manifest.lengths.weights if manifest.lengths else None
        if self._session.tells_lengths != (manifest.lengths is not None):
            raise ArtifactError(
                f"{artifact.name}: graph and manifest differ on whether it tells answers' lengths; "
                "train the router again"
            )
        self._offers = offers_of(manifest)
        self._prices = tuple((o.usd_per_input_token, o.usd_per_answer, o.usd_per_token) for o in self._offers)
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
        self,
        request: Request,
        *,
        quality: float | None = None,
        budget: float | None = None,
        rule: Rule | None = None,
        input_tokens: float | None = None,
    ) -> Decision:
        """Choose a tier for a prompt, chat messages, or a request body.

        Args:
            request: a string, a list of messages, or a body; OpenAI chat, OpenAI Responses, Anthropic.
            quality: keep this share of the strongest tier's quality at least cost, in (0, 1].
            budget: spend at most this share of the strongest tier's cost at best quality, in (0, 1].
                With neither, the artifact's own dial.
            rule: decides in place of the operating curve, and of both dials (policy/rule.py).
            input_tokens: of the whole request, with tools, images and what else is no text to route, where
                the caller knows them: what the rule and the decision reckon the cost by.

        Raises:
            PromptError: ``request`` has no known shape, or ``input_tokens`` is no number of tokens.
            DialError: both dials, or one outside (0, 1], or one beside a rule.
        """
        policy = self.policy
        by: OperatingPoint | Rule
        if quality is None and budget is None:
            by = policy.default if rule is None else rule
        else:
            by = _dialled(policy.point(quality, budget), rule)
        prompt = prompts.read(request)
        ids = self._tokenizer.encode(prompt.text)
        truncated = prompt.characters > len(prompt.text)
        if ids.size > self._max_tokens:
            truncated = True
            ids = tokens.window(ids, self._max_tokens)
        elif not ids.size:
            ids = self._nothing
        outputs = self._session.one(ids, featurize(prompt))
        asked = prompt.characters / CHARACTERS_PER_TOKEN
        if input_tokens is not None:
            asked = told(input_tokens)
        if rule is not None:
            chosen = rule(outputs[: self._tiers], self._usd(asked, outputs))
        elif self._weights is not None and by.rule == "router":  # type: ignore[union-attr]  # it is a point
            chosen = self._weights.choose(outputs, by.penalty, prompt.characters)  # type: ignore[union-attr]
        else:
            chosen = policy.choose(outputs, by, prompt.text)  # type: ignore[arg-type]
        return Decision(self._offers, chosen, outputs, prompt.characters, asked, truncated, by)

    def route_batch(
        self,
        requests: Sequence[Request],
        *,
        quality: float | None = None,
        budget: float | None = None,
        rule: Rule | None = None,
        input_tokens: Sequence[float | None] | None = None,
    ) -> Decisions:
        """The decisions that ``route`` gives one by one, for many requests at once; raises as it does."""
        read = []
        for position, request in enumerate(requests):
            try:
                read.append(prompts.read(request))
            except PromptError as error:
                raise PromptError(f"request {position} of the batch: {error}") from None
        return self.route_prompts(read, quality=quality, budget=budget, rule=rule, input_tokens=input_tokens)

    def route_prompts(
        self,
        read: Sequence[Prompt],
        *,
        quality: float | None = None,
        budget: float | None = None,
        rule: Rule | None = None,
        input_tokens: Sequence[float | None] | None = None,
    ) -> Decisions:
        """As ``route_batch``, for requests that ``router_model.prompt.read`` has read."""
        point = self.policy.point(quality, budget)
        by = point if rule is None else rule
        if quality is not None or budget is not None:
            by = _dialled(point, rule)
        texts = [prompt.text for prompt in read]
        characters = np.array([prompt.characters for prompt in read], np.int64)  # [N]
        asked = characters / CHARACTERS_PER_TOKEN  # [N]
        if input_tokens is not None:
            both = zip(input_tokens, asked.tolist(), strict=True)
            asked = np.array([about if each is None else told(each) for each, about in both], np.float64)
        shown = np.array([len(text) for text in texts], np.int64)  # [N]
        outputs, tokens_over = self._outputs(read, texts)
        sufficiency, output_tokens = outputs[:, : self._tiers], None
        if self._lengths:
            output_tokens = outputs[:, self._tiers :]
        if rule is None:
            costs = None
            if self._weights and output_tokens is not None:
                costs = self._weights.costs(characters, output_tokens)
            tier = self.policy.choose_batch(sufficiency, point, texts, costs)
        else:
            rows = zip(outputs.tolist(), asked.tolist(), strict=True)
            chosen = [rule(row[: self._tiers], self._usd(count, row)) for row, count in rows]
            tier = np.array(chosen, np.int64)
        return Decisions(
            offers=self._offers,
            tier=tier,
            sufficiency=sufficiency,
            characters=characters,
            input_tokens=asked,
            truncated=(characters > shown) | tokens_over,
            by=by,
            output_tokens=output_tokens,
        )

    def _usd(self, asked: float, outputs: Sequence[float]) -> list[float]:
        """US dollars that a call is expected to cost at each tier [K]; outputs are [K] or [2 K]."""
        # As Offer.usd, without a call for each tier, which would take a microsecond.
        if not self._lengths:
            return [each * asked + answer for each, answer, _ in self._prices]
        rows = zip(self._prices, outputs[self._tiers :], strict=True)
        return [each * asked + answer + token * count for (each, answer, token), count in rows]

    def _outputs(
        self, read: Sequence[Prompt], texts: Sequence[str]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Sufficiency float32 [N, K], and whether each text has more tokens than the window, bool [N].

        Output tokens stand behind the sufficiency, [N, 2 K], where the graph gives them.
        Blocks hold rows of like length, so that little of them is padding.
        """
        ids = self._tokenizer.encode_batch(texts)
        lengths = ids.lengths
        features = np.array([featurize(prompt) for prompt in read], np.float32)  # [N, F]
        outputs = np.empty((len(read), self._tiers * (2 if self._lengths else 1)), np.float32)
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
            if self._lengths:
                outputs[rows] = np.hstack(self._session.sufficiency_and_lengths(block, features[rows]))
            else:
                outputs[rows] = self._session.sufficiency(block, features[rows])
        return outputs, lengths > self._max_tokens

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
            outputs, _ = self._outputs(read, texts)
        except RouterModelError:
            raise
        except Exception as error:  # whatever ONNX Runtime says of a graph that does not run
            raise ArtifactError(
                f"{self.artifact.name}: the graph does not run: {one_line(error)}; train the router again"
            ) from None
        found, tokens_found = np.split(outputs, [self._tiers], axis=1)
        expected = np.array([values for _, values in manifest.probes]).reshape(found.shape)
        worst = float(np.abs(found - expected).max(initial=0.0))
        if manifest.lengths:
            lengths = np.array(manifest.lengths.probes).reshape(tokens_found.shape)
            off = float((np.abs(tokens_found - lengths) / (1 + lengths)).max(initial=0.0))
            if not off <= LENGTH_TOLERANCE:
                raise ArtifactError(
                    f"{self.artifact.name}: the answers' lengths of its probes come out {off:.1%} from what "
                    "they must be; install the versions that `router-model inspect` names"
                )
        if not worst <= PROBE_TOLERANCE:
            raise ArtifactError(
                f"{self.artifact.name}: its probes come out {worst:.4f} from what they must give; "
                "install the tokenizer and ONNX Runtime versions that `router-model inspect` names"
            )


def _dialled(point: OperatingPoint, rule: Rule | None) -> OperatingPoint:
    """The point of a dial that was given; raises DialError where a rule was given as well."""
    if rule is not None:
        raise DialError("both a dial and a rule were given; give one of them")
    return point

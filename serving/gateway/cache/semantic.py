"""Answers to requests that mean the same, under a bound on the share of wrong ones that is learned."""

import random
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import count

from router_model.errors import MissingExtraError
from router_model.providers import runtime
from router_model.serving.gateway.cache.bound import Bound, level_of
from router_model.serving.gateway.cache.embedding import BaseEncoder, Encoder, Sense
from router_model.serving.gateway.cache.kept import Kept
from router_model.serving.gateway.cache.question import Question
from router_model.serving.gateway.cache.saying import same_saying
from router_model.serving.gateway.cache.store import Clock
from router_model.serving.gateway.config.cache import SemanticCache

# ONNX Runtime comes first: imported after usearch 2.26, it ends the process.
runtime()

try:
    from usearch.index import Index
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "the semantic cache needs its index: pip install 'router-model[semantic]'"
    ) from error

NEIGHBOURS = 8
OUTCOMES = 128  # that an entry keeps, the newest
ENTRY_BYTES = 64 << 10
BYTES = 256 << 20  # of all entries' answers

# Whether an answer would have been right in the place of another: the question, what is kept, what came.
Judge = Callable[[str, str, str], Awaitable[bool]]


async def same_words(question: str, kept: str, came: str) -> bool:
    """The judge that needs nobody: right is what is the same but for case, blanks and punctuation."""
    return same_saying(kept, came)


@dataclass(slots=True)
class Entry:
    """An answer, what was asked, and what came of giving it for other questions.

    Attributes:
        born: on the cache's clock.
        outcomes: as ``Bound.learn`` adds them.
    """

    name: int
    scope: bytes
    sense: Sense
    kept: Kept
    saying: str
    born: float
    outcomes: deque[int] = field(default_factory=lambda: deque(maxlen=OUTCOMES))


@dataclass(slots=True)
class Try:
    """A question that was looked for.

    Attributes:
        kept: the answer that is given.
        entry: the nearest, whose answer is tried against the one that comes.
        level: of likeness between both.
    """

    question: Question
    sense: Sense
    kept: Kept | None = None
    entry: Entry | None = None
    level: int = 0


@dataclass(slots=True)
class Tally:
    """What came of questions that had a neighbour.

    Attributes:
        served: answered by it.
        tried: asked upstream all the same, and compared.
        checked: of these, such as would have been served.
        wrong: of these, where the kept answer was not right: ``wrong / checked`` estimates the error rate.
    """

    served: int = 0
    tried: int = 0
    checked: int = 0
    wrong: int = 0


class Semantic:
    """Entries by scope, each with its own index of neighbours.

    Args:
        config: the bound, and how much is kept.
        encoder: of questions.
        judge: of answers that were tried.
        clock: seconds, from anywhere.
        chance: decides which hits are asked upstream all the same.
    """

    def __init__(
        self,
        config: SemanticCache,
        encoder: Encoder | None = None,
        judge: Judge = same_words,
        clock: Clock = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self._config = config
        self._encoder = encoder or BaseEncoder()
        self._judge = judge
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311  # it draws a sample, and guards nothing
        self._bound = Bound(config.error_rate)
        self._entries: OrderedDict[int, Entry] = OrderedDict()  # the least recently used first
        self._scopes: dict[bytes, Index] = {}
        self._names = count()
        self._bytes = 0
        self.tally = Tally()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, question: Question) -> Try:
        """The answer to a question that means the same, if that is sure enough, and what to learn from."""
        attempt = Try(question, self._encoder.sense(question.text))
        found = self._nearest(attempt)
        if found is None:
            return attempt
        attempt.entry, attempt.level = found
        self._entries.move_to_end(attempt.entry.name)
        if not self._bound.trusts(attempt.entry.outcomes, attempt.level):
            return attempt
        if self._chance.random() >= self._config.verify_share:
            self.tally.served += 1
            attempt.kept = replace(attempt.entry.kept, source="semantic")
        return attempt

    async def learn(self, attempt: Try, kept: Kept, saying: str) -> None:
        """What came from upstream: keep it, or learn whether the nearest answer would have done."""
        entry = attempt.entry
        if entry is not None:
            right = await self._judge(attempt.question.text, entry.saying, saying)
            self.tally.tried += 1
            if self._bound.trusts(entry.outcomes, attempt.level):
                self.tally.checked += 1
                self.tally.wrong += not right
            self._bound.learn(entry.name, entry.outcomes, attempt.level, right)
            if right:
                return
        self._add(attempt, kept, saying)

    def _nearest(self, attempt: Try) -> tuple[Entry, int] | None:
        """Of the entries that are near, and differ in nothing that turns a meaning, the likest."""
        index = self._scopes.get(attempt.question.scope)
        if index is None:
            return None
        oldest = self._clock() - self._config.ttl_seconds
        best: tuple[float, Entry] | None = None
        for name in index.search(attempt.sense.vector, NEIGHBOURS, threads=1).keys.tolist():
            entry = self._entries[name]
            if entry.born < oldest:
                self._remove(entry)
            elif not entry.sense.marks.differ(attempt.sense.marks):
                likeness = self._encoder.likeness(entry.sense, attempt.sense)
                if best is None or likeness > best[0]:
                    best = likeness, entry
        return None if best is None else (best[1], level_of(best[0]))

    def _add(self, attempt: Try, kept: Kept, saying: str) -> None:
        if kept.size > ENTRY_BYTES:
            return
        scope = attempt.question.scope
        entry = Entry(next(self._names), scope, attempt.sense, kept, saying, self._clock())
        self._entries[entry.name] = entry
        self._bytes += kept.size
        if scope not in self._scopes:
            self._scopes[scope] = Index(ndim=self._encoder.width, metric="cos", dtype="f16")
        self._scopes[scope].add(entry.name, entry.sense.vector, threads=1)
        while len(self._entries) > self._config.entries or self._bytes > BYTES:
            self._remove(next(iter(self._entries.values())))

    def _remove(self, entry: Entry) -> None:
        del self._entries[entry.name]
        self._bytes -= entry.kept.size
        index = self._scopes[entry.scope]
        index.remove(entry.name)
        if not len(index):
            del self._scopes[entry.scope]

"""A conversation stays on its model unless the gain is worth the switch.

What makes a switch dear is the provider's prompt cache: a turn whose prompt begins with what the provider
read a moment ago pays little for that part, and another model reads all of it anew, and writes it too. With
``n`` tokens in the prompt, of which tier k's provider still holds ``h(k)``, this turn costs at k

    now(k) = usd(k) + h(k) (cached(k) - plain(k)) + (n - h(k)) (written(k) - plain(k)),

where ``usd`` is the cost at plain prices. A later turn on k is taken to cost, ``s`` being the share of turns
that come before a provider forgets,

    later(k) = usd(k) + n (s cached(k) + (1 - s) written(k) - plain(k)),

and who gets there from another tier pays beside it, once,

    entry(k) = s (written(k) - cached(k)) (n - h(k)).

With ``R`` turns expected to come, ``m`` the mean sufficiency over the turns so far, this one among them, and
``price``, what a dollar is worth in quality, the turn goes to the k of greatest

    p(k) - price now(k) + max{ on(k), max over j of on(j) - price min(1, R) entry(j) },
    on(k) = R (m(k) - price later(k)):

what this turn is worth, and what the turns to come are, on this tier or on a better one, of those that the
turn may go to. Where nothing has a price a switch costs nothing, and each turn goes to its surest tier.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from router_model.policy.rule import Priced

HELD = 2  # turns for which a conversation does not come down after a failure
LEAST = -1e300
LEAST_USD = 1e-12  # so that a strongest tier that costs nothing divides nothing


@dataclass(frozen=True, slots=True)
class InputPrice:
    """What a tier's provider asks for the tokens of a prompt.

    Attributes:
        plain, cached, written: US dollars a token: neither read from nor written to its prompt cache, read
            from it, written to it. Of a provider that keeps nothing all three are the same.
        seconds: that a prompt is kept after it was read last.
        least: tokens of the shortest prompt that is kept.
    """

    plain: float
    cached: float
    written: float
    seconds: float = 300.0
    least: int = 1024


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be expected of a conversation; training/turns.py learns it from logs.

    Attributes:
        left: turns to come after the first, the second and so on; the last number is of all later ones too.
            At least one number, each 0 or more.
        kept: share of turns that come before a provider has forgotten the prompt, in [0, 1].
    """

    left: tuple[float, ...] = (2.0,)
    kept: float = 0.8


class Terms:
    """What a conversation's turns cost at each of K tiers, worked out once for many turns.

    Attributes:
        prices: of each tier [K].
        left: of the outlook.
        rates: US dollars a token [K]: beyond the plain price for one written; for one held rather than
            written; beyond the plain price for one of a later turn; of ``entry``. And ``least``.
    """

    __slots__ = ("left", "prices", "rates")

    def __init__(self, prices: Sequence[InputPrice], outlook: Outlook) -> None:
        kept = outlook.kept
        self.prices = tuple(prices)
        self.left = outlook.left
        self.rates = tuple(
            (
                price.written - price.plain,
                price.cached - price.written,
                price.written - price.plain + kept * (price.cached - price.written),
                kept * (price.written - price.cached),
                price.least,
            )
            for price in prices
        )

    def strongest_usd(self, tokens: int, answer_usd: float) -> float:
        """US dollars of a turn at the strongest tier, in a conversation that is there.

        A dial's penalty is in quality for what the strongest tier costs, so over this it is a dollar's price,
        and long prompts do not count a dollar for more than short ones.

        Args:
            tokens: of the turn's whole prompt.
            answer_usd: what an answer costs there.
        """
        _, _, later, _, least = self.rates[-1]
        a_token = self.prices[-1].plain + (later if tokens >= least else 0.0)
        return max(LEAST_USD, answer_usd + tokens * a_token)


class Staying:
    """The rule of one turn, as the page says above; ``Session.rule`` makes it.

    Attributes:
        session: before the turn.
        terms: what turns cost.
        base: what a dollar, and a second, is worth in quality.
        tokens: of the whole prompt.
        at: when, by the clock of ``session``.
        least: the lowest tier that the turn may go to.
    """

    # No dataclass, as a decision is none: to build a frozen one takes as long as half of what it does.
    __slots__ = ("at", "base", "least", "session", "terms", "tokens")

    def __init__(
        self, session: "Session", terms: Terms, base: Priced, tokens: int, at: float, least: int
    ) -> None:
        self.session = session
        self.terms = terms
        self.base = base
        self.tokens = tokens
        self.at = at
        self.least = least

    def __call__(self, sufficiency: Sequence[float], usd: Sequence[float]) -> int:
        """As ``Rule``; of equal tiers the cheaper one."""
        # One loop and no lists. The greatest of a sum with a maximum in it is the greater of two: on the
        # tier that is best with what comes after, or on the best for now with a move after.
        session, terms, (price, waiting, seconds) = self.session, self.terms, self.base
        tokens, at, k, turns = self.tokens, self.at, self.least, session.turns
        cached, until, past = session.cached, session.until, session.sufficiency
        left = terms.left[turns] if turns < len(terms.left) else terms.left[-1]
        once = price if left > 1.0 else price * left
        share, dear = left / (turns + 1), price * left
        stay = move = home = LEAST
        staying = moving = k
        for writing, holding, later, entry, shortest in terms.rates[k:]:
            probability, cost = sufficiency[k], usd[k]
            if waiting:
                cost += waiting * seconds[k]
            read = tokens if tokens >= shortest else 0
            held = cached[k] if until[k] > at else 0
            if held > read:
                held = read
            here = probability - price * (cost + read * writing + held * holding)
            on = share * (past[k] + probability) - dear * (cost + read * later)
            if here > move:
                move, moving = here, k
            if here + on > stay:
                stay, staying = here + on, k
            on -= once * entry * (read - held)
            if on > home:
                home = on
            k += 1
        return moving if move + home > stay else staying

    def __str__(self) -> str:
        return f"turn {self.session.turns + 1} of a conversation, {self.base}"


@dataclass(frozen=True, slots=True)
class Session:
    """What is known of a conversation before its next turn; ``Session.begun`` makes one without turns.

    Attributes:
        tier: that answered last; -1 where none has.
        turns: that were answered.
        failures: of them.
        floor: the lowest tier that the conversation may go to.
        held: turns for which the floor stays.
        sufficiency: sum over the turns [K].
        cached: tokens of the conversation that each tier's provider was given last [K].
        until: when it forgets them [K], in seconds of the caller's clock.
    """

    tier: int
    turns: int
    failures: int
    floor: int
    held: int
    sufficiency: tuple[float, ...]
    cached: tuple[int, ...]
    until: tuple[float, ...]

    @classmethod
    def begun(cls, tiers: int) -> "Session":
        """A conversation of which nothing is known."""
        return cls(-1, 0, 0, 0, 0, (0.0,) * tiers, (0,) * tiers, (0.0,) * tiers)

    def rule(self, base: Priced, terms: Terms, *, tokens: int, at: float, tool_loop: bool = False) -> Staying:
        """What decides the next turn.

        Args:
            base: what a dollar is worth in quality.
            terms: of as many tiers as the session's.
            tokens: of the turn's whole prompt. The dollars that the rule is then given must count as many:
                ``Router.route`` takes them as ``input_tokens``.
            at: now, in seconds of the caller's clock.
            tool_loop: whether the prompt ends with tool calls or their results: then no lower tier than the
                last one's goes on.
        """
        return Staying(self, terms, base, tokens, at, self.least(tool_loop=tool_loop))

    def least(self, *, tool_loop: bool) -> int:
        """The lowest tier that the next turn may go to."""
        return self.tier if tool_loop and self.tier > self.floor else self.floor

    def cache_usd(self, tier: int, terms: Terms, *, tokens: int, at: float) -> float:
        """US dollars that a prompt cache adds to what a turn costs at plain prices, below 0 where it spares.

        Args:
            tier: that the turn goes to.
            terms, tokens, at: as of ``rule``.
        """
        writing, holding, _, _, shortest = terms.rates[tier]
        read = tokens if tokens >= shortest else 0
        held = min(self.cached[tier], read) if self.until[tier] > at else 0
        return read * writing + held * holding

    def after(
        self, tier: int, sufficiency: Sequence[float], terms: Terms, *, tokens: int, at: float
    ) -> "Session":
        """The conversation once a turn was answered.

        Args:
            tier: that answered.
            sufficiency: that the turn was decided by [K].
            terms, tokens, at: as of ``rule``; whoever answered holds the prompt from then on.
        """
        cached, until = [*self.cached], [*self.until]
        cached[tier], until[tier] = tokens, at + terms.prices[tier].seconds
        held = self.held - 1 if self.held else 0
        return Session(
            tier,
            self.turns + 1,
            self.failures,
            self.floor if held else 0,
            held,
            tuple([past + p for past, p in zip(self.sufficiency, sufficiency, strict=True)]),
            tuple(cached),
            tuple(until),
        )

    def failed(self) -> "Session":
        """The conversation whose last answer failed: up a tier it goes, and stays for ``HELD`` turns."""
        if not self.turns:
            return self
        floor = min(max(self.tier + 1, self.floor), len(self.cached) - 1)
        return replace(self, failures=self.failures + 1, floor=floor, held=HELD)

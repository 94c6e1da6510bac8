"""Cases to verdicts: so many calls at once, each within the budget, tried again where that may help."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator

from router_model.data.judge.budget import Budget
from router_model.data.judge.cases import Case
from router_model.data.judge.config import JudgeConfig
from router_model.data.judge.endpoint import Endpoint, UnansweredError, most_tokens
from router_model.data.judge.journal import Journal
from router_model.data.judge.rubric import compose
from router_model.data.judge.verdict import parse_verdict
from router_model.errors import JudgeError

logger = logging.getLogger(__name__)

MAX_NONSENSE = 3  # replies without a verdict, of all runs, after which a case is left unmarked
MAX_FAILED_IN_A_ROW = 20  # calls given up with no reply in between: the endpoint is down
MAX_WAIT_SECONDS = 300.0

CaseDone = Callable[[], None]


class Asking:
    """One run over cases.

    Attributes:
        calls: calls sent.
        capped: the budget left no room for a call, which ended the run.
        unmarked: cases that were given up, by reason.
    """

    def __init__(self, config: JudgeConfig, journal: Journal, case_done: CaseDone) -> None:
        self.calls = 0
        self.capped = False
        self.unmarked: Counter[str] = Counter()
        self._config, self._journal, self._case_done = config, journal, case_done
        self._budget = Budget(config.max_usd, journal.spent_usd)
        self._failed_in_a_row = 0
        self._quiet_until = 0.0  # of the loop's clock: until then the endpoint asks for no call

    @property
    def spent_usd(self) -> float:
        """US dollars of all runs, without what is set aside for calls in flight."""
        return self._budget.spent_usd

    async def ask_all(self, cases: Iterator[Case]) -> None:
        """Ask until the cases or the budget end.

        Raises:
            JudgeError: the endpoint refuses every call or answers none.
        """
        try:
            async with Endpoint(self._config) as endpoint, asyncio.TaskGroup() as group:
                for _ in range(self._config.concurrency):
                    group.create_task(self._work(endpoint, cases))
        except BaseExceptionGroup as errors:  # the first tells why; the others are of the same kind
            raise errors.exceptions[0] from None

    async def _work(self, endpoint: Endpoint, cases: Iterator[Case]) -> None:
        for case in cases:  # shared by all workers, so each case has one
            for order in case.orders:
                if not await self._verdict(endpoint, case, order):
                    break
            if self.capped:
                return
            self._case_done()

    async def _verdict(self, endpoint: Endpoint, case: Case, order: int) -> bool:
        """Ask until there is a verdict; False where there will be none in this run."""
        place, tries = (case.key, order), 0
        while place not in self._journal.verdicts:
            if self._journal.nonsense[place] >= MAX_NONSENSE:
                self.unmarked["no verdict in its replies"] += 1
                return False
            try:
                if not await self._call(endpoint, case, order):
                    self.capped = True
                    return False
                self._failed_in_a_row = 0
            except UnansweredError as error:
                tries += 1
                if not error.again or tries > self._config.retries or error.wait_seconds > MAX_WAIT_SECONDS:
                    self._give_up(case, error)
                    return False
                await self._wait(tries, error.wait_seconds)
        return True

    async def _call(self, endpoint: Endpoint, case: Case, order: int) -> bool:
        """One call, noted before and after; False where the budget has no room for it."""
        answers = [text for _, text in case.answers]
        messages = compose(case.request, answers[::-1] if order else answers, case.reference)
        reserved = await self._budget.reserve(
            self._config.cost_usd(most_tokens(messages), self._config.max_tokens)
        )
        if reserved is None:
            return False
        usd = reserved  # unless the end of the call tells better
        try:
            await self._quiet()
            call = self._journal.sent(case.key, order, reserved)
            self.calls += 1
            try:
                reply = await endpoint.ask(messages)
            except (UnansweredError, JudgeError) as error:
                usd = reserved if isinstance(error, UnansweredError) and error.billed else 0.0
                self._journal.failed(call, usd, str(error))
                raise
            if reply.tokens is not None:
                usd = self._config.cost_usd(*reply.tokens)
            self._journal.answered(call, usd, parse_verdict(reply.text, case.mode == "pairwise"))
        finally:
            self._budget.settle(reserved, usd)
        return True

    def _give_up(self, case: Case, error: UnansweredError) -> None:
        logger.warning("record %.80r is left unmarked: %s", case.record_id, error)
        self.unmarked["not answered"] += 1
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= MAX_FAILED_IN_A_ROW:
            raise JudgeError(
                f"{self._failed_in_a_row} calls in a row were given up, the last: {error}; "
                "what was done is kept, and the same command goes on from there"
            )

    async def _wait(self, tries: int, asked_seconds: float) -> None:
        """Back off by chance, up to twice as long each time, and never for less than was asked.

        The wait is drawn from the whole span, so that calls that failed together do not come back
        together ("full jitter": https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
        """
        longest = min(MAX_WAIT_SECONDS, self._config.backoff_seconds * 2.0 ** (tries - 1))
        now = asyncio.get_running_loop().time()
        self._quiet_until = max(self._quiet_until, now + asked_seconds)
        await asyncio.sleep(max(asked_seconds, random.uniform(0.0, longest)))  # noqa: S311 - no secret

    async def _quiet(self) -> None:
        """Wait as long as the endpoint asked any call to."""
        loop = asyncio.get_running_loop()
        while (seconds := self._quiet_until - loop.time()) > 0:
            await asyncio.sleep(seconds)

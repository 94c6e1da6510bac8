"""One provider's limits a minute, which all workers and replicas keep together in Redis."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from router_model.errors import one_line
from router_model.serving.gateway.rates import SLICE_SECONDS, WINDOW_SECONDS, Rates
from router_model.serving.gateway.within import Within

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 0.1  # that a call waits for Redis at most
REST_SECONDS = 1.0  # that a Redis which did not answer is not asked for
KEEP_SECONDS = 2 * WINDOW_SECONDS
NONE = -1  # in place of a limit

# KEYS: a hash of what went, "r:SECOND" requests and "t:SECOND" tokens. ARGV: how long a second counts, how
# long the key stays, the limits of requests and of tokens, and the call's tokens. As `Rates`, in seconds of
# Redis' own clock. The answer: the second that the call was counted in, or 0 and the seconds to wait.
SCRIPT = """
local counts, keep, most_requests, most_tokens, tokens = unpack(ARGV)
counts, most_requests, most_tokens, tokens =
  tonumber(counts), tonumber(most_requests), tonumber(most_tokens), tonumber(tokens)
local now, requests, counted, seconds, went = tonumber(redis.call('TIME')[1]), 0, 0, {}, {r = {}, t = {}}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local kind, second = string.match(fields[i], '^(%a):(%d+)$')
  second = tonumber(second)
  if second <= now - counts then
    redis.call('HDEL', KEYS[1], fields[i])
  else
    local amount = tonumber(fields[i + 1])
    went[kind][second] = amount
    if kind == 'r' then
      requests = requests + amount
      seconds[#seconds + 1] = second
    else
      counted = counted + amount
    end
  end
end
local function room()
  if most_requests >= 0 and requests + 1 > most_requests then return false end
  return most_tokens < 0 or requests <= 0 or counted + tokens <= most_tokens
end
if room() then
  redis.call('HINCRBY', KEYS[1], 'r:' .. now, 1)
  redis.call('HINCRBY', KEYS[1], 't:' .. now, tokens)
  redis.call('EXPIRE', KEYS[1], keep)
  return {now, 0}
end
table.sort(seconds)
for _, second in ipairs(seconds) do
  requests, counted = requests - went.r[second], counted - (went.t[second] or 0)
  if room() then return {0, second + counts - now} end
end
return {0, counts}
"""


class Quota:
    """The shared count of one provider's calls.

    Where Redis is away, each worker keeps to its even part of the limits, as where there is none.

    Args:
        redis: a client.
        name: of the provider, the same everywhere.
        whole: limits of requests and tokens a minute; None where there is none.
        part: of these, what one worker may use alone.
        rates: this worker's own count, whose limits are those that hold at the time.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        redis: "Redis",
        name: str,
        whole: tuple[int | None, int | None],
        part: tuple[int | None, int | None],
        rates: Rates,
        clock: Callable[[], float],
    ) -> None:
        self._redis = redis
        self._script: Any = redis.register_script(SCRIPT)
        self._key = f"{{router-model:rate:{name}}}"
        self._name = name
        self._whole, self._part = whole, part
        self._rates = rates
        self._clock = clock
        self._full_until = self._away_until = 0.0
        self._full_for = 0
        self._telling: set[asyncio.Task[None]] = set()

    def wait(self, tokens: int) -> float:
        """Seconds until there is room for a call of so many tokens, as last heard."""
        return max(0.0, self._full_until - self._clock()) if tokens >= self._full_for else 0.0

    async def take(self, tokens: int) -> int | None:
        """Count a call: the second to ``correct``, 0 where Redis is away, None where there is no room."""
        if self._clock() < self._away_until:
            return 0
        limits = [NONE if limit is None else limit for limit in self._whole]
        arguments = [int(WINDOW_SECONDS + SLICE_SECONDS), int(KEEP_SECONDS), *limits, tokens]
        try:
            with Within(TIMEOUT_SECONDS):
                second, wait = map(int, await self._script(keys=[self._key], args=arguments))
        except Exception as error:  # whatever a broken Redis does, requests go on
            return self._away(error)
        if self._away_until:
            logger.warning("limits of %s: Redis is back", self._name)
        self._away_until = 0.0
        self._rates.requests, self._rates.tokens = self._whole
        if not second:
            self._full_until, self._full_for = self._clock() + wait, tokens
            return None
        return second

    def correct(self, second: int, more: int) -> None:
        """A call of that second had so many tokens more (less, where negative) than counted; nobody waits."""
        if second and more:
            task = asyncio.get_running_loop().create_task(self._tell(second, more))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, second: int, more: int) -> None:
        try:
            with Within(TIMEOUT_SECONDS):
                await self._redis.hincrby(self._key, f"t:{second}", more)
        except Exception as error:
            self._away(error)

    def _away(self, error: Exception) -> int:
        if not self._away_until:
            why = one_line(error) or type(error).__name__
            logger.warning("limits of %s: no Redis (%s); each worker keeps to its part", self._name, why)
        self._away_until = self._clock() + REST_SECONDS
        self._rates.requests, self._rates.tokens = self._part
        return 0

"""What a worker and Redis tell each other of budgets, in one script that Redis runs as a whole."""

import asyncio
import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from router_model.errors import one_line
from router_model.serving.gateway.ledger import Ledger, Place

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

ALIVE_SECONDS = 30  # a worker that is silent for so long has died, and what it reserved is free
KEEP_SECONDS = 33 * 86_400  # longer than any period
TIMEOUT_SECONDS = 0.1  # that a request waits for Redis at most
KEY = "{router-model:budget}"  # the braces keep all of them on one node of a cluster

# Tells what this worker reserves and has spent, and answers what all have. An amount counts once, by its
# sequence. "seen" puts right a Redis that has lost its data.
SCRIPT = """
local worker, alive, keep, now = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(redis.call('TIME')[1])
local answer = {}
for i, key in ipairs(KEYS) do
  local reserved, sequence, sent, seen = unpack(ARGV, 4 * i, 4 * i + 3)
  local spent = math.max(tonumber(redis.call('HGET', key, 'spent') or 0), tonumber(seen))
  if tonumber(sequence) > tonumber(redis.call('HGET', key, 'sequence:' .. worker) or 0) then
    spent = spent + tonumber(sent)
  end
  redis.call('HSET', key, 'spent', string.format('%.17g', spent), 'sequence:' .. worker, sequence,
    'reserved:' .. worker, reserved .. ' ' .. (now + alive))
  redis.call('EXPIRE', key, keep)
  local others, workers, fields = 0, 0, redis.call('HGETALL', key)
  for j = 1, #fields, 2 do
    local name = string.match(fields[j], '^reserved:(.*)$')
    if name then
      local amount, ends = string.match(fields[j + 1], '^(%S+) (%S+)$')
      if tonumber(ends) < now then
        redis.call('HDEL', key, fields[j], 'sequence:' .. name)
      else
        workers = workers + 1
        if name ~= worker then others = others + tonumber(amount) end
      end
    end
  end
  answer[i] = {string.format('%.17g', spent), string.format('%.17g', others), workers}
end
return answer
"""


class Exchange:
    """One worker's end; ``cut_off`` tells whether Redis could not be reached the last time."""

    def __init__(self, redis: "Redis", worker: str) -> None:
        self._script: Any = redis.register_script(SCRIPT)
        self._worker = worker
        self.cut_off = False

    async def __call__(self, ledgers: Mapping[Place, Ledger]) -> bool:
        """Tell what this worker's ledgers hold and put there what all do; whether Redis was reached.

        One at a time, or what is told later may arrive sooner.
        """
        arguments: list[Any] = [self._worker, ALIVE_SECONDS, KEEP_SECONDS]
        for ledger in ledgers.values():
            ledger.send()
            reserved = ledger.reserved + ledger.unsent  # what waits to be sent stays reserved until then
            arguments += [repr(reserved), ledger.sequence, repr(ledger.sent), repr(ledger.seen)]
        keys = [f"{KEY}:{name}:{start:.0f}" for name, start in ledgers]
        try:
            answer = await asyncio.wait_for(self._script(keys=keys, args=arguments), TIMEOUT_SECONDS)
            heard = [_heard(part) for part in answer]
        except Exception as error:  # whatever a broken Redis does, requests go on
            if not self.cut_off:
                logger.warning("budgets: no Redis (%s); each worker keeps to its share", one_line(error))
            self.cut_off = True
            return False
        if self.cut_off:
            logger.warning("budgets: Redis is back")
        self.cut_off = False
        for ledger, part in zip(ledgers.values(), heard, strict=True):
            ledger.arrived(*part)
        return True


def _heard(part: Any) -> tuple[float, float, int]:
    seen, others, workers = float(part[0]), float(part[1]), int(part[2])
    if not (0 <= seen < math.inf and 0 <= others < math.inf and workers >= 1):
        raise ValueError(f"amounts that cannot be: {part!r:.80}")
    return seen, others, workers

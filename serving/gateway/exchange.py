"""What a worker and Redis tell each other of budgets, in one script that Redis runs as a whole.

Each worker's spending stands under its own name and only ever rises, so that to tell it twice does no harm,
and what a Redis has lost is told again by those who know it.
"""

import asyncio
import json
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

# KEYS: a hash for each budget's period. ARGV: the worker, its life and the keys' in seconds, "1" to hear what
# each of the others has spent; then for each key what this worker has reserved and spent, and what it knows
# of the others. The answer for each key: spent and reserved by others, workers, and who spent how much.
SCRIPT = """
local worker, alive, keep, whole = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] == '1'
local now, answer = tonumber(redis.call('TIME')[1]), {}
local function raise(key, name, amount)
  if tonumber(amount) > tonumber(redis.call('HGET', key, 'spent:' .. name) or 0) then
    redis.call('HSET', key, 'spent:' .. name, string.format('%.17g', amount))
  end
end
for i, key in ipairs(KEYS) do
  local reserved, spent, known = unpack(ARGV, 3 * i + 2, 3 * i + 4)
  raise(key, worker, spent)
  for name, amount in pairs(cjson.decode(known)) do raise(key, name, amount) end
  redis.call('HSET', key, 'reserved:' .. worker, reserved .. ' ' .. (now + alive))
  redis.call('EXPIRE', key, keep)
  local elsewhere, others, workers, by_worker = 0, 0, 0, {}
  local fields = redis.call('HGETALL', key)
  for j = 1, #fields, 2 do
    local kind, name = string.match(fields[j], '^(%a+):(.*)$')
    if kind == 'spent' and name ~= worker then
      elsewhere = elsewhere + tonumber(fields[j + 1])
      if whole then by_worker[#by_worker + 1] = name; by_worker[#by_worker + 1] = fields[j + 1] end
    elseif kind == 'reserved' then
      local amount, ends = string.match(fields[j + 1], '^(%S+) (%S+)$')
      if tonumber(ends) < now then
        redis.call('HDEL', key, fields[j])
      else
        workers = workers + 1
        if name ~= worker then others = others + tonumber(amount) end
      end
    end
  end
  answer[i] = {string.format('%.17g', elsewhere), string.format('%.17g', others), workers, by_worker}
end
return answer
"""


class Exchange:
    """One worker's end; ``cut_off`` tells whether Redis could not be reached the last time."""

    def __init__(self, redis: "Redis", worker: str) -> None:
        self._script: Any = redis.register_script(SCRIPT)
        self._worker = worker
        self.cut_off = False

    async def __call__(self, ledgers: Mapping[Place, Ledger], *, whole: bool = False) -> bool:
        """Tell what this worker's ledgers hold and put there what the others do; whether Redis was reached.

        ``whole`` also tells and hears who spent how much. One at a time, or what was told first may arrive
        last.
        """
        arguments: list[Any] = [self._worker, ALIVE_SECONDS, KEEP_SECONDS, int(whole)]
        told = [(ledger.spent, ledger.reserved) for ledger in ledgers.values()]
        for ledger in ledgers.values():
            known = json.dumps(ledger.by_worker) if whole else "{}"
            arguments += [repr(ledger.reserved), repr(ledger.spent), known]
        keys = [f"{KEY}:{name}:{start:.0f}" for name, start in ledgers]
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                answer = await self._script(keys=keys, args=arguments)
            heard = [_heard(part) for part in answer]
        except Exception as error:  # whatever a broken Redis does, requests go on
            if not self.cut_off:
                why = one_line(error) or type(error).__name__
                logger.warning("budgets: no Redis (%s); each worker keeps to its share", why)
            self.cut_off = True
            return False
        if self.cut_off:
            logger.warning("budgets: Redis is back")
        self.cut_off = False
        for ledger, (ledger.told, ledger.published), part in zip(ledgers.values(), told, heard, strict=True):
            elsewhere, others, workers, by_worker = part
            ledger.elsewhere = max(ledger.elsewhere, elsewhere)  # less: it has lost what others tell it soon
            ledger.others_reserved, ledger.workers = others, workers
            ledger.by_worker |= by_worker
        return True


def _heard(part: Any) -> tuple[float, float, int, dict[str, float]]:
    names, amounts = part[3][::2], part[3][1::2]
    by_worker = {_text(name): float(amount) for name, amount in zip(names, amounts, strict=True)}
    elsewhere, others, workers = float(part[0]), float(part[1]), int(part[2])
    if workers < 1 or not all(0 <= amount < math.inf for amount in (elsewhere, others, *by_worker.values())):
        raise ValueError(f"amounts that cannot be: {part!r:.80}")
    return elsewhere, others, workers, by_worker


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode()

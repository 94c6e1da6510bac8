"""One call of an OpenAI-compatible endpoint: ``POST {base_url}/chat/completions``.

The format is that of https://platform.openai.com/docs/api-reference/chat; of the response, the text of the
first choice and the two token counts of ``usage`` are read.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from router_model.data.judge.config import JudgeConfig
from router_model.errors import ConfigError, JudgeError, one_line

MAX_RESPONSE_BYTES = 4 << 20
MAX_TOKENS_COUNTED = 10**9  # a larger count in ``usage`` is none
PER_MESSAGE_TOKENS = 64  # for what a chat template adds
AGAIN = frozenset({408, 409, 425, 429})  # and all from 500: the same call may be answered later
STOP = frozenset({401, 402, 404})  # key, credit, address or model: no call will be answered

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the endpoint answered.

    Attributes:
        text: None where the first choice holds none.
        tokens: (input, output) that it counted; None where it did not say.
    """

    text: str | None
    tokens: tuple[int, int] | None


class UnansweredError(Exception):
    """A call brought no reply.

    Attributes:
        billed: it may have been answered on the way, and so cost.
        again: the same call may be answered later.
        wait_seconds: how long the endpoint asks to wait.
    """

    def __init__(self, why: str, billed: bool = True, again: bool = True, wait_seconds: float = 0.0) -> None:
        super().__init__(why)
        self.billed, self.again, self.wait_seconds = billed, again, wait_seconds


def most_tokens(messages: Messages) -> int:
    """Input tokens at most: no tokenizer makes more tokens than a text has bytes in UTF-8."""
    return sum(len(message["content"].encode()) + PER_MESSAGE_TOKENS for message in messages)


def read_key(name: str) -> str | None:
    """The key that the environment variable ``name`` holds, or None; never a part of any message."""
    key = os.environ.get(name, "").strip()
    if not (key.isascii() and (key.isprintable() or not key)):
        raise ConfigError(f"environment variable {name}: no key, which is printable ASCII; set it anew")
    return key or None


class Endpoint:
    """Where the judge is asked; use it as a context.

    Raises:
        ConfigError: the environment variable holds what is no key.
    """

    def __init__(self, config: JudgeConfig) -> None:
        self._url = f"{config.base_url.rstrip('/')}/chat/completions"
        self._key_env, self._key = config.key_env, read_key(config.key_env)
        self._timeout = aiohttp.ClientTimeout(total=config.timeout_seconds)
        limit = "max_completion_tokens" if config.reasoning else "max_tokens"
        self._settings: dict[str, Any] = {"model": config.model, limit: config.max_tokens}
        if not config.reasoning:
            self._settings["temperature"] = 0
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> "Endpoint":
        """Open the connections."""
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._session = aiohttp.ClientSession(
            headers=headers, timeout=self._timeout, connector=aiohttp.TCPConnector(limit=0)
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the connections."""
        await self._session.close()

    async def ask(self, messages: Messages) -> Reply:
        """Send one call.

        Raises:
            UnansweredError: it was refused, lost, cut short or timed out.
            JudgeError: the endpoint refuses the key or does not know the model, so no call will do.
        """
        body = json.dumps({**self._settings, "messages": list(messages)}).encode()
        try:
            # A redirect would take the key to another host.
            async with self._session.post(self._url, data=body, allow_redirects=False) as response:
                content = await _read(response)
        except TimeoutError:
            raise UnansweredError("no reply in time") from None
        except aiohttp.ClientConnectorError as error:  # never sent
            raise UnansweredError(self._quote(str(error)), billed=False) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UnansweredError(self._quote(f"{type(error).__name__}: {error}")) from None
        if response.status != 200:
            raise self._refusal(response.status, response.headers.get("Retry-After"), content)
        return _reply(content)

    def _refusal(self, status: int, retry_after: str | None, content: bytes) -> Exception:
        said = self._quote(content.decode("utf-8", "replace"))
        if status in STOP or 300 <= status < 400:
            keyed = f"with the key of {self._key_env}" if self._key else f"no key: {self._key_env} is unset"
            return JudgeError(
                f"the endpoint answers {status} ({keyed}): {said}; mend key, --base-url or --model"
            )
        again = status in AGAIN or status >= 500
        wait = seconds_to_wait(retry_after, time.time())
        return UnansweredError(f"HTTP {status}: {said}", billed=False, again=again, wait_seconds=wait)

    def _quote(self, text: str) -> str:
        """What the endpoint said, on one short printable line, without the key if it repeats it."""
        text = text.replace(self._key, "[key]") if self._key else text
        return one_line(Exception("".join(c if c.isprintable() else " " for c in text)))


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in response.content.iter_any():
        content += piece
        if len(content) > MAX_RESPONSE_BYTES:
            raise UnansweredError(f"a response of more than {MAX_RESPONSE_BYTES} bytes", again=False)
    return bytes(content)


def _reply(content: bytes) -> Reply:
    try:
        value = json.loads(content)
        text = value["choices"][0]["message"].get("content")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise UnansweredError("a response that is no chat completion") from None
    return Reply(text if isinstance(text, str) else None, _tokens(value.get("usage")))


def _tokens(usage: Any) -> tuple[int, int] | None:
    if not isinstance(usage, Mapping):
        return None
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    for count in counts:
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_TOKENS_COUNTED:
            return None
    return counts[0], counts[1]  # type: ignore[return-value]


def seconds_to_wait(retry_after: str | None, now: float) -> float:
    """Seconds that a Retry-After header asks for, as a number or a date (RFC 9110, section 10.2.3), or 0."""
    if not retry_after:
        return 0.0
    try:
        if retry_after.strip().isdecimal():
            return float(retry_after)
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0

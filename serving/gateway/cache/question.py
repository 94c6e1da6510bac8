"""What of a request is the question, and what else must be equal for an answer to stand for another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from router_model.prompt import TEXT_PARTS
from router_model.serving.gateway.cache.key import key_of
from router_model.serving.gateway.call import Call

# Of a body, what makes an answer more, or other, than words about the question.
ODD = ("tools", "functions", "logprobs", "audio")
SEARCHES = ("mcp_servers", "container", "web_search_options")  # the provider's own tools, be they empty
MOST_CHARACTERS = 500  # in a longer text what matters may be one word of many
PLACES = {"chat": "messages", "messages": "messages", "responses": "input", "completions": "prompt"}


@dataclass(frozen=True, slots=True)
class Question:
    """A request that may be answered by what was said to another.

    Attributes:
        text: what the user says last.
        scope: 32 bytes that name all the rest: tenant, asked word, system prompt, what was said before,
            parameters.
    """

    text: str
    scope: bytes


def question_of(call: Call, tenant: str) -> Question | None:
    """The question of a request, or None of one that no other may be answered by.

    Those are requests with tools, images, several answers, log probabilities or audio, without a text by the
    user at their end, or with a long one.
    """
    body = call.body
    place = PLACES.get(call.endpoint)
    odd = any(map(body.get, ODD)) or any(body.get(name) is not None for name in SEARCHES)
    if place is None or odd or call.needs & {"images", "tools"} or body.get("n", 1) not in (None, 1):
        return None
    found = _cut(body.get(place))
    if found is None or not found[0].strip() or len(found[0]) > MOST_CHARACTERS:
        return None
    text, rest = found
    return Question(text.strip(), key_of(replace(call, body={**body, place: rest}), tenant))


def _cut(said: Any) -> tuple[str, Any] | None:
    """The last text of the user, and all that was said with a gap in its place."""
    if isinstance(said, str):
        return said, None
    if not isinstance(said, Sequence) or not said or not isinstance(said[-1], Mapping):
        return None
    last = said[-1]
    text = _text(last.get("content"))
    if last.get("role") != "user" or text is None:
        return None
    return text, [*said[:-1], {**last, "content": None}]


def _text(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence) or len(content) != 1 or not isinstance(content[0], Mapping):
        return None
    part = content[0]
    text = part.get("text")
    plain = part.get("type") in TEXT_PARTS and part.keys() == {"type", "text"}
    return text if plain and isinstance(text, str) else None

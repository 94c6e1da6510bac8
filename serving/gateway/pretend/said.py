"""What a pretend model says: the same to the same request, and that it is pretend."""

import itertools
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.json import encode

CREATED = 1_700_000_000
TEXT = "This is a pretend answer: no language model was asked, and it says nothing but these words."
WORDS = tuple(TEXT.split())
DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Said:
    """One answer, before it has a shape: its id, its words, perhaps a tool's call, and what it counts.

    Attributes:
        id: eight hexadecimal digits, of the request's bytes.
        model: as the request names it.
        pieces: the text, in the pieces that a stream sends.
        tool: name and arguments (JSON text) of the call that is made in the place of text.
        input, cached, output, reasoning: tokens.
    """

    id: str
    model: str
    pieces: tuple[str, ...]
    tool: tuple[str, str] | None
    input: int
    cached: int
    output: int
    reasoning: int

    @property
    def text(self) -> str:
        """All pieces."""
        return "".join(self.pieces)


def say(raw: bytes, body: Mapping[str, Any], chunks: int) -> Said:
    """The answer to a request, in so many pieces."""
    schema = _schema(body)
    tool = _tool(body)
    if schema is not None:
        pieces: tuple[str, ...] = (encode(example(schema)).decode(),)
    elif tool is not None:
        pieces = ()
    else:
        pieces = _pieces(chunks)
    tokens = max(1, len(raw) // 4)
    return Said(
        id=f"{zlib.crc32(raw):08x}",
        model=str(body.get("model", "pretend")),
        pieces=pieces,
        tool=tool if schema is None else None,
        input=tokens,
        cached=tokens // 4,
        output=max(1, len(pieces)) + 4,
        reasoning=4,
    )


def _pieces(chunks: int) -> tuple[str, ...]:
    words = itertools.islice(itertools.cycle(WORDS), max(1, chunks))
    return tuple(w if i == 0 else f" {w}" for i, w in enumerate(words))


def _schema(body: Mapping[str, Any]) -> Any:
    """The JSON schema that the answer has to keep, of chat and of responses."""
    asked = body.get("response_format")
    if asked is None and isinstance(body.get("text"), dict):
        asked = body["text"].get("format")
    if not isinstance(asked, dict) or asked.get("type") != "json_schema":
        return None
    inner = asked.get("json_schema")
    return (inner if isinstance(inner, dict) else asked).get("schema", {})


def _tool(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """A call of the first tool, in the three shapes that tools have."""
    tools = body.get("tools")
    if not isinstance(tools, list) or not tools or not isinstance(tools[0], dict):
        return None
    tool = tools[0].get("function", tools[0])
    if not isinstance(tool, dict) or "name" not in tool:
        return None
    schema = tool.get("parameters", tool.get("input_schema", {}))
    return str(tool["name"]), encode(example(schema)).decode()


def example(schema: Any, depth: int = 0) -> Any:
    """The least value that a plain JSON schema allows."""
    if not isinstance(schema, dict) or depth > DEEPEST:
        return None
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        return {k: example(v, depth + 1) for k, v in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema.get("items"), depth + 1)]
    return {"string": "pretend", "number": 0.5, "integer": 1, "boolean": True}.get(str(kind))


def data(value: Any) -> bytes:
    """A server-sent event without a name."""
    return b"data: " + encode(value) + b"\n\n"


def event(value: dict[str, Any]) -> bytes:
    """A server-sent event named by its type."""
    return b"event: %b\ndata: %b\n\n" % (str(value["type"]).encode(), encode(value))

"""About how many tokens a request has, and how many images, in one pass over its values."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

CHARACTERS_PER_TOKEN = 4
IMAGE_TOKENS = 1024  # between what a small and a large one cost at the known providers
BLOB_TOKENS = 1024  # of a sound or a document, whose length tells little

IMAGES = frozenset({"image", "image_url", "input_image"})
BLOBS = frozenset({"input_audio", "audio", "file", "input_file", "base64", "video_url", "input_video"})
# Objects that are anyone's JSON: their members are text to the model, whatever they are called.
CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
LEAVES = IMAGES | BLOBS | CALLS
TEXT_KEYS = ("messages", "input", "prompt", "system", "instructions")
SCHEMA_KEYS = ("tools", "functions", "response_format", "text", "output_format", "output_config")


class Size(Struct, frozen=True, gc=False):
    """What a request weighs.

    Attributes:
        tokens: an estimate, at least 1: characters / 4, and a constant for each image or other attachment.
        images: among its content.
    """

    tokens: int
    images: int

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Size":
        """The size of a body in any of the endpoints' shapes; what has no known shape counts by its texts."""
        characters = numbers = 0
        leaves: list[Mapping[str, Any]] = []
        stack = [body[key] for key in TEXT_KEYS if key in body]
        while stack:
            value = stack.pop()
            kind = value.__class__
            if kind is str:
                characters += len(value)
            elif kind is list:
                stack += value
            elif kind is dict:
                content, sort = value.get("content"), value.get("type")
                if content.__class__ is str and len(value) == 2:  # a plain message, as most are
                    characters += len(content) + len("user")
                elif sort.__class__ is str and sort in LEAVES:
                    leaves.append(value)
                else:
                    stack += value.values()
            elif value is not None:
                numbers += 1  # as of prompts that are tokens already
        images = sum(leaf["type"] in IMAGES for leaf in leaves)
        blobs = sum(leaf["type"] in BLOBS for leaf in leaves)
        characters += sum(_length(leaf) for leaf in leaves if leaf["type"] in CALLS)
        characters += sum(_length(schema) for key in SCHEMA_KEYS if (schema := body.get(key)))
        tokens = characters // CHARACTERS_PER_TOKEN + numbers + IMAGE_TOKENS * images + BLOB_TOKENS * blobs
        return cls(max(1, tokens), images)


def _length(value: Any) -> int:
    try:
        return len(msgspec.json.encode(value))
    except UnicodeEncodeError:  # half of a surrogate pair
        return len(repr(value))

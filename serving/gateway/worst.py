"""The most that a call may cost, so that a budget can hold it before it is known."""

import re
from collections.abc import Callable

from router_model.serving.gateway.call import Call
from router_model.serving.gateway.usage import Usage

# What makes a model read more than the body's bytes: pictures and other attachments, of which a page is many
# tokens and the bytes may lie elsewhere; what the provider keeps under a name; and tools that it runs itself.
ATTACHED = re.compile(
    rb'"type"\s*:\s*"(?:document|file|input_file|input_audio|audio|video_url|input_video|container_upload)"'
)
BEYOND = ("mcp_servers", "container", "web_search_options")
BEYOND_OF_RESPONSES = ("previous_response_id", "conversation", "prompt", "file_ids")
OF_THE_CLIENT = ("function", "custom", None)  # types of tools
MOST_CHOICES = 128


def worst_usd(call: Call, context_tokens: int, cost_usd: Callable[[Usage], float]) -> float:
    """US dollars that a model with so long a context and such prices can ask for a call at most.

    A token is at least a byte. Where the call does not bound its output, the context does.
    """
    read = context_tokens if _beyond(call) else min(len(call.raw), context_tokens)
    written = min(call.output_tokens or context_tokens, context_tokens)
    if call.endpoint == "embeddings":
        written = 0
    written *= max(_choices(call, "n"), _choices(call, "best_of"))
    return max(cost_usd(Usage(read, written)), cost_usd(Usage(read, written, written=read)))


def _beyond(call: Call) -> bool:
    """Whether the model may read more tokens than the body has bytes."""
    body, keys = call.body, BEYOND + (BEYOND_OF_RESPONSES if call.endpoint == "responses" else ())
    if "images" in call.needs or any(body.get(key) is not None for key in keys) or ATTACHED.search(call.raw):
        return True
    tools = body.get("tools")
    known = [tool for tool in tools if tool.__class__ is dict] if tools.__class__ is list else []
    return any(tool.get("type") not in OF_THE_CLIENT for tool in known)


def _choices(call: Call, name: str) -> int:
    many = call.body.get(name)
    return max(1, min(many, MOST_CHOICES)) if isinstance(many, int) else 1

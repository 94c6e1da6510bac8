"""The most that a call may cost, so that a budget can hold it before it is known."""

from collections.abc import Callable

from router_model.serving.gateway.call import Call
from router_model.serving.gateway.usage import Usage

# What makes a model read more than the body's bytes: pictures, and what the provider keeps under a name.
BEYOND = ("previous_response_id", "conversation", "prompt", "container", "file_ids")
MOST_CHOICES = 128


def worst_usd(call: Call, context_tokens: int, cost_usd: Callable[[Usage], float]) -> float:
    """US dollars that a model with so long a context and such prices can ask for a call at most.

    A token is at least a byte. Where the call does not bound its output, the context does.
    """
    beyond = "images" in call.needs or (call.endpoint == "responses" and any(map(call.body.get, BEYOND)))
    read = context_tokens if beyond else min(len(call.raw), context_tokens)
    written = min(call.output_tokens or context_tokens, context_tokens)
    if call.endpoint == "embeddings":
        written = 0
    written *= max(_choices(call, "n"), _choices(call, "best_of"))
    return max(cost_usd(Usage(read, written)), cost_usd(Usage(read, written, written=read)))


def _choices(call: Call, name: str) -> int:
    many = call.body.get(name)
    return max(1, min(many, MOST_CHOICES)) if isinstance(many, int) else 1

"""A language model as judge of logged answers: what it is asked, what that costs, and what it said."""

from importlib.util import find_spec

from router_model.errors import MissingExtraError

if find_spec("aiohttp") is None:
    raise MissingExtraError("a judge needs aiohttp: pip install 'router-model[judge]'")

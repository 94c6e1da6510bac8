"""Decisions over HTTP from a Ray cluster: each replica of the deployment holds a router.

    serve run --route-prefix /route examples.ray_serve:app router=/shared/router.onnx
    curl localhost:8000/route -d '{"messages": [{"role": "user", "content": "hi"}]}'

Machines need ``pip install router-model 'ray[serve]'``.
"""

from typing import Any

from ray import serve
from ray.serve import Application
from starlette.requests import Request
from starlette.responses import JSONResponse

from router_model import Router, RouterModelError


@serve.deployment(ray_actor_options={"num_cpus": 1})
class Routing:
    """Answers a request body (OpenAI or Anthropic), a list of messages or a string with its decision."""

    def __init__(self, router: str) -> None:
        self.router = Router.load(router)

    async def __call__(self, request: Request) -> JSONResponse:
        """The decision; status 400 and why where the request is none. ``?quality=`` turns the dial."""
        try:
            quality = request.query_params.get("quality")
            decision = self.router.route(await request.json(), quality=float(quality) if quality else None)
        except (RouterModelError, ValueError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({**decision.to_dict(), "why": decision.why})


def app(arguments: dict[str, Any]) -> Application:
    """What ``serve run`` and ``serve build`` call; ``router`` is a path on every machine."""
    return Routing.bind(arguments["router"])

"""Run one pretend model until it is stopped; its URL is printed once it listens."""

import argparse
import asyncio
import contextlib
import sys

import msgspec

from router_model.serving.gateway.pretend import Pretend


async def _serve(model: Pretend) -> None:
    async with model:
        print(model.base_url, flush=True)  # noqa: T201 - the result of the command
        await asyncio.get_running_loop().create_future()


def main() -> None:
    """Run one until it is stopped; its URL is printed once it listens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--behaviour", default="{}", help="JSON; PUT the same to /pretend to change it")
    asked = parser.parse_args()
    model = Pretend(host=asked.host, port=asked.port)
    try:
        model.set(asked.behaviour.encode())
    except msgspec.MsgspecError as e:
        sys.exit(f"--behaviour: {e}")
    try:
        import uvloop
    except ImportError:  # not on Windows
        run = asyncio.run
    else:
        run = uvloop.run
    with contextlib.suppress(KeyboardInterrupt):
        run(_serve(model))


if __name__ == "__main__":
    main()

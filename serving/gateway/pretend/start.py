"""Pretend models in a thread of their own."""

import asyncio
import threading

from router_model.serving.gateway.pretend.model import Pretend

START_SECONDS = 10.0


def start(*models: Pretend) -> None:
    """Have them listen, until the process ends; raises TimeoutError where they do not."""
    ready = threading.Event()

    async def listen() -> None:
        for model in models:
            await model.open()
        ready.set()
        await asyncio.get_running_loop().create_future()

    threading.Thread(target=asyncio.run, args=(listen(),), name="pretend", daemon=True).start()
    if not ready.wait(START_SECONDS):
        raise TimeoutError(
            f"pretend models did not listen within {START_SECONDS:g} s; see the thread's error"
        )

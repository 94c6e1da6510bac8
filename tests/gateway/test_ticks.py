"""What is done again and again ends when it is told to, whatever is done."""

import asyncio
import contextlib

from router_model.serving.gateway.ticks import Ticks


def test_it_ticks_until_it_is_stopped_and_what_never_began_did_not_run() -> None:
    async def main() -> None:
        done = []

        async def tick() -> None:
            done.append(1)

        ticks = Ticks(tick, 0.001)
        assert not await ticks.stop()
        ticks.start()
        while len(done) < 3:
            await asyncio.sleep(0.001)
        assert await ticks.stop()
        count = len(done)
        await asyncio.sleep(0.01)
        assert len(done) == count

    asyncio.run(main())


def test_a_tick_that_swallows_its_cancellation_does_not_keep_it_from_stopping() -> None:
    async def main() -> None:
        began = asyncio.Event()

        async def tick() -> None:
            began.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

        ticks = Ticks(tick, 0.001)
        ticks.start()
        await began.wait()
        assert await asyncio.wait_for(ticks.stop(), 5)

    asyncio.run(main())

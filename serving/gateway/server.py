"""Processes of the gateway: one socket, workers that share it, signals, and reloads."""

import asyncio
import gc
import logging
import math
import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

import uvicorn
import uvloop

from router_model.errors import GatewayConfigError, RouterModelError
from router_model.serving.gateway.app import App
from router_model.serving.gateway.config.config import GatewayConfig
from router_model.serving.gateway.config.listen import Listen
from router_model.serving.gateway.connection import Door, bounded
from router_model.serving.gateway.logs import log_to
from router_model.serving.gateway.memory import give_back, keep_together
from router_model.serving.gateway.poll import Poll
from router_model.serving.gateway.spans import Spans
from router_model.serving.gateway.state import Lasting, Private, State, build, mark

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0  # between looks at the files
KEEP_ALIVE_SECONDS = 75
RESTART_SECONDS = 1.0
GARBAGE = 20_000  # objects made, less those freed, between two collections; a request makes some hundreds
QUICK_DEATHS = 3  # of a worker in a row, within their first seconds: then the gateway gives up


@dataclass(frozen=True)
class Service:
    """What a worker serves.

    Attributes:
        path: the gateway's file.
        private: what the traffic log may keep of prompts.
        dry: decide, and call no upstream.
        told: folder in which the workers tell each other their counts; None where there is one.
    """

    path: Path
    private: Private = field(default_factory=Private)
    dry: bool = False
    told: Path | None = None


def serve(service: Service, *, listening: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then let streams end.

    Args:
        listening: told the URL once the port is bound.

    Raises:
        RouterModelError: the file, or what it names, cannot be used; or workers do not stay up.
    """
    config = GatewayConfig.read(service.path)
    with bind(config.listen) as bound:
        if listening:
            host, port = bound.getsockname()[:2]
            listening(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        if config.listen.workers == 1:
            return work(service, bound)
        with tempfile.TemporaryDirectory() as told:
            Supervisor(replace(service, told=Path(told)), bound, config.listen.workers).run()
    return None


def bind(listen: Listen) -> socket.socket:
    """The listening socket; raises GatewayConfigError."""
    try:
        family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        return socket.create_server((listen.host, listen.port), family=family, backlog=listen.backlog)
    except OSError as error:
        raise GatewayConfigError(
            f"listen {listen.host}:{listen.port}: {error.strerror or error}; give another host or port"
        ) from None


def work(service: Service, bound: socket.socket) -> None:
    """One worker, until it is told to stop."""
    keep_together()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(service, bound))


async def _work(service: Service, bound: socket.socket) -> None:
    config = GatewayConfig.read(service.path)
    log_to(as_json=config.json_logs, secrets=config.secrets(os.environ).values())
    lasting = Lasting(service.private, service.told, service.path.with_suffix(".spent"))
    if config.spans:
        lasting.spans = Spans.to_collector()
    state = await build(config, lasting)
    gc.freeze()  # what is here now stays: it need not be looked through again and again
    gc.set_threshold(GARBAGE)
    app = App(state, dry=service.dry)
    door = Door(
        lambda: app.state.config.limits,
        Poll(config.listen.busy_polling_ms / 1000),
        lambda: lasting.metrics.count("connections_refused_total"),
    )
    server = Server(
        uvicorn.Config(
            app,
            http=bounded(door),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=math.ceil(state.config.limits.stop_seconds),
        )
    )
    lasting.connections = lambda: len(server.server_state.connections)
    lasting.measure = lambda: app.state.measure()
    lasting.siblings.open()
    end_with_parent(server)
    reloading = asyncio.create_task(Reloads(app, service.path, lasting).run())
    try:
        await server.serve(sockets=[bound])
    finally:
        reloading.cancel()
        await app.state.close()
        await lasting.siblings.close()
        lasting.spans.close()


def end_with_parent(server: uvicorn.Server) -> None:
    """Have a worker stop where the process that started it ends, however suddenly."""
    parent, loop = multiprocessing.parent_process(), asyncio.get_running_loop()
    if parent is None:
        return
    sentinel = parent.sentinel

    def stop() -> None:
        loop.remove_reader(sentinel)
        server.handle_exit(signal.SIGTERM, None)

    loop.add_reader(sentinel, stop)


class Server(uvicorn.Server):
    """uvicorn's, which when it has stopped does not raise the signal again: there is more to close."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT; a second SIGINT does not wait for answers."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


class Reloads:
    """Reads the file and the router again when either changes, or at SIGHUP; a bad one changes nothing."""

    def __init__(self, app: App, path: Path, lasting: Lasting) -> None:
        self.app = app
        self.path = path
        self.lasting = lasting
        self._asked = asyncio.Event()
        self._seen = self._marks()
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Look each second, for ever."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), LOOK_SECONDS)
            marks = await asyncio.to_thread(self._marks)
            if self._asked.is_set() or marks != self._seen:
                self._asked.clear()
                self._seen = marks
                await self.reload()

    async def reload(self) -> None:
        """Swap the state; the old one closes once its requests have ended."""
        old = self.app.state
        try:
            self.app.state = await build(GatewayConfig.read(self.path), self.lasting, old)
        except RouterModelError as error:
            logger.error("reload refused, the old one goes on: %s", error)
            self.lasting.metrics.count("reloads_total", "refused")
            return
        logger.info("reloaded %s", self.path)
        self.lasting.metrics.count("reloads_total", "done")
        closing = asyncio.create_task(self._retire(old))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _retire(self, old: State) -> None:
        await old.close(self.app.state)
        del old
        give_back()

    def _marks(self) -> list[tuple[int, int, int]]:
        """What tells a changed file: of the gateway's and the router's."""
        return [mark(self.path), mark(self.app.state.config.router)]


class Supervisor:
    """Starts workers on one socket, starts anew those that die, and passes signals on."""

    def __init__(self, service: Service, bound: socket.socket, count: int) -> None:
        self.service = service
        self.bound = bound
        self.workers: dict[int, BaseProcess] = {}
        self.count = count
        self.stopping = False
        self._began: dict[int, float] = {}
        self._deaths = 0

    def run(self) -> None:
        """Until SIGTERM or SIGINT; raises RouterModelError where workers do not stay up."""
        for stop in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop, self._stop)
        signal.signal(signal.SIGHUP, lambda number, _: self._pass_on(number))
        for number in range(self.count):
            self._start(number)
        try:
            while not self.stopping:
                self._look()
        finally:
            self._pass_on(signal.SIGTERM)
            for worker in self.workers.values():
                worker.join()

    def _start(self, number: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        worker = spawn.Process(target=work, args=(self.service, self.bound), name=f"worker-{number}")
        worker.start()
        self.workers[number], self._began[number] = worker, time.monotonic()

    def _look(self) -> None:
        time.sleep(0.1)
        for number, worker in self.workers.items():
            if worker.is_alive() or self.stopping:
                continue
            quick = time.monotonic() - self._began[number] < 10 * RESTART_SECONDS
            self._deaths = self._deaths + 1 if quick else 1
            logger.error("worker %d ended with %s; it is started anew", number, worker.exitcode)
            if self._deaths > QUICK_DEATHS:
                raise RouterModelError("workers end as soon as they start; their log says why")
            time.sleep(RESTART_SECONDS)
            self._start(number)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _pass_on(self, number: int) -> None:
        for worker in self.workers.values():
            if worker.pid and worker.is_alive():
                os.kill(worker.pid, number)

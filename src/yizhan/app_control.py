"""Composition of the control plane: the only place that names its concrete classes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from litestar import Litestar, Request, Router
from litestar.di import Provide
from litestar.middleware import DefineMiddleware

from yizhan.accounts.api import UserController
from yizhan.accounts.authentication import Recognition
from yizhan.accounts.keys_api import KeyController
from yizhan.accounts.password import Doorkeeper
from yizhan.accounts.secret import operator_token
from yizhan.accounts.session_api import SessionController
from yizhan.app_prepare import opened
from yizhan.billing.books import DatabaseBooks
from yizhan.channels.api import ChannelController
from yizhan.clock import Clock, SystemClock
from yizhan.config import Settings
from yizhan.link.server import LinkServer
from yizhan.prices.api import PriceController
from yizhan.prices.catalog_api import GroupController, ModelController
from yizhan.process import Inherited
from yizhan.store.engine import Database
from yizhan.store.seal import Seal
from yizhan.topups.api import LedgerController, TopupController
from yizhan.usage.api import UsageController
from yizhan.web import problems
from yizhan.web.access import Person, admit
from yizhan.web.apidocs import described
from yizhan.web.metrics import serve_metrics
from yizhan.web.office import Office
from yizhan.web.pages import pages

_BODY_MAX = 1024 * 1024  # of an admin request
_GRACE_S = 5


def admin_router() -> Router:
    """Every route of the admin API."""
    return Router(
        path="/admin/v1",
        route_handlers=[
            SessionController,
            UserController,
            KeyController,
            ChannelController,
            PriceController,
            GroupController,
            ModelController,
            TopupController,
            LedgerController,
            UsageController,
        ],
    )


def control_app(
    database: Database, seal: Seal, settings: Settings, clock: Clock, nudge: Callable[[], None]
) -> Litestar:
    """Put the public app of the control plane together. ``nudge`` is called after each change an admin made."""
    office = Office(
        database,
        seal=seal,
        settings=settings,
        clock=clock,
        operator_token=operator_token(settings.home_path),
        nudge=nudge,
    )
    doorkeeper = Doorkeeper(clock)

    async def person(request: Request[Any, Any, Any]) -> Person:
        found: Person = request.user
        return found

    app = Litestar(
        route_handlers=[admin_router(), pages(lambda: described(admin_router()))],
        dependencies={
            "office": Provide(lambda: office, sync_to_thread=False),
            "doorkeeper": Provide(lambda: doorkeeper, sync_to_thread=False),
            "person": Provide(person),
        },
        middleware=[DefineMiddleware(Recognition)],
        guards=[admit],
        exception_handlers=problems.HANDLERS,
        openapi_config=None,
        logging_config=None,
        request_max_body_size=_BODY_MAX,
        signature_types=[Office, Person, Doorkeeper],
    )
    app.state.office = office
    return app


def run_control(settings: Settings, inherited: Inherited | None = None) -> None:
    """Serve the control plane until SIGTERM, or until the supervisor is gone."""
    clock = SystemClock()
    inherited = inherited or Inherited()
    with ExitStack() as stack:
        database, seal = stack.enter_context(opened(settings))
        # Databases of their own: leases and intake never wait for a connection that a report holds.
        lending = stack.enter_context(closing(database.beside()))
        books = DatabaseBooks(lending, seal, clock=clock, share_ppm=settings.lease_share_ppm)
        link = LinkServer(
            books,
            address=settings.link_address,
            secret=settings.link_secret,
            recall_s=settings.recall_timeout_ms / 1000,
        )
        app = control_app(database, seal, settings, clock, link.nudge)
        sock = stack.enter_context(control_socket(settings.home_path))
        link.start()
        stack.callback(link.stop)
        stack.enter_context(serve_metrics(settings.metrics_bind, lambda: asyncio.run(link.figures())))
        asyncio.run(_serve(app, sock, inherited))


@contextmanager
def control_socket(home: Path) -> Iterator[socket.socket]:
    """Listen on ``run/control.sock``, for this account alone; a socket left by a process that died is replaced."""
    path = home / "run" / "control.sock"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(before)
    try:
        sock.listen(512)
        yield sock
    finally:
        sock.close()
        path.unlink(missing_ok=True)


class _Server(uvicorn.Server):
    """Leaves signals alone: SIGTERM is ours, and SIGINT is the supervisor's business."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def _serve(app: Litestar, sock: socket.socket, inherited: Inherited) -> None:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=_GRACE_S,
        server_header=False,
        forwarded_allow_ips="*",  # only the gateway reaches this socket
    )
    server = _Server(config)

    def stop() -> None:
        server.should_exit = True

    async def follow() -> None:
        await inherited.until_orphaned()
        stop()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    async with asyncio.TaskGroup() as group:
        follower = group.create_task(follow())
        telling = group.create_task(_tell(server, inherited))
        await server.serve(sockets=[sock])
        follower.cancel()
        telling.cancel()


async def _tell(server: uvicorn.Server, inherited: Inherited) -> None:
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    with suppress(OSError):
        inherited.tell_ready("control")

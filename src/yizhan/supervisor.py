"""``yizhan serve``: owns the data folder's lock and the public socket, keeps the planes up, ends them in order.

It stays small: no database and no web framework is loaded here, so that nothing in it can break while the others do.
"""

from __future__ import annotations

import errno
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType

import msgspec

from yizhan.children import Family, Recipe, spawn
from yizhan.clock import SystemClock
from yizhan.config import Settings, as_environment
from yizhan.demo import available
from yizhan.greeting import Greeter
from yizhan.home import Refused, locked, open_home, planes
from yizhan.process import Inherited, Prepared

READY_S = 30.0  # after so long the address is printed all the same, with the names of those who are late
MARGIN_S = 10.0  # for the last intake, beyond the streams' own grace
HURRY_S = 3.0  # what a second Ctrl-C leaves of the grace; a third leaves nothing
_BACKLOG = 4096
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Commands(msgspec.Struct, frozen=True):
    """How each kind of process is started; tests put stand-ins here."""

    prepare: Sequence[str] = (sys.executable, "-m", "yizhan.app", "prepare")
    control: Sequence[str] = (sys.executable, "-m", "yizhan.app", "control")
    gateway: Sequence[str] = (sys.executable, "-m", "yizhan.app", "gateway")
    demo: Sequence[str] = (sys.executable, "-m", "yizhan.demo")
    demo_available: Callable[[], bool] = available


def serve(settings: Settings, *, json: bool = False, commands: Commands | None = None) -> int:
    """Run the station until it is told to stop; the exit status. What keeps it from starting is one line on stderr."""
    try:
        with locked(open_home(settings), planes(settings)):
            _Station(settings, json=json, commands=commands or Commands()).run()
    except Refused as error:
        print(f"yizhan: {error}", file=sys.stderr, flush=True)  # noqa: T201 - this is the terminal's
        return 1
    return 0


class _Station:
    def __init__(self, settings: Settings, *, json: bool, commands: Commands) -> None:
        self._settings = settings
        self._commands = commands
        self._clock = SystemClock()
        self._json = json
        self._stops = 0
        self._heard = b""
        self._family: Family

    def run(self) -> None:
        with ExitStack() as stack:
            self._selector = stack.enter_context(selectors.DefaultSelector())
            stack.enter_context(self._listening_to_signals())
            self._sockets = bind(self._settings.bind) if "gateway" in planes(self._settings) else []
            stack.callback(self._close_sockets)
            if self._sockets:
                self._settings = msgspec.structs.replace(self._settings, bind=_bound(self._settings, self._sockets[0]))
            self._greeter = Greeter(self._settings, json=self._json)
            self._environment = {**os.environ, **as_environment(self._settings)}
            demo_port = self._demo_port()
            prepared = self._prepare(demo_port)
            watch, ready = self._pipe(stack), self._pipe(stack)
            os.set_blocking(ready[0], False)
            self._ready_end = ready[0]
            self._selector.register(ready[0], selectors.EVENT_READ)
            inherited = Inherited(watch=watch[0], ready=ready[1])
            recipes = self._recipes(inherited, demo_port)
            self._family = Family(recipes, clock=self._clock, environment=self._environment, say=self._greeter.say)
            self._watch_over(prepared)
            self._stop()

    def _demo_port(self) -> int:
        if not (self._settings.demo and self._settings.role == "all"):
            return 0
        if not self._commands.demo_available():
            self._greeter.say("the demo model's wheels are not installed; starting without it")
            return 0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    def _prepare(self, demo_port: int) -> Prepared:
        """Migrate and bootstrap in a process of its own, which takes its libraries with it when it ends."""
        if "control" not in planes(self._settings):
            return Prepared()
        self._greeter.say("preparing the database …")
        argv = [*self._commands.prepare, *(["--demo", f"http://127.0.0.1:{demo_port}"] if demo_port else [])]
        child = spawn(argv, environment=self._environment, descriptors=(), out=subprocess.PIPE)
        printed = child.communicate()[0]
        try:
            prepared = msgspec.json.decode(printed, type=Prepared)
        except msgspec.MsgspecError:
            raise Refused(f"the database could not be prepared (status {child.returncode})") from None
        if prepared.error or child.returncode != 0:
            raise Refused(prepared.error or f"the database could not be prepared (status {child.returncode})")
        if prepared.login or prepared.key:
            self._greeter.first_start(prepared)
        return prepared

    def _recipes(self, inherited: Inherited, demo_port: int) -> list[Recipe]:
        options = inherited.arguments()
        pipes = (inherited.watch, inherited.ready)
        listen = tuple(each.fileno() for each in self._sockets)
        recipes: list[Recipe] = []
        if "control" in planes(self._settings):
            argv = [*self._commands.control, *options]
            recipes.append(Recipe(name="control", plane="control", argv=argv, descriptors=pipes))
        if demo_port:
            argv = [*self._commands.demo, str(demo_port), *options]
            recipes.append(Recipe(name="demo", plane="demo", argv=argv, descriptors=pipes, optional=True))
        if self._sockets:
            options = msgspec.structs.replace(inherited, listen=listen).arguments()
            for index in range(self._settings.workers):
                argv = [*self._commands.gateway, str(index), *options]
                name = f"gateway {index}"
                recipes.append(Recipe(name=name, plane="gateway", argv=argv, descriptors=(*pipes, *listen)))
        return recipes

    def _watch_over(self, prepared: Prepared) -> None:
        """Keep everybody running until a signal comes; greet when all are ready, or have had time enough."""
        greet_at = self._clock.monotonic() + READY_S
        greeted = False
        while not self._stops:
            pause = self._family.tend()
            waiting = self._family.awaited()
            left = greet_at - self._clock.monotonic()
            if not greeted and (not waiting or left <= 0):
                greeted = True
                has_demo = any(child.recipe.plane == "demo" and not child.given_up for child in self._family.children)
                self._greeter.ready(prepared, waiting=waiting, demo=has_demo)
            if not greeted:
                pause = min(left, pause) if pause is not None else left
            self._wait(pause)

    def _stop(self) -> None:
        """End the gateways first, so that the control plane takes in their last records and leases; then the rest."""
        self._greeter.say("stopping: running streams have their grace; Ctrl-C again to hurry")
        self._close_sockets()
        for plane, grace_s in (("gateway", self._settings.drain_s + MARGIN_S), ("control", MARGIN_S), ("demo", 1.0)):
            self._end(plane, grace_s)

    def _end(self, plane: str, grace_s: float) -> None:
        deadline = self._clock.monotonic() + (grace_s if self._stops < 2 else HURRY_S)
        heard = self._stops
        self._family.end(plane, signal.SIGTERM)
        while self._family.running(plane):
            now = self._clock.monotonic()
            if self._stops > heard:
                heard = self._stops
                deadline = min(deadline, now + HURRY_S) if heard < 3 else now
                self._family.end(plane, signal.SIGTERM)
            if now >= deadline:
                self._family.end(plane, signal.SIGKILL)
                deadline = now + 1.0
            pause = self._family.tend()  # the other planes are kept up until their turn comes
            if self._family.running(plane):
                self._wait(min(pause or 1.0, max(deadline - now, 0.0)))

    def _wait(self, pause: float | None) -> None:
        for key, _ in self._selector.select(pause):
            if key.fd == self._ready_end:
                self._heard += os.read(self._ready_end, 4096)
                *names, self._heard = self._heard.split(b"\n")
                for name in names:
                    self._family.note_ready(name.decode())
            else:
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.recv(4096)

    @contextmanager
    def _listening_to_signals(self) -> Iterator[None]:
        """Have signals wake the selector: the end of a child, and the wish to stop."""
        reading, writing = socket.socketpair()
        reading.setblocking(False)
        writing.setblocking(False)
        self._selector.register(reading, selectors.EVENT_READ)
        before = {number: signal.getsignal(number) for number in (*_STOPPING, signal.SIGCHLD)}
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        for number in _STOPPING:
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            reading.close()
            writing.close()

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stops += 1

    def _close_sockets(self) -> None:
        for each in self._sockets:
            each.close()

    @staticmethod
    def _pipe(stack: ExitStack) -> tuple[int, int]:
        ends = os.pipe()
        for end in ends:
            stack.callback(os.close, end)
        return ends


def bind(address: str) -> list[socket.socket]:
    """Listen on every address that HOST:PORT stands for. Raises Refused with one line."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not port.isdigit() or int(port) > 65535:
        raise Refused(f"bad setting: bind must be HOST:PORT, not {address!r}")
    try:
        found = socket.getaddrinfo(
            host or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
        )
    except OSError as error:
        raise Refused(f"cannot listen on {address}: {error.strerror}") from None
    opened: list[socket.socket] = []
    try:
        for family, where in dict.fromkeys((family, where[:2]) for family, *_, where in found):
            number = opened[0].getsockname()[1] if opened else where[1]  # a free port is picked once
            opened.append(_listen(family, str(where[0]), int(number)))
    except OSError as error:
        for each in opened:
            each.close()
        if error.errno == errno.EADDRINUSE:
            raise Refused(f"{address} is taken by another program; choose another with --bind HOST:PORT") from None
        raise Refused(f"cannot listen on {address}: {error.strerror}") from None
    return opened


def _listen(family: int, host: str, port: int) -> socket.socket:
    each = socket.socket(family, socket.SOCK_STREAM)
    try:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        each.bind((host, port))
        each.listen(_BACKLOG)
    except OSError:
        each.close()
        raise
    each.setblocking(False)
    return each


def _bound(settings: Settings, first: socket.socket) -> str:
    host, _, _ = settings.bind.rpartition(":")
    return f"{host}:{first.getsockname()[1]}"

"""The pretend vendor as a server: a scripted fake that speaks like the real ones, on time or late, well or badly.

It answers from the request and a seed alone, reports usage truthfully unless told otherwise, and keeps its own count of
what it did (``GET /_pretend/count``), which is what bills are compared with. See ``script.py`` for its options.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from types import TracebackType

import msgspec

from yizhan.clock import Clock, SystemClock
from yizhan.vendors.pretending.answer import BadWish, Wire, compose
from yizhan.vendors.pretending.chat import Chat
from yizhan.vendors.pretending.count import Account, Count
from yizhan.vendors.pretending.door import Act, Call, Connection
from yizhan.vendors.pretending.script import BadOption, Behaviour, Orders, Script
from yizhan.vendors.pretending.steps import End, Step, Write, head, play, refuse

MODELS = ("pretend", "pretend-large", "pretend-small")
_CHAT = Chat()
WIRES: dict[str, Wire] = {"/v1/chat/completions": _CHAT}  # where each protocol is spoken
_ENDS = {End.FINISHED: "finished", End.FAILED: "failed", None: "abandoned"}


class PretendServer:
    """The vendor as a server on a port of its own: ``async with PretendServer() as server: … server.url``."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        defaults: str = "",
        key: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.script = Script(seed=seed, defaults=defaults)
        self.count = Count()
        self._host = host
        self._port = port
        self._key = key
        self._clock = clock or SystemClock()
        self._number = 0
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None, "not started"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The base URL, without a path."""
        return f"http://{self._host}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises OSError where the port cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._connection, self._host, self._port, backlog=4096, family=socket.AF_UNSPEC
        )

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        await self._server.wait_closed()

    async def __aenter__(self) -> PretendServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _connection(self) -> Connection:
        self.count.connections += 1
        return Connection(self._answer, self.script.refuses, self._connections)

    def _answer(self, call: Call) -> Act:
        wire = WIRES.get(call.path)
        if call.path.startswith("/_pretend/"):
            return _plain(self._command(call))
        if call.path == "/v1/models" or call.path.startswith("/v1/models/"):
            return _plain(self._models(call))
        if wire is None:
            return _plain(refuse(_CHAT, 404, f"no route {call.path}"))
        if call.method != b"POST":
            return _plain(refuse(wire, 405, "use POST"))
        if not self._knows(call):
            return _plain(refuse(wire, 401, "Incorrect API key provided"))
        return self._talk(wire, call)

    def _knows(self, call: Call) -> bool:
        return self._key is None or call.headers.get(b"authorization") == f"Bearer {self._key}".encode()

    def _talk(self, wire: Wire, call: Call) -> Act:
        """Decide what to do with a request for words."""
        self._number += 1
        number = self._number
        try:
            wish = wire.read(call.body)
            behaviour = self.script.choose(wish.model, wish.text)
        except BadWish as error:
            return _plain(refuse(wire, 400, str(error)))
        except BadOption as error:
            return _plain(refuse(wire, 400, f"pretend: {error}"))
        name = behaviour.id or wish.marker or call.headers.get(b"x-request-id", b"").decode("latin-1")
        account = self.count.account(name or f"unnamed-{number}")
        account.model = wish.model
        self.count.add(account, "started")
        extra = b"x-request-id: pretend-%d\r\n" % number
        if behaviour.status != 200:
            steps = _late(behaviour, refuse(wire, behaviour.status, "as ordered", retry_after=behaviour.retry_after))
        else:
            answer = compose(
                wish, behaviour, seed=self.script.seed, number=number, created_s=self._clock.now_ms() // 1000
            )
            self.count.add(account, "prompt_tokens", answer.bill.prompt)
            self.count.add(account, "completion_tokens", answer.bill.completion)
            steps = play(wire, answer, stream=wish.stream, report_usage=wish.report_usage, extra=extra)
        return self._counted(steps, account)

    def _counted(self, steps: Iterator[Step], account: Account) -> Act:
        def wrote(tokens: int) -> None:
            if tokens:
                self.count.add(account, "tokens_sent", tokens)

        def ended(end: End | None) -> None:
            self.count.add(account, _ENDS.get(end, "broken"))

        return Act(steps, wrote, ended)

    def _models(self, call: Call) -> Iterator[Step]:
        if not self._knows(call):
            return refuse(_CHAT, 401, "Incorrect API key provided")
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "pretend"} for name in MODELS]
        if call.path == "/v1/models":
            return _json({"object": "list", "data": listed})
        found = [model for model in listed if model["id"] == call.path.removeprefix("/v1/models/")]
        return _json(found[0]) if found else refuse(_CHAT, 404, "no such model")

    def _command(self, call: Call) -> Iterator[Step]:
        """Do what the one who plays with us asks."""
        match (call.method, call.path.removeprefix("/_pretend/")):
            case (b"GET", "count"):
                return _bytes(self.count.report(requests=call.query != "requests=0"))
            case (b"POST", "reset"):
                self.script.reset()
                self.count.reset()
                return _json({"ok": True})
            case (b"POST", "script"):
                try:
                    self.script.obey(msgspec.json.decode(call.body, type=Orders))
                except (BadOption, msgspec.DecodeError) as error:
                    return refuse(_CHAT, 400, str(error))
                return _json({"ok": True})
            case _:
                return refuse(_CHAT, 404, "there are GET count, POST script and POST reset")


def _late(behaviour: Behaviour, steps: Iterator[Step]) -> Iterator[Step]:
    if behaviour.first_byte_ms:
        yield behaviour.first_byte_ms / 1000
    yield from steps


def _json(said: object) -> Iterator[Step]:
    return _bytes(msgspec.json.encode(said))


def _bytes(body: bytes) -> Iterator[Step]:
    yield Write(head(200, b"application/json", len(body)) + body)
    yield End.FINISHED


def _plain(steps: Iterator[Step]) -> Act:
    return Act(steps, lambda _: None, lambda _: None)

"""The control plane's end of the link, on a thread and a loop of its own, so that nothing else delays money."""

from __future__ import annotations

import asyncio
import hmac
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path

import msgspec

from yizhan.link import messages as m
from yizhan.link import parts
from yizhan.link.figures import added_up
from yizhan.link.frames import READ_AHEAD, LinkBroken, address_of, frame, read_frame
from yizhan.link.lending import Lending
from yizhan.link.ports import Books
from yizhan.link.session import Session
from yizhan.purse.frames import HEAD

HELLO_S = 5.0
FIGURES_S = 1.0
ABSENT_S = 60.0  # a worker that died on this host is back, or its journal adopted, within seconds
BATCH_BYTES = 64 * 1024  # records booked at once: about 5 ms, then others get their turn

log = logging.getLogger(__name__)
_decoder: msgspec.msgpack.Decoder[m.FromGateway] = msgspec.msgpack.Decoder(m.FromGateway)


class LinkServer:
    """Serves gateways. ``start``, ``stop``, ``nudge`` and ``figures`` may be called from other threads."""

    def __init__(
        self,
        books: Books,
        *,
        address: str,
        secret: str = "",
        recall_s: float = 0.2,
        poll_s: float = 0.25,
        absent_s: float = ABSENT_S,
    ) -> None:
        self._path, self._host = address_of(address)
        if self._path is None and not secret:
            raise ValueError("a link over TCP needs a secret")
        self._books = books
        self._secret = secret
        self._poll_s = poll_s
        self._sessions: dict[str, Session] = {}  # by journal
        self._lending = Lending(books, self._sessions, recall_s=recall_s, absent_s=absent_s)
        self._talks: set[asyncio.Task[None]] = set()
        self._welcome: tuple[int, tuple[bytes, ...]] | None = None  # the last snapshot sent, for the next gateway
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._stopping = False
        self._listening: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        self.port = 0

    def start(self) -> None:
        """Listen; raises OSError where that is not possible."""
        self._thread.start()
        self.port = self._listening.result()

    def stop(self) -> None:
        """Hang up and wait for the thread. What was asked and not answered changed nothing."""
        self._stopping = True
        self.nudge()
        self._thread.join()

    def nudge(self) -> None:
        """Say that something changed, so that gateways hear of it now and not at the next poll."""
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._wake.set)
            except RuntimeError:
                pass  # stopped meanwhile

    async def figures(self) -> str:
        """Collect the metrics of all gateways, added up; those that do not answer within a second are left out."""
        assert self._loop is not None, "start it first"
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._figures(), self._loop))

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            listener = await self._listen()
        except OSError as error:
            self._listening.set_exception(error)
            return
        self._listening.set_result(0 if self._path is not None else listener.sockets[0].getsockname()[1])
        while not self._stopping:
            self._push()
            try:
                await asyncio.wait_for(self._wake.wait(), self._poll_s)
            except TimeoutError:
                pass
            self._wake.clear()
        listener.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        if self._path is not None:
            Path(self._path).unlink(missing_ok=True)  # noqa: ASYNC240 -- the loop is about to end

    async def _listen(self) -> asyncio.Server:
        if self._path is None:
            return await asyncio.start_server(self._welcome_in, *self._host, limit=READ_AHEAD)
        path = Path(self._path)
        path.parent.mkdir(parents=True, exist_ok=True)
        listener = await asyncio.start_unix_server(self._welcome_in, path, limit=READ_AHEAD)
        path.chmod(0o600)  # noqa: ASYNC240
        return listener

    def _push(self) -> None:
        """Send every gateway what moved since it last heard; most stand at the same number."""
        told: dict[int, tuple[int, bytes] | None] = {}
        for session in list(self._sessions.values()):
            if session.seq not in told:
                try:
                    delta = self._books.changes_since(session.seq)
                except Exception:
                    log.exception("changes could not be read")
                    return
                told[session.seq] = None if delta is None else (delta.seq, frame(delta))
            news = told[session.seq]
            if news is None:
                session.hang_up()  # it comes back for a snapshot
            elif news[0] > session.seq:
                session.seq = news[0]
                session.send(news[1])

    async def _figures(self) -> str:
        questions = [session.ask(m.PullFigures) for session in self._sessions.values()]
        if not questions:
            return ""
        done, silent = await asyncio.wait(questions, timeout=FIGURES_S)
        for question in silent:
            question.cancel()
        answers = [question.result() for question in done]
        return added_up([answer.text for answer in answers if isinstance(answer, m.Figures)])

    # -- one gateway --------------------------------------------------------------------------------------------------

    async def _welcome_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        try:
            await self._talk(reader, writer)
        except (LinkBroken, msgspec.MsgspecError, TimeoutError) as error:
            log.warning("a gateway was hung up on: %s", error)
        except asyncio.CancelledError:
            pass  # stopping; the task ends here
        except Exception:
            log.exception("a gateway was hung up on by a fault of ours")
        finally:
            self._talks.discard(talk)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HELLO_S):
            data = await read_frame(reader)
        if data is None:
            return
        session = self._greeted(_decoder.decode(data), writer)
        try:
            while (data := await read_frame(reader)) is not None:
                self._heard(session, _decoder.decode(data))
        finally:
            session.hang_up()
            if self._sessions.get(session.journal) is session:
                del self._sessions[session.journal]

    def _greeted(self, hello: m.FromGateway, writer: asyncio.StreamWriter) -> Session:
        if not isinstance(hello, m.Hello):
            raise LinkBroken("it did not say hello")
        if not hmac.compare_digest(hello.secret.encode(), self._secret.encode()):
            writer.write(frame(m.Trouble(0, "wrong secret")))
            raise LinkBroken(f"{hello.gateway} came with a wrong secret")
        session = Session(writer, gateway=hello.gateway, journal=hello.journal)
        try:
            self._books.open_journal(journal=hello.journal, gateway=hello.gateway)
            known = self._books.changes_since(hello.have_seq) if hello.have_seq else None
            if known is None:
                session.seq, snapshot = self._snapshot()
                welcome = m.Welcome(self._books.pepper(), session.seq, snapshot)
            else:
                session.seq = hello.have_seq
                welcome = m.Welcome(self._books.pepper(), session.seq, None)
        except Exception:
            writer.write(frame(m.Trouble(0, "the books cannot be opened")))
            raise
        earlier = self._sessions.get(session.journal)
        if earlier is not None:
            earlier.hang_up()  # a connection it gave up before we noticed
        session.send(frame(welcome))
        self._sessions[session.journal] = session
        self._wake.set()  # what moved since `have_seq`
        return session

    def _snapshot(self) -> tuple[int, tuple[bytes, ...]]:
        if self._welcome is not None:
            delta = self._books.changes_since(self._welcome[0])
            if delta is not None and delta.seq == self._welcome[0]:
                return self._welcome
        snapshot = self._books.snapshot()
        self._welcome = (snapshot.seq, parts.split(snapshot))
        return self._welcome

    def _heard(self, session: Session, message: m.FromGateway) -> None:
        match message:
            case m.OpenKey():
                self._answer(session, message.n, lambda: self._key_opened(session, message))
            case m.Borrow():
                self._answer(session, message.n, lambda: self._lent(session, message))
            case m.Returned():
                self._took_back(session, message)
            case m.Records():
                self._work(session, self._take_in(session, message))
            case m.JournalEnd():
                self._answer(session, message.n, lambda: self._journal_ended(message))
            case m.Figures():
                session.answered(message.n, message)
            case m.Hello():
                raise LinkBroken("it said hello twice")

    def _answer(self, session: Session, n: int, work: Callable[[], m.FromControl | None]) -> None:
        try:
            answer = work()
        except Exception:
            log.exception("a question of %s could not be answered", session.gateway)
            answer = m.Trouble(n, "the books could not be asked")
        if answer is not None:
            session.send(frame(answer))

    def _key_opened(self, session: Session, asked: m.OpenKey) -> m.KeyOpened:
        record = self._books.open_key(key_hash=asked.key_hash)
        if record is None or not asked.need:
            return m.KeyOpened(asked.n, record, None)
        borrow = m.Borrow(0, record.wallet_id, asked.need, 0, 0, 0)
        lent = self._lending.at_once(session, borrow)
        return m.KeyOpened(asked.n, record, None if lent is None or lent.short else lent)

    def _lent(self, session: Session, asked: m.Borrow) -> m.Lent | None:
        lent = self._lending.at_once(session, asked)
        if lent is not None and not lent.short:
            return lent
        self._work(session, self._lent_in_line(session, asked, lent))
        return None

    async def _lent_in_line(self, session: Session, asked: m.Borrow, tried: m.Lent | None) -> None:
        try:
            answer: m.FromControl = await self._lending.in_line(session, asked, tried)
        except Exception:
            log.exception("money could not be lent to %s", session.gateway)
            answer = m.Trouble(asked.n, "the books could not be asked")
        session.send(frame(answer))

    def _took_back(self, session: Session, message: m.Returned) -> None:
        try:
            self._books.take_back(journal=session.journal, wallet_id=message.wallet_id, returned=message.returned)
        except Exception:
            log.exception("money given back by %s was not noted; the next total will be", session.gateway)
            return  # whoever recalls it takes this for silence
        if message.n:
            session.answered(message.n, message)

    async def _take_in(self, session: Session, asked: m.Records) -> None:
        position, offset = asked.offset, asked.offset
        try:
            for batch in _batches(asked.data):
                position = self._books.take_in(journal=asked.journal, offset=offset, data=batch)
                offset += len(batch)
                if position < offset:
                    break  # records before these are missing, or these cannot be read
                await asyncio.sleep(0)
            answer: m.FromControl = m.Taken(asked.n, asked.journal, position)
        except Exception:
            log.exception("records of %s could not be taken in", asked.journal)
            answer = m.Trouble(asked.n, "the records could not be taken in")
        session.send(frame(answer))

    def _journal_ended(self, asked: m.JournalEnd) -> m.Taken:
        self._books.end_journal(journal=asked.journal, offset=asked.offset)
        return m.Taken(asked.n, asked.journal, asked.offset)

    def _work(self, session: Session, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"for {session.gateway}")
        session.tasks.add(task)
        task.add_done_callback(session.tasks.discard)


def _batches(data: bytes) -> list[memoryview]:
    """Cut whole records into batches of about ``BATCH_BYTES``."""
    view, batches, start, at = memoryview(data), [], 0, 0
    while at + HEAD.size <= len(data):
        at += HEAD.size + HEAD.unpack_from(data, at)[0]
        if at - start >= BATCH_BYTES:
            batches.append(view[start:at])
            start = at
    if start < len(data):
        batches.append(view[start:])
    return batches

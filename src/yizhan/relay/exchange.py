"""One request's way upstream: attempts until one answers; what happens when the caller leaves; the bill in the end.

Before an attempt was sent, a caller who leaves cancels it and pays nothing. Afterwards the answer is read on, within
bounds, for the upstream's final report (the billing contract in the docs).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from yizhan.catalog.entries import Channel
from yizhan.errors import StationError, UpstreamFailed, UpstreamTruncated
from yizhan.http1.client import Answer
from yizhan.http1.message import Headers, TransferFailed
from yizhan.http1.reply import Reply
from yizhan.protocols.openai_chat import Wanted, with_model
from yizhan.protocols.openai_chat_answer import NotAnAnswer, read_answer
from yizhan.protocols.usage import Usage
from yizhan.relay import blame, metering
from yizhan.relay.homeward import Homeward, StreamEnded, home_headers
from yizhan.relay.metering import Meter
from yizhan.relay.outward import outward
from yizhan.relay.ports import Ports

_REFUSAL_BYTES_MAX = 64 * 1024
_LINGER_S = 1.0  # an upstream that said [DONE] and does not end its body is not waited for longer


class Exchange:
    """The state of one request between its hold and its last byte."""

    __slots__ = (
        "_answer",
        "_beaten_at",
        "_began_at",
        "_counted_when_left",
        "_cut",
        "_draining",
        "_failure",
        "_headers",
        "_homeward",
        "_left_at",
        "_meter",
        "_ports",
        "_reply",
        "_request_id",
        "_sent",
        "_task",
        "_wanted",
    )

    def __init__(
        self, ports: Ports, reply: Reply, *, request_id: str, headers: Headers, wanted: Wanted, meter: Meter
    ) -> None:
        self._ports = ports
        self._reply = reply
        self._request_id = request_id
        self._headers = headers  # the caller's, as far as they go upstream
        self._wanted = wanted
        self._meter = meter
        self._task = asyncio.current_task()
        self._answer: Answer | None = None
        self._homeward: Homeward | None = None
        self._failure: blame.Failure | None = None
        self._sent = False  # the upstream has the request: from here on it may cost money
        self._left_at: float | None = None  # the caller is gone since
        self._draining = False  # counted among the answers that are read on
        self._counted_when_left = 0
        self._cut = False  # the bound of a drain was hit, or nothing was sent yet: our own task was cancelled
        self._began_at = self._beaten_at = meter.began_at
        ports.exchanges.add(self)
        reply.on_gone(self.caller_left)

    # -- the attempts --------------------------------------------------------------------------------------------------

    async def attempt(self, channel: Channel) -> bool:
        """Try one channel. True when the request has been answered, well or cut short; False to try the next."""
        if self._reply.gone and self._left_at is None:  # while the request waited for money: nothing is sent for it
            self._left_at = self._ports.clock.monotonic()
            return True
        meter = self._meter
        meter.channel_id = channel.id
        meter.attempts += 1
        self._sent = False
        try:
            self._answer = answer = await self._send(channel)
            if answer.status >= 300:
                return await self._refused(channel, answer)
            if self._wanted.stream:
                return await self._stream(answer)
            return self._whole(answer, await answer.read(self._ports.settings.answer_bytes_max))
        except TransferFailed as error:
            self._fail(channel, blame.of_exception(error))
            return False
        except asyncio.CancelledError:
            if not self._cut or self._task is None:
                raise
            self._task.uncancel()
            return True
        finally:
            if self._answer is not None:
                self._answer.close()
                self._answer = None

    @property
    def may_go_on(self) -> bool:
        """Whether another channel may be tried: the caller is there, time is left, nothing of an answer went home."""
        waited = self._ports.clock.monotonic() - self._began_at
        return self._left_at is None and not self._meter.settled and waited < self._ports.settings.retry_total_s

    def verdict(self) -> StationError:
        """Say why no channel answered: the most useful of the failures."""
        return UpstreamFailed("no channel could be tried in time") if self._failure is None else self._failure.error

    def _send(self, channel: Channel) -> Awaitable[Answer]:
        ports, way = self._ports, outward(channel)
        ports.turn += 1
        body = with_model(
            self._wanted,
            model=channel.models.get(self._wanted.model, self._wanted.model),
            ask_usage=way.reports_stream_usage,
        )
        return ports.client.send(
            way.origin,
            method=b"POST",
            target=way.target,
            headers=[*self._headers, way.credentials[ports.turn % len(way.credentials)]],
            body=body,
            timeouts=ports.timeouts,
            proxy=channel.proxy,
            on_sent=self._was_sent,
        )

    def _was_sent(self) -> None:
        self._sent = True

    def _fail(self, channel: Channel, failure: blame.Failure) -> None:
        self._ports.figures.attempts[failure.error.code] += 1
        if failure.rest_s:
            self._ports.cooling[channel.id] = self._ports.clock.monotonic() + failure.rest_s
        if self._failure is None or failure.useful > self._failure.useful:
            self._failure = failure

    async def _refused(self, channel: Channel, answer: Answer) -> bool:
        failure = blame.of_status(answer.status, answer.headers)
        self._fail(channel, failure)
        if failure.elsewhere:
            return False
        body = await answer.read(_REFUSAL_BYTES_MAX)
        self._meter.settle(
            metering.UPSTREAM_FAILED,
            reported=None,
            counted=None,
            http_status=answer.status,
            error_code=failure.error.code,
        )
        if self._left_at is None:
            if self._reply.started:  # a heartbeat opened it
                self._reply.end(b"data: " + body + b"\n\n")
            else:
                self._reply.send(answer.status, home_headers(answer, self._request_id), body)
        return True

    def _whole(self, answer: Answer, body: bytes) -> bool:
        try:
            answered = read_answer(body)
        except NotAnAnswer as reason:
            raise blame.NotUsable(str(reason)) from None
        self._meter.settle(
            metering.OK if self._left_at is None else metering.CALLER_LEFT,
            reported=answered.usage,
            counted=answered.counted,
            http_status=answer.status,
            at_once=True,
        )
        if self._left_at is None:
            self._reply.send(answer.status, home_headers(answer, self._request_id), body)
        return True

    async def _stream(self, answer: Answer) -> bool:
        homeward = self._homeward or self._open_homeward()
        homeward.answer = answer
        reader = homeward.reader
        self._reply.on_pressure(answer.pause, answer.resume)
        try:
            await answer.pipe(homeward.take)
            homeward.finish()
        except StreamEnded:
            if self._left_at is not None:
                self._cut = True
                return True
        except TransferFailed as error:
            if not reader.began:
                raise
            if not self._meter.settled:
                homeward.cut_short(UpstreamTruncated(str(blame.of_exception(error).error)))
        finally:
            self._reply.on_pressure(None, None)
        if self._meter.settled:
            return True
        if not reader.began:
            self._homeward = None
            raise blame.NotUsable(reader.broken or "the upstream ended its answer before it began")
        homeward.cut_short(UpstreamTruncated(reader.broken or "the upstream ended its answer without finishing it"))
        return True

    def _open_homeward(self) -> Homeward:
        self._homeward = Homeward(
            self._ports,
            self._reply,
            self._meter,
            request_id=self._request_id,
            withhold_usage=not self._wanted.usage_asked,
        )
        self._homeward.left = self._left_at is not None
        return self._homeward

    # -- the caller leaves, time passes --------------------------------------------------------------------------------

    def caller_left(self) -> None:
        """Cancel what was not sent; read on, within bounds, what was."""
        if self._meter.settled or self._left_at is not None:
            return
        ports = self._ports
        self._left_at = ports.clock.monotonic()
        if self._homeward is not None:
            self._homeward.left = True
            self._counted_when_left = self._homeward.reader.count.tokens()
        if not self._sent or ports.drains >= ports.settings.caller_drains_max:
            self._give_up()
            return
        self._draining = True
        ports.drains += 1
        if self._answer is not None:
            self._answer.resume()  # it may be waiting for a caller who will read no more

    def tick(self, now: float) -> None:
        """Look at the time, twice a second: drains end, long streams are journalled, those not begun are kept open."""
        settings = self._ports.settings
        if self._left_at is not None:
            if now - self._left_at > settings.caller_drain_s:
                self._give_up()
        elif self._meter.settled:
            if self._answer is not None and now - self._began_at > self._meter.duration_s + _LINGER_S:
                self._answer.close()
        elif self._homeward is not None and self._homeward.reader.began:
            if self._meter.due:
                self._homeward.progress()
        elif (
            self._wanted.stream
            and self._meter.first_byte_ms < 0
            and now - self._beaten_at >= settings.first_byte_heartbeat_s
        ):
            self._beaten_at = now
            (self._homeward or self._open_homeward()).heartbeat()

    def _give_up(self) -> None:
        if not self._cut and self._task is not None:
            self._cut = True
            self._task.cancel()

    def close(self, error: StationError | None) -> None:
        """Settle whatever is still open, and forget the exchange."""
        self._ports.exchanges.discard(self)
        self._reply.on_gone(None)
        if self._draining:
            self._ports.drains -= 1
        if self._meter.settled:
            return
        code = error.code if error is not None else ""
        if self._left_at is not None:
            counted = self._counted_when_left if self._cut and self._sent else None
            self._meter.settle(metering.CALLER_LEFT, reported=self._reported(), counted=counted, http_status=0)
        elif self._failure is not None:
            self._meter.settle(metering.UPSTREAM_FAILED, reported=None, counted=None, http_status=0, error_code=code)
        else:
            delivered = self._homeward.reader.count.tokens() if self._homeward is not None else 0
            self._meter.settle(
                metering.FAILED,
                reported=self._reported(),
                counted=delivered or None,
                http_status=0,
                error_code=code or "internal_error",
            )

    def _reported(self) -> Usage | None:
        return self._homeward.reader.usage if self._homeward is not None else None

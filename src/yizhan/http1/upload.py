"""A request body that comes as a stream: sent piece by piece, no faster than the upstream takes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from yizhan.http1.answer import Answer
from yizhan.http1.outgoing import Connection


class ShortUpload(Exception):
    """The body was not as long as announced."""


def begin_upload(
    connection: Connection, answer: Answer, source: AsyncIterator[bytes], *, length: int | None
) -> asyncio.Task[None]:
    """Start sending; the answer owns the task and cancels it when the exchange ends or the upstream answers early."""
    task = asyncio.get_running_loop().create_task(_send(connection, answer, source, length=length))

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            connection.fail(answer, error)

    task.add_done_callback(ended)
    return task


async def _send(connection: Connection, answer: Answer, source: AsyncIterator[bytes], *, length: int | None) -> None:
    left = length
    try:
        answer.source_waits = True
        async for piece in source:
            answer.source_waits = False
            if not piece:
                continue
            if left is None:
                connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            else:
                left -= len(piece)
                if left < 0:
                    raise ShortUpload("the request's body is longer than announced")
                connection.write(piece)
            await connection.drained()
            answer.moved = answer.source_waits = True
        if left:
            raise ShortUpload("the request's body is shorter than announced")
        if left is None:
            connection.write(b"0\r\n\r\n")
        connection.end()
    finally:
        answer.source_waits = False
        answer.moved = True

"""What is not relayed goes to the control plane's public socket, byte for byte."""

from __future__ import annotations

from yizhan.errors import Overloaded
from yizhan.http1.client import Origin
from yizhan.http1.message import Headers, TransferFailed
from yizhan.http1.reply import Reply
from yizhan.http1.request import Request
from yizhan.relay.ports import Ports

# Hop-by-hop (RFC 9110 §7.6.1), what the client writes itself, and names that only we may set.
_DROPPED = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"expect",
        b"content-length",
        b"forwarded",
        b"x-real-ip",
        b"x-request-id",
    }
)
_OURS = (b"x-forwarded-", b"x-yizhan-")


async def forward(ports: Ports, request: Request, reply: Reply, *, request_id: str) -> None:
    """Relay to the control plane; raises Overloaded while it is away."""
    headers = [pair for pair in request.headers if not _is_dropped(pair[0])]
    headers += [
        (b"x-forwarded-for", request.peer.encode()),
        (b"x-request-id", request_id.encode()),
    ]
    body = await request.body(ports.settings.body_bytes_max)
    try:
        answer = await ports.client.send(
            Origin("unix", str(ports.settings.home_path.resolve() / "run" / "control.sock")),
            method=request.method,
            target=request.target,
            headers=headers,
            body=body,
            timeouts=ports.timeouts,
        )
    except TransferFailed:
        raise Overloaded("the console is restarting; try again in a moment", retry_after_s=1) from None
    try:
        reply.start(answer.status, _home(answer.headers, request_id), length=None)
        reply.on_pressure(answer.pause, answer.resume)
        await answer.pipe(reply.write)
        reply.end()
    except TransferFailed:
        reply.abort()
    finally:
        answer.close()


def _is_dropped(name: bytes) -> bool:
    return name in _DROPPED or name.startswith(_OURS)


def _home(headers: Headers, request_id: str) -> Headers:
    kept = [pair for pair in headers if pair[0] not in _DROPPED and pair[0] not in (b"date", b"server")]
    return [*kept, (b"x-request-id", request_id.encode())]

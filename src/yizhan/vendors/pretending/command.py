"""``yizhan pretend``: the pretend vendor as a process."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

import click
import msgspec
import uvloop

from yizhan.vendors.pretending.script import BadOption
from yizhan.vendors.pretending.server import PretendServer


async def _serve(server: PretendServer) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server:
        click.echo(msgspec.json.encode({"url": server.url}).decode())
        sys.stdout.flush()
        gc.freeze()
        await stop.wait()


@click.command(name="pretend", help="Serve the scripted fake vendor. Prints one JSON line with its URL when ready.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0 picks a free one.")
@click.option("--seed", default=0, show_default=True, help="Another seed, other words and another mix.")
@click.option("--tokens", default=16, show_default=True, help="Length of an answer.")
@click.option("--chunk-ms", default=0.0, show_default=True, help="Time between the frames of a stream.")
@click.option("--first-byte-ms", default=0.0, show_default=True, help="Time before an answer begins.")
@click.option("--options", default="", help="More options for every answer, e.g. 'usage=none cached=8'.")
@click.option("--key", default=None, help="The only key let in; without it, any is.")
def command(
    *,
    host: str,
    port: int,
    seed: int,
    tokens: int,
    chunk_ms: float,
    first_byte_ms: float,
    options: str,
    key: str | None,
) -> None:
    """Serve until told to stop; a port that cannot be had, or a bad option, is one line and a status of 1."""
    defaults = f"tokens={tokens} chunk_ms={chunk_ms} first_byte_ms={first_byte_ms} {options}"
    try:
        server = PretendServer(host=host, port=port, seed=seed, defaults=defaults, key=key)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(server))
    except (OSError, BadOption) as error:
        raise click.ClickException(str(error)) from None

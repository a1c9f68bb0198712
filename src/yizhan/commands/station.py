"""The station as a command sees it: its admin API, over the socket when it runs, in this process when it does not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from yizhan.config import Settings

if TYPE_CHECKING:
    import httpx

_TIMEOUT_S = 120.0
_PAGE = 1000


class Refused(click.ClickException):
    """The station said no, or cannot be asked; one line, status 1."""

    def show(self, file: Any = None) -> None:  # noqa: ARG002 - click's signature
        click.echo(f"yizhan: {self.format_message()}", err=True)


class Station:
    """Asks the admin API as the operator."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def ask(self, method: str, *path: str, json: object = None, **query: object) -> Any:
        """Send one request to ``/admin/v1/<path>`` and give the decoded answer; raises Refused."""
        import msgspec  # noqa: PLC0415 - `--help` does not need it

        url = "/admin/v1/" + "/".join(quote(part, safe="") for part in path)
        params = {name: str(value) for name, value in query.items() if value is not None}
        content = b"" if json is None else msgspec.json.encode(json)
        answer = self._send(method, url, params, content)
        try:
            body = msgspec.json.decode(answer.content)
        except msgspec.DecodeError:
            raise Refused(f"the station answered {answer.status_code}, which is not understood") from None
        if answer.status_code >= 400:
            error = body.get("error") if isinstance(body, dict) else None
            raise Refused(error["message"] if isinstance(error, dict) else f"the station answered {answer.status_code}")
        return body

    def pages(self, *path: str, cursor: str = "after", limit: int | None = None, **query: object) -> Iterator[Any]:
        """Go through a list, page after page, up to ``limit`` entries."""
        left = limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            page = self.ask("GET", *path, limit=size, **query)
            yield from page["data"]
            if page["next"] is None:
                return
            left = None if left is None else left - len(page["data"])
            query[cursor] = page["next"]

    def _send(self, method: str, url: str, params: dict[str, str], content: bytes) -> httpx.Response:
        import httpx  # noqa: PLC0415 - a tenth of a second

        path = self._settings.home_path / "run" / "control.sock"
        if not _answers(str(path)):
            return self._send_here(method, url, params, content)
        headers = {"authorization": f"Bearer {self._token()}", "content-type": "application/json"}
        try:
            with httpx.Client(
                transport=httpx.HTTPTransport(uds=str(path)), base_url="http://station", timeout=_TIMEOUT_S
            ) as client:
                return client.request(method, url, params=params, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise Refused(f"the station broke off: {error or type(error).__name__}") from None

    def _send_here(self, method: str, url: str, params: dict[str, str], content: bytes) -> httpx.Response:
        """Ask the same app in this process; gateways of a station elsewhere learn of changes by polling."""
        import asyncio  # noqa: PLC0415

        import httpx  # noqa: PLC0415

        from yizhan.app_control import control_app  # noqa: PLC0415
        from yizhan.app_prepare import Refusal, opened  # noqa: PLC0415
        from yizhan.clock import SystemClock  # noqa: PLC0415
        from yizhan.errors import StationError  # noqa: PLC0415
        from yizhan.store.seal import SealBroken  # noqa: PLC0415

        async def ask() -> httpx.Response:
            with opened(self._settings) as (database, seal):
                app = control_app(database, seal, self._settings, SystemClock(), lambda: None)
                transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar's scope is a stricter type
                async with httpx.AsyncClient(transport=transport, base_url="http://station") as client:
                    headers = {"authorization": f"Bearer {self._token()}", "content-type": "application/json"}
                    return await client.request(method, url, params=params, content=content, headers=headers)

        try:
            return asyncio.run(ask())
        except (Refusal, SealBroken, StationError) as error:
            raise Refused(str(error)) from None
        except OSError as error:
            raise Refused(
                f"the data folder {self._settings.home_path} cannot be used: {error.strerror or error}"
            ) from None

    def _token(self) -> str:
        from yizhan.accounts.secret import operator_token  # noqa: PLC0415

        try:
            return operator_token(self._settings.home_path)
        except OSError as error:
            raise Refused(f"the operator's token cannot be read: {error.strerror}") from None


def _answers(path: str) -> bool:
    """Say whether a control plane listens; a socket left behind by one that died does not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.settimeout(5)
            probe.connect(path)
        except OSError:
            return False
        return True

"""What the station says on the terminal when it starts."""

from __future__ import annotations

import sys
from contextlib import suppress

import msgspec

from yizhan.config import Settings
from yizhan.demo import MODEL
from yizhan.process import Prepared

ADD_A_CHANNEL = (
    "to add one: yizhan channel add NAME --vendor openai-compatible --base-url URL --key KEY --models MODEL,MODEL"
)
MESSAGES_RELAYED = False  # set it with the route /v1/messages


def address(settings: Settings) -> str:
    """The URL that callers on this machine reach the station by."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host, _, port = settings.bind.rpartition(":")
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://{'127.0.0.1' if host in ('', '0.0.0.0', '[::]', '*') else host}:{port}"  # noqa: S104 - compared


def lines_to_try(url: str, key: str) -> list[str]:
    """Three ways to the demo model, ready to paste."""
    messages = '[{"role":"user","content":"Say hello"}]'
    curl = (
        f"curl -N {url}/v1/chat/completions -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json'"
        f' -d \'{{"model":"{MODEL}","stream":true,"messages":{messages}}}\''
    )
    python = (
        f'python -c \'from openai import OpenAI; print(OpenAI(base_url="{url}/v1", api_key="{key}")'
        f'.chat.completions.create(model="{MODEL}", messages={messages}).choices[0].message.content)\''
    )
    claude = f"ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN={key} claude --model {MODEL}"
    if not MESSAGES_RELAYED:
        claude += "   # once this station relays /v1/messages: not in this version"
    return [f"  curl         {curl}", f"  Python       {python}", f"  Claude Code  {claude}"]


class Greeter:
    """Speaks to the terminal: sentences, or with ``json`` one object a line on stdout and the sentences on stderr."""

    def __init__(self, settings: Settings, *, json: bool) -> None:
        self._settings = settings
        self._json = json

    def say(self, line: str) -> None:
        """Print one line of progress; a terminal that is gone is no reason to stop."""
        with suppress(BrokenPipeError):
            print(line, file=sys.stderr if self._json else sys.stdout, flush=True)

    def first_start(self, prepared: Prepared) -> None:
        """Print the secrets of the first start, at once: they are shown nowhere again."""
        if self._json:
            shown = {name: getattr(prepared, name) for name in ("login", "password", "key") if getattr(prepared, name)}
            self._object({"event": "prepared", **shown})
            return
        if prepared.login:
            self.say(f"first admin    {prepared.login}   password {prepared.password}   (shown only now)")
        if prepared.key:
            self.say(f"first API key  {prepared.key}   (shown only now)")

    def ready(self, prepared: Prepared, *, waiting: list[str], demo: bool) -> None:
        """Print the address, and at the first start with a demo model three lines to try."""
        url = address(self._settings)
        if self._json:
            self._object({"event": "ready", "url": url, "waiting": waiting, "demo": MODEL if demo else None})
        if waiting:
            self.say(f"not ready yet: {', '.join(waiting)}; going on")
        if self._settings.role == "control":
            self.say(f"the control plane is up; gateways reach it at {self._settings.link_address}")
            return
        self.say(f"the station is open at {url}")
        if not demo and self._settings.role == "all":
            self.say(f"there is no demo model; {ADD_A_CHANNEL}")
        elif demo and prepared.key:
            self.say("try it:")
            for line in lines_to_try(url, prepared.key):
                self.say(line)

    def _object(self, found: dict[str, object]) -> None:
        with suppress(BrokenPipeError):
            print(msgspec.json.encode(found).decode(), flush=True)

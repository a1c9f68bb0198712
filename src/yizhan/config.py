"""Every setting, its default and its reason. Set as ``YIZHAN_<NAME>`` in the environment, or by a CLI option."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import msgspec.inspect
from msgspec import Meta

_MB = 1024 * 1024


class BadSetting(Exception):
    """A setting cannot be read; ``str(error)`` is one line that names it."""


def _doc(text: str, **bounds: Any) -> Meta:
    return Meta(description=text, **bounds)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable set of settings, handed to every process."""

    home: Annotated[str, _doc("Folder of the database, the journals and the secrets")] = "./data"
    bind: Annotated[str, _doc("HOST:PORT the public server listens on; port 0 picks a free one")] = "127.0.0.1:8601"
    workers: Annotated[int, _doc("Gateway processes", ge=1, le=256)] = 2
    database_url: Annotated[str, _doc("SQLAlchemy URL; empty means SQLite inside the home folder")] = ""
    role: Annotated[str, _doc("Planes to run here: all, gateway or control", pattern="^(all|gateway|control)$")] = "all"
    link: Annotated[str, _doc("Where gateways reach the control plane; empty means a socket in the home folder")] = ""
    link_secret: Annotated[str, _doc("Shared secret between the planes when the link is TCP")] = ""
    metrics_bind: Annotated[str, _doc("HOST:PORT of /metrics; empty turns it off")] = "127.0.0.1:8609"
    public_url: Annotated[str, _doc("URL callers reach the station by; empty means http:// and the bind address")] = ""
    demo: Annotated[bool, _doc("Run the demo model and register it as a channel")] = True
    trusted_proxies: Annotated[str, _doc("Comma-separated CIDRs whose X-Forwarded-For is believed")] = ""
    seal_key: Annotated[str, _doc("64 hex digits sealing channel secrets; empty means a file at home")] = ""
    tls_certificate: Annotated[str, _doc("PEM chain; with tls_key the public server speaks TLS")] = ""
    tls_key: Annotated[str, _doc("PEM private key of tls_certificate")] = ""
    log_level: Annotated[str, _doc("debug, info, warning or error")] = "info"

    # Bounds of the public server. Reason: nothing a caller controls may grow without end.
    header_bytes_max: Annotated[int, _doc("Start line and headers of one request", ge=1024)] = 32 * 1024
    header_count_max: Annotated[int, _doc("Headers of one request", ge=8)] = 100
    body_bytes_max: Annotated[int, _doc("Body of one request", ge=1024)] = 32 * _MB
    answer_bytes_max: Annotated[int, _doc("Upstream answer that is not a stream", ge=1024)] = 64 * _MB
    frame_bytes_max: Annotated[int, _doc("One event of an upstream's stream that is looked at whole", ge=1024)] = _MB
    connections_max: Annotated[int, _doc("Open connections of callers, a worker", ge=1)] = 10_000
    in_flight_max: Annotated[int, _doc("Requests being answered at once, a worker", ge=1)] = 4_000
    body_memory_max: Annotated[int, _doc("Bytes of request bodies held at once, a worker", ge=_MB)] = 512 * _MB
    header_timeout_s: Annotated[float, _doc("For a request's headers to arrive", gt=0)] = 15
    body_timeout_s: Annotated[float, _doc("Longest silence within a request's body", gt=0)] = 30
    keepalive_s: Annotated[float, _doc("Idle time before a kept connection is closed", gt=0)] = 75
    write_stall_s: Annotated[float, _doc("A caller that takes nothing of its answer for so long is gone", gt=0)] = 120
    drain_s: Annotated[float, _doc("Grace for running streams when the station stops", ge=0)] = 30

    # The upstream side.
    connect_timeout_s: Annotated[float, _doc("To connect to an upstream", gt=0)] = 10
    first_byte_timeout_s: Annotated[float, _doc("For an upstream's first byte", gt=0)] = 300
    first_byte_heartbeat_s: Annotated[float, _doc("A stream that has not begun is kept open by comments", gt=0)] = 15
    idle_timeout_s: Annotated[float, _doc("Longest silence within an upstream's answer", gt=0)] = 300
    total_timeout_s: Annotated[float, _doc("One attempt from start to end", gt=0)] = 3600
    pool_idle_max: Annotated[int, _doc("Idle upstream connections kept, a worker", ge=0)] = 512
    pool_origin_max: Annotated[int, _doc("Connections to one upstream, a worker", ge=1)] = 2_000
    attempts_max: Annotated[int, _doc("Channels tried for one request", ge=1, le=20)] = 4
    retry_total_s: Annotated[float, _doc("No new attempt is begun after so long", gt=0)] = 120

    # Callers who leave: the answer is read on for the upstream's final report, within these bounds (DESIGN: contract).
    caller_drain_s: Annotated[float, _doc("Longest drain after the caller left", ge=0)] = 30
    caller_drain_bytes: Annotated[int, _doc("Most bytes drained after the caller left", ge=0)] = 4 * _MB
    caller_drains_max: Annotated[int, _doc("Drains at once, a worker", ge=0)] = 200

    # Money.
    default_output_tokens: Annotated[int, _doc("Output bound held for when neither caller nor model says", ge=1)] = 4096
    default_context_tokens: Annotated[int, _doc("Context window of a model that is not known", ge=1)] = 131_072
    image_tokens_max: Annotated[int, _doc("Tokens one picture can cost, for the hold", ge=1)] = 4096
    lease_share_ppm: Annotated[int, _doc("Largest share of a balance lent at once beyond the need", ge=0)] = 100_000
    lease_idle_s: Annotated[float, _doc("Idle money goes back after so long", gt=0)] = 10
    recall_timeout_ms: Annotated[int, _doc("How long a gateway has to give idle money back", ge=1)] = 200
    link_timeout_s: Annotated[float, _doc("A question to the control plane unanswered so long gives 503", gt=0)] = 5
    journal_sync_ms: Annotated[int, _doc("Journals reach the disk at least so often", ge=1)] = 200
    journal_segment_bytes: Annotated[int, _doc("Size of one journal file", ge=65536)] = 64 * _MB
    progress_s: Annotated[float, _doc("A stream's running bill is journalled so often", gt=0)] = 5
    keys_cached_max: Annotated[int, _doc("Keys a worker remembers", ge=16)] = 200_000
    unknown_keys_s: Annotated[float, _doc("How long an unknown key is refused without asking", ge=0)] = 10

    @property
    def home_path(self) -> Path:
        """The data folder."""
        return Path(self.home)

    @property
    def database(self) -> str:
        """The database URL in force."""
        return self.database_url or f"sqlite:///{self.home_path.resolve() / 'yizhan.db'}"

    @property
    def link_address(self) -> str:
        """``unix:PATH`` or ``tcp:HOST:PORT`` of the control plane's internal socket."""
        return self.link or f"unix:{self.home_path.resolve() / 'run' / 'link.sock'}"


def load(environment: Mapping[str, str] = os.environ, **options: object) -> Settings:
    """Read the settings; options that are None do not count. Raises BadSetting naming what cannot be read."""
    wanted: dict[str, object] = {}
    for field in Settings.__struct_fields__:
        name = f"YIZHAN_{field.upper()}"
        if name in environment:
            wanted[field] = environment[name]
        if options.get(field) is not None:
            wanted[field] = options[field]
    for name in environment:
        if name.startswith("YIZHAN_") and name[7:].lower() not in Settings.__struct_fields__:
            raise BadSetting(f"{name} is not a setting; `yizhan settings` lists them")
    try:
        return msgspec.convert(wanted, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise BadSetting(f"bad setting: {error}") from None


def as_environment(settings: Settings) -> dict[str, str]:
    """Spell the settings as ``load`` reads them, for the processes that a supervisor starts."""
    return {f"YIZHAN_{name.upper()}": str(getattr(settings, name)) for name in Settings.__struct_fields__}


def every_setting() -> list[tuple[str, str]]:
    """List the settings with what each means."""
    found = msgspec.inspect.type_info(Settings)
    assert isinstance(found, msgspec.inspect.StructType)
    meanings = []
    for field in found.fields:
        assert isinstance(field.type, msgspec.inspect.Metadata)
        meanings.append((field.name, str((field.type.extra_json_schema or {}).get("description", ""))))
    return meanings

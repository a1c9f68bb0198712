"""What a gateway writes into its journal about a request, and the control plane books from it.

A request leaves one ``Opened`` before anything goes upstream, ``Progressed`` every few seconds of a stream, and one
``Closed`` before its terminal bytes. Encoded as msgpack arrays: fields are only ever added at the end, with a default.
"""

from __future__ import annotations

import msgspec

from yizhan.protocols.usage import Usage


class Opened(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """A request is about to go upstream; ``hold`` nano-USD of the wallet are set aside for it."""

    request_id: str
    at_ms: int
    wallet_id: int
    user_id: int
    key_id: int
    model: str
    operation: str  # chat · …
    stream: bool
    price_version: int
    multiplier_ppm: int
    hold: int
    client_request_id: str = ""


class Progressed(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """What the stream would cost if it ended here, from counted output; books a request its process did not survive."""

    request_id: str
    at_ms: int
    usage: Usage
    charge: int  # nano-USD
    channel_id: int = 0


class Closed(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """How the request ended and what it costs the wallet. ``charge`` 0 with no usage is a void."""

    request_id: str
    at_ms: int
    status: str  # ok · caller_left · upstream_failed · upstream_truncated · refused …: see relay/metering.py
    usage: Usage
    charge: int  # nano-USD
    estimated: bool
    channel_id: int = 0  # 0: none answered
    attempts: int = 0
    first_byte_ms: int = -1  # -1: none came
    duration_ms: int = 0
    http_status: int = 0
    error_code: str = ""
    over_hold: bool = False  # the upstream reported more than the hold's bound


Record = Opened | Progressed | Closed

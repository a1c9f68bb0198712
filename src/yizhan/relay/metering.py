"""What one request used and what it costs, settled exactly once, whatever happened to it."""

from __future__ import annotations

from yizhan.errors import MoneyUnavailable
from yizhan.money import ZERO, Money
from yizhan.protocols.openai_chat import Wanted, estimated_input
from yizhan.protocols.usage import Usage
from yizhan.purse.ports import KeyRecord
from yizhan.purse.price import charge
from yizhan.purse.records import Closed, Opened
from yizhan.purse.tally import Tally
from yizhan.relay.admission import Offer
from yizhan.relay.ports import Ports

NOTHING = Usage()

# How a request can end; each is a `status` of the usage log.
OK = "ok"
CALLER_LEFT = "caller_left"
UPSTREAM_FAILED = "upstream_failed"  # before its first byte: nothing is charged
UPSTREAM_TRUNCATED = "upstream_truncated"  # after it
FAILED = "failed"  # a fault of ours


class Meter:
    """The bill of one request: opened in the journal before anything goes upstream, closed before the last byte."""

    __slots__ = (
        "_input_estimate",
        "_offer",
        "_ports",
        "_request_id",
        "_tally",
        "_wanted",
        "attempts",
        "began_at",
        "channel_id",
        "duration_s",
        "first_byte_ms",
        "settled",
    )

    def __init__(self, ports: Ports, request_id: str, wanted: Wanted, offer: Offer, tally: Tally) -> None:
        self._ports = ports
        self._request_id = request_id
        self._wanted: Wanted | None = wanted
        self._offer = offer
        self._tally = tally
        self.began_at = tally.began_at
        self.settled = False  # whether the bill is closed
        self._input_estimate = -1
        self.first_byte_ms = -1
        self.duration_s = 0.0  # until it was settled
        self.channel_id = 0
        self.attempts = 0

    @property
    def due(self) -> bool:
        """Whether ``progress`` would be written now."""
        return self._tally.due

    def began(self) -> None:
        """Note the first byte of an answer."""
        self._began(self._ports.clock.monotonic() - self.began_at)

    def progress(self, output_tokens: int) -> None:
        """Journal what the stream would cost if this process ended here."""
        usage = self._estimate(output_tokens)
        self._tally.progress(usage, self._capped(usage), self.channel_id)

    def settle(
        self,
        status: str,
        *,
        reported: Usage | None,
        counted: int | None,
        http_status: int,
        error_code: str = "",
        at_once: bool = False,
    ) -> None:
        """Close the bill. ``reported`` usage counts; else ``counted`` output and an estimate; both None is free.

        ``at_once``: the answer came whole, its first byte with its last.
        """
        estimated = reported is None and counted is not None
        if reported is not None:
            usage = reported
            amount = charge(usage, price=self._offer.price, multiplier_ppm=self._offer.multiplier_ppm)
        elif counted is not None:
            usage = self._estimate(counted)
            amount = self._capped(usage)
        else:
            usage, amount = NOTHING, ZERO
        ports = self._ports
        clock, figures = ports.clock, ports.figures
        self.duration_s = clock.monotonic() - self.began_at
        if at_once:
            self._began(self.duration_s)
        closed = Closed(
            self._request_id,
            clock.now_ms(),
            status,
            usage,
            int(amount),
            estimated,
            self.channel_id,
            self.attempts,
            self.first_byte_ms,
            int(self.duration_s * 1000),
            http_status,
            error_code,
            amount > self._offer.bound,  # over_hold
        )
        self.settled = True
        self._tally.settle(closed)
        figures.requests[status] += 1
        figures.input_tokens += usage.input_total
        figures.output_tokens += usage.output_total
        figures.charged_nano_usd += int(amount)

    def _began(self, seconds: float) -> None:
        self.first_byte_ms = int(seconds * 1000)
        self._ports.figures.first_byte(seconds)

    def _estimate(self, output_tokens: int) -> Usage:
        if self._input_estimate < 0:
            assert self._wanted is not None
            self._input_estimate = estimated_input(
                self._wanted, image_tokens=self._ports.settings.image_tokens_max // 4
            )
            self._wanted = None  # the request's text is not needed any more
        return Usage(input=self._input_estimate, output=output_tokens)

    def _capped(self, usage: Usage) -> Money:
        """Charge an estimate, but never more than was held: only what an upstream reports may exceed that."""
        amount = charge(usage, price=self._offer.price, multiplier_ppm=self._offer.multiplier_ppm)
        return min(amount, self._offer.bound)


def held_at_once(ports: Ports, caller: KeyRecord, offer: Offer) -> bool:
    """Hold the money if no question is needed. Raises MoneyUnavailable while nothing can be journalled."""
    if not ports.journal.healthy:
        raise MoneyUnavailable("the station cannot write its journal right now; try again", retry_after_s=2)
    return ports.purse.held_at_once(caller.wallet_id, offer.bound)


def open_meter(ports: Ports, *, request_id: str, caller: KeyRecord, wanted: Wanted, offer: Offer, mark: str) -> Meter:
    """Open the journal for money that is held. Raises MoneyUnavailable; then nothing is held any more."""
    opened = Opened(
        request_id,
        ports.clock.now_ms(),
        caller.wallet_id,
        caller.user_id,
        caller.key_id,
        wanted.model,
        "chat",
        wanted.stream,
        offer.price.version,
        offer.multiplier_ppm,
        int(offer.bound),
        mark,
    )
    tally = Tally.open(ports.purse, ports.journal, ports.clock, opened, progress_s=ports.settings.progress_s)
    return Meter(ports, request_id, wanted, offer, tally)

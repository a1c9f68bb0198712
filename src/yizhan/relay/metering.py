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
        "_started",
        "_tally",
        "_wanted",
        "attempts",
        "channel_id",
        "duration_s",
        "first_byte_ms",
    )

    def __init__(self, ports: Ports, request_id: str, wanted: Wanted, offer: Offer, tally: Tally) -> None:
        self._ports = ports
        self._request_id = request_id
        self._wanted: Wanted | None = wanted
        self._offer = offer
        self._tally = tally
        self._started = ports.clock.monotonic()
        self._input_estimate = -1
        self.first_byte_ms = -1
        self.duration_s = 0.0  # until it was settled
        self.channel_id = 0
        self.attempts = 0

    @property
    def settled(self) -> bool:
        """Whether the bill is closed."""
        return self._tally.settled

    @property
    def due(self) -> bool:
        """Whether ``progress`` would be written now."""
        return self._tally.due

    def began(self) -> None:
        """Note the first byte of an answer."""
        seconds = self._ports.clock.monotonic() - self._started
        self.first_byte_ms = int(seconds * 1000)
        self._ports.figures.first_byte(seconds)

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
    ) -> None:
        """Close the bill. ``reported`` usage counts; else ``counted`` output and an estimate; both None is free."""
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
        self.duration_s = ports.clock.monotonic() - self._started
        closed = Closed(
            request_id=self._request_id,
            at_ms=ports.clock.now_ms(),
            status=status,
            usage=usage,
            charge=int(amount),
            estimated=estimated,
            channel_id=self.channel_id,
            attempts=self.attempts,
            first_byte_ms=self.first_byte_ms,
            duration_ms=int(self.duration_s * 1000),
            http_status=http_status,
            error_code=error_code,
            over_hold=amount > self._offer.bound,
        )
        self._tally.settle(closed)
        figures = ports.figures
        figures.requests[status] += 1
        figures.input_tokens += usage.input_total
        figures.output_tokens += usage.output_total
        figures.charged_nano_usd += int(amount)

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


async def open_meter(
    ports: Ports, *, request_id: str, caller: KeyRecord, wanted: Wanted, offer: Offer, mark: str
) -> Meter:
    """Hold the money and open the journal. Raises InsufficientQuota, MoneyUnavailable; then nothing is held."""
    if not ports.journal.healthy:
        raise MoneyUnavailable("the station cannot write its journal right now; try again", retry_after_s=2)
    await ports.purse.hold(caller.wallet_id, offer.bound)
    opened = Opened(
        request_id=request_id,
        at_ms=ports.clock.now_ms(),
        wallet_id=caller.wallet_id,
        user_id=caller.user_id,
        key_id=caller.key_id,
        model=wanted.model,
        operation="chat",
        stream=wanted.stream,
        price_version=offer.price.version,
        multiplier_ppm=offer.multiplier_ppm,
        hold=int(offer.bound),
        client_request_id=mark,
    )
    tally = Tally.open(ports.purse, ports.journal, ports.clock, opened, progress_s=ports.settings.progress_s)
    return Meter(ports, request_id, wanted, offer, tally)

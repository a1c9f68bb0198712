"""What one request may use of the process around it. Made once, in app.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from yizhan.catalog.snapshot import Catalog
from yizhan.clock import Clock
from yizhan.config import Settings
from yizhan.http1.client import Client, Timeouts
from yizhan.ids import Ids
from yizhan.observe.figures import Figures
from yizhan.purse.journal import Journal
from yizhan.purse.keyring import KeyRing
from yizhan.purse.purse import Purse

if TYPE_CHECKING:
    from yizhan.relay.exchange import Exchange


class World(Protocol):
    """Whoever holds the catalog in force (the link to the control plane)."""

    @property
    def catalog(self) -> Catalog: ...

    @property
    def ready(self) -> bool: ...


@dataclass(slots=True)
class Ports:
    """The gateway's parts, and the few counters that requests share."""

    settings: Settings
    clock: Clock
    ids: Ids
    world: World
    keyring: KeyRing
    purse: Purse
    journal: Journal
    client: Client
    figures: Figures
    draw: Callable[[], float]  # uniform in [0, 1)
    timeouts: Timeouts
    exchanges: set[Exchange] = field(default_factory=set)  # under way; looked at twice a second
    cooling: dict[int, float] = field(default_factory=dict)  # channel id → monotonic second its rest ends
    drains: int = 0  # answers read on for callers who left
    turn: int = 0  # round robin over a channel's keys

"""``/metrics``: the workers' figures, on an address of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

log = logging.getLogger(__name__)


class Pulled(Collector):
    """Asks for the figures when it is asked."""

    def __init__(self, pull: Callable[[], str]) -> None:
        self._pull = pull

    def collect(self) -> Iterator[Metric]:
        """Give the library the figures as they are now."""
        yield from text_string_to_metric_families(self._pull())


@contextmanager
def serve_metrics(bind: str, pull: Callable[[], str]) -> Iterator[int]:
    """Serve ``/metrics`` on HOST:PORT from a thread; an empty address serves nothing. Gives the port, or 0.

    A taken port costs the figures, never the station: it is logged.
    """
    if not bind:
        yield 0
        return
    host, _, port = bind.rpartition(":")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Pulled(pull))
    try:
        server, thread = start_http_server(int(port), host.strip("[]") or "127.0.0.1", registry=registry)
    except OSError as error:
        log.warning("no metrics at %s: %s", bind, error.strerror)
        yield 0
        return
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
